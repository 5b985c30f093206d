// Gradients of attention for one key head: probabilities are made again block by block from the saved totals
// (arXiv:2205.14135).
//
// Blocks of 64 keys ascend; within one, tiles of 48 (row, head) pairs ascend. With p = e^(score − log total), D = Σ
// output · d_output, and m what dropout multiplies p by:
//   d_score = p · (m · d_output · value − D); d_value += m · p · d_output; d_key += d_score · scale · query; d_query +=
//   d_score · scale · key

#ifndef MARTLET_ATTENTION_BACKWARD_H
#define MARTLET_ATTENTION_BACKWARD_H

#include "attention.h"
#include "packing.h"

/// tile_products: sums[r] += Σ_k a[r][k] · b[k] for up to TILE_ROWS rows and 64 columns; compiled once, called from
/// everywhere here.
static __attribute__((noinline)) void tile_products(size_t rows, const float *const *a, const float *b, size_t step_stride,
                                                    size_t group_stride, size_t steps, float *const *sums) {
    FOR_TILE_ROWS(rows, dense_panel, false, a, b, step_stride, group_stride, steps, sums)
}

/// tile_products for sixteen columns or fewer, by way of padded copies.
static __attribute__((noinline)) void tile_rest(size_t rows, const float *const *a, const float *b, size_t step_stride, size_t columns,
                                                size_t steps, float *const *sums) {
    float padded[KEYS][LANES] __attribute__((aligned(64))), totals[TILE_ROWS][LANES] __attribute__((aligned(64)));
    for (size_t k = 0; k < steps; k++) store(padded[k], load_some(b + k * step_stride, columns));
    for (size_t r = 0; r < rows; r++) {
        store(totals[r], load_some(sums[r], columns));
        float *target = totals[r];
        dense_tile(1, 1, false, a + r, padded[0], LANES, LANES, steps, &target);
        store_some(sums[r], load(totals[r]), columns);
    }
}

/// sums[r] += Σ_k a[r][k] · b[k] over `width` columns; at most KEYS steps. Row r of `a` at a + r · a_stride, of sums at
/// r · sum_stride.
static void add_products(size_t rows, const float *a, size_t a_stride, const float *b, size_t b_stride, size_t width, size_t steps,
                         float *const *sums) {
    for (size_t first = 0; first < rows; first += TILE_ROWS) {
        const size_t count = rows - first < TILE_ROWS ? rows - first : TILE_ROWS;
        const float *from[TILE_ROWS];
        float *to[TILE_ROWS];
        for (size_t r = 0; r < count; r++) from[r] = a + (first + r) * a_stride, to[r] = sums[first + r];
        size_t column = 0;
        for (; column + PANEL <= width; column += PANEL) {
            tile_products(count, from, b + column, b_stride, LANES, steps, to);
            for (size_t r = 0; r < count; r++) to[r] += PANEL;
        }
        for (; column < width; column += LANES) {
            tile_rest(count, from, b + column, b_stride, width - column, steps, to);
            for (size_t r = 0; r < count; r++) to[r] += LANES;
        }
    }
}

/// The operands that one block of keys and one tile of heads share.
typedef struct {
    const martlet_attention_backward *work;
    size_t block, keys;                      // the block's number, and how many keys exist in it
    float *key_panel, *value_panel;          // [4][width][16]
    float *queries, *d_outputs;              // [HEAD_TILE][width], contiguous copies
    const float *inner;                      // D of every (row, head)
    size_t first, count;                     // the tile's (row, head) pairs
    float p[HEAD_TILE][KEYS] __attribute__((aligned(64)));
    float ds[HEAD_TILE][KEYS] __attribute__((aligned(64)));
    float turned[KEYS][HEAD_TILE] __attribute__((aligned(64)));
} back_tile;

INLINE size_t row_of(const back_tile *tile, size_t h) { return (tile->first + h) / tile->work->forward.group; }
INLINE size_t head_of(const back_tile *tile, size_t h) { return (tile->first + h) % tile->work->forward.group; }

