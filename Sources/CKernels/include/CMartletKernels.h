// The arithmetic of Martlet: plain C, no allocation, no threads, no global state but one dispatch table that is filled
// once.
//
// Knows nothing of tensors, models or files. Sizes are explicit, pointers never alias unless said so.
//
// Order of reduction. Every output element is reduced in an order that depends on the reduction length alone: never on
// the number of rows, the tile, the range of work asked for, or the instruction set. The scalar version of each kernel
// is the definition; wider versions must return the same bits.
//
// Stack: up to 128 KiB in a product of an optimized build (700 KiB in a debug build); threads need room for that.

#ifndef CMARTLET_KERNELS_H
#define CMARTLET_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---------------------------------------------------------------- dispatch

/// Instruction sets, weakest first. `MARTLET_KERNELS` in the environment (scalar, neon, avx2, avxvnni, avx512, amx)
/// lowers the choice. NEON is that of arm64's dot product; without it the baseline is as good. AVXVNNI is AVX2 with the
/// same, AMX is AVX-512 with matrix tiles.
typedef enum { MARTLET_SCALAR, MARTLET_NEON, MARTLET_AVX2, MARTLET_AVXVNNI, MARTLET_AVX512, MARTLET_AMX } martlet_level;

/// The level in use, probed once.
martlet_level martlet_kernel_level(void);

/// Uses `level` from now on, for tests. False, and no change, when this processor lacks it.
bool martlet_use_kernel_level(martlet_level level);

/// Processor features that matter here, by their usual names, separated by spaces. Static storage.
const char *martlet_processor_features(void);

/// A hint to the core inside a spin loop.
void martlet_spin_hint(void);

// ---------------------------------------------------------------- element types

/// Numbered as `ElementType.allCases`.
typedef enum {
    MARTLET_F32, MARTLET_F16, MARTLET_BF16, MARTLET_I32,
    MARTLET_Q8_0, MARTLET_Q4_0, MARTLET_Q4_1, MARTLET_Q5_0, MARTLET_Q5_1, MARTLET_Q4_K, MARTLET_Q5_K, MARTLET_Q6_K,
    /// Products only: bf16 weights, stored and packed as MARTLET_BF16, with activations rounded to bf16 too. Twice the
    /// speed of exact products where the processor's bf16 units have the full rate (Zen 4 and 5), half of it where not
    /// (Sapphire Rapids): compare martlet_burn_bf16 with martlet_burn_f32.
    MARTLET_BF16_PAIRS
} martlet_type;

/// Decodes `count` stored elements (whole blocks) to f32, exactly as ggml decodes them.
void martlet_decode(martlet_type type, const void *stored, float *values, size_t count);

/// Encodes `count` f32 values (whole blocks) to `type`: f32, f16, bf16 (round to nearest even), the block types as
/// ggml's reference quantizers round. False when this type cannot be written.
bool martlet_encode(martlet_type type, const float *values, void *stored, size_t count);

/// Encodes `count` f32 values as `martlet_encode` does, with the scales of blocks searched for the least Σ weights ·
/// (value − decoded)², never worse than `martlet_encode`; `weights` NULL when all count alike.
bool martlet_encode_searched(martlet_type type, const float *values, const float *weights, void *stored, size_t count);

// ---------------------------------------------------------------- products with packed weights

/// A weight `[outputs, inputs]` is packed once into panels of MARTLET_PANEL output columns, interleaved by column, so
/// that one vector instruction serves 16 outputs while the inputs run sequentially. The last panel is padded with
/// zeros. The layout is the same on every instruction set.
#define MARTLET_PANEL 64

/// Bytes of one packed panel.
size_t martlet_panel_bytes(martlet_type type, size_t inputs);

/// Packs panels `first ..< end`. `stored` is row-major: output row o starts at `stored + o * row_bytes`.
void martlet_pack(martlet_type type, const void *stored, size_t row_bytes, size_t outputs, size_t inputs,
                  void *packed, size_t first_panel, size_t end_panel);

/// Bytes that one prepared activation row takes for weights of `type` (for f32, f16 and bf16 weights: the f32 row
/// itself).
size_t martlet_activation_bytes(martlet_type type, size_t inputs);

/// Prepares `rows` f32 rows of activations for a product with weights of `type`: a copy for dense types, int8 blocks
/// with scales for quantized ones. Each row depends on itself alone.
void martlet_prepare(martlet_type type, const float *x, size_t rows, size_t inputs, void *activations);

