// What training adds to the kernels: backward operations, products of stored matrices, optimizers. The rules of
// CMartletKernels.h hold: plain C, no allocation, no threads, and an order of reduction that depends on lengths alone.
// Sums over rows run in ascending order of rows.

#ifndef CMARTLET_TRAINING_H
#define CMARTLET_TRAINING_H

// ---------------------------------------------------------------- bf16

/// Rounds to the nearest bf16, ties to even, and back.
void martlet_round_bf16(const float *x, uint16_t *y, size_t count);
void martlet_widen_bf16(const uint16_t *x, float *y, size_t count);

// ---------------------------------------------------------------- products of stored matrices

/// A product of two matrices as they are stored: y[r, c] (+)= Σ_k a[r, k] · b[k, c] (+ bias[c]). Types are f32, or bf16
/// where they are void; b may have any type but i32: where it is not multiplied as it is, slices of it are decoded,
/// with the bits of the decoded matrix.
typedef struct {
    const void *a;  // element (r, k) at a + r · a_stride + k, or at a + k · a_stride + r when turned
    size_t a_stride;
    bool a_turned;
    martlet_type a_type;
    const void *b;  // element (k, c) at b + k · b_stride + c, or at b + c · b_stride + k when b is stored by columns
    size_t b_stride;
    bool b_columns;
    martlet_type b_type;
    bool pairs;  // both operands rounded to bf16, with the bits of MARTLET_BF16_PAIRS; both are f32 when not
    size_t rows, columns, steps;
    const float *bias;  // may be NULL
    void *y;
    size_t y_stride;
    martlet_type y_type;
    bool accumulate;  // f32 only
    bool streams;     // f32 that is not read soon is written past the caches: y, y_stride and columns multiples of 16
    size_t row_block, panel_group;  // rows and panels of one item of work: martlet_plan_stored_product
    bool words;  // pairs by the processor's bf16 dot product in place of f32 arithmetic: set by the plan, the same bits
} martlet_stored_product;

/// Chooses the items for so many threads; the bits do not depend on them. Returns how many there are.
size_t martlet_plan_stored_product(martlet_stored_product *product, size_t threads);

/// Floats of scratch that a call of martlet_run_stored_product needs.
size_t martlet_stored_product_scratch(const martlet_stored_product *product);

/// Items `first ..< end`: the bits of martlet_matmul with f32 or MARTLET_BF16_PAIRS.
void martlet_run_stored_product(const martlet_stored_product *product, size_t first, size_t end, float *scratch);

/// A transpose: y[c, r] = x[r, c] for columns `first ..< end` of x `[rows, columns]`; y is `[columns, rows]`.
void martlet_transpose(const float *x, size_t rows, size_t columns, float *y, size_t first, size_t end);

/// A mirror of the lower triangle: y[r, c] = y[c, r] where c is greater than r, for rows `first ..< end` of a square
/// matrix; `first` is a multiple of 16.
void martlet_mirror(float *y, size_t size, size_t first, size_t end);

// ---------------------------------------------------------------- row-wise operations, backward

/// The gradient of an activation: dx = f'(x) · dy. dx and dy may be the same.
void martlet_activate_backward(martlet_activation f, const float *x, const float *dy, float *dx, size_t count);

/// The gradient of y = f(gate) · up: d_gate = f'(gate) · up · dy, d_up = f(gate) · dy.
void martlet_gate_backward(martlet_activation f, const float *gate, const float *up, const float *dy, float *d_gate, float *d_up,
                           size_t count);

/// The gradient of y = cap · tanh(x / cap): dx = dy · (1 − (y / cap)²).
void martlet_soft_cap_backward(const float *y, const float *dy, float cap, float *dx, size_t count);

/// The gradient of y = softmax(x): dx = y · (dy − Σ y · dy).
void martlet_softmax_backward(const float *y, const float *dy, float *dx, size_t rows, size_t width);

/// The gradient dx of martlet_rms_norm. `factors[r]` becomes 1 / sqrt(mean(x²) + epsilon).
void martlet_rms_norm_backward(const float *x, const float *weight, float weight_offset, float epsilon, const float *dy, float *dx,
                               float *factors, size_t rows, size_t width);

/// The gradient dx of martlet_layer_norm. `means[r]` and `factors[r]` become the row's mean and 1 / sqrt(variance +
/// epsilon).
void martlet_layer_norm_backward(const float *x, const float *weight, float epsilon, const float *dy, float *dx, float *means,
                                 float *factors, size_t rows, size_t width);

/// The gradient of a norm's weight: sums[c] (+)= Σ_r dy[r, c] · (x[r, c] − means[r]) · factors[r] for columns `first
/// ..< end`; `means` may be NULL for zeros.
void martlet_norm_weight_backward(const float *x, const float *means, const float *factors, const float *dy, float *sums,
                                  bool accumulate, size_t rows, size_t width, size_t first, size_t end);

