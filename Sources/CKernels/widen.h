// One head's keys and values of a block as f32, whatever the type they are kept in.

#ifndef MARTLET_WIDEN_H
#define MARTLET_WIDEN_H

#include "panel.h"
#include "vector.h"

INLINE f32x16 widen_bytes(const uint8_t *p) {
    i8x16 bytes;
    memcpy(&bytes, p, sizeof bytes);
    return __builtin_convertvector(__builtin_convertvector(bytes, i32x16), f32x16);
}

/// `count` numbers, a multiple of 16, of a type of two bytes.
INLINE void widen_halves(martlet_type type, const uint8_t *p, size_t count, float *wide) {
    for (size_t i = 0; i < count; i += LANES) {
        const u16x16 halves = load_halves(p + 2 * i);
        store(wide + i, type == MARTLET_F16 ? widen_f16(halves) : widen_bf16(halves));
    }
}

/// [BLOCK / 16][width][16]; in place where they are f32.
INLINE const float *widen_keys(martlet_type type, const uint8_t *p, size_t width, float *wide) {
    if (type == MARTLET_F32) return (const float *)p;
    if (type != MARTLET_Q8_0) return widen_halves(type, p, MARTLET_BLOCK * width, wide), wide;
    const uint8_t *scales = p + MARTLET_BLOCK * width;
    for (size_t g = 0; g < MARTLET_BLOCK / LANES; g++)
        for (size_t run = 0; run < width / BLOCK; run++) {
            const f32x16 scale = widen_f16(load_halves(scales + 2 * (run * MARTLET_BLOCK + g * LANES)));
            for (size_t i = run * BLOCK; i < (run + 1) * BLOCK; i++) {
                const size_t at = (g * width + i) * LANES;
                store(wide + at, widen_bytes(p + at) * scale);
            }
        }
    return wide;
}

/// [BLOCK][width].
INLINE const float *widen_values(martlet_type type, const uint8_t *p, size_t width, float *wide) {
    if (type == MARTLET_F32) return (const float *)p;
    if (type != MARTLET_Q8_0) return widen_halves(type, p, MARTLET_BLOCK * width, wide), wide;
    const uint8_t *scales = p + MARTLET_BLOCK * width;
    for (size_t run = 0; run < MARTLET_BLOCK * width / BLOCK; run++) {
        uint16_t half;
        memcpy(&half, scales + 2 * run, sizeof half);
        const u16x16 halves = {half, half, half, half, half, half, half, half, half, half, half, half, half, half, half, half};
        const f32x16 scale = widen_f16(halves);
        for (size_t i = run * BLOCK; i < (run + 1) * BLOCK; i += LANES) store(wide + i, widen_bytes(p + i) * scale);
    }
    return wide;
}

#endif
