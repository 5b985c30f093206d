// AVX-512 with VNNI and BF16: Zen 4 and later, Sapphire Rapids and later.

#if defined(__x86_64__)

#include "panel.h"
#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16"))), apply_to = function)

#define LEVEL_AVX512

#include "vector.h"

#define TILE_GROUPS 4
#define FEW_ROWS 6
// Measured on a Zen 5: above, unpacking pays.
#define PACKED_ROWS \
    [MARTLET_F32] = 64, [MARTLET_F16] = 64, [MARTLET_BF16] = 64, [MARTLET_Q8_0] = 30, [MARTLET_Q4_0] = 30, [MARTLET_Q4_1] = 30, \
    [MARTLET_Q5_0] = 30, [MARTLET_Q5_1] = 30, [MARTLET_Q4_K] = 30, [MARTLET_Q5_K] = 30, [MARTLET_Q6_K] = 30
#define BURN_CHAINS 12
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

#include "kernels.h"
#include "level.h"

const martlet_kernels martlet_kernels_avx512 = TABLE;

#pragma clang attribute pop

#endif
