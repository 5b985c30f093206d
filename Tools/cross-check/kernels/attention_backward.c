// Gradients of attention, with all that changes scores.

#include "check.h"

typedef struct { size_t rows, group, head_width, value_width, keys; } shape;

static const char *const changes[] = {"", ", windows", ", capped", ", slopes", ", bias", ", dropout", ", sinks"};

static void backward(shape s, int change) {
    const size_t queries = s.rows * s.group * s.head_width, outputs = s.rows * s.group * s.value_width, heads = s.rows * s.group;
    int32_t lower[64], upper[64];
    for (size_t r = 0; r < s.rows; r++) {
        upper[r] = (int32_t)(s.keys - s.rows + r + 1);
        lower[r] = change == 1 ? upper[r] - (int32_t)(r % 3 == 2 ? 0 : 40) : 0;
    }
    float *log_totals = numbers(112, heads);
    for (size_t i = 0; i < heads; i++) log_totals[i] += 4;
    martlet_attention forward = {.queries = numbers(111, queries), .query_stride = s.group * s.head_width, .outputs = numbers(114, outputs),
                                 .output_stride = s.group * s.value_width, .rows = s.rows, .group = s.group, .head_width = s.head_width,
                                 .value_width = s.value_width, .key_heads = 1, .lower = lower, .upper = upper, .positions = upper, .scale = 0.4f};
    martlet_attention_backward work = {.keys = numbers(115, s.keys * s.head_width), .values = numbers(116, s.keys * s.value_width),
                                       .key_stride = s.head_width, .value_stride = s.value_width, .key_count = s.keys, .end_key = s.keys,
                                       .log_totals = log_totals, .d_outputs = numbers(117, outputs),
                                       .d_queries = memory(queries * sizeof(float)), .d_keys = numbers(118, s.keys * s.head_width),
                                       .d_values = numbers(119, s.keys * s.value_width)};
    if (change == 2) forward.cap = 1.5f;
    if (change == 3) forward.slopes = numbers(120, s.group);
    if (change == 4) {
        forward.bias = numbers(113, heads * s.keys), forward.bias_head_stride = s.rows * s.keys, forward.bias_row_stride = (ptrdiff_t)s.keys;
        work.d_bias = numbers(121, heads * s.keys);
    }
    if (change == 5) forward.dropout = (martlet_attention_dropout){0x20000000, 8.0f / 7, 5, 6, 7, s.group};
    if (change == 6) forward.sinks = numbers(122, s.group);
    work.forward = forward;
    martlet_attend_backward(&work, memory(martlet_attend_backward_scratch(&work) * sizeof(float)));
    const char *what = changes[change];
    report(work.d_queries, queries, "queries' gradient, %zu rows of %zu heads of %zu%s", s.rows, s.group, s.head_width, what);
    report(work.d_keys, s.keys * s.head_width, "keys' gradient, %zu rows of %zu heads of %zu%s", s.rows, s.group, s.head_width, what);
    report(work.d_values, s.keys * s.value_width, "values' gradient, %zu rows of %zu heads of %zu%s", s.rows, s.group, s.value_width, what);
    if (work.d_bias) report(work.d_bias, heads * s.keys, "bias's gradient, %zu rows of %zu heads", s.rows, s.group);
    release();
}

void check_attention_backward(void) {
    static const shape shapes[] = {{1, 1, 64, 64, 64}, {50, 1, 64, 96, 130}, {17, 3, 20, 7, 99}, {7, 5, 32, 64, 200}, {33, 2, 128, 17, 65}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int change = 0; change < 7; change++) backward(shapes[i], change);
}
