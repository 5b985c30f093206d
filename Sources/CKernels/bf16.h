// Rounding to bf16, the upper half of an f32.

#ifndef MARTLET_BF16_H
#define MARTLET_BF16_H

#include "vector.h"

/// Nearest bf16, ties to even; a NaN stays one.
INLINE u32x16 rounded_bf16(f32x16 x) {
    const u32x16 bits = (u32x16)x, near = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (u32x16)choose(x == x, (f32x16)near, (f32x16)((bits >> 16) | 64));
}

/// Zero for what is below 2^−126, as the bf16 instructions take it.
INLINE f32x16 flushed(f32x16 x) { return choose(magnitude(x) < splat(0x1p-126f), with_sign_of(splat(0), x), x); }

/// The first `count` bf16 numbers, or all sixteen when there are more; the other lanes are zero.
INLINE f32x16 load_some_bf16(const uint16_t *p, size_t count) {
    if (count >= LANES) return widen_bf16(load_halves(p));
    uint16_t lanes[LANES] = {0};
    memcpy(lanes, p, count * sizeof *p);
    return widen_bf16(load_halves(lanes));
}

/// Stores the first `count` lanes, rounded.
INLINE void store_some_bf16(uint16_t *p, f32x16 x, size_t count) {
    const u16x16 halves = __builtin_convertvector(rounded_bf16(x), u16x16);
    memcpy(p, &halves, (count < LANES ? count : LANES) * sizeof *p);
}

#endif
