// Attention over blocks of every type, by every number of heads, with all that changes scores.

#include "check.h"

typedef struct {
    martlet_type type;
    size_t head_width, value_width, keys, key_heads, key_head, offset;
    const void **blocks;
} cache;

static cache filled(cache c, uint64_t key) {
    const size_t count = (c.keys + MARTLET_BLOCK - 1) / MARTLET_BLOCK, bytes = martlet_block_bytes(c.type, c.key_heads, c.head_width, c.value_width);
    const size_t key_stride = c.key_heads * c.head_width, value_stride = c.key_heads * c.value_width;
    const float *keys = numbers(key, c.keys * key_stride), *values = numbers(key + 1, c.keys * value_stride);
    c.blocks = memory(count * sizeof(void *));
    for (size_t b = 0; b < count; b++) {
        const size_t first = b * MARTLET_BLOCK, rows = c.keys - first < MARTLET_BLOCK ? c.keys - first : MARTLET_BLOCK;
        uint8_t *block = memory(c.offset + bytes);
        martlet_store_block(c.type, keys + first * key_stride, key_stride, values + first * value_stride, value_stride, rows, c.key_heads, 0,
                            c.key_heads, c.head_width, c.value_width, block + c.offset, 0);
        c.blocks[b] = block;
    }
    return c;
}

static martlet_attention work_on(const cache *c, size_t rows, size_t group, int32_t *bounds) {
    int32_t *lower = bounds, *upper = bounds + rows, *positions = bounds + 2 * rows;
    for (size_t r = 0; r < rows; r++) {
        positions[r] = (int32_t)(c->keys - rows + r), lower[r] = 0, upper[r] = positions[r] + 1;
        if (upper[r] < 0) upper[r] = 0;
    }
    return (martlet_attention){.queries = numbers(31, rows * group * c->head_width), .query_stride = group * c->head_width,
                               .outputs = memory(rows * group * c->value_width * sizeof(float)), .output_stride = group * c->value_width,
                               .rows = rows, .group = group, .head_width = c->head_width, .value_width = c->value_width, .blocks = c->blocks,
                               .block_offset = c->offset, .block_type = c->type, .key_heads = c->key_heads, .key_head = c->key_head,
                               .lower = lower, .upper = upper, .positions = positions, .scale = 0.5f};
}

/// The work at once, and by segments that are merged afterwards.
static void attend(const martlet_attention *work, size_t keys, const char *what) {
    const size_t outputs = work->rows * work->output_stride, segments = (keys + MARTLET_SEGMENT - 1) / MARTLET_SEGMENT;
    const size_t floats = martlet_attend_partial_floats(work), heads = work->rows * work->group;
    float *scratch = memory(martlet_attend_scratch(work) * sizeof(float)), *partials = memory(segments * floats * sizeof(float));
    martlet_attend(work, 0, work->rows, scratch);
    report(work->outputs, outputs, "attention %d, %zu rows of %zu heads%s", (int)work->block_type, work->rows, work->group, what);
    memset(work->outputs, 0, outputs * sizeof(float));
    for (size_t s = 0; s < segments; s++) martlet_attend_segment(work, s, partials + s * floats, scratch);
    martlet_attend_merge(work, partials, segments);
    report(work->outputs, outputs, "attention %d, %zu rows of %zu heads%s, merged", (int)work->block_type, work->rows, work->group, what);
    float *totals = memory(heads * sizeof(float));
    martlet_attend_log_totals(work, partials, segments, totals);
    report(totals, heads, "log totals %d, %zu rows of %zu heads%s", (int)work->block_type, work->rows, work->group, what);
}

static void every_number_of_heads(martlet_type type) {
    for (size_t heads = 1; heads <= 20; heads++) {
        int32_t bounds[3];
        const cache c = filled((cache){.type = type, .head_width = 64, .value_width = 96, .keys = 150, .key_heads = 1}, 21);
        martlet_attention work = work_on(&c, 1, heads, bounds);
        bounds[0] = 5;
        attend(&work, c.keys, "");
        release();
    }
}

static const char *const changes[] = {", windows", ", capped", ", slopes", ", bias", ", bias by distance", ", sinks", ", dropout", ", all"};

static void change(martlet_attention *work, int change, int32_t *bounds, size_t keys) {
    const size_t rows = work->rows;
    const bool all = change == 7;
    if (change == 0 || all)
        for (size_t r = 0; r < rows; r++) bounds[r] = bounds[rows + r] - (int32_t)(r % 3 == 2 ? 0 : 70 + 5 * r);  // of some rows nothing is seen
    if (change == 1 || all) work->cap = 1.5f;
    if (change == 2 || all) work->slopes = numbers(32, work->group);
    if (change == 3) work->bias = numbers(33, work->group * rows * keys), work->bias_head_stride = rows * keys, work->bias_row_stride = (ptrdiff_t)keys;
    if (change == 4 || all) {
        work->bias = numbers(33, work->group * (keys + rows)) + rows - 1;
        work->bias_head_stride = keys + rows, work->bias_row_stride = -1;
    }
    if (change == 5 || all) work->sinks = numbers(34, work->group);
    if (change == 6 || all) work->dropout = (martlet_attention_dropout){0x40000000, 4.0f / 3, 35, 36, 7, work->group};
}

static void every_change(cache shape, size_t rows, size_t group) {
    for (int i = -1; i < 8; i++) {
        int32_t bounds[3 * 64];
        const cache c = filled(shape, 23);
        martlet_attention work = work_on(&c, rows, group, bounds);
        if (i >= 0) change(&work, i, bounds, c.keys);
        attend(&work, c.keys, i < 0 ? ", causal" : changes[i]);
        if (c.type == MARTLET_F32 && work.dropout.threshold == 0) {
            float *weights = memory(c.keys * sizeof(float));
            martlet_attention_weights(&work, rows / 2, group - 1, weights, c.keys);
            report(weights, c.keys, "attention's weights%s", i < 0 ? "" : changes[i]);
        }
        release();
    }
}

void check_attention(void) {
    for (martlet_type type = MARTLET_F32; type <= MARTLET_Q8_0; type++) {
        if (type == MARTLET_I32) continue;
        every_number_of_heads(type);
        every_change((cache){.type = type, .head_width = 32, .value_width = 64, .keys = 1100, .key_heads = 1}, 3, 2);
        every_change((cache){.type = type, .head_width = 96, .value_width = 32, .keys = 70, .key_heads = 3, .key_head = 1, .offset = 128}, 33, 3);
        if (type == MARTLET_Q8_0) continue;
        every_change((cache){.type = type, .head_width = 20, .value_width = 7, .keys = 133, .key_heads = 2, .key_head = 1}, 5, 1);
        every_change((cache){.type = type, .head_width = 17, .value_width = 48 + 16 + 9, .keys = 65, .key_heads = 1}, 2, 7);
    }
}
