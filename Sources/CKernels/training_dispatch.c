// The header's functions of training, by the level in use.

#include "kernels.h"
#include "training_table.h"

static inline const martlet_training_kernels *kernels(void) {
    switch (martlet_kernel_level()) {
#if defined(__x86_64__)
    case MARTLET_AVX512: case MARTLET_AMX: return &martlet_training_avx512;
    case MARTLET_AVX2: case MARTLET_AVXVNNI: return &martlet_training_avx2;
#endif
    default: return &martlet_training_scalar;
    }
}

void martlet_round_bf16(const float *x, uint16_t *y, size_t count) {
    kernels()->round_bf16(x, y, count);
}

void martlet_widen_bf16(const uint16_t *x, float *y, size_t count) {
    kernels()->widen_bf16(x, y, count);
}

static size_t shares(size_t count, size_t most) { return (count + most - 1) / most; }

size_t martlet_plan_stored_product(martlet_stored_product *product, size_t threads) {
    enum { TILE = 6, MOST_ROWS = 84 * TILE, MOST_SUMS = 2048 };  // sums: 512 KiB of one item's panels
    const size_t blocks = shares(product->rows, MOST_ROWS), panels = shares(product->columns, MARTLET_PANEL);
    product->words = product->pairs && martlet_has_fast_bf16();
    if (blocks == 0 || panels == 0) return 0;
    product->row_block = shares(shares(product->rows, blocks), TILE) * TILE;
    const size_t most = product->row_block < MOST_SUMS ? MOST_SUMS / product->row_block : 1;
    // As many items for each thread, as few as the sums allow: the rows are copied anew for each group of panels.
    const size_t items = shares(blocks * shares(panels, most), threads) * threads, groups = shares(items, blocks);
    product->panel_group = shares(panels, groups < panels ? groups : panels);
    return shares(product->rows, product->row_block) * shares(panels, product->panel_group);
}

size_t martlet_stored_product_scratch(const martlet_stored_product *product) {
    enum { STEPS = 128 };
    return product->row_block * (STEPS + product->panel_group * MARTLET_PANEL);
}

void martlet_run_stored_product(const martlet_stored_product *product, size_t first, size_t end, float *scratch) {
    kernels()->stored_product(product, first, end, scratch);
}

void martlet_transpose(const float *x, size_t rows, size_t columns, float *y, size_t first, size_t end) {
    kernels()->transpose(x, rows, columns, y, first, end);
}

void martlet_mirror(float *y, size_t size, size_t first, size_t end) {
    kernels()->mirror(y, size, first, end);
}

void martlet_activate_backward(martlet_activation f, const float *x, const float *dy, float *dx, size_t count) {
    kernels()->activate_backward(f, x, dy, dx, count);
}

void martlet_gate_backward(martlet_activation f, const float *gate, const float *up, const float *dy, float *d_gate, float *d_up,
                           size_t count) {
    kernels()->gate_backward(f, gate, up, dy, d_gate, d_up, count);
}

void martlet_soft_cap_backward(const float *y, const float *dy, float cap, float *dx, size_t count) {
    kernels()->soft_cap_backward(y, dy, cap, dx, count);
}

void martlet_softmax_backward(const float *y, const float *dy, float *dx, size_t rows, size_t width) {
    kernels()->softmax_backward(y, dy, dx, rows, width);
}

void martlet_rms_norm_backward(const float *x, const float *weight, float weight_offset, float epsilon, const float *dy, float *dx,
                               float *factors, size_t rows, size_t width) {
    kernels()->rms_norm_backward(x, weight, weight_offset, epsilon, dy, dx, factors, rows, width);
}

void martlet_layer_norm_backward(const float *x, const float *weight, float epsilon, const float *dy, float *dx, float *means,
                                 float *factors, size_t rows, size_t width) {
    kernels()->layer_norm_backward(x, weight, epsilon, dy, dx, means, factors, rows, width);
}

void martlet_norm_weight_backward(const float *x, const float *means, const float *factors, const float *dy, float *sums,
                                  bool accumulate, size_t rows, size_t width, size_t first, size_t end) {
    kernels()->norm_weight_backward(x, means, factors, dy, sums, accumulate, rows, width, first, end);
}

void martlet_column_sums(const float *x, float *sums, bool accumulate, size_t rows, size_t width, size_t first, size_t end) {
    kernels()->column_sums(x, sums, accumulate, rows, width, first, end);
}

void martlet_scatter_rows(const float *dy, const int32_t *indices, float factor, float *table, size_t rows, size_t width, size_t first,
                          size_t end) {
    kernels()->scatter_rows(dy, indices, factor, table, rows, width, first, end);
}

void martlet_cross_entropy(const martlet_loss *form, float *logits, const int32_t *targets, double *losses, uint8_t *correct,
                           bool gradients, size_t rows, size_t width) {
    kernels()->cross_entropy(form, logits, targets, losses, correct, gradients, rows, width);
}

void martlet_dropout(const float *x, float *y, size_t count, uint64_t key, uint64_t stream, uint64_t first, uint32_t threshold,
                     float factor) {
    kernels()->dropout(x, y, count, key, stream, first, threshold, factor);
}

void martlet_attend_log_totals(const martlet_attention *work, const float *partials, size_t segments, float *log_totals) {
    kernels()->attend_log_totals(work, partials, segments, log_totals);
}

size_t martlet_attend_backward_scratch(const martlet_attention_backward *work) {
    return kernels()->attend_backward_scratch(work);
}

void martlet_attend_backward(const martlet_attention_backward *work, float *scratch) {
    kernels()->attend_backward(work, scratch);
}

double martlet_sum_of_squares(const float *x, size_t count) {
    return kernels()->sum_of_squares(x, count);
}

void martlet_blend(const float *a, float a_factor, const float *b, float b_factor, float *y, size_t count) {
    kernels()->blend(a, a_factor, b, b_factor, y, count);
}

void martlet_adamw(const martlet_step *step, const float *gradient, float *weight, float *first, float *second, size_t count) {
    kernels()->adamw(step, gradient, weight, first, second, count);
}

void martlet_sgd(const martlet_step *step, bool nesterov, const float *gradient, float *weight, float *momentum, size_t count) {
    kernels()->sgd(step, nesterov, gradient, weight, momentum, count);
}

void martlet_lion(const martlet_step *step, const float *gradient, float *weight, float *momentum, size_t count) {
    kernels()->lion(step, gradient, weight, momentum, count);
}
