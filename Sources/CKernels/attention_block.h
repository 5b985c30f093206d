// Attention of a tile of query heads to one block of keys and values, by an online softmax.
//
// For one query head:
//   scores = scale · q·k (one fma per element of the head, ascending), then cap, slope, bias; hidden keys −∞
//   maximum' = max(maximum, max scores);  f = e^(maximum − maximum');  p = e^(scores − maximum')
//   total = total · f + Σ p; then dropout zeroes or enlarges p; sums = fma(p[key], value[key], … sums · f), keys
//   ascending

#ifndef MARTLET_ATTENTION_BLOCK_H
#define MARTLET_ATTENTION_BLOCK_H

#include "elements.h"
#include "philox.h"
#include "attention_tile.h"
#include "tile.h"

enum {
    KEYS = MARTLET_BLOCK,
    KEY_GROUPS = KEYS / LANES,
    HEAD_TILE = 48,     // query heads that pass over a block while it is in cache
    STREAM_HEADS = 16   // so few wait for memory more than they compute
};

// The level that every processor has is not worth an instance for each type.
#if defined(LEVEL_PORTABLE)
#define READS_CACHED false
#else
#define READS_CACHED true
#endif

/// A tile of query heads; number h is head head[h] of row row[h].
typedef struct {
    const martlet_attention *work;
    size_t count;
    float *sums;       // [HEAD_TILE + 1][padded value width]; the last row takes what must not be kept
    size_t padded;
    float *wide;       // one block's keys and values as f32, where the blocks are not
    float maximum[HEAD_TILE], total[HEAD_TILE];
    uint32_t row[HEAD_TILE], head[HEAD_TILE];
} head_tile;

INLINE size_t padded_to_lanes(size_t width) { return (width + LANES - 1) / LANES * LANES; }

INLINE float exponential_of(float x) { return exponential(splat(x))[0]; }

/// The visible part of a block for a row: keys low ..< high of it.
typedef struct { size_t low, high; } key_range;

INLINE key_range visible_keys(const martlet_attention *work, size_t row, size_t block) {
    const int64_t start = (int64_t)(block * KEYS), lower = work->lower[row] - start, upper = work->upper[row] - start;
    const int64_t low = lower < 0 ? 0 : lower, high = upper > KEYS ? KEYS : upper;
    return low < high ? (key_range){(size_t)low, (size_t)high} : (key_range){0, 0};
}

/// bias for keys of `range` of sixteen from `first` on; zero elsewhere, where the array need not exist.
INLINE f32x16 visible_bias(const float *bias, size_t first, key_range range) {
    float lanes[LANES] __attribute__((aligned(64))) = {0};
    for (size_t i = 0; i < LANES; i++)
        if (first + i >= range.low && first + i < range.high) lanes[i] = bias[first + i];
    return load(lanes);
}

/// Sixteen raw products to scores; hidden keys become −∞.
INLINE f32x16 finish_scores(const martlet_attention *work, size_t row, size_t head, size_t block, size_t first, key_range range,
                            f32x16 products) {
    f32x16 scores = products * splat(work->scale);
    if (work->cap > 0) scores = capped(scores, work->cap);
    const i32x16 keys = lane_numbers() + splat_int((int32_t)first);
    if (work->slopes) {
        const i32x16 distance = keys + splat_int((int32_t)(block * KEYS) - work->positions[row]);
        scores = fused(splat(work->slopes[head]), __builtin_convertvector(distance, f32x16), scores);
    }
    if (work->bias) {
        const float *bias = work->bias + head * work->bias_head_stride + (ptrdiff_t)row * work->bias_row_stride + block * KEYS;
        scores += visible_bias(bias, first, range);
    }
    if (range.high - range.low == KEYS) return scores;
    const i32x16 visible = (keys >= splat_int((int32_t)range.low)) & (keys < splat_int((int32_t)range.high));
    return choose(visible, scores, splat(-__builtin_inff()));
}

