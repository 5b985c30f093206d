// New keys and values into a block of the cache.

#include "blocks.h"

enum { KEYS = MARTLET_BLOCK, GROUP = MARTLET_KEY_GROUP };

/// Stores a run of at most BLOCK elements: element i goes to place i · step, and the scale, where the type has one, to
/// `scale`.
static void store_run(martlet_type type, const float *x, size_t count, uint8_t *place, size_t step, uint8_t *scale) {
    if (type == MARTLET_F32) {
        for (size_t i = 0; i < count; i++) memcpy(place + 4 * i * step, x + i, sizeof *x);
    } else if (type == MARTLET_Q8_0) {
        block_q8_0 block;
        martlet_encode(type, x, &block, BLOCK);
        memcpy(scale, block.scale, sizeof block.scale);
        for (size_t i = 0; i < count; i++) place[i * step] = (uint8_t)block.values[i];
    } else {
        uint8_t halves[2 * BLOCK];
        martlet_encode(type, x, halves, count);
        for (size_t i = 0; i < count; i++) memcpy(place + 2 * i * step, halves + 2 * i, 2);
    }
}

void martlet_store_block(martlet_type type, const float *keys, size_t key_stride, const float *values, size_t value_stride, size_t rows,
                         size_t key_heads, size_t first_head, size_t end_head, size_t head_width, size_t value_width, void *block,
                         size_t offset) {
    const size_t size = type == MARTLET_Q8_0 ? 1 : block_bytes(type);
    const size_t key_bytes = martlet_head_bytes(type, head_width), value_bytes = martlet_head_bytes(type, value_width);
    for (size_t r = 0; r < rows; r++)
        for (size_t h = first_head; h < end_head; h++) {
            const size_t position = offset + r;
            const float *key = keys + r * key_stride + (h - first_head) * head_width;
            const float *value = values + r * value_stride + (h - first_head) * value_width;
            uint8_t *key_part = (uint8_t *)block + h * key_bytes;
            uint8_t *value_part = (uint8_t *)block + key_heads * key_bytes + h * value_bytes;
            uint8_t *key_at = key_part + (position / GROUP * head_width * GROUP + position % GROUP) * size;
            uint8_t *value_at = value_part + position * value_width * size;
            for (size_t i = 0; i < head_width; i += BLOCK)
                store_run(type, key + i, head_width - i < BLOCK ? head_width - i : BLOCK, key_at + i * GROUP * size, GROUP,
                          key_part + (head_width + i / BLOCK * 2) * KEYS + 2 * position);
            for (size_t i = 0; i < value_width; i += BLOCK)
                store_run(type, value + i, value_width - i < BLOCK ? value_width - i : BLOCK, value_at + i * size, 1,
                          value_part + value_width * KEYS + 2 * (position * (value_width / BLOCK) + i / BLOCK));
        }
}

/// The first `count` positions of one head's keys or values: what stands in order of position is copied as far as
/// needed, all else whole.
static void copy_head(martlet_type type, size_t width, const uint8_t *from, uint8_t *to, size_t positions) {
    const size_t bytes = martlet_head_bytes(type, width), used = type == MARTLET_Q8_0 ? bytes : bytes / MARTLET_BLOCK * positions;
    memcpy(to, from, used);
    memset(to + used, 0, bytes - used);
}

void martlet_copy_positions(martlet_type type, size_t key_heads, size_t head_width, size_t value_width, const void *from, void *to,
                            size_t count) {
    const size_t key_bytes = martlet_head_bytes(type, head_width), value_bytes = martlet_head_bytes(type, value_width);
    const size_t groups = (count + MARTLET_KEY_GROUP - 1) / MARTLET_KEY_GROUP;
    const uint8_t *source = from;
    uint8_t *target = to;
    for (size_t head = 0; head < key_heads; head++, source += key_bytes, target += key_bytes)
        copy_head(type, head_width, source, target, groups * MARTLET_KEY_GROUP);
    for (size_t head = 0; head < key_heads; head++, source += value_bytes, target += value_bytes)
        copy_head(type, value_width, source, target, count);
}