/// Keys of the block, interleaved by sixteen as attention's products want them; missing keys are zeros.
static void fill_panel(const float *rows, size_t stride, size_t keys, size_t width, float *panel) {
    for (size_t g = 0; g < KEY_GROUPS; g++, panel += width * LANES)
        for (size_t i = 0; i < width; i += LANES) {
            const size_t left = keys > g * LANES ? keys - g * LANES : 0;
            float *to = panel + i * LANES;
            const float *from = rows + g * LANES * stride + i;
            if (left >= LANES && width - i >= LANES) transpose_full(from, stride, to, LANES);
            else {
                float square[LANES * LANES] __attribute__((aligned(64))) = {0};
                if (left) transpose_square(from, stride, left, width - i, square, LANES);
                memcpy(to, square, (width - i < LANES ? width - i : LANES) * LANES * sizeof(float));
            }
        }
}

/// Raw products of the tile's rows (contiguous, `width` wide) with a panel.
static void panel_products(const back_tile *tile, const float *rows, size_t width, const float *panel, float (*products)[KEYS]) {
    memset(products, 0, tile->count * sizeof products[0]);
    for (size_t h = 0; h < tile->count; h += TILE_ROWS) {
        const size_t count = tile->count - h < TILE_ROWS ? tile->count - h : TILE_ROWS;
        const float *from[TILE_ROWS];
        float *to[TILE_ROWS];
        for (size_t r = 0; r < count; r++) from[r] = rows + (h + r) * width, to[r] = products[h + r];
        tile_products(count, from, panel, LANES, width * LANES, width, to);
    }
}

/// Products to probabilities and gradients of scores, sixteen keys at a time; hidden keys get zeros.
INLINE void score_gradients(back_tile *tile, size_t h, key_range range) {
    const martlet_attention *work = &tile->work->forward;
    const size_t row = row_of(tile, h), head = head_of(tile, h);
    const float log_total = tile->work->log_totals[tile->first + h];
    f32x16 factors[KEY_GROUPS] = {splat(1), splat(1), splat(1), splat(1)};
    if (work->dropout.threshold != 0) dropout_factors(work, row, head, tile->block, factors);
    UNROLL for (int g = 0; g < KEY_GROUPS; g++) {
        float *p_place = tile->p[h] + g * LANES, *ds_place = tile->ds[h] + g * LANES;
        const f32x16 products = load(p_place);
        const f32x16 scores = finish_scores(work, row, head, tile->block, (size_t)g * LANES, range, products);
        const f32x16 p = exponential(scores - splat(log_total));
        f32x16 ds = p * (load(ds_place) * factors[g] - splat(tile->inner[tile->first + h]));
        if (tile->work->d_bias) {
            float *bias = tile->work->d_bias + head * work->bias_head_stride + (ptrdiff_t)row * work->bias_row_stride +
                          (ptrdiff_t)(tile->block * KEYS);
            for (size_t i = (size_t)g * LANES; i < (size_t)(g + 1) * LANES; i++)
                if (i >= range.low && i < range.high) bias[i] += ds[i - (size_t)g * LANES];
        }
        if (work->cap > 0) {
            const f32x16 t = hyperbolic_tangent(products * splat(work->scale) / splat(work->cap));
            ds = ds * (splat(1.0f) - t * t);
        }
        store(p_place, p * factors[g]), store(ds_place, ds * splat(work->scale));
    }
}

/// d_values += pᵀ · d_outputs, or d_keys += dsᵀ · queries.
static void add_by_key(back_tile *tile, const float (*weights)[KEYS], const float *rows, size_t width, float *target, size_t stride) {
    for (size_t h = 0; h < tile->count; h += LANES)
        for (size_t k = 0; k < KEYS; k += LANES) {
            if (tile->count - h >= LANES) transpose_full(&weights[h][k], KEYS, &tile->turned[k][h], HEAD_TILE);
            else transpose_square(&weights[h][k], KEYS, tile->count - h, LANES, &tile->turned[k][h], HEAD_TILE);
        }
    float *sums[KEYS];
    for (size_t k = 0; k < tile->keys; k++) sums[k] = target + (tile->block * KEYS + k) * stride;
    add_products(tile->keys, tile->turned[0], HEAD_TILE, rows, width, width, tile->count, sums);
}

