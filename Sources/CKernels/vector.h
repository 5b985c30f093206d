// Sixteen lanes of f32 as one value, in C that every instruction set compiles.
//
// The kernels are written once over these types. Each level_*.c file includes them inside a `#pragma clang attribute`
// that names its instruction set, so that one text gives SSE2, NEON, AVX2 and AVX-512 code with the same operations in
// the same order, hence the same bits. Products and sums are never contracted; where a fused multiply-add is meant, it
// is written.

#ifndef MARTLET_VECTOR_H
#define MARTLET_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma clang fp contract(off)
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))
#define KEEP_LOOP _Pragma("clang loop unroll(disable)")
#if defined(LEVEL_PORTABLE)
#define UNROLL
#else
#define UNROLL _Pragma("clang loop unroll(full)")
#endif

typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));
typedef int8_t i8x16 __attribute__((vector_size(16)));
typedef uint8_t u8x64 __attribute__((vector_size(64)));

enum { LANES = 16 };

INLINE f32x16 splat(float x) { return (f32x16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE i32x16 splat_int(int32_t x) { return (i32x16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE i32x16 lane_numbers(void) { return (i32x16){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }

INLINE f32x16 load(const float *p) {
    f32x16 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE u32x16 load_words(const void *p) {
    u32x16 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE u16x16 load_halves(const void *p) {
    u16x16 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void store(float *p, f32x16 v) { memcpy(p, &v, sizeof v); }

/// Keeps the compiler from moving loads across, which in long unrolled code it does until registers spill.
#define KEEP_ORDER __asm__ volatile("" ::: "memory")

/// Asks for the cache lines of `bytes` from p on. Asking for memory that does not exist is harmless.
INLINE void fetch(const void *p, size_t bytes) {
    UNROLL for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const uint8_t *)p + i, 0, 3);
}

/// The prefetch distance in bytes of a one-row product in its stream of weights: one core alone keeps too few misses in
/// flight when it also computes.
enum { STREAM_AHEAD = 4096 };

/// The lanes below `count`, which may be 16 or more.
INLINE i32x16 lanes_below(size_t count) { return lane_numbers() < splat_int(count < LANES ? (int32_t)count : LANES); }

/// The first `count` floats, or all sixteen when there are more; the other lanes are zero.
#if defined(LEVEL_AVX512)
INLINE __mmask16 mask_below(size_t count) { return (__mmask16)((1u << count) - 1); }
INLINE f32x16 load_some(const float *p, size_t count) {
    return count >= LANES ? load(p) : (f32x16)_mm512_maskz_loadu_ps(mask_below(count), p);
}
INLINE void store_some(float *p, f32x16 v, size_t count) {
    if (count >= LANES) return store(p, v);
    _mm512_mask_storeu_ps(p, mask_below(count), (__m512)v);
}
#elif defined(LEVEL_AVX2)
typedef struct { __m256i low, high; } lane_masks;
INLINE lane_masks masks_below(size_t count) {
    const i32x16 lanes = lanes_below(count);
    lane_masks masks;
    memcpy(&masks, &lanes, sizeof masks);
    return masks;
}
INLINE f32x16 load_some(const float *p, size_t count) {
    if (count >= LANES) return load(p);
    const lane_masks masks = masks_below(count);
    const __m256 halves[2] = {_mm256_maskload_ps(p, masks.low), _mm256_maskload_ps(p + 8, masks.high)};
    f32x16 v;
    memcpy(&v, halves, sizeof v);
    return v;
}
INLINE void store_some(float *p, f32x16 v, size_t count) {
    if (count >= LANES) return store(p, v);
    const lane_masks masks = masks_below(count);
    __m256 halves[2];
    memcpy(halves, &v, sizeof v);
    _mm256_maskstore_ps(p, masks.low, halves[0]);
    _mm256_maskstore_ps(p + 8, masks.high, halves[1]);
}
#else
INLINE f32x16 load_some(const float *p, size_t count) {
    if (count >= LANES) return load(p);
    float lanes[LANES] __attribute__((aligned(64))) = {0};
    memcpy(lanes, p, count * sizeof(float));
    return load(lanes);
}
INLINE void store_some(float *p, f32x16 v, size_t count) {
    if (count >= LANES) return store(p, v);
    float lanes[LANES] __attribute__((aligned(64)));
    store(lanes, v);
    memcpy(p, lanes, count * sizeof(float));
}
#endif

#if defined(LEVEL_PORTABLE)
/// A fused multiply-add without the instruction: sixteen calls of the C library's.
static __attribute__((noinline)) f32x16 fused(f32x16 a, f32x16 b, f32x16 c) {
    for (int i = 0; i < LANES; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}
#else
INLINE f32x16 fused(f32x16 a, f32x16 b, f32x16 c) { return __builtin_elementwise_fma(a, b, c); }
#endif

/// Lane by lane `mask ? a : b`, for masks of all ones and all zeros.
INLINE f32x16 choose(i32x16 mask, f32x16 a, f32x16 b) { return (f32x16)((mask & (i32x16)a) | (~mask & (i32x16)b)); }

/// b where a is not greater, so a NaN in a never wins.
INLINE f32x16 larger(f32x16 a, f32x16 b) { return choose(a > b, a, b); }

INLINE f32x16 magnitude(f32x16 x) { return (f32x16)((i32x16)x & splat_int(0x7fffffff)); }
INLINE f32x16 with_sign_of(f32x16 x, f32x16 sign) {
    return (f32x16)(((i32x16)x & splat_int(0x7fffffff)) | ((i32x16)sign & splat_int((int32_t)0x80000000)));
}

/// Lane i beside lane i + 8, i + 4, i + 2 and i + 1 in turn: the one order in which lanes are ever combined.
#define FOLD_LANES(v, combine) \
    v = combine(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)); \
    v = combine(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)); \
    v = combine(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)); \
    v = combine(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14))

INLINE f32x16 sum_of(f32x16 a, f32x16 b) { return a + b; }
INLINE float sum_lanes(f32x16 v) {
    FOLD_LANES(v, sum_of);
    return v[0];
}
INLINE float largest_lane(f32x16 v) {
    FOLD_LANES(v, larger);
    return v[0];
}

/// bf16 is the upper half of an f32.
INLINE f32x16 widen_bf16(u16x16 halves) { return (f32x16)(__builtin_convertvector(halves, u32x16) << 16); }

#if defined(LEVEL_AVX512)
INLINE f32x16 widen_f16(u16x16 halves) { return (f32x16)_mm512_cvtph_ps((__m256i)halves); }
#elif defined(LEVEL_AVX2)
INLINE f32x16 widen_f16(u16x16 halves) {
    const __m256i both = (__m256i)halves;
    const __m256 parts[2] = {_mm256_cvtph_ps(_mm256_castsi256_si128(both)), _mm256_cvtph_ps(_mm256_extracti128_si256(both, 1))};
    f32x16 wide;
    memcpy(&wide, parts, sizeof wide);
    return wide;
}
#else
/// Shifting a half's exponent and mantissa into place and scaling by 2^112 is exact for normals and subnormals;
/// infinities and NaNs keep the largest exponent.
INLINE f32x16 widen_f16(u16x16 halves) {
    u32x16 h = __builtin_convertvector(halves, u32x16);
    u32x16 body = (h & 0x7fff) << 13;
    f32x16 value = (f32x16)body * splat(0x1p112f);
    u32x16 special = (u32x16)(body >= 0x0f800000) & 0x7f800000;
    return (f32x16)((u32x16)value | special | (h & 0x8000) << 16);
}
#endif

#endif
