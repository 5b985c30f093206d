// AVX2, FMA and F16C: x86-64-v3.

#if defined(__x86_64__)

#include "panel.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define LEVEL_AVX2

#include "vector.h"

#define TILE_GROUPS 1
#define FEW_ROWS 6
// Measured on a Zen 3: above, unpacking pays. With whole blocks of four bits or eight it never does.
#define PACKED_ROWS \
    [MARTLET_F32] = 48, [MARTLET_F16] = 48, [MARTLET_BF16] = 48, [MARTLET_Q8_0] = 252, [MARTLET_Q4_0] = 252, [MARTLET_Q4_1] = 252, \
    [MARTLET_Q5_0] = 16, [MARTLET_Q5_1] = 16, [MARTLET_Q4_K] = 10, [MARTLET_Q5_K] = 8, [MARTLET_Q6_K] = 8
#define BURN_CHAINS 6
#define DOT4_SIGNED_Q8 1
// Of weights up to 15, 31, 63 and 128 times activations up to 127, so many products of pairs stay below 2^15.
#define PAIRED_SUMS(type) \
    ((type) == MARTLET_Q8_0 ? 1 : (type) == MARTLET_Q6_K ? 2 : (type) == MARTLET_Q5_0 || (type) == MARTLET_Q5_1 || (type) == MARTLET_Q5_K ? 4 : 8)

#include "quantized.h"

/// Products of pairs; they fit sixteen bits: weights below 64 as they are, q8_0 with the weight's sign moved to the
/// activation.
INLINE __m256i pairs_of(martlet_type type, __m256i weights, __m256i activations) {
    if (type == MARTLET_Q8_0) {
        const __m256i value = _mm256_xor_si256(weights, _mm256_set1_epi8((char)0x80));
        activations = _mm256_sign_epi8(activations, value);
        weights = _mm256_abs_epi8(value);
    }
    return _mm256_maddubs_epi16(weights, activations);
}

typedef struct { __m256i low, high; } two_halves;

INLINE two_halves split(i32x16 v) {
    two_halves halves;
    memcpy(&halves, &v, sizeof v);
    return halves;
}

INLINE i32x16 dot4(martlet_type type, i32x16 sums, u32x16 weights, int32_t activations) {
    const __m256i v = _mm256_set1_epi32(activations);
    const two_halves s = split(sums), w = split((i32x16)weights);
    const two_halves result = {_mm256_add_epi16(s.low, pairs_of(type, w.low, v)),
                               _mm256_add_epi16(s.high, pairs_of(type, w.high, v))};
    memcpy(&sums, &result, sizeof sums);
    return sums;
}

INLINE i32x16 joined(i32x16 pairs) {
    const __m256i ones = _mm256_set1_epi16(1);
    const two_halves p = split(pairs), result = {_mm256_madd_epi16(p.low, ones), _mm256_madd_epi16(p.high, ones)};
    memcpy(&pairs, &result, sizeof pairs);
    return pairs;
}

#include "product_pairs.h"

INLINE f32x16 dot2(f32x16 sums, u32x16 weights, u32x16 activations) { return dot2_by_parts(sums, weights, activations); }

#include "kernels.h"
#include "level.h"

const martlet_kernels martlet_kernels_avx2 = TABLE;

#pragma clang attribute pop

#endif