static void back_through(back_tile *tile) {
    const martlet_attention_backward *work = tile->work;
    const martlet_attention *forward = &work->forward;
    key_range ranges[HEAD_TILE];
    bool any = false;
    for (size_t h = 0; h < tile->count; h++) {
        ranges[h] = visible_keys(forward, row_of(tile, h), tile->block);
        any |= ranges[h].low < ranges[h].high;
    }
    if (!any) return;
    float *d_queries[HEAD_TILE];
    for (size_t h = 0; h < tile->count; h++) {
        const size_t row = row_of(tile, h), head = head_of(tile, h);
        memcpy(tile->queries + h * forward->head_width, forward->queries + row * forward->query_stride + head * forward->head_width,
               forward->head_width * sizeof(float));
        memcpy(tile->d_outputs + h * forward->value_width, work->d_outputs + row * forward->output_stride + head * forward->value_width,
               forward->value_width * sizeof(float));
        d_queries[h] = work->d_queries + row * forward->query_stride + head * forward->head_width;
    }
    panel_products(tile, tile->queries, forward->head_width, tile->key_panel, tile->p);
    panel_products(tile, tile->d_outputs, forward->value_width, tile->value_panel, tile->ds);
    for (size_t h = 0; h < tile->count; h++) {
        if (ranges[h].low < ranges[h].high) score_gradients(tile, h, ranges[h]);
        else memset(tile->p[h], 0, sizeof tile->p[h]), memset(tile->ds[h], 0, sizeof tile->ds[h]);
    }
    add_by_key(tile, tile->p, tile->d_outputs, forward->value_width, work->d_values, work->value_stride);
    add_by_key(tile, tile->ds, tile->queries, forward->head_width, work->d_keys, work->key_stride);
    add_products(tile->count, tile->ds[0], KEYS, work->keys + tile->block * KEYS * work->key_stride, work->key_stride,
                 forward->head_width, tile->keys, d_queries);
}

static size_t attend_backward_scratch(const martlet_attention_backward *work) {
    const martlet_attention *forward = &work->forward;
    return (KEYS + HEAD_TILE) * (forward->head_width + forward->value_width) + forward->rows * forward->group;
}

/// D of every (row, head), and zeros for the gradients of queries.
static void begin_backward(const martlet_attention_backward *work, float *inner) {
    const martlet_attention *forward = &work->forward;
    for (size_t i = 0; i < forward->rows * forward->group; i++) {
        const size_t row = i / forward->group, head = i % forward->group, width = forward->value_width;
        const float *output = forward->outputs + row * forward->output_stride + head * width;
        const float *d_output = work->d_outputs + row * forward->output_stride + head * width;
        f32x16 sums = splat(0);
        for (size_t c = 0; c < width; c += LANES) sums = fused(load_some(output + c, width - c), load_some(d_output + c, width - c), sums);
        inner[i] = sum_lanes(sums);
        memset(work->d_queries + row * forward->query_stride + head * forward->head_width, 0, forward->head_width * sizeof(float));
    }
}

static void attend_backward(const martlet_attention_backward *work, float *scratch) {
    const martlet_attention *forward = &work->forward;
    const size_t heads = forward->rows * forward->group, width = forward->head_width + forward->value_width;
    back_tile tile;
    tile.work = work;
    tile.key_panel = scratch, tile.value_panel = scratch + KEYS * forward->head_width;
    tile.queries = scratch + KEYS * width, tile.d_outputs = tile.queries + HEAD_TILE * forward->head_width;
    float *inner = scratch + (KEYS + HEAD_TILE) * width;
    tile.inner = inner;
    begin_backward(work, inner);
    for (tile.block = work->first_key / KEYS; tile.block * KEYS < work->end_key; tile.block++) {
        const size_t start = tile.block * KEYS;
        tile.keys = work->key_count - start < KEYS ? work->key_count - start : KEYS;
        fill_panel(work->keys + start * work->key_stride, work->key_stride, tile.keys, forward->head_width, tile.key_panel);
        fill_panel(work->values + start * work->value_stride, work->value_stride, tile.keys, forward->value_width, tile.value_panel);
        for (tile.first = 0; tile.first < heads; tile.first += HEAD_TILE) {
            tile.count = heads - tile.first < HEAD_TILE ? heads - tile.first : HEAD_TILE;
            back_through(&tile);
        }
    }
}

static void attend_log_totals(const martlet_attention *work, const float *partials, size_t segments, float *log_totals) {
    const size_t heads = work->rows * work->group, width = work->value_width;
    for (size_t head = 0; head < heads; head++) {
        float maximum = first_maximum(work, head), total = first_total(work);
        for (size_t s = 0; s < segments; s++) {
            const float *part = partials + (s * heads + head) * (width + 2) + width;
            merge_segment(NULL, &maximum, &total, NULL, part[0], part[1], 0);
        }
        log_totals[head] = total > 0 ? maximum + (float)__builtin_log((double)total) : -__builtin_inff();
    }
}

#endif
