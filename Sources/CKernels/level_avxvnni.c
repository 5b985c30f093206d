// AVX2 with AVX-VNNI: client processors without AVX-512. Only the integer products differ from AVX2's.

#if defined(__x86_64__)

#include "panel.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)

#define LEVEL_AVX2
#define QUANTIZED_ONLY

#include "vector.h"

#define TILE_GROUPS 1
#define FEW_ROWS 6
// As AVX2's, which holds as many registers; not measured, for want of such a processor.
#define PACKED_ROWS \
    [MARTLET_Q8_0] = 252, [MARTLET_Q4_0] = 252, [MARTLET_Q4_1] = 252, [MARTLET_Q5_0] = 12, [MARTLET_Q5_1] = 12, [MARTLET_Q4_K] = 12, \
    [MARTLET_Q5_K] = 12, [MARTLET_Q6_K] = 12
#define DOT4_SIGNED_Q8 0

#include "quantized.h"

typedef struct { __m256i low, high; } two_halves;

INLINE i32x16 dot4(martlet_type type, i32x16 sums, u32x16 weights, int32_t activations) {
    (void)type;
    const __m256i v = _mm256_set1_epi32(activations);
    two_halves s, w;
    memcpy(&s, &sums, sizeof s);
    memcpy(&w, &weights, sizeof w);
    s = (two_halves){_mm256_dpbusd_avx_epi32(s.low, w.low, v), _mm256_dpbusd_avx_epi32(s.high, w.high, v)};
    memcpy(&sums, &s, sizeof sums);
    return sums;
}

#include "product_pairs.h"

INLINE f32x16 dot2(f32x16 sums, u32x16 weights, u32x16 activations) { return dot2_by_parts(sums, weights, activations); }

#include "kernels.h"
#include "product.h"

const martlet_products martlet_products_avxvnni = {{QUANTIZED_PRODUCTS}, {PACKED_ROWS}};

#pragma clang attribute pop

#endif
