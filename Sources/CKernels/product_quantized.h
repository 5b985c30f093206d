// Products with block-quantized weights. Per 32 inputs (16 for q6_K): integers are summed exactly, then
// total = fma(integer · column scale, activation scale, total), then for formats with minima
// total = fma(column minimum, −activation scale · Σ activations, total); blocks follow one another in ascending order.

#ifndef MARTLET_PRODUCT_QUANTIZED_H
#define MARTLET_PRODUCT_QUANTIZED_H

#include "quantized.h"
#include "tile.h"

INLINE int32_t word_at(const void *p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}
INLINE float float_at(const void *p) {
    float value;
    memcpy(&value, p, sizeof value);
    return value;
}

/// The number of integer sums per 32 inputs: q6_K has two scales there.
INLINE int halves_of(martlet_type type) { return type == MARTLET_Q6_K ? 2 : 1; }

/// The start of the integer sums of block number `index`, so that unsigned weights give the signed product.
INLINE i32x16 start_of(martlet_type type, activation_row row, size_t index, int half) {
    if (has_minima(type) || (type == MARTLET_Q8_0 && DOT4_SIGNED_Q8)) return splat_int(0);
    return splat_int(word_at(row.corrections + 8 * index + 4 * (size_t)half));
}

/// Adds the products of 32 inputs and sixteen columns to the totals of a few rows.
INLINE void add_block(int rows, martlet_type type, const uint8_t *block, int b, int g, const activation_row *a, size_t index,
                      f32x16 total[TILE_ROWS]) {
    const int halves = halves_of(type), quads = QUADS / halves;
    UNROLL for (int half = 0; half < halves; half++) {
        i32x16 dots[TILE_ROWS], sums[TILE_ROWS];
        UNROLL for (int r = 0; r < rows; r++) dots[r] = sums[r] = start_of(type, a[r], index, half);
        UNROLL for (int i = half * quads; i < (half + 1) * quads; i++) {
            const u32x16 columns = quad(type, block, b, i, g);
            UNROLL for (int r = 0; r < rows; r++) {
                if (begins_run(type, i)) dots[r] = splat_int(0);
                dots[r] = dot4(type, dots[r], columns, word_at(a[r].values + index * BLOCK + (size_t)i * 4));
                if (ends_run(type, i)) sums[r] += joined(dots[r]);
            }
        }
        const f32x16 scales = column_scales(type, block, b, half, g);
        UNROLL for (int r = 0; r < rows; r++)
            total[r] = fused(__builtin_convertvector(PAIRED_SUMS(type) ? sums[r] : dots[r], f32x16) * scales,
                             splat(a[r].scales[index]), total[r]);
    }
    if (!has_minima(type)) return;
    const f32x16 minima = column_minima(type, block, b, g);
    UNROLL for (int r = 0; r < rows; r++)
        total[r] = fused(minima, splat(float_at(a[r].corrections + 8 * index)), total[r]);
}

/// The prefetch distance in bytes. K-quants read parts of a superblock that lie far apart, so the whole next one is
/// asked for during this one; only q4_K with one row was faster with the short distance.
INLINE size_t stream_ahead(int rows, martlet_type type) {
    if (block_elements(type) == BLOCK || (type == MARTLET_Q4_K && rows == 1)) return STREAM_AHEAD;
    return block_bytes(type) * PANEL;
}

/// add_block for group g, while the memory that it will want some blocks later is asked for.
INLINE void add_columns(int rows, martlet_type type, const uint8_t *block, int b, int g, const activation_row *a, size_t index,
                        f32x16 total[TILE_ROWS][PANEL_GROUPS], const uint8_t *ahead, size_t step) {
    fetch(ahead + (size_t)g * step, step);
    f32x16 column[TILE_ROWS];
    UNROLL for (int r = 0; r < rows; r++) column[r] = total[r][g];
    add_block(rows, type, block, b, g, a, index, column);
    UNROLL for (int r = 0; r < rows; r++) total[r][g] = column[r];
    KEEP_ORDER;
}

/// The product of at most FEW_ROWS rows: the panel is streamed once, and never unpacked to memory.
INLINE void quantized_few_rows(int rows, martlet_type type, const uint8_t *panel, size_t inputs, const uint8_t *activations,
                               float *sums) {
    const int per = (int)(block_elements(type) / BLOCK);
    const size_t bytes = block_bytes(type) * PANEL, row_bytes = martlet_activation_bytes(type, inputs);
    const size_t step = bytes / (size_t)(per * PANEL_GROUPS);  // what one group of columns advances by, on average
    activation_row a[TILE_ROWS];
    f32x16 total[TILE_ROWS][PANEL_GROUPS];
    UNROLL for (int r = 0; r < rows; r++) {
        a[r] = activation_parts(activations + (size_t)r * row_bytes, inputs);
        UNROLL for (int g = 0; g < PANEL_GROUPS; g++) total[r][g] = splat(0);
    }
    for (size_t index = 0; index < inputs / BLOCK; index += (size_t)per, panel += bytes)
        UNROLL for (int b = 0; b < per; b++) {
            const uint8_t *ahead = panel + stream_ahead(rows, type) + (size_t)(b * PANEL_GROUPS) * step;
            if (rows == 1) {
                UNROLL for (int g = 0; g < PANEL_GROUPS; g++) add_columns(rows, type, panel, b, g, a, index + (size_t)b, total, ahead, step);
            } else {  // unrolled, several rows' code would not fit the first-level instruction cache
                KEEP_LOOP for (int g = 0; g < PANEL_GROUPS; g++)
                    add_columns(rows, type, panel, b, g, a, index + (size_t)b, total, ahead, step);
            }
        }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int g = 0; g < PANEL_GROUPS; g++) store(sums + r * PANEL + g * LANES, total[r][g]);
}

