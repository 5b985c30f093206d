// What training adds: backward operations, losses, dropout, optimizers, transposition.

#include "check.h"

static const size_t widths[] = {1, 5, 16, 17, 31, 33, 64, 515};

static void elements(size_t count, const float *x, const char *what) {
    const float *dy = numbers(71, count), *up = numbers(72, count);
    float *dx = memory(count * sizeof(float)), *other = memory(count * sizeof(float));
    for (int f = MARTLET_RELU; f <= MARTLET_SIGMOID; f++) {
        martlet_activate_backward((martlet_activation)f, x, dy, dx, count);
        report(dx, count, "activation %d of %zu backward%s", f, count, what);
        martlet_gate_backward((martlet_activation)f, x, up, dy, dx, other, count);
        report(dx, count, "gate %d of %zu backward%s", f, count, what);
        report(other, count, "what gate %d of %zu passes, backward%s", f, count, what);
    }
    martlet_soft_cap_backward(x, dy, 1.5f, dx, count), report(dx, count, "cap of %zu backward%s", count, what);
    martlet_blend(x, 0.3f, dy, 0.7f, dx, count), report(dx, count, "blend of %zu%s", count, what);
    martlet_dropout(x, dx, count, 73, 74, 128, 0x30000000, 1.25f), report(dx, count, "dropout of %zu%s", count, what);
    uint16_t *halves = memory(count * sizeof *halves);
    martlet_round_bf16(x, halves, count), martlet_widen_bf16(halves, dx, count), report(dx, count, "bf16 of %zu%s", count, what);
    const double squares = martlet_sum_of_squares(dy, count);
    report_bytes(&squares, sizeof squares, "squares of %zu", count);
}

static void rows(size_t width, const float *x, const char *what) {
    enum { ROWS = 5 };
    const float *dy = numbers(75, ROWS * width), *weight = numbers(76, width);
    float *dx = memory(ROWS * width * sizeof(float)), *sums = numbers(77, width), *y = memory(ROWS * width * sizeof(float));
    float means[ROWS], factors[ROWS];
    martlet_softmax(x, y, ROWS, width), martlet_softmax_backward(y, dy, dx, ROWS, width);
    report(dx, ROWS * width, "softmax of %zu backward%s", width, what);
    martlet_rms_norm_backward(x, weight, 1, 1e-5f, dy, dx, factors, ROWS, width);
    report(dx, ROWS * width, "RMS norm of %zu backward%s", width, what);
    martlet_norm_weight_backward(x, NULL, factors, dy, sums, false, ROWS, width, 0, width);
    report(sums, width, "RMS norm's weight of %zu backward%s", width, what);
    martlet_layer_norm_backward(x, weight, 1e-5f, dy, dx, means, factors, ROWS, width);
    report(dx, ROWS * width, "layer norm of %zu backward%s", width, what);
    martlet_layer_norm_backward(x, NULL, 1e-5f, dy, dx, means, factors, ROWS, width);
    report(dx, ROWS * width, "plain layer norm of %zu backward%s", width, what);
    martlet_norm_weight_backward(x, means, factors, dy, sums, true, ROWS, width, 0, width);
    martlet_column_sums(dy, sums, true, ROWS, width, width / 3, width);
    report(sums, width, "layer norm's weight of %zu backward%s", width, what);
    const int32_t indices[ROWS] = {2, 0, 2, 3, 2};
    float *table = numbers(78, 4 * width);
    martlet_scatter_rows(dy, indices, 0.3f, table, ROWS, width, 0, width), report(table, 4 * width, "scattered %zu%s", width, what);
    const int32_t targets[ROWS] = {0, (int32_t)width - 1, -1, (int32_t)width / 2, 0};
    double losses[ROWS];
    uint8_t correct[ROWS];
    memcpy(y, x, ROWS * width * sizeof(float));
    martlet_cross_entropy(&(martlet_loss){0.1f, 0.01f, 0.3f}, y, targets, losses, correct, true, ROWS, width);
    report(y, ROWS * width, "cross-entropy of %zu backward%s", width, what);
    float rounded[ROWS];
    for (int r = 0; r < ROWS; r++) rounded[r] = (float)losses[r];  // the C library's logarithm may differ in the last bit of f64
    report(rounded, ROWS, "cross-entropy of %zu%s", width, what);
    report_bytes(correct, ROWS, "correct of %zu%s", width, what);
}

static void optimizers(size_t count) {
    const martlet_step step = {1e-2f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.7f, 0.19f, 0.0199f};
    float *gradient = numbers(81, count), *weight = numbers(82, count), *first = numbers(83, count), *second = numbers(84, count);
    martlet_multiply(second, second, second, count);
    martlet_adamw(&step, gradient, weight, first, second, count);
    martlet_sgd(&step, false, gradient, weight, first, count);
    martlet_sgd(&step, true, gradient, weight, first, count);
    martlet_lion(&step, gradient, weight, first, count);
    report(weight, count, "weights of %zu", count), report(first, count, "moments of %zu", count), report(second, count, "squares of %zu", count);
}

static void transposed(size_t rows, size_t columns) {
    float *y = memory(rows * columns * sizeof(float));
    martlet_transpose(numbers(85, rows * columns), rows, columns, y, 0, columns);
    report(y, rows * columns, "transposed %zu by %zu", rows, columns);
    float *square = numbers(86, rows * rows);
    martlet_mirror(square, rows, 0, rows);
    report(square, rows * rows, "mirrored %zu", rows);
}

void check_training(void) {
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const size_t width = widths[i];
        elements(width, numbers(91, width), ""), release();
        elements(width, odd_numbers(92 + i, width), ", odd"), release();
        rows(width, numbers(93, 5 * width), ""), release();
        rows(width, odd_numbers(94 + i, 5 * width), ", odd"), release();
        optimizers(width), release();
        for (size_t k = 0; k < sizeof widths / sizeof *widths; k++) transposed(width, widths[k]), release();
    }
}
