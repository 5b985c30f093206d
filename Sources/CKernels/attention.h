// Attention over blocked keys and values: tiled, with an online softmax over the blocks of a segment and a merge of
// segments.
//
// For one query head and one segment of keys, blocks follow in ascending order. Blocks and segments without a visible
// key are left out, so they change no bit.

#ifndef MARTLET_ATTENTION_H
#define MARTLET_ATTENTION_H

#include "attention_block.h"

enum { SEGMENT_BLOCKS = MARTLET_SEGMENT / KEYS };

/// The blocks that any row of the tile sees.
INLINE key_range tile_blocks(const head_tile *tile) {
    const martlet_attention *work = tile->work;
    int32_t lower = INT32_MAX, upper = 0;
    for (size_t row = tile->row[0]; row <= tile->row[tile->count - 1]; row++) {
        if (work->lower[row] >= work->upper[row]) continue;
        lower = work->lower[row] < lower ? work->lower[row] : lower;
        upper = work->upper[row] > upper ? work->upper[row] : upper;
    }
    if (lower < 0) lower = 0;
    return lower < upper ? (key_range){(size_t)lower / KEYS, ((size_t)upper + KEYS - 1) / KEYS} : (key_range){0, 0};
}

/// Attends to one segment for the whole tile, into its sums, maxima and totals.
static void attend_tile(head_tile *tile, size_t segment) {
    key_range blocks = tile_blocks(tile);
    const size_t first = segment * SEGMENT_BLOCKS, end = first + SEGMENT_BLOCKS;
    if (blocks.low < first) blocks.low = first;
    if (blocks.high > end) blocks.high = end;
    for (size_t h = 0; h < tile->count; h++) tile->maximum[h] = -__builtin_inff(), tile->total[h] = 0;
    memset(tile->sums, 0, tile->count * tile->padded * sizeof(float));
    for (size_t block = blocks.low; block < blocks.high; block++) {
        const bool streams = tile->count <= STREAM_HEADS && block + 1 < blocks.high;
        attend_block(tile, block, streams ? block + 1 : block);
    }
}

/// (sums, maximum, total) ← merged with a later segment's. An empty segment changes nothing.
INLINE void merge_segment(float *sums, float *maximum, float *total, const float *later, float later_maximum, float later_total,
                          size_t width) {
    if (later_maximum == -__builtin_inff()) return;
    const float highest = later_maximum > *maximum ? later_maximum : *maximum;
    const float before = exponential_of(*maximum - highest), after = exponential_of(later_maximum - highest);
    FOR_GROUPS(width)
        store_some(sums + i, fused(load_some(later + i, left), splat(after), load_some(sums + i, left) * splat(before)), left);
    *total = __builtin_fmaf(later_total, after, *total * before);
    *maximum = highest;
}

INLINE void divide_by_total(float *sums, float total, size_t width) {
    FOR_GROUPS(width) store_some(sums + i, total == 0 ? splat(0) : load_some(sums + i, left) / splat(total), left);
}

INLINE float *output_of(const martlet_attention *work, size_t head) {
    return work->outputs + head / work->group * work->output_stride + head % work->group * work->value_width;
}

static size_t attend_scratch(const martlet_attention *work) {
    const size_t wide = work->block_type == MARTLET_F32 ? 0 : KEYS * (work->head_width + work->value_width);
    return (HEAD_TILE + 1) * padded_to_lanes(work->value_width) + wide;
}

/// The initial maximum of a head's scores: its sink, where there are such, which its total (first_total) then counts.
INLINE float first_maximum(const martlet_attention *work, size_t head) {
    return work->sinks ? work->sinks[head % work->group] : -__builtin_inff();
}
INLINE float first_total(const martlet_attention *work) { return work->sinks ? 1 : 0; }

