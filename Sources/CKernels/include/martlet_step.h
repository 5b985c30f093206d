// One pass of a few rows through a decoder, taken apart into phases that threads share. Each row is the next token of a
// sequence of its own.
//
// A phase is a number of chunks that depend on nothing but earlier phases, and a prologue: a little work that every
// thread does for itself instead of waiting for one. The same kernels in the same order as outside of steps, hence the
// same bits. Who runs which chunk when is the caller's business.

#ifndef MARTLET_STEP_H
#define MARTLET_STEP_H

enum { MARTLET_STEP_MATRICES = 3 };

typedef enum { MARTLET_NORM_NONE, MARTLET_NORM_RMS, MARTLET_NORM_LAYER } martlet_norm_kind;

typedef struct {
    martlet_norm_kind kind;
    const float *weight, *bias;  // may be NULL in layer norms
    float offset, epsilon;
} martlet_step_norm;

/// A matrix, one of those that multiply the same rows, as in martlet_matmul.
typedef struct {
    martlet_type type;
    const void *packed;
    size_t outputs;
    const float *bias;
    float *y;  // [rows, outputs]
} martlet_step_matrix;

/// One row of a pass and what it sees of its sequence's KV cache, in all layers of one reach.
typedef struct {
    const void *const *blocks;  // the sequence's table of blocks
    int32_t position;           // of this row: keys before it are in the blocks, its own is written by the phase
    int32_t lower;              // the first key it sees
    size_t first_segment;       // of those that hold keys it sees,
    size_t segments;            // how many there are,
    size_t segments_before;     // and how many the rows before this one see
    size_t readers;             // across: how many rows from here on read these blocks together; 0: an earlier row's do
} martlet_step_row;

/// The rows of a pass in all layers of one reach.
typedef struct {
    const martlet_step_row *rows;
    size_t segments;   // that all rows see
    bool split;        // whether a row sees more than one: then results stand in `partials` until they are merged
    float *partials;
} martlet_step_table;

/// The position bias that is added to the scores of one layer: for query head h and key k, values[h · head_stride + k],
/// or with `moves` by distance: values[h · head_stride + zero + k − position].
typedef struct {
    const float *values;
    size_t head_stride;
    size_t zero;
    bool moves;
} martlet_step_bias;

/// Attention of one layer: rotation and norms of queries and keys, the new key and value into the blocks, then one
/// chunk for each row, key head and segment. `across`: nothing is written, rows see keys up to `position`, and a chunk
/// does all segments. `reads_only`: nothing is written, as the blocks are those of an earlier layer.
typedef struct {
    bool across, reads_only;
    size_t table;         // of the pass
    size_t block_offset;  // where this layer begins in the table's blocks
    const float *queries, *keys, *values;  // [rows, heads, head_width]
    float *outputs;                        // [rows, query heads, value_width]
    size_t key_heads, group, head_width, value_width;
    martlet_step_norm query_norm, key_norm;
    const float *query_weights, *key_weights;  // [heads, head_width], factors of each normed head; NULL: none
    size_t rotary_width;  // 0: no rotation
    bool neighbours;
    const float *cosines, *sines;  // [rows, rotary_width / 2]
    float scale, cap;
    const float *slopes;            // NULL, or one per query head
    const float *sinks;             // likewise
    const martlet_step_bias *bias;  // NULL where positions add nothing
    martlet_type block_type;
} martlet_step_attention;

/// A mixture of experts: which expert computes which rows of a pass is found by MARTLET_STEP_ROUTE. A slot is one row
/// at one of its experts.
typedef struct {
    size_t count, active, hidden;
    bool renormalised;                           // the weights of a row's experts are divided by their sum
    bool chosen;                                 // experts and weights are there when they are sorted
    bool of_inputs;                              // weights multiply what experts read instead of their results
    float limit;                                 // of gates and of what passes them, see martlet_step_phase; 0: none
    const martlet_step_matrix *gates, *ups, *downs;  // [count]; gates NULL where experts have none
    const float *scales;                         // [count], of each expert's results; NULL without
    const float *scores;                         // [rows, count], the router's products
    const float *shared, *shared_gate;           // [rows, width] and [rows, 1] of an expert of all rows; NULL without
    float *normed;                               // [rows, width], what experts read
    uint8_t *prepared, *activated;               // of each slot, sorted by expert, as the products read it
    float *results;                              // [slots, width]
    float *probabilities;                        // [rows, count]
    float *weights;                              // [rows, active], experts ascending
    uint32_t *experts, *slots;                   // likewise
    uint32_t *used, *first;                      // experts that have rows, and where their slots begin, and end
    size_t used_count;
} martlet_step_experts;

