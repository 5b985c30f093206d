// The product of packed weights and prepared activations, panel by panel.

#ifndef MARTLET_PRODUCT_H
#define MARTLET_PRODUCT_H

#include "product_dense.h"
#include "product_pairs.h"
#include "product_quantized.h"
#if defined(LEVEL_AMX)
#include "product_tiles.h"
#endif

/// Rows that pass over one slice of a panel, whole tiles of them; their sums stay in the second-level cache.
#if defined(LEVEL_AMX)
enum { ROW_BLOCK = 256, ROW_STEP = TILE_SIDE };
#else
enum { ROW_BLOCK = 252, ROW_STEP = 1 };
#endif

/// Finishes a row: y = sums + bias, or y + (sums + bias), for the columns that exist.
INLINE void finish_row(const float *sums, size_t columns, const float *bias, bool accumulate, float *y) {
    for (size_t i = 0; i < columns; i += LANES) {
        f32x16 v = load(sums + i);
        if (bias) v += load_some(bias + i, columns - i);
        if (accumulate) v += load_some(y + i, columns - i);
        store_some(y + i, v, columns - i);
    }
}

/// Calls `operation` with the row count, 2 to FEW_ROWS, as a constant.
#if FEW_ROWS <= 2
#define FOR_FEW_ROWS(rows, operation, ...) (void)(rows); operation(2, __VA_ARGS__);
#else
#define FOR_FEW_ROWS FOR_TILE_ROWS
#endif

/// Returns whether panel_product adds to sums that must be there, in place of beginning them.
INLINE bool adds_to_sums(martlet_type type, bool reads_packed) {
    return type == MARTLET_BF16_PAIRS || (is_quantized(type) && !reads_packed);
}

/// The product of a panel: sums[r] = one panel's product with rows of activations. The panel is read as it is, by tiles
/// of at most FEW_ROWS rows one after the other, from the second on out of the second-level cache; or a slice is
/// unpacked for all rows, which many of them are worth.
INLINE void panel_product(martlet_type type, bool reads_packed, const uint8_t *panel, size_t inputs, const uint8_t *activations,
                          size_t rows, float *sums) {
    if (type == MARTLET_BF16_PAIRS) return pair_product(panel, inputs, activations, rows, sums);
    if (rows == 1) {
        if (is_quantized(type)) return quantized_few_rows(1, type, panel, inputs, activations, sums);
        return dense_few_rows(1, type, panel, inputs, (const float *)activations, sums);
    }
    if (!reads_packed) {
#if defined(LEVEL_AMX)
        if (rows >= TILED_ROWS) return tiled_rows(type, panel, inputs, activations, rows, sums);
#endif
        if (is_quantized(type)) return quantized_many_rows(type, panel, inputs, activations, rows, sums);
        return dense_many_rows(type, panel, inputs, (const float *)activations, rows, sums);
    }
    const size_t tiles = (rows + FEW_ROWS - 1) / FEW_ROWS, row_bytes = martlet_activation_bytes(type, inputs);
    for (size_t t = 0; t < tiles; t++) {
        const size_t first = rows * t / tiles, count = rows * (t + 1) / tiles - first;
        const uint8_t *a = activations + first * row_bytes;
        if (is_quantized(type)) { FOR_FEW_ROWS(count, quantized_few_rows, type, panel, inputs, a, sums + first * PANEL) }
        else { FOR_FEW_ROWS(count, dense_few_rows, type, panel, inputs, (const float *)a, sums + first * PANEL) }
    }
}