/// Thirty-two inputs of a panel, unpacked for many rows.
typedef struct {
    uint8_t quads[QUADS * WORD_ROW];
    float scales[2][PANEL];
    float minima[PANEL];
} slice_block __attribute__((aligned(64)));

enum { SLICE_BLOCKS = SUPERBLOCK / BLOCK };

INLINE void unpack_slice_block(martlet_type type, const uint8_t *block, int b, slice_block *target) {
    UNROLL for (int g = 0; g < PANEL_GROUPS; g++) {
        UNROLL for (int i = 0; i < QUADS; i++) {
            const u32x16 q = quad(type, block, b, i, g);
            memcpy(target->quads + i * WORD_ROW + g * 64, &q, sizeof q);
        }
        UNROLL for (int half = 0; half < halves_of(type); half++)
            store(target->scales[half] + g * LANES, column_scales(type, block, b, half, g));
        if (has_minima(type)) store(target->minima + g * LANES, column_minima(type, block, b, g));
    }
}

/// Unpacks up to SLICE_BLOCKS blocks from block number `first` on, and returns how many.
INLINE size_t unpack_slice(martlet_type type, const uint8_t *panel, size_t inputs, size_t first, slice_block *slice) {
    const size_t per = block_elements(type) / BLOCK, left = inputs / BLOCK - first, count = left < SLICE_BLOCKS ? left : SLICE_BLOCKS;
    panel += first / per * block_bytes(type) * PANEL;
    for (size_t s = 0; s < count; s += per, panel += block_bytes(type) * PANEL)
        UNROLL for (int b = 0; b < (int)per; b++) unpack_slice_block(type, panel, b, slice + s + (size_t)b);
    return count;
}

/// The product of one block for `rows` rows and `groups` groups of columns from group `first_group` on.
INLINE void quantized_tile(martlet_type type, int rows, int groups, const slice_block *block, int first_group,
                           const activation_row *a, size_t index, float *sums) {
    const int halves = halves_of(type), quads = QUADS / halves;
    UNROLL for (int half = 0; half < halves; half++) {
        i32x16 dots[TILE_ROWS][PANEL_GROUPS], joint[TILE_ROWS][PANEL_GROUPS];
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int g = 0; g < groups; g++) dots[r][g] = joint[r][g] = start_of(type, a[r], index, half);
        UNROLL for (int i = half * quads; i < (half + 1) * quads; i++) {
            u32x16 columns[PANEL_GROUPS];
            UNROLL for (int g = 0; g < groups; g++)
                columns[g] = load_words(block->quads + i * WORD_ROW + (first_group + g) * 64);
            UNROLL for (int r = 0; r < rows; r++) {
                const int32_t v = word_at(a[r].values + index * BLOCK + (size_t)i * 4);
                UNROLL for (int g = 0; g < groups; g++) {
                    if (begins_run(type, i)) dots[r][g] = splat_int(0);
                    dots[r][g] = dot4(type, dots[r][g], columns[g], v);
                    if (ends_run(type, i)) joint[r][g] += joined(dots[r][g]);
                }
            }
        }
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int g = 0; g < groups; g++) {
                const int column = (first_group + g) * LANES;
                float *target = sums + r * PANEL + column;
                f32x16 total = fused(__builtin_convertvector(PAIRED_SUMS(type) ? joint[r][g] : dots[r][g], f32x16) *
                                         load(block->scales[half] + column),
                                     splat(a[r].scales[index]), load(target));
                if (has_minima(type))
                    total = fused(load(block->minima + column), splat(float_at(a[r].corrections + 8 * index)), total);
                store(target, total);
            }
    }
}

INLINE void quantized_rows(int rows, martlet_type type, const slice_block *slice, size_t count, const uint8_t *activations,
                           size_t inputs, size_t first, float *sums) {
    activation_row a[TILE_ROWS];
    const size_t bytes = martlet_activation_bytes(type, inputs);
    UNROLL for (int r = 0; r < rows; r++) a[r] = activation_parts(activations + (size_t)r * bytes, inputs);
    for (size_t b = 0; b < count; b++)
        for (int g = 0; g < PANEL_GROUPS; g += TILE_GROUPS)
            quantized_tile(type, rows, TILE_GROUPS, slice + b, g, a, first + b, sums);
}

INLINE void quantized_many_rows(martlet_type type, const uint8_t *panel, size_t inputs, const uint8_t *activations, size_t rows,
                                float *sums) {
    slice_block slice[SLICE_BLOCKS];
    const size_t bytes = martlet_activation_bytes(type, inputs);
    for (size_t first = 0; first < inputs / BLOCK; first += SLICE_BLOCKS) {
        const size_t count = unpack_slice(type, panel, inputs, first, slice);
        const size_t slice_bytes = SUPERBLOCK / block_elements(type) * block_bytes(type) * PANEL;
        const fetch_plan next = plan_fetch(panel + (first / SLICE_BLOCKS + 1) * slice_bytes, slice_bytes, tiles_of(rows));
        for (size_t r = 0; r < rows; r += TILE_ROWS) {
            fetch_share(next, r / TILE_ROWS);
            fetch_rows(activations + (r + TILE_ROWS) * bytes + first * BLOCK, bytes, SUPERBLOCK);
            FOR_TILE_ROWS(rows - r, quantized_rows, type, slice, count, activations + r * bytes, inputs, first, sums + r * PANEL)
        }
    }
}

#endif
