// Tables about published models, embedded as they are. Made by scripts in Tools.
#ifndef MARTLET_MODELS_DATA_H
#define MARTLET_MODELS_DATA_H

#include <stddef.h>

/// UTF-8 JSON; `martlet_configuration_keys_json_size` bytes.
const unsigned char *martlet_configuration_keys_json_bytes(void);
extern const size_t martlet_configuration_keys_json_size;

#endif
