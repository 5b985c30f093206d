// Numbers kept as bf16 while they wait for the backward pass.

#ifndef MARTLET_HALVES_H
#define MARTLET_HALVES_H

#include "bf16.h"

static void round_bf16(const float *x, uint16_t *y, size_t count) {
    for (size_t i = 0; i < count; i += LANES) store_some_bf16(y + i, load_some(x + i, count - i), count - i);
}

static void widen_to_f32(const uint16_t *x, float *y, size_t count) {
    for (size_t i = 0; i < count; i += LANES) store_some(y + i, load_some_bf16(x + i, count - i), count - i);
}

#endif