/// Prepares inputs `first ..< end` of each row alone, multiples of 32, for quantized types. Row r's input `first`
/// stands at `x + r * x_stride`.
void martlet_prepare_part(martlet_type type, const float *x, size_t x_stride, size_t rows, size_t inputs, void *activations,
                          size_t first, size_t end);

/// The product of activations with a packed weight: y[r, o] = Σ_k x[r, k] · w[o, k] (+ bias[o]) for the outputs of
/// panels `first ..< end`; `bias` may be NULL. y row r starts at `y + r * y_stride`; the stride is in floats. With
/// `accumulate`, the sum is added to what y holds.
void martlet_matmul(martlet_type type, const void *packed, size_t outputs, size_t inputs, const void *activations, size_t rows,
                    const float *bias, float *y, size_t y_stride, bool accumulate, size_t first_panel, size_t end_panel);

/// The most rows for which a product reads packed weights of `type` as they are; more are worth unpacking a slice for.
/// Either way gives the same bits.
size_t martlet_packed_rows(martlet_type type);

/// Sets martlet_packed_rows until another level is chosen. A level that has no tiles for packed rows says 1 and keeps
/// it.
void martlet_set_packed_rows(martlet_type type, size_t rows);

// ---------------------------------------------------------------- row-wise operations

/// RMS norm: y = x / sqrt(mean(x²) + epsilon) · (weight + weight_offset). x and y may be the same.
void martlet_rms_norm(const float *x, const float *weight, float weight_offset, float epsilon, float *y, size_t rows, size_t width);

/// Layer norm: y = (x − mean) / sqrt(variance + epsilon) · weight + bias; `weight` and `bias` may be NULL. x and y may
/// be the same.
void martlet_layer_norm(const float *x, const float *weight, const float *bias, float epsilon, float *y, size_t rows, size_t width);

/// Softmax of each row. x and y may be the same.
void martlet_softmax(const float *x, float *y, size_t rows, size_t width);

typedef enum {
    MARTLET_RELU, MARTLET_SILU, MARTLET_GELU, MARTLET_GELU_TANH, MARTLET_GELU_SIGMOID, MARTLET_RELU_SQUARED, MARTLET_TANH,
    MARTLET_SIGMOID
} martlet_activation;

/// An activation: y = f(x). x and y may be the same. GELU is exact (erf), GELU_TANH the approximation, GELU_SIGMOID
/// x·σ(1.702x).
void martlet_activate(martlet_activation f, const float *x, float *y, size_t count);

/// A gated linear unit: y = f(gate) · up. y may be either input.
void martlet_gate(martlet_activation f, const float *gate, const float *up, float *y, size_t count);

void martlet_add(const float *a, const float *b, float *y, size_t count);
void martlet_multiply(const float *a, const float *b, float *y, size_t count);
void martlet_scale(const float *x, float factor, float *y, size_t count);
/// Adds a bias: y[r, i] = x[r, i] + bias[i].
void martlet_add_bias(const float *x, const float *bias, float *y, size_t rows, size_t width);
/// A soft cap: y = cap · tanh(x / cap).
void martlet_soft_cap(const float *x, float cap, float *y, size_t count);

/// Rotary positions on x `[rows, heads, head_width]` in place: the first `rotary_width` of each head are rotated by the
/// angles whose cosines and sines stand in `[rows, rotary_width / 2]`. Pairs are (i, i + rotary_width/2), or (2i, 2i +
/// 1) with `neighbours`.
void martlet_rotate(float *x, size_t rows, size_t heads, size_t head_width, size_t rotary_width, bool neighbours,
                    const float *cosines, const float *sines);

/// The index of the largest value, the first of equals; NaN is never the largest. 0 when count is 0.
size_t martlet_argmax(const float *x, size_t count);

/// The largest value and Σ e^(x − largest): log Σ e^x in two parts. A row of −∞ alone has the largest −∞ and the sum 0.
float martlet_exponential_sum(const float *x, size_t count, float *largest);

/// The indices of the `wanted` largest values, in descending order, the first of equals first; NaN and −∞ are never
/// among them. Returns how many there are.
size_t martlet_largest(const float *x, size_t count, size_t wanted, uint32_t *indices);

// ---------------------------------------------------------------- choosing a token

/// A change of one token's logit z: z + bias, divided by `penalty` when positive and multiplied when negative, less
/// `subtracted`.
typedef struct { uint32_t token; float bias, penalty, subtracted; } martlet_logit_change;