/// A block's keys and values of one head as they are kept.
typedef struct { const uint8_t *keys, *values; } stored_block;

INLINE stored_block block_at(const martlet_attention *work, size_t number) {
    const size_t key_bytes = martlet_head_bytes(work->block_type, work->head_width);
    const size_t value_bytes = martlet_head_bytes(work->block_type, work->value_width);
    const uint8_t *base = (const uint8_t *)work->blocks[number] + work->block_offset;
    return (stored_block){base + work->key_head * key_bytes, base + work->key_heads * key_bytes + work->key_head * value_bytes};
}

/// A block for a tile: what each head sees of it, and its raw products, then scores, then probabilities.
typedef struct {
    size_t number;
    cached_part keys, values;
    key_range ranges[HEAD_TILE];
    float scores[HEAD_TILE][KEYS] __attribute__((aligned(64)));
} tile_block;

INLINE bool sees(const tile_block *block, size_t h) { return block->ranges[h].low < block->ranges[h].high; }

/// Raw products to scores; where the maximum grows, what was summed before is scaled down to it.
INLINE void raise_maximum(head_tile *tile, tile_block *block, size_t h) {
    f32x16 best = splat(-__builtin_inff());
    UNROLL for (int g = 0; g < KEY_GROUPS; g++) {
        float *place = block->scores[h] + g * LANES;
        const f32x16 scores = finish_scores(tile->work, tile->row[h], tile->head[h], block->number, (size_t)g * LANES, block->ranges[h],
                                            load(place));
        store(place, scores);
        best = larger(scores, best);
    }
    const float highest = largest_lane(best), before = tile->maximum[h];
    if (!(highest > before)) return;
    const float factor = exponential_of(before - highest);
    float *sums = tile->sums + h * tile->padded;
    for (size_t i = 0; i < tile->padded; i += LANES) store(sums + i, load(sums + i) * splat(factor));
    tile->maximum[h] = highest;
    tile->total[h] *= factor;
}

/// Dropout's factors for a block's sixty-four weights of one query head.
INLINE void dropout_factors(const martlet_attention *work, size_t row, size_t head, size_t block, f32x16 factors[KEY_GROUPS]) {
    const martlet_attention_dropout *dropout = &work->dropout;
    const uint64_t query = dropout->first + row * dropout->row_stride + head;
    u32x16 words[KEY_GROUPS];
    philox_words(dropout->key, dropout->stream, query << 24 | block * LANES, words);
    UNROLL for (int g = 0; g < KEY_GROUPS; g++) factors[g] = kept_factor(words[g], dropout->threshold, dropout->factor);
}

/// Scores to e^(score − maximum), added to the total.
INLINE void soften(head_tile *tile, tile_block *block, size_t h) {
    const f32x16 base = splat(tile->maximum[h] == -__builtin_inff() ? 0 : tile->maximum[h]);
    f32x16 e[KEY_GROUPS];
    UNROLL for (int g = 0; g < KEY_GROUPS; g++) {
        e[g] = exponential(load(block->scores[h] + g * LANES) - base);
        store(block->scores[h] + g * LANES, e[g]);
    }
    tile->total[h] += sum_lanes((e[0] + e[1]) + (e[2] + e[3]));
    if (tile->work->dropout.threshold == 0) return;
    f32x16 factors[KEY_GROUPS];
    dropout_factors(tile->work, tile->row[h], tile->head[h], block->number, factors);
    UNROLL for (int g = 0; g < KEY_GROUPS; g++) store(block->scores[h] + g * LANES, e[g] * factors[g]);
}

