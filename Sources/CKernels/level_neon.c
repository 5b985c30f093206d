// arm64 with the dot product of ARMv8.2. Only the integer products differ from the baseline's.

#if defined(__aarch64__)

#include "panel.h"
#include <arm_neon.h>

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#define QUANTIZED_ONLY

#include "vector.h"

#define TILE_GROUPS 1
#define FEW_ROWS 1
#define PACKED_ROWS 0
#define DOT4_SIGNED_Q8 1

#include "quantized.h"

/// Both sides are signed: weights below 64 as they are, q8_0 with its offset of 128 taken off again.
INLINE i32x16 dot4(martlet_type type, i32x16 sums, u32x16 weights, int32_t activations) {
    const int8x16_t v = vreinterpretq_s8_s32(vdupq_n_s32(activations));
    if (type == MARTLET_Q8_0) weights ^= 0x80808080;
    int32x4_t s[4];
    int8x16_t w[4];
    memcpy(s, &sums, sizeof s);
    memcpy(w, &weights, sizeof w);
    UNROLL for (int i = 0; i < 4; i++) s[i] = vdotq_s32(s[i], w[i], v);
    memcpy(&sums, s, sizeof sums);
    return sums;
}

#include "product_pairs.h"

INLINE f32x16 dot2(f32x16 sums, u32x16 weights, u32x16 activations) { return dot2_by_parts(sums, weights, activations); }

#include "kernels.h"
#include "product.h"

const martlet_products martlet_products_neon = {{QUANTIZED_PRODUCTS}, {PACKED_ROWS}};

#pragma clang attribute pop

#endif
