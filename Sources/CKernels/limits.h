// Loops that run into the machine's limits and do nothing else, to hold the kernels against.

#ifndef MARTLET_LIMITS_H
#define MARTLET_LIMITS_H

#include "quantized.h"

static uint64_t read_all(const void *data, size_t bytes) {
    const uint8_t *p = data;
    u32x16 sums[4] = {{0}, {0}, {0}, {0}};
    size_t i = 0;
    for (; i + 256 <= bytes; i += 256)
        UNROLL for (int s = 0; s < 4; s++) sums[s] ^= load_words(p + i + s * 64);
    const u32x16 all = (sums[0] ^ sums[1]) ^ (sums[2] ^ sums[3]);
    uint64_t checksum = 0;
    for (int lane = 0; lane < LANES; lane++) checksum += all[lane];
    for (; i < bytes; i++) checksum += p[i];
    return checksum;
}

/// Independent chains: enough to hide the latency of two multiply-adds per cycle, few enough for sixteen registers of
/// half the width.
enum { CHAINS = BURN_CHAINS };

static uint64_t burn_f32(uint64_t iterations, float *sink) {
    f32x16 chains[CHAINS], factor = splat(*sink);
    UNROLL for (int c = 0; c < CHAINS; c++) chains[c] = splat((float)c);
    for (uint64_t i = 0; i < iterations; i++)
        UNROLL for (int c = 0; c < CHAINS; c++) chains[c] = fused(chains[c], factor, factor);
    f32x16 all = splat(0);
    UNROLL for (int c = 0; c < CHAINS; c++) all += chains[c];
    *sink = sum_lanes(all);
    return iterations * CHAINS * LANES * 2;
}

static uint64_t burn_int8(uint64_t iterations, int32_t *sink) {
    i32x16 chains[CHAINS];
    const u32x16 weights = (u32x16)(lane_numbers() ^ splat_int(*sink)) & 0x0f0f0f0f;
    // Read anew by each product, or AVX2's would move half of their work out of the loop.
    volatile int32_t activations = *sink;
    UNROLL for (int c = 0; c < CHAINS; c++) chains[c] = splat_int(c);
    for (uint64_t i = 0; i < iterations; i++)
        UNROLL for (int c = 0; c < CHAINS; c++) chains[c] = dot4(MARTLET_Q4_0, chains[c], weights, activations);
    i32x16 all = splat_int(0);
    UNROLL for (int c = 0; c < CHAINS; c++) all += chains[c];
    *sink = __builtin_reduce_add(all);
    return iterations * CHAINS * LANES * 8;
}

static uint64_t burn_bf16(uint64_t iterations, float *sink) {
    f32x16 chains[CHAINS];
    const u32x16 pairs = (u32x16)splat(*sink);
    UNROLL for (int c = 0; c < CHAINS; c++) chains[c] = splat((float)c);
    for (uint64_t i = 0; i < iterations; i++)
        UNROLL for (int c = 0; c < CHAINS; c++) chains[c] = dot2(chains[c], pairs, pairs);
    f32x16 all = splat(0);
    UNROLL for (int c = 0; c < CHAINS; c++) all += chains[c];
    *sink = sum_lanes(all);
    return iterations * CHAINS * LANES * 4;
}

#endif