/// Raw products of `rows` heads from head h on with the block's keys.
INLINE void multiply_keys(int rows, martlet_type type, const head_tile *tile, tile_block *block, size_t h) {
    const martlet_attention *work = tile->work;
    const float *queries[TILE_ROWS];
    float *scores[TILE_ROWS];
    UNROLL for (int r = 0; r < rows; r++) {
        const size_t row = tile->row[h + (size_t)r], head = tile->head[h + (size_t)r];
        queries[r] = work->queries + row * work->query_stride + head * work->head_width;
        scores[r] = block->scores[h + (size_t)r];
    }
    cached_part keys = block->keys;
    keys.type = type, keys.keys = true;
    cached_panel(rows, KEY_GROUPS, true, queries, keys, work->head_width, scores);
    block->keys.ahead += KEY_GROUPS * work->head_width * keys.share;
}

/// The last columns of values, fewer than sixteen, by way of a padded copy.
INLINE void multiply_rest(int rows, const float *const *probabilities, const float *values, size_t stride, size_t columns,
                          float *const *sums) {
    float rest[KEYS * LANES] __attribute__((aligned(64)));
    for (size_t k = 0; k < KEYS; k++) store(rest + k * LANES, load_some(values + k * stride, columns));
    dense_tile(rows, 1, false, probabilities, rest, LANES, LANES, KEYS, sums);
}

/// The sums of `rows` heads from head h on; a head that does not see the block adds to a row that nobody reads.
INLINE void multiply_values(int rows, martlet_type type, head_tile *tile, tile_block *block, size_t h) {
    const float *probabilities[TILE_ROWS];
    float *sums[TILE_ROWS];
    UNROLL for (int r = 0; r < rows; r++) {
        probabilities[r] = block->scores[h + (size_t)r];
        sums[r] = tile->sums + (sees(block, h + (size_t)r) ? h + (size_t)r : HEAD_TILE) * tile->padded;
    }
    const size_t width = tile->work->value_width;
    cached_part values = block->values;
    values.type = type, values.keys = false;
    size_t column = 0;
    for (int groups = PANEL_GROUPS; groups > 0; groups /= 2)
        for (; column + (size_t)groups * LANES <= width; column += (size_t)groups * LANES) {
            values.from = block->values.from + column * cached_size(type), values.column = column;
            if (groups == 4) cached_panel(rows, 4, false, probabilities, values, KEYS, sums);
            else if (groups == 2) cached_panel(rows, 2, false, probabilities, values, KEYS, sums);
            else cached_panel(rows, 1, false, probabilities, values, KEYS, sums);
            values.ahead += (size_t)groups * KEYS * values.share;
            UNROLL for (int r = 0; r < rows; r++) sums[r] += groups * LANES;
        }
    block->values.ahead = values.ahead;
    if (type == MARTLET_F32 && column < width)
        multiply_rest(rows, probabilities, (const float *)block->values.from + column, width, width - column, sums);
}

/// Returns whether any of `rows` heads from head h on sees the block.
INLINE bool any_sees(const tile_block *block, size_t h, size_t rows) {
    for (size_t end = h + rows; h < end; h++)
        if (sees(block, h)) return true;
    return false;
}

/// Heads of each micro-kernel tile, as even as they can be: one row alone waits for its own sums.
INLINE size_t even_rows(size_t count) {
    const size_t tiles = (count + TILE_ROWS - 1) / TILE_ROWS;
    return (count + tiles - 1) / tiles;
}

/// Keys first for all heads, then values for all, so that each part stays in the first-level cache.
INLINE void attend_cached(martlet_type type, head_tile *tile, tile_block *block) {
    const size_t step = even_rows(tile->count);
    for (size_t h = 0, rows = step; h < tile->count; h += rows) {
        if (rows > tile->count - h) rows = tile->count - h;
        if (any_sees(block, h, rows)) FOR_TILE_ROWS(rows, multiply_keys, type, tile, block, h)
    }
    for (size_t h = 0; h < tile->count; h++)
        if (sees(block, h)) raise_maximum(tile, block, h);
    for (size_t h = 0; h < tile->count; h++)
        if (sees(block, h)) soften(tile, block, h);
    for (size_t h = 0, rows = step; h < tile->count; h += rows) {
        if (rows > tile->count - h) rows = tile->count - h;
        if (any_sees(block, h, rows)) FOR_TILE_ROWS(rows, multiply_values, type, tile, block, h)
    }
}

