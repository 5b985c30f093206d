// New keys and values into a block of the cache.

#include "include/CMartletKernels.h"
#include <string.h>

enum { KEYS = MARTLET_BLOCK, GROUP = MARTLET_KEY_GROUP };

void martlet_store_block(const float *keys, const float *values, size_t rows, size_t key_heads, size_t head_width,
                         size_t value_width, float *block, size_t offset) {
    float *value_part = block + key_heads * head_width * KEYS;
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < key_heads; h++) {
            const size_t position = offset + r;
            float *target = block + h * head_width * KEYS + position / GROUP * head_width * GROUP + position % GROUP;
            for (size_t i = 0; i < head_width; i++) target[i * GROUP] = keys[(r * key_heads + h) * head_width + i];
            memcpy(value_part + (h * KEYS + position) * value_width, values + (r * key_heads + h) * value_width,
                   value_width * sizeof(float));
        }
}