/// A row of logits, changed in a few places, of whose tokens some may not come. A logit that is NaN or −∞ never comes.
typedef struct {
    const float *logits;
    size_t count;
    const uint32_t *allowed;              // NULL, or token t may come where bit t mod 32 of word t / 32 is set
    const martlet_logit_change *changes;  // ascending by token, each below `count` and named once
    size_t change_count;
} martlet_logits;

/// The sampling of a token: softmax(logits / temperature), of which only the `top_k` largest stay (0: all), of these
/// the most probable that together have `top_p`, of these the ones at least `min_p` times as probable as the most
/// probable, of these the most typical that together have `typical_p`, of these the ones whose probability is at least
/// `epsilon` (0: all), of these the ones whose probability is at least min(`eta`, √`eta` e^−entropy) (0: all); the most
/// probable of these always. Of equals the lower token stays.
typedef struct { float temperature; size_t top_k; float top_p, min_p, typical_p, epsilon, eta; } martlet_sampling;

/// A token that may be drawn: its changed logit, (logit − largest) / temperature, and e to the power of that.
typedef struct { uint32_t token; float logit, scaled, weight; } martlet_candidate;

/// The most candidates that are found among the largest in one reading of the row.
enum { MARTLET_INSERTED_CANDIDATES = 256 };

/// The number of candidates that there must be room for.
size_t martlet_candidate_room(size_t count, const martlet_sampling *sampling);

/// The candidates and their number; `scratch` holds room · 16 bytes. Temperature is positive.
size_t martlet_candidates(const martlet_logits *row, const martlet_sampling *sampling, martlet_candidate *candidates, void *scratch);

/// The candidate at `uniform`, 0 ..< 1, of the way through their weights; at temperature 0 the largest, the first of
/// equals. `count` where no token may come. `scratch` holds room · 32 bytes, and is aligned to 8.
size_t martlet_choose(const martlet_logits *row, const martlet_sampling *sampling, double uniform, void *scratch);

/// The `active` most probable experts of each row `[rows, experts]` in descending order, the first of equals first, and
/// their weights: their probabilities, with `renormalised` divided by the sum of the row's. `chosen` and `weights` are
/// `[rows, active]`.
void martlet_route(const float *probabilities, size_t rows, size_t experts, size_t active, bool renormalised, uint32_t *chosen,
                   float *weights);

// ---------------------------------------------------------------- attention

/// Keys and values are kept in blocks of MARTLET_BLOCK absolute positions. One block of one layer holds, for each key
/// head h: keys at h · head_width · BLOCK as [BLOCK / 16][head_width][16] (16 keys interleaved, so a dot runs along
/// head_width), values at key_heads · head_width · BLOCK + h · value_width · BLOCK as [BLOCK][value_width].
#define MARTLET_BLOCK 64
#define MARTLET_KEY_GROUP 16

/// Elements are f32, f16, bf16, or q8_0: int8 with an f16 scale per 32 elements of one key or value, which then must
/// divide its width. q8_0's scales follow a head's keys as [head_width / 32][BLOCK] and its values as
/// [BLOCK][value_width / 32].

/// Bytes that one head's keys (or values) of `width` elements take in one block.
static inline size_t martlet_head_bytes(martlet_type type, size_t width) {
    return MARTLET_BLOCK * (type == MARTLET_F32 ? 4 * width : type == MARTLET_Q8_0 ? width + width / 32 * 2 : 2 * width);
}

/// Bytes of one block.
static inline size_t martlet_block_bytes(martlet_type type, size_t key_heads, size_t head_width, size_t value_width) {
    return key_heads * (martlet_head_bytes(type, head_width) + martlet_head_bytes(type, value_width));
}

/// Writes the keys and values of heads `first_head ..< end_head` of `key_heads` into one block from position `offset`
/// (within the block) on; rows + offset ≤ BLOCK; `block` is where this layer begins. Row r's keys of these heads stand
/// at `keys + r * key_stride`, its values at `values + r * value_stride`. Never-written positions must be finite: zero
/// a block when it is made.
void martlet_store_block(martlet_type type, const float *keys, size_t key_stride, const float *values, size_t value_stride, size_t rows,
                         size_t key_heads, size_t first_head, size_t end_head, size_t head_width, size_t value_width, void *block,
                         size_t offset);