typedef enum {
    /// A product: y = norm(x) Wᵀ + b for up to three matrices; with `accumulate`, added to y. Chunks are panels.
    MARTLET_STEP_PRODUCT,
    /// An activation: f(norm(x) W₀ᵀ) · (norm(x) W₁ᵀ), or f(norm(x) W₀ᵀ) where there is one matrix; prepared for the
    /// next product, or as f32 into the first matrix's y. The matrices have one width, the second needs no y. Chunks
    /// are panels.
    MARTLET_STEP_ACTIVATED,
    MARTLET_STEP_ATTENTION,
    /// A join: y = y + norm(x). Chunks are a few rows.
    MARTLET_STEP_JOIN,
    /// Normed rows: y = norm(x), which may be y, and where `next_prepared` is not NULL also prepared for products with
    /// `next_type`. Chunks are a few rows.
    MARTLET_STEP_ROWS,
    /// The experts of norm(x)'s rows by the router's scores, and the rows sorted by expert. One chunk.
    MARTLET_STEP_ROUTE,
    /// The experts: f(gate(x)) · up(x) of every slot, and down of that. Chunks are panels of each expert that may have
    /// rows.
    MARTLET_STEP_EXPERTS,
    MARTLET_STEP_EXPERTS_DOWN,
    /// The mixing of experts: y = y + norm(shared + Σ weights · results), experts ascending; without `accumulate`,
    /// y = shared + Σ weights · results. Chunks are a few rows.
    MARTLET_STEP_MIX,
    /// A call of `call`, for what no other phase does. One chunk.
    MARTLET_STEP_CALL
} martlet_step_kind;

typedef struct {
    martlet_step_kind kind;
    size_t inputs;
    const float *x;            // [rows, inputs]
    const void *prepared;      // x as all matrices read it, where prepared before; then there is no norm or prologue
    bool attended;             // x is what `attention` of the phase before gave, perhaps in parts still to be merged
    martlet_step_norm norm;
    size_t matrix_count;
    martlet_step_matrix matrices[MARTLET_STEP_MATRICES];
    bool accumulate;
    martlet_activation activation;
    float limit;               // where positive, of two matrices: f(min(a, limit)) · (b within ± limit, plus 1)
    martlet_type next_type;    // what follows multiplies by this, and finds its rows here, unless NULL
    void *next_prepared;
    float *y;                  // of a join, or of rows
    martlet_step_experts *experts;
    bool wanted;               // only the pass's wanted rows are computed, which come first
    martlet_step_attention attention;
    void (*call)(void *context, size_t rows);
    void *context;
} martlet_step_phase;

/// One pass through the phases, what changes from pass to pass.
typedef struct {
    size_t rows;
    size_t wanted;                     // the first rows, whose logits are asked for
    const martlet_step_table *tables;  // as many as there are different reaches
} martlet_step_pass;

/// Chunks of a phase, and bytes of scratch that each thread needs for it.
size_t martlet_step_chunks(const martlet_step_phase *phase, const martlet_step_pass *pass);
size_t martlet_step_scratch(const martlet_step_phase *phase, const martlet_step_pass *pass);

/// Bytes of weights that one chunk reads; 0 where none.
size_t martlet_step_chunk_bytes(const martlet_step_phase *phase);

/// Prepares a thread before its first chunk of a phase; what it leaves in `scratch` its chunks read.
void martlet_step_prologue(const martlet_step_phase *phase, const martlet_step_pass *pass, uint8_t *scratch);

/// Chunks `first ..< end`.
void martlet_step_run(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t first, size_t end, uint8_t *scratch);

/// Asks for a kilobyte of the weights that the chunks from `first` on will read, the `ahead`-th. For a thread that has
/// to wait.
void martlet_step_foresee(const martlet_step_phase *phase, size_t first, size_t ahead);

#endif
