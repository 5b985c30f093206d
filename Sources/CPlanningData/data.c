#include "CMartletPlanningData.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char hardware[] = {
#embed "hardware.json"
};
const size_t martlet_hardware_json_size = sizeof hardware;
const unsigned char *martlet_hardware_json_bytes(void) { return hardware; }

static const unsigned char presets[] = {
#embed "presets.json"
};
const size_t martlet_presets_json_size = sizeof presets;
const unsigned char *martlet_presets_json_bytes(void) { return presets; }
