// The dot products of AVX-512's level and of those above it. Included inside the pragma that names the instruction set.

#ifndef MARTLET_DOTS_AVX512_H
#define MARTLET_DOTS_AVX512_H

#define DOT4_SIGNED_Q8 0

#include "quantized.h"

INLINE i32x16 dot4(martlet_type type, i32x16 sums, u32x16 weights, int32_t activations) {
    (void)type;
    return (i32x16)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)weights, _mm512_set1_epi32(activations));
}

#include "product_pairs.h"

INLINE f32x16 dot2(f32x16 sums, u32x16 weights, u32x16 activations) {
    return (f32x16)_mm512_dpbf16_ps((__m512)sums, (__m512bh)weights, (__m512bh)activations);
}

#endif
