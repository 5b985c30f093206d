// Products with f32, f16 and bf16 weights: one fused multiply-add per input, in ascending order, whatever the number of
// rows.

#ifndef MARTLET_PRODUCT_DENSE_H
#define MARTLET_PRODUCT_DENSE_H

#include "panel.h"
#include "tile.h"

/// Inputs per slice of a panel, even: 32 KiB of f32 columns, which stay in the first-level cache while all rows pass.
enum { SLICE_INPUTS = 128 };

/// Sixteen columns of input k (`odd`: k is odd) of group g of a packed f16 or bf16 row.
INLINE f32x16 widened(martlet_type type, const uint8_t *panel, size_t k, int odd, int g) {
    if (type == MARTLET_F16) return widen_f16(load_halves(panel + k * HALF_ROW + (size_t)g * 32));
    const u32x16 pair = load_words(panel + k / 2 * WORD_ROW + (size_t)g * 64);
    return (f32x16)(odd ? pair & 0xffff0000 : pair << 16);
}

/// Inputs first ..< end of a panel as f32 `[inputs][PANEL]`; `first` is even. f32 panels are read in place.
INLINE const float *dense_slice(martlet_type type, const uint8_t *panel, size_t first, size_t end, float *slice) {
    if (type == MARTLET_F32) return (const float *)panel + first * PANEL;
    for (size_t k = first; k < end; k += 2) {
        float *target = slice + (k - first) * PANEL;
        UNROLL for (int g = 0; g < PANEL_GROUPS; g++) store(target + g * LANES, widened(type, panel, k, 0, g));
        if (k + 1 == end) break;
        UNROLL for (int g = 0; g < PANEL_GROUPS; g++) store(target + PANEL + g * LANES, widened(type, panel, k + 1, 1, g));
    }
    return slice;
}

/// Sixteen columns of input k (`odd`: k is odd) as f32, of any dense type.
INLINE f32x16 dense_columns(martlet_type type, const uint8_t *panel, size_t k, int odd, int g) {
    return type == MARTLET_F32 ? load((const float *)panel + k * PANEL + g * LANES) : widened(type, panel, k, odd, g);
}

/// Inputs first ..< end of a packed panel times a few rows, for `groups` groups of columns from group `g` on, while the
/// memory from `next` on is asked for.
INLINE void dense_few_columns(int rows, int groups, martlet_type type, const uint8_t *panel, size_t first, size_t end, const float *x,
                              size_t inputs, int g, const uint8_t *next, float *sums) {
    const size_t share = PANEL * block_bytes(type) * (size_t)groups / PANEL_GROUPS;
    f32x16 total[TILE_ROWS][PANEL_GROUPS];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int c = 0; c < groups; c++) total[r][c] = first == 0 ? splat(0) : load(sums + r * PANEL + (g + c) * LANES);
    for (size_t k = first; k < end; k += 2, next += 2 * share) {
        fetch(next, 2 * share);
        UNROLL for (int odd = 0; odd < 2; odd++) {
            if (k + (size_t)odd == end) break;
            if (groups < PANEL_GROUPS) KEEP_ORDER;  // a pair of bf16 that is kept for its second half would spill sums
            f32x16 columns[PANEL_GROUPS];
            UNROLL for (int c = 0; c < groups; c++) columns[c] = dense_columns(type, panel, k + (size_t)odd, odd, g + c);
            UNROLL for (int r = 0; r < rows; r++) {
                const f32x16 v = splat(x[(size_t)r * inputs + k + (size_t)odd]);
                UNROLL for (int c = 0; c < groups; c++) total[r][c] = fused(columns[c], v, total[r][c]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int c = 0; c < groups; c++) store(sums + r * PANEL + (g + c) * LANES, total[r][c]);
}

/// The product of at most FEW_ROWS rows: the panel is read once, slice by slice where its columns need several tiles,
/// and never unpacked to memory.
INLINE void dense_few_rows(int rows, martlet_type type, const uint8_t *panel, size_t inputs, const float *x, float *sums) {
    const int groups = rows == 1 || TILE_GROUPS == PANEL_GROUPS ? PANEL_GROUPS : rows == 2 ? 2 : 1;
    if (groups == PANEL_GROUPS) return dense_few_columns(rows, groups, type, panel, 0, inputs, x, inputs, 0, panel + STREAM_AHEAD, sums);
    for (size_t first = 0; first < inputs; first += SLICE_INPUTS) {
        const size_t end = inputs - first < SLICE_INPUTS ? inputs : first + SLICE_INPUTS;
        const size_t share = PANEL * block_bytes(type) / PANEL_GROUPS;
        for (int g = 0; g < PANEL_GROUPS; g += groups)
            dense_few_columns(rows, groups, type, panel, first, end, x, inputs, g,
                              panel + (end * PANEL_GROUPS + (end - first) * (size_t)g) * share, sums);
    }
}

INLINE void dense_rows(int rows, bool begins, const float *b, size_t steps, const float *x, size_t inputs, float *sums) {
    const float *a[TILE_ROWS];
    float *targets[TILE_ROWS];
    UNROLL for (int r = 0; r < rows; r++) a[r] = x + (size_t)r * inputs, targets[r] = sums + r * PANEL;
    dense_panel(rows, begins, a, b, PANEL, LANES, steps, targets);
}

INLINE void dense_many_rows(martlet_type type, const uint8_t *panel, size_t inputs, const float *x, size_t rows, float *sums) {
    float slice[SLICE_INPUTS * PANEL] __attribute__((aligned(64)));
    for (size_t first = 0; first < inputs; first += SLICE_INPUTS) {
        const size_t end = inputs - first < SLICE_INPUTS ? inputs : first + SLICE_INPUTS;
        const float *columns = dense_slice(type, panel, first, end, slice);
        const fetch_plan next = plan_fetch(panel + end * PANEL * block_bytes(type), SLICE_INPUTS * PANEL * block_bytes(type), tiles_of(rows));
        for (size_t r = 0; r < rows; r += TILE_ROWS) {
            fetch_share(next, r / TILE_ROWS);
            fetch_rows((const uint8_t *)(x + (r + TILE_ROWS) * inputs + first), inputs * sizeof(float), SLICE_INPUTS * sizeof(float));
            FOR_TILE_ROWS(rows - r, dense_rows, first == 0, columns, end - first, x + r * inputs + first, inputs, sums + r * PANEL)
        }
    }
}

#endif
