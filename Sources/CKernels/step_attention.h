// Attention inside a decoding step.

#ifndef MARTLET_STEP_ATTENTION_H
#define MARTLET_STEP_ATTENTION_H

#include "step_products.h"

/// Norms and rotates some heads; `weights`, those of the first of them, where each has its own.
static void turn(const martlet_step_attention *a, const martlet_step_norm *norm, const float *weights, size_t row, size_t heads, float *x) {
    if (norm->kind != MARTLET_NORM_NONE) normalise(norm, x, x, heads, a->head_width);
    if (weights) martlet_multiply(x, weights, x, heads * a->head_width);
    const size_t half = a->rotary_width / 2;
    if (half) martlet_rotate(x, 1, heads, a->head_width, a->rotary_width, a->neighbours, a->cosines + row * half, a->sines + row * half);
}

/// Writes the row's own key and value of one head.
static void store_own(const martlet_step_attention *a, const martlet_step_row *own, size_t row, size_t head, float *key) {
    const size_t width = a->head_width, key_width = a->key_heads * width, position = (size_t)own->position;
    const size_t value_width = a->key_heads * a->value_width;
    memcpy(key, a->keys + row * key_width + head * width, width * sizeof(float));
    turn(a, &a->key_norm, a->key_weights ? a->key_weights + head * width : NULL, row, 1, key);
    uint8_t *block = (uint8_t *)own->blocks[position / MARTLET_BLOCK] + a->block_offset;
    martlet_store_block(a->block_type, key, key_width, a->values + row * value_width + head * a->value_width, value_width, 1,
                        a->key_heads, head, head + 1, width, a->value_width, block, position % MARTLET_BLOCK);
}

/// The row that a chunk belongs to: the last one whose segments begin at or before it.
static size_t row_of(const martlet_step_attention *a, const martlet_step_table *table, size_t rows, size_t chunk) {
    size_t low = 0, high = rows;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (table->rows[middle].segments_before * a->key_heads <= chunk) low = middle;
        else high = middle;
    }
    return low;
}

static void run_attention(const martlet_step_attention *a, const martlet_step_pass *pass, size_t chunk, uint8_t *scratch) {
    const martlet_step_table *table = table_of(a, pass);
    const size_t row = row_of(a, table, pass->rows, chunk);
    const martlet_step_row *own = &table->rows[row];
    const size_t rest = chunk - own->segments_before * a->key_heads, head = rest / own->segments;
    const size_t segment = own->first_segment + rest % own->segments;
    const size_t width = a->head_width, query_width = a->key_heads * a->group * width;
    float *queries = (float *)scratch, *room = (float *)(scratch + rounded_up(head_floats(a) * sizeof(float)));
    memcpy(queries, a->queries + row * query_width + head * a->group * width, a->group * width * sizeof(float));
    turn(a, &a->query_norm, a->query_weights ? a->query_weights + head * a->group * width : NULL, row, a->group, queries);
    if (!a->reads_only && segment == (size_t)own->position / MARTLET_SEGMENT) store_own(a, own, row, head, queries + a->group * width);
    const int32_t lower = own->lower, upper = own->position + 1, position = own->position;
    martlet_attention work = head_work(a, head);
    work.queries = queries, work.blocks = own->blocks;
    work.outputs = a->outputs + (row * a->key_heads + head) * a->group * a->value_width;
    work.lower = &lower, work.upper = &upper, work.positions = &position;
    if (a->bias) {
        work.bias = a->bias->values + head * a->group * a->bias->head_stride;
        if (a->bias->moves) work.bias += a->bias->zero - (size_t)position;
        work.bias_head_stride = a->bias->head_stride;
    }
    if (!table->split) return martlet_attend(&work, 0, 1, room);
    float *parts = partials_of(a, pass, row, head);
    martlet_attend_segment(&work, segment, parts + rest % own->segments * martlet_attend_partial_floats(&work), room);
}

/// The rows that read one source, and one head.
static void run_across(const martlet_step_attention *a, const martlet_step_pass *pass, size_t chunk, uint8_t *scratch) {
    const size_t head = chunk % a->key_heads, row = chunk / a->key_heads, query_width = a->key_heads * a->group * a->head_width;
    const martlet_step_row *memory = &table_of(a, pass)->rows[row];
    int32_t lower[ACROSS_ROWS], upper[ACROSS_ROWS];
    for (size_t first = 0; first < memory->readers; first += ACROSS_ROWS) {
        martlet_attention work = head_work(a, head);
        work.rows = smaller(memory->readers - first, ACROSS_ROWS);
        for (size_t r = 0; r < work.rows; r++) lower[r] = memory->lower, upper[r] = memory->position + 1;
        work.lower = lower, work.upper = upper, work.positions = lower, work.blocks = memory->blocks;
        work.queries = a->queries + (row + first) * query_width + head * a->group * a->head_width, work.query_stride = query_width;
        work.outputs = a->outputs + ((row + first) * a->key_heads + head) * a->group * a->value_width;
        martlet_attend(&work, 0, work.rows, (float *)scratch);
    }
}

#endif