INLINE head_tile tile_at(const martlet_attention *work, size_t first, size_t end, float *scratch) {
    const size_t count = end - first < HEAD_TILE ? end - first : HEAD_TILE;
    head_tile tile = {.work = work, .count = count, .sums = scratch, .padded = padded_to_lanes(work->value_width)};
    tile.wide = scratch + (HEAD_TILE + 1) * tile.padded;
    for (size_t h = 0; h < count; h++) {
        tile.row[h] = (uint32_t)((first + h) / work->group);
        tile.head[h] = (uint32_t)((first + h) % work->group);
    }
    return tile;
}

static void attend(const martlet_attention *work, size_t first_row, size_t end_row, float *scratch) {
    const size_t end = end_row * work->group;
    for (size_t first = first_row * work->group; first < end; first += HEAD_TILE) {
        head_tile tile = tile_at(work, first, end, scratch);
        float maximum[HEAD_TILE], total[HEAD_TILE];
        for (size_t h = 0; h < tile.count; h++) {
            maximum[h] = first_maximum(work, first + h), total[h] = first_total(work);
            memset(output_of(work, first + h), 0, work->value_width * sizeof(float));
        }
        const key_range blocks = tile_blocks(&tile);
        for (size_t segment = blocks.low / SEGMENT_BLOCKS; segment * SEGMENT_BLOCKS < blocks.high; segment++) {
            attend_tile(&tile, segment);
            for (size_t h = 0; h < tile.count; h++)
                merge_segment(output_of(work, first + h), maximum + h, total + h, tile.sums + h * tile.padded, tile.maximum[h],
                              tile.total[h], work->value_width);
        }
        for (size_t h = 0; h < tile.count; h++) divide_by_total(output_of(work, first + h), total[h], work->value_width);
    }
}

/// A partial: for each query head, value_width sums, the maximum, the total.
static void attend_segment(const martlet_attention *work, size_t segment, float *partial, float *scratch) {
    const size_t end = work->rows * work->group, width = work->value_width;
    for (size_t first = 0; first < end; first += HEAD_TILE) {
        head_tile tile = tile_at(work, first, end, scratch);
        attend_tile(&tile, segment);
        for (size_t h = 0; h < tile.count; h++, partial += width + 2) {
            memcpy(partial, tile.sums + h * tile.padded, width * sizeof(float));
            partial[width] = tile.maximum[h], partial[width + 1] = tile.total[h];
        }
    }
}

static void attend_merge(const martlet_attention *work, const float *partials, size_t segments) {
    const size_t heads = work->rows * work->group, width = work->value_width;
    for (size_t head = 0; head < heads; head++) {
        float *sums = output_of(work, head), maximum = first_maximum(work, head), total = first_total(work);
        memset(sums, 0, width * sizeof(float));
        for (size_t s = 0; s < segments; s++) {
            const float *part = partials + (s * heads + head) * (width + 2);
            merge_segment(sums, &maximum, &total, part, part[width], part[width + 1], width);
        }
        divide_by_total(sums, total, width);
    }
}

/// Writes the scores of all keys, then their softmax, block by block.
static void attention_weights(const martlet_attention *work, size_t row, size_t head, float *weights, size_t keys) {
    const float *query = work->queries + row * work->query_stride + head * work->head_width;
    for (size_t block = 0; block * KEYS < keys; block++) {
        const float *base = (const float *)((const uint8_t *)work->blocks[block] + work->block_offset) +
                            work->key_head * work->head_width * KEYS;
        const key_range range = visible_keys(work, row, block);
        for (size_t first = 0; first < KEYS && block * KEYS + first < keys; first += LANES) {
            f32x16 scores = splat(-__builtin_inff());
            if (range.low < range.high) {
                float products[LANES] __attribute__((aligned(64)));
                dense_tile(1, 1, true, &query, base + first * work->head_width, LANES, LANES, work->head_width, (float *[]){products});
                scores = finish_scores(work, row, head, block, first, range, load(products));
            }
            store_some(weights + block * KEYS + first, scores, keys - block * KEYS - first);
        }
    }
}

#endif
