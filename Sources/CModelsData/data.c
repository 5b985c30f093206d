#include "CMartletModelsData.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char configuration_keys[] = {
#embed "configuration_keys.json"
};
const size_t martlet_configuration_keys_json_size = sizeof configuration_keys;
const unsigned char *martlet_configuration_keys_json_bytes(void) { return configuration_keys; }