/// Copies the first `count` positions of one layer's keys and values from one block to another; what follows them stays
/// finite.
void martlet_copy_positions(martlet_type type, size_t key_heads, size_t head_width, size_t value_width, const void *from, void *to,
                            size_t count);

/// Keys are reduced in segments of this many absolute positions; segments are merged in ascending order.
#define MARTLET_SEGMENT 512

/// Zeros at random among attention's weights (arXiv:1706.03762); none where `threshold` is 0. Key 64 b + 16 j + l of
/// query head g of row r is hidden where word j of martlet_philox(key, (first + r · row_stride + g) · 2²⁴ + 16 b + l,
/// stream) is below the threshold.
typedef struct {
    uint32_t threshold;   // p · 2³²
    float factor;         // of the weights that stay: 1 / (1 − p)
    uint64_t key, stream;
    uint64_t first, row_stride;
} martlet_attention_dropout;

/// The work of one key head: `rows` query rows, each with `group` query heads that share the key head.
typedef struct {
    const float *queries;        // query head g of row r at queries + r * query_stride + g * head_width
    size_t query_stride;         // floats
    float *outputs;              // likewise, with output_stride and value_width
    size_t output_stride;
    size_t rows, group, head_width, value_width;
    const void *const *blocks;   // block b holds positions b · BLOCK ..< (b + 1) · BLOCK, perhaps of several layers
    size_t block_offset;         // bytes before this layer's keys in each block
    martlet_type block_type;     // of the blocks' elements
    size_t key_heads, key_head;  // the layout of a block, and the head of this work
    const int32_t *lower;        // row r sees keys lower[r] ..< upper[r]; an empty range gives zeros
    const int32_t *upper;
    float scale;                 // scores are multiplied by this first
    float cap;                   // then, when positive, capped: cap · tanh(s / cap)
    const float *slopes;         // then, when not NULL, slopes[g] · (key − position) is added (ALiBi)
    const int32_t *positions;    // of the query rows, for slopes
    const float *bias;           // then, when not NULL, bias[g · bias_head_stride + r · bias_row_stride + key] is added
    size_t bias_head_stride;
    ptrdiff_t bias_row_stride;   // −1 where the bias depends on key − row alone
    martlet_attention_dropout dropout;  // of the softmax's results; martlet_attention_weights leaves it out
    const float *sinks;          // when not NULL, e^sinks[g] is added to the softmax's total: a score of no key
} martlet_attention;

/// Floats of scratch that one call of martlet_attend needs.
size_t martlet_attend_scratch(const martlet_attention *work);

/// Attention: softmax(scores) · values for query rows `first ..< end`, online over blocks, merged over segments. Memory
/// does not grow with the number of keys.
void martlet_attend(const martlet_attention *work, size_t first_row, size_t end_row, float *scratch);

/// Floats of one partial result: per query row and head, value_width sums, a maximum and a total.
size_t martlet_attend_partial_floats(const martlet_attention *work);

/// Attends to one segment only, for splitting long contexts over threads; then merges `segments` partials, in order,
/// into the outputs. The two give the same bits as martlet_attend.
void martlet_attend_segment(const martlet_attention *work, size_t segment, float *partial, float *scratch);
void martlet_attend_merge(const martlet_attention *work, const float *partials, size_t segments);

/// The attention weights of one query row and one head of the group over keys 0 ..< keys (zero outside its range): for
/// looking inside. Blocks of f32 only.
void martlet_attention_weights(const martlet_attention *work, size_t row, size_t head_in_group, float *weights, size_t keys);

// ---------------------------------------------------------------- random numbers

/// Philox4x32-10 (Salmon et al. 2011): the four words at `counter` of the stream `key`.
void martlet_philox(uint64_t key, uint64_t counter_low, uint64_t counter_high, uint32_t words[4]);

// ---------------------------------------------------------------- the machine's limits

/// Loops for measuring: read `bytes` once and return a checksum; run `iterations` of independent fused multiply-adds on
/// `level`'s widest registers and return the number of floating-point operations done.
uint64_t martlet_read_all(const void *data, size_t bytes);
uint64_t martlet_burn_f32(uint64_t iterations, float *sink);
uint64_t martlet_burn_int8(uint64_t iterations, int32_t *sink);
uint64_t martlet_burn_bf16(uint64_t iterations, float *sink);

#include "martlet_foreign.h"
#include "martlet_step.h"
#include "training.h"

#endif
