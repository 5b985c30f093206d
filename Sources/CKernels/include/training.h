// What training adds to the kernels: backward operations, packing on the spot, optimizers. The rules of CMartletKernels.h hold: plain C,
// no allocation, no threads, and an order of reduction that depends on lengths alone. Sums over rows run in ascending order of rows.

#ifndef CMARTLET_TRAINING_H
#define CMARTLET_TRAINING_H

// ---------------------------------------------------------------- packing on the spot

/// One f32 panel [steps][MARTLET_PANEL] from `columns` rows of `stored`, row c at `stored + c * stride`: what martlet_pack makes, quicker.
void martlet_pack_columns(const float *stored, size_t stride, size_t columns, size_t steps, float *panel);

/// The same from a matrix whose rows are the steps: element (k, c) at `stored + k * stride + c`.
void martlet_pack_steps(const float *stored, size_t stride, size_t columns, size_t steps, float *panel);

/// y[c, r] = x[r, c] for columns `first ..< end` of x `[rows, columns]`; y is `[columns, rows]`.
void martlet_transpose(const float *x, size_t rows, size_t columns, float *y, size_t first, size_t end);

// ---------------------------------------------------------------- row-wise operations, backward

/// dx = f'(x) · dy. dx and dy may be the same.
void martlet_activate_backward(martlet_activation f, const float *x, const float *dy, float *dx, size_t count);

/// For y = f(gate) · up: d_gate = f'(gate) · up · dy, d_up = f(gate) · dy.
void martlet_gate_backward(martlet_activation f, const float *gate, const float *up, const float *dy, float *d_gate, float *d_up,
                           size_t count);

/// For y = cap · tanh(x / cap): dx = dy · (1 − (y / cap)²).
void martlet_soft_cap_backward(const float *y, const float *dy, float cap, float *dx, size_t count);

/// For y = softmax(x): dx = y · (dy − Σ y · dy).
void martlet_softmax_backward(const float *y, const float *dy, float *dx, size_t rows, size_t width);

/// dx of martlet_rms_norm. `factors[r]` becomes 1 / sqrt(mean(x²) + epsilon).
void martlet_rms_norm_backward(const float *x, const float *weight, float weight_offset, float epsilon, const float *dy, float *dx,
                               float *factors, size_t rows, size_t width);

/// dx of martlet_layer_norm. `means[r]` and `factors[r]` become the row's mean and 1 / sqrt(variance + epsilon).
void martlet_layer_norm_backward(const float *x, const float *weight, float epsilon, const float *dy, float *dx, float *means,
                                 float *factors, size_t rows, size_t width);

/// sums[c] (+)= Σ_r dy[r, c] · (x[r, c] − means[r]) · factors[r] for columns `first ..< end`; `means` may be NULL for zeros.
void martlet_norm_weight_backward(const float *x, const float *means, const float *factors, const float *dy, float *sums,
                                  bool accumulate, size_t rows, size_t width, size_t first, size_t end);

/// sums[c] (+)= Σ_r x[r, c] for columns `first ..< end`.
void martlet_column_sums(const float *x, float *sums, bool accumulate, size_t rows, size_t width, size_t first, size_t end);

/// table[indices[r], c] += dy[r, c] · factor for columns `first ..< end`, rows ascending.
void martlet_scatter_rows(const float *dy, const int32_t *indices, float factor, float *table, size_t rows, size_t width, size_t first,
                          size_t end);

// ---------------------------------------------------------------- loss

/// How a row of logits is compared with its target.
typedef struct {
    float smoothing;  // the share of the target that is spread evenly over all classes (arXiv:1512.00567)
    float z_weight;   // adds z_weight · (log Σ e^logit)² (arXiv:2204.02311)
    float factor;     // of the gradient
} martlet_loss;

/// The cross-entropy (nats) of each row, in f64; rows with a negative target count nothing. With `gradients`, the logits become
/// factor · d(loss) / d(logits). `correct[r]` is set to 1 where the largest logit is the target's; it may be NULL.
void martlet_cross_entropy(const martlet_loss *form, float *logits, const int32_t *targets, double *losses, uint8_t *correct,
                           bool gradients, size_t rows, size_t width);

// ---------------------------------------------------------------- dropout

/// y = x · factor where an element's random word is at least `threshold` = p · 2³², otherwise 0. Element i of the call is element first + i
/// of the sequence, `first` a multiple of 64; element 64 b + 16 j + l takes word j of counter 16 b + l. x and y may be the same.
void martlet_dropout(const float *x, float *y, size_t count, uint64_t key, uint64_t stream, uint64_t first, uint32_t threshold,
                     float factor);

// ---------------------------------------------------------------- attention, backward

/// log Σ e^score of each query row and head, from the partials of all segments (see martlet_attend_segment): −∞ where nothing is seen.
void martlet_attend_log_totals(const martlet_attention *work, const float *partials, size_t segments, float *log_totals);

/// The backward work of one key head. All arrays lie as the forward's operands do.
typedef struct {
    martlet_attention forward;  // blocks are not read; `outputs` are the forward's results
    const float *keys, *values; // key row k of the sequence at keys + k * key_stride
    size_t key_stride, value_stride, key_count;
    const float *log_totals;    // [rows][group]
    const float *d_outputs;     // with output_stride
    float *d_queries;           // with query_stride; overwritten
    float *d_keys, *d_values;   // with the strides of keys and values; added to
    float *d_bias;              // with the strides of the bias; added to; may be NULL
} martlet_attention_backward;

/// Floats of scratch that one call of martlet_attend_backward needs.
size_t martlet_attend_backward_scratch(const martlet_attention_backward *work);

/// Gradients of martlet_attend by recomputing probabilities block by block (arXiv:2205.14135).
void martlet_attend_backward(const martlet_attention_backward *work, float *scratch);

// ---------------------------------------------------------------- optimizers

/// Σ x² in f64, sixteen lanes, one fixed tree.
double martlet_sum_of_squares(const float *x, size_t count);

/// One element-wise optimizer step; `gradient_scale` multiplies each gradient first (clipping and normalisation in one).
typedef struct {
    float rate, beta1, beta2, epsilon, decay, gradient_scale;
    float correction1, correction2;  // 1 − beta^step
} martlet_step;

/// AdamW (arXiv:1711.05101): m, v moments; w −= rate · (m̂ / (√v̂ + epsilon) + decay · w), in PyTorch's order.
void martlet_adamw(const martlet_step *step, const float *gradient, float *weight, float *first, float *second, size_t count);

/// SGD with momentum beta1: m = beta1 · m + (g + decay · w); w −= rate · m. With `nesterov`, g + beta1 · m in place of m.
void martlet_sgd(const martlet_step *step, bool nesterov, const float *gradient, float *weight, float *momentum, size_t count);

/// Lion (arXiv:2302.06675): w −= rate · (sign(beta1 · m + (1 − beta1) · g) + decay · w); m = beta2 · m + (1 − beta2) · g.
void martlet_lion(const martlet_step *step, const float *gradient, float *weight, float *momentum, size_t count);

#endif