/// Bytes that each sixteen columns of a part ask for, so that `tiles` tiles ask for all of it.
INLINE size_t foreseen_share(size_t bytes, size_t width, size_t tiles) {
    const size_t asking = KEY_GROUPS * width * tiles;
    return (bytes + asking - 1) / asking;
}

/// A block as it is kept.
INLINE void read_cached(const head_tile *tile, tile_block *block, stored_block stored) {
    const martlet_attention *work = tile->work;
    const size_t size = cached_size(work->block_type), keys = work->head_width, values = work->value_width;
    block->keys = (cached_part){.from = stored.keys, .step = LANES * size, .group = LANES * keys * size, .scales = tile->wide};
    block->values = (cached_part){.from = stored.values, .step = values * size, .group = LANES * size,
                                  .scales = tile->wide + KEYS * keys, .runs = values / BLOCK};
    if (work->block_type != MARTLET_Q8_0) return;
    widen_halves(MARTLET_F16, stored.keys + KEYS * keys, KEYS * keys / BLOCK, tile->wide);
    widen_halves(MARTLET_F16, stored.values + KEYS * values, KEYS * values / BLOCK, tile->wide + KEYS * keys);
}

/// A block as f32.
INLINE void read_widened(const head_tile *tile, tile_block *block, stored_block stored) {
    const martlet_attention *work = tile->work;
    const size_t keys = work->head_width, values = work->value_width;
    const float *wide_keys = widen_keys(work->block_type, stored.keys, keys, tile->wide);
    const float *wide_values = widen_values(work->block_type, stored.values, values, tile->wide + keys * KEYS);
    block->keys = (cached_part){.from = (const uint8_t *)wide_keys, .step = LANES * sizeof(float), .group = LANES * keys * sizeof(float)};
    block->values = (cached_part){.from = (const uint8_t *)wide_values, .step = values * sizeof(float), .group = LANES * sizeof(float)};
}

/// Returns whether a tile reads blocks as they are kept: a few heads do not make up for a copy as f32.
INLINE bool reads_cached(const head_tile *tile) {
    return tile->work->block_type == MARTLET_F32 ||
           (READS_CACHED && tile->count <= STREAM_HEADS && tile->work->value_width % LANES == 0);
}

/// Attends to block `number`, while block `next` is asked for, of which little is waited for later.
static void attend_block(head_tile *tile, size_t number, size_t next) {
    const martlet_attention *work = tile->work;
    const stored_block stored = block_at(work, number), ahead = block_at(work, next);
    const bool as_kept = reads_cached(tile);
    tile_block block;
    block.number = number;
    if (as_kept) read_cached(tile, &block, stored);
    else read_widened(tile, &block, stored);
    const size_t tiles = (tile->count + TILE_ROWS - 1) / TILE_ROWS;
    block.keys.ahead = ahead.keys, block.values.ahead = ahead.values;
    if (next != number) {
        block.keys.share = foreseen_share(martlet_head_bytes(work->block_type, work->head_width), work->head_width, tiles);
        block.values.share = foreseen_share(martlet_head_bytes(work->block_type, work->value_width), work->value_width, tiles);
    }
    for (size_t h = 0; h < tile->count; h++) block.ranges[h] = visible_keys(work, tile->row[h], number);
    switch (READS_CACHED && as_kept ? work->block_type : MARTLET_F32) {
    case MARTLET_F16: attend_cached(MARTLET_F16, tile, &block); break;
    case MARTLET_BF16: attend_cached(MARTLET_BF16, tile, &block); break;
    case MARTLET_Q8_0: attend_cached(MARTLET_Q8_0, tile, &block); break;
    default: attend_cached(MARTLET_F32, tile, &block);
    }
}

#endif
