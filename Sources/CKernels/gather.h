// One head's keys and values of a block, collected from the lanes of beams that hold them.

#ifndef MARTLET_GATHER_H
#define MARTLET_GATHER_H

#include "attention.h"

/// The lanes that sixteen neighbouring positions are spread over, and which of the positions each of them holds.
typedef struct {
    size_t count;
    uint16_t lane[LANES];
    i32x16 holds[LANES];
} spread;

static spread spread_of(const uint16_t *origins, size_t count) {
    spread spread = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        size_t known = 0;
        while (known < spread.count && spread.lane[known] != origins[i]) known++;
        if (known == spread.count) spread.lane[spread.count] = origins[i], spread.holds[spread.count++] = splat_int(0);
        spread.holds[known][i] = -1;
    }
    return spread;
}

/// Sixteen keys, `[width][16]`, whose place in a lane's block is `offset` bytes from its beginning.
static void gather_keys(const void *const *blocks, size_t lane_blocks, const spread *spread, size_t offset, size_t width, float *keys) {
    const float *sources[LANES];
    for (size_t s = 0; s < spread->count; s++)
        sources[s] = (const float *)((const uint8_t *)blocks[spread->lane[s] * lane_blocks] + offset);
    if (spread->count == 1) {
        memcpy(keys, sources[0], width * LANES * sizeof(float));
        return;
    }
    for (size_t i = 0; i < width * LANES; i += LANES) {
        f32x16 v = load(sources[0] + i);
        for (size_t s = 1; s < spread->count; s++) v = choose(spread->holds[s], load(sources[s] + i), v);
        store(keys + i, v);
    }
}

static void gather_block(const void *const *blocks, size_t lane_blocks, const uint16_t *origins, size_t count, size_t key_heads,
                         size_t head, size_t head_width, size_t value_width, void *block) {
    const size_t key_bytes = martlet_head_bytes(MARTLET_F32, head_width), value_bytes = martlet_head_bytes(MARTLET_F32, value_width);
    const size_t row = value_width * sizeof(float), values_at = key_heads * key_bytes + head * value_bytes;
    for (size_t first = 0; first < count; first += LANES) {
        const spread spread = spread_of(origins + first, count - first < LANES ? count - first : LANES);
        gather_keys(blocks, lane_blocks, &spread, head * key_bytes + first * head_width * sizeof(float), head_width,
                    (float *)block + first * head_width);
    }
    uint8_t *values = (uint8_t *)block + key_bytes;
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && origins[end] == origins[i];) end++;
        memcpy(values + i * row, (const uint8_t *)blocks[origins[i] * lane_blocks] + values_at + i * row, (end - i) * row);
    }
    // Hidden values are multiplied by zero, so they must be finite.
    memset(values + count * row, 0, (KEYS - count) * row);
}

#endif