INLINE void product(martlet_type type, size_t packed_rows, const uint8_t *packed, size_t outputs, size_t inputs, const uint8_t *activations,
                    size_t rows, const float *bias, float *y, size_t y_stride, bool accumulate, size_t first_panel, size_t end_panel) {
    float sums[ROW_BLOCK * PANEL] __attribute__((aligned(64)));
    const size_t panel_bytes = martlet_panel_bytes(type, inputs), row_bytes = martlet_activation_bytes(type, inputs);
    for (size_t p = first_panel; p < end_panel; p++) {
        const size_t column = p * PANEL, columns = outputs - column < PANEL ? outputs - column : PANEL;
        for (size_t r = 0; r < rows; r += ROW_BLOCK) {
            const size_t count = rows - r < ROW_BLOCK ? rows - r : ROW_BLOCK;
            const bool reads_packed = count == 1 || (FEW_ROWS > 1 && count <= packed_rows);
            if (inputs == 0 || adds_to_sums(type, reads_packed)) memset(sums, 0, (count + ROW_STEP - 1) / ROW_STEP * ROW_STEP * PANEL * sizeof(float));
            panel_product(type, reads_packed, packed + p * panel_bytes, inputs, activations + r * row_bytes, count, sums);
            for (size_t i = 0; i < count; i++)
                finish_row(sums + i * PANEL, columns, bias ? bias + column : NULL, accumulate, y + (r + i) * y_stride + column);
        }
    }
}

/// One instance of the product per type; each is compiled with the type as a constant.
#define PRODUCT_OF(name, type) \
    static void name(size_t packed_rows, const uint8_t *packed, size_t outputs, size_t inputs, const uint8_t *activations, size_t rows, \
                     const float *bias, float *y, size_t y_stride, bool accumulate, size_t first_panel, size_t end_panel) { \
        product(type, packed_rows, packed, outputs, inputs, activations, rows, bias, y, y_stride, accumulate, first_panel, end_panel); \
    }

PRODUCT_OF(product_q8_0, MARTLET_Q8_0)
PRODUCT_OF(product_q4_0, MARTLET_Q4_0)
PRODUCT_OF(product_q5_0, MARTLET_Q5_0)
#if !defined(LEVEL_AMX)
PRODUCT_OF(product_q4_1, MARTLET_Q4_1)
PRODUCT_OF(product_q5_1, MARTLET_Q5_1)
PRODUCT_OF(product_q4_K, MARTLET_Q4_K)
PRODUCT_OF(product_q5_K, MARTLET_Q5_K)
PRODUCT_OF(product_q6_K, MARTLET_Q6_K)

#define QUANTIZED_PRODUCTS \
    [MARTLET_Q8_0] = product_q8_0, [MARTLET_Q4_0] = product_q4_0, [MARTLET_Q4_1] = product_q4_1, [MARTLET_Q5_0] = product_q5_0, \
    [MARTLET_Q5_1] = product_q5_1, [MARTLET_Q4_K] = product_q4_K, [MARTLET_Q5_K] = product_q5_K, [MARTLET_Q6_K] = product_q6_K
#endif

#if !defined(QUANTIZED_ONLY)
PRODUCT_OF(product_f32, MARTLET_F32)
PRODUCT_OF(product_f16, MARTLET_F16)
PRODUCT_OF(product_bf16, MARTLET_BF16)
PRODUCT_OF(product_bf16_pairs, MARTLET_BF16_PAIRS)

static void prepare_blocks(martlet_type type, const float *x, size_t x_stride, size_t rows, size_t inputs, void *activations,
                           size_t first, size_t end) {
    switch (type) {
    case MARTLET_Q8_0: prepare_quantized(MARTLET_Q8_0, x, x_stride, rows, inputs, activations, first, end); break;
    case MARTLET_Q4_0: prepare_quantized(MARTLET_Q4_0, x, x_stride, rows, inputs, activations, first, end); break;
    case MARTLET_Q5_0: prepare_quantized(MARTLET_Q5_0, x, x_stride, rows, inputs, activations, first, end); break;
    case MARTLET_Q4_1: case MARTLET_Q5_1: case MARTLET_Q4_K: case MARTLET_Q5_K:
        prepare_quantized(MARTLET_Q4_K, x, x_stride, rows, inputs, activations, first, end);
        break;
    case MARTLET_Q6_K: prepare_quantized(MARTLET_Q6_K, x, x_stride, rows, inputs, activations, first, end); break;
    default: break;
    }
}

static void prepare(martlet_type type, const float *x, size_t rows, size_t inputs, void *activations) {
    if (is_quantized(type)) prepare_blocks(type, x, inputs, rows, inputs, activations, 0, inputs / BLOCK);
    else if (type == MARTLET_BF16_PAIRS) prepare_pairs(x, rows, inputs, activations);
    else memcpy(activations, x, rows * inputs * sizeof(float));
}
#endif

#endif
