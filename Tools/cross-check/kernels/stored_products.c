// Products of stored matrices: whichever way operands lie, in every type, exact and rounded to bf16.

#include "check.h"

static bool has_words(void) { return strstr(martlet_processor_features(), "avx512bf16") != NULL; }

static void *operand(martlet_type type, const float *values, size_t count) {
    void *stored = memory(count / stored_elements(type) * stored_bytes(type));
    martlet_encode(type, values, stored, count);
    return stored;
}

/// The product as planned, and rounded ones also with the instruction for words, where there is one.
static void run(martlet_stored_product p, const char *what) {
    const size_t count = p.rows * p.y_stride, items = martlet_plan_stored_product(&p, 3);
    for (int words = 0; words < (p.pairs ? 2 : 1); words++) {
        p.words = words && has_words();
        if (p.y_type == MARTLET_BF16) memset(p.y, 0, count * 2);
        else for (size_t i = 0; i < count; i++) ((float *)p.y)[i] = (float)(i % 13);
        float *scratch = memory(martlet_stored_product_scratch(&p) * sizeof(float));
        martlet_run_stored_product(&p, 0, items, scratch);
        report_bytes(p.y, count * (p.y_type == MARTLET_BF16 ? 2 : 4), "stored product %zu by %zu by %zu, forms %d%d%d, types %d %d %d%s",
                     p.rows, p.columns, p.steps, p.a_turned, p.b_columns, p.pairs, (int)p.a_type, (int)p.b_type, (int)p.y_type, what);
    }
}

static void every_form(size_t rows, size_t columns, size_t steps, float factor) {
    for (int form = 0; form < 8; form++) {
        float *a = numbers(101, rows * steps);
        martlet_scale(a, factor, a, rows * steps);
        martlet_stored_product p = {.a = a, .b = numbers(102, columns * steps), .rows = rows, .columns = columns, .steps = steps,
                                    .y = memory(rows * columns * sizeof(float)), .y_stride = columns};
        p.a_turned = form & 1, p.a_stride = form & 1 ? rows : steps;
        p.b_columns = form & 2, p.b_stride = form & 2 ? steps : columns;
        p.pairs = form & 4;
        run(p, factor == 1 ? "" : ", small");
        p.bias = numbers(103, columns), p.accumulate = true;
        run(p, factor == 1 ? ", added" : ", small, added");
        p.accumulate = false, p.bias = NULL, p.streams = columns % 16 == 0;
        if (p.streams) run(p, ", streamed");
        release();
    }
}

/// Operands and results in bf16, and weights of every type, some so small that their blocks' scales are subnormal.
static void every_type(size_t rows, size_t columns, size_t steps, float factor) {
    for (int form = 0; form < 16; form++)
        for (martlet_type type = MARTLET_F32; type <= MARTLET_Q6_K; type++) {
            if (type == MARTLET_I32) continue;
            const float *a = numbers(104, rows * steps);
            martlet_stored_product p = {.a = a, .b_type = type, .rows = rows, .columns = columns, .steps = steps, .y_stride = columns};
            p.a_turned = form & 1, p.a_stride = form & 1 ? rows : steps;
            p.b_columns = form & 2, p.b_stride = form & 2 ? steps : columns;
            p.pairs = form & 4;
            p.y_type = form & 8 ? MARTLET_BF16 : MARTLET_F32;
            p.y = memory(rows * columns * sizeof(float));
            if (p.b_stride % stored_elements(type)) continue;
            float *b = numbers(105, columns * steps);
            martlet_scale(b, factor, b, columns * steps);
            p.b = operand(type, b, columns * steps);
            run(p, factor == 1 ? "" : ", small");
            if (p.pairs) p.a = operand(MARTLET_BF16, a, rows * steps), p.a_type = MARTLET_BF16, run(p, factor == 1 ? "" : ", small");
            release();
        }
}

void check_stored_products(void) {
    static const size_t shapes[][3] = {{200, 131, 141}, {1, 64, 128}, {6, 1, 1}, {7, 65, 2}, {49, 128, 127}, {13, 192, 257}, {520, 16, 33}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) every_form(shapes[i][0], shapes[i][1], shapes[i][2], 1);
    every_form(23, 70, 35, 0x1p-124f);
    for (int small = 0; small < 2; small++) every_type(11, 70, 256, small ? 0.01f : 1), every_type(11, 256, 35, small ? 0.01f : 1);
    every_type(9, 67, 37, 1);
}