/// The sums of columns: sums[c] (+)= Σ_r x[r, c] for columns `first ..< end`.
void martlet_column_sums(const float *x, float *sums, bool accumulate, size_t rows, size_t width, size_t first, size_t end);

/// Scatters rows: table[indices[r], c] += dy[r, c] · factor for columns `first ..< end`, rows ascending.
void martlet_scatter_rows(const float *dy, const int32_t *indices, float factor, float *table, size_t rows, size_t width, size_t first,
                          size_t end);

// ---------------------------------------------------------------- loss

/// The form of the cross-entropy loss, by which a row of logits is compared with its target.
typedef struct {
    float smoothing;  // the share of the target that is spread evenly over all classes (arXiv:1512.00567)
    float z_weight;   // adds z_weight · (log Σ e^logit)² (arXiv:2204.02311)
    float factor;     // of the gradient
} martlet_loss;

/// The cross-entropy (nats) of each row, in f64; rows with a negative target count nothing. With `gradients`, the
/// logits become factor · d(loss) / d(logits). `correct[r]` is set to 1 where the largest logit is the target's; it may
/// be NULL.
void martlet_cross_entropy(const martlet_loss *form, float *logits, const int32_t *targets, double *losses, uint8_t *correct,
                           bool gradients, size_t rows, size_t width);

// ---------------------------------------------------------------- dropout

/// Dropout: y = x · factor where an element's random word is at least `threshold` = p · 2³², otherwise 0. Element i of
/// the call is element first + i of the sequence; element 64 b + 16 j + l takes word j of counter 16 b + l. x and y may
/// be the same.
void martlet_dropout(const float *x, float *y, size_t count, uint64_t key, uint64_t stream, uint64_t first, uint32_t threshold,
                     float factor);

// ---------------------------------------------------------------- attention, backward

/// The logarithms of totals, log Σ e^score of each query row and head, from the partials of all segments (see
/// martlet_attend_segment): −∞ where nothing is seen.
void martlet_attend_log_totals(const martlet_attention *work, const float *partials, size_t segments, float *log_totals);

/// The backward work of one key head. All arrays lie as the forward's operands do.
typedef struct {
    martlet_attention forward;  // blocks are not read; `outputs` are the forward's results
    const float *keys, *values; // key row k of the sequence at keys + k * key_stride
    size_t key_stride, value_stride, key_count;
    size_t first_key, end_key;  // which of them are visited: from a multiple of MARTLET_BLOCK on
    const float *log_totals;    // [rows][group]
    const float *d_outputs;     // with output_stride
    float *d_queries;           // with query_stride; overwritten with the visited keys' share
    float *d_keys, *d_values;   // with the strides of keys and values; added to
    float *d_bias;              // with the strides of the bias; added to; may be NULL
} martlet_attention_backward;

/// Floats of scratch that one call of martlet_attend_backward needs.
size_t martlet_attend_backward_scratch(const martlet_attention_backward *work);

/// Gradients of martlet_attend by recomputing probabilities block by block (arXiv:2205.14135).
void martlet_attend_backward(const martlet_attention_backward *work, float *scratch);

// ---------------------------------------------------------------- optimizers

/// The sum of squares Σ x² in f64, sixteen lanes, one fixed tree.
double martlet_sum_of_squares(const float *x, size_t count);

/// A blend: y = a · a_factor + b · b_factor. y may be either input.
void martlet_blend(const float *a, float a_factor, const float *b, float b_factor, float *y, size_t count);

/// An element-wise optimizer step; `gradient_scale` multiplies each gradient first (clipping and normalisation in one).
typedef struct {
    float rate, beta1, beta2, epsilon, decay, gradient_scale;
    float correction1, correction2;  // 1 − beta^step
} martlet_step;

/// AdamW (arXiv:1711.05101): m, v moments; w −= rate · (m̂ / (√v̂ + epsilon) + decay · w), in PyTorch's order.
void martlet_adamw(const martlet_step *step, const float *gradient, float *weight, float *first, float *second, size_t count);

/// SGD with momentum beta1: m = beta1 · m + (g + decay · w); w −= rate · m. With `nesterov`, g + beta1 · m in place of
/// m.
void martlet_sgd(const martlet_step *step, bool nesterov, const float *gradient, float *weight, float *momentum, size_t count);

/// Lion (arXiv:2302.06675): w −= rate · (sign(beta1 · m + (1 − beta1) · g) + decay · w); m = beta2 · m + (1 − beta2) ·
/// g.
void martlet_lion(const martlet_step *step, const float *gradient, float *weight, float *momentum, size_t count);

#endif
