// The planner's tables, embedded as they are: data that people read, check and extend, in a binary that needs no files
// beside it.
#ifndef MARTLET_PLANNING_DATA_H
#define MARTLET_PLANNING_DATA_H

#include <stddef.h>

/// UTF-8 JSON; `martlet_hardware_json_size` bytes.
const unsigned char *martlet_hardware_json_bytes(void);
extern const size_t martlet_hardware_json_size;

/// UTF-8 JSON; `martlet_presets_json_size` bytes.
const unsigned char *martlet_presets_json_bytes(void);
extern const size_t martlet_presets_json_size;

#endif
