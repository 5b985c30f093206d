// bf16 weights times activations that were rounded to bf16 as well, two inputs per lane and instruction.
//
// The bits are those of AVX-512's vdpbf16ps: per pair, first the odd input and then the even one by a fused
// multiply-add, with numbers below 2^−126 taken as zero before and after.

#ifndef MARTLET_PRODUCT_PAIRS_H
#define MARTLET_PRODUCT_PAIRS_H

#include "bf16.h"
#include "panel.h"
#include "tile.h"

/// sums + the products of two bf16 pairs per lane.
INLINE f32x16 dot2(f32x16 sums, u32x16 weights, u32x16 activations);

/// dot2 for processors without the instruction.
INLINE f32x16 dot2_by_parts(f32x16 sums, u32x16 weights, u32x16 activations) {
    const u32x16 odd = (u32x16)splat_int((int32_t)0xffff0000);
    sums = flushed(fused(flushed((f32x16)(weights & odd)), flushed((f32x16)(activations & odd)), flushed(sums)));
    return flushed(fused(flushed((f32x16)(weights << 16)), flushed((f32x16)(activations << 16)), sums));
}

/// Words (pairs of inputs) per slice of a panel: 32 KiB.
enum { SLICE_PAIRS = 128 };

INLINE void prepare_pairs(const float *x, size_t rows, size_t inputs, uint16_t *activations) {
    const size_t stride = martlet_activation_bytes(MARTLET_BF16_PAIRS, inputs) / sizeof *activations;
    for (size_t r = 0; r < rows; r++, x += inputs, activations += stride) {
        for (size_t i = 0; i < inputs; i += LANES) {
            const u16x16 halves = __builtin_convertvector(rounded_bf16(load_some(x + i, inputs - i)), u16x16);
            memcpy(activations + i, &halves, (inputs - i < LANES ? inputs - i : LANES) * sizeof(uint16_t));
        }
        if (inputs % 2) activations[inputs] = 0;
    }
}

/// sums[r][0 ..< 16·groups] += Σ a[r][p] · b[p] over pairs p in ascending order.
INLINE void pair_tile(int rows, int groups, const uint8_t *const *a, const uint8_t *b, size_t pairs, float *const *sums) {
    f32x16 tile[TILE_ROWS][PANEL_GROUPS];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int g = 0; g < groups; g++) tile[r][g] = load(sums[r] + g * LANES);
    for (size_t p = 0; p < pairs; p++) {
        u32x16 columns[PANEL_GROUPS];
        if (rows == 1) fetch(b + STREAM_AHEAD + p * WORD_ROW, WORD_ROW);
        UNROLL for (int g = 0; g < groups; g++) columns[g] = load_words(b + p * WORD_ROW + (size_t)g * 64);
        UNROLL for (int r = 0; r < rows; r++) {
            int32_t pair;
            memcpy(&pair, a[r] + 4 * p, sizeof pair);
            UNROLL for (int g = 0; g < groups; g++) tile[r][g] = dot2(tile[r][g], columns[g], (u32x16)splat_int(pair));
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int g = 0; g < groups; g++) store(sums[r] + g * LANES, tile[r][g]);
}

INLINE void pair_rows(int rows, const uint8_t *b, size_t pairs, const uint8_t *activations, size_t row_bytes, float *sums) {
    const int groups = rows == 1 ? PANEL_GROUPS : TILE_GROUPS;
    for (int g = 0; g < PANEL_GROUPS; g += groups) {
        const uint8_t *a[TILE_ROWS];
        float *targets[TILE_ROWS];
        UNROLL for (int r = 0; r < rows; r++) a[r] = activations + (size_t)r * row_bytes, targets[r] = sums + r * PANEL + g * LANES;
        pair_tile(rows, groups, a, b + g * 64, pairs, targets);
    }
}

INLINE void pair_product(const uint8_t *panel, size_t inputs, const uint8_t *activations, size_t rows, float *sums) {
    const size_t pairs = (inputs + 1) / 2, row_bytes = martlet_activation_bytes(MARTLET_BF16_PAIRS, inputs);
    for (size_t first = 0; first < pairs; first += SLICE_PAIRS) {
        const size_t count = pairs - first < SLICE_PAIRS ? pairs - first : SLICE_PAIRS;
        const fetch_plan next = plan_fetch(panel + (first + count) * WORD_ROW, SLICE_PAIRS * WORD_ROW, tiles_of(rows));
        for (size_t r = 0; r < rows; r += TILE_ROWS) {
            if (rows > 1) {
                fetch_share(next, r / TILE_ROWS);
                fetch_rows(activations + (r + TILE_ROWS) * row_bytes + 4 * first, row_bytes, 4 * SLICE_PAIRS);
            }
            FOR_TILE_ROWS(rows - r, pair_rows, panel + first * WORD_ROW, count, activations + r * row_bytes + 4 * first, row_bytes,
                          sums + r * PANEL)
        }
    }
}

#endif
