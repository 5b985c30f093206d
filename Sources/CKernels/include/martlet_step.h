// One pass of a few rows through a decoder, taken apart into phases that threads share. Each row is the next token of a sequence of its own.
//
// A phase is a number of chunks that depend on nothing but earlier phases, and a prologue: a little work that every thread does for itself
// instead of waiting for one. The same kernels in the same order as outside of steps, hence the same bits. Who runs which chunk when is the
// caller's business.

#ifndef MARTLET_STEP_H
#define MARTLET_STEP_H

enum { MARTLET_STEP_MATRICES = 3 };

typedef enum { MARTLET_NORM_NONE, MARTLET_NORM_RMS, MARTLET_NORM_LAYER } martlet_norm_kind;

typedef struct {
    martlet_norm_kind kind;
    const float *weight, *bias;  // may be NULL in layer norms
    float offset, epsilon;
} martlet_step_norm;

/// One of the matrices that multiply the same rows, as in martlet_matmul.
typedef struct {
    martlet_type type;
    const void *packed;
    size_t outputs;
    const float *bias;
    float *y;  // [rows, outputs]
} martlet_step_matrix;

/// What one row remembers in one layer.
typedef struct {
    const void *const *blocks;
    int32_t position;         // of this row: keys before it are in the blocks, its own is written by the phase
    int32_t lower;            // the first key it sees
    const uint16_t *origins;  // NULL, or for each position up to the row's own the lane that holds it: then block b of lane l is
    size_t lane_blocks;       // blocks[l · lane_blocks + b], of f32
    size_t readers;           // across: how many rows from this one on read this memory together; 0 where an earlier row's chunk does
} martlet_step_memory;

/// Attention of one layer: rotation and norms of queries and keys, the new key and value into the blocks, then one chunk for each row, key
/// head and segment. `across`: nothing is written, rows see keys up to `position`, and a chunk does all segments.
typedef struct {
    bool across;
    bool lanes;  // memories have origins
    const float *queries, *keys, *values;  // [rows, heads, head_width]
    float *outputs;                        // [rows, query heads, head_width], where there is one segment
    float *partials;                       // where there are more
    size_t key_heads, group, head_width;
    martlet_step_norm query_norm, key_norm;
    size_t rotary_width;  // 0: no rotation
    bool neighbours;
    const float *cosines, *sines;  // [rows, rotary_width / 2]
    float scale, cap;
    const float *slopes;  // NULL, or one per query head
    martlet_type block_type;
    const martlet_step_memory *memories;  // one per row
} martlet_step_attention;

typedef enum {
    /// y = norm(x) Wᵀ + b for up to three matrices; with `accumulate`, added to y. Chunks are panels.
    MARTLET_STEP_PRODUCT,
    /// f(norm(x) W₀ᵀ) · (norm(x) W₁ᵀ), or f(norm(x) W₀ᵀ) where there is one matrix; prepared for the next product, or as f32 into the first
    /// matrix's y. The matrices have one width, the second needs no y. Chunks are panels.
    MARTLET_STEP_ACTIVATED,
    MARTLET_STEP_ATTENTION,
    /// y = y + norm(x). Chunks are a few rows.
    MARTLET_STEP_JOIN,
    /// y = norm(x), which may be y, and where `next_prepared` is not NULL also prepared for products with `next_type`. Chunks are a few rows.
    MARTLET_STEP_ROWS
} martlet_step_kind;

typedef struct {
    martlet_step_kind kind;
    size_t inputs;
    const float *x;            // [rows, inputs]
    const void *prepared;      // x as all matrices read it, where that has been prepared before; then there is no norm and no prologue
    bool attended;             // x is what `attention` of the phase before gave, perhaps in parts still to be merged
    martlet_step_norm norm;
    size_t matrix_count;
    martlet_step_matrix matrices[MARTLET_STEP_MATRICES];
    bool accumulate;
    martlet_activation activation;
    martlet_type next_type;    // what follows multiplies by this, and finds its rows here, unless NULL
    void *next_prepared;
    float *y;                  // of a join, or of rows
    martlet_step_attention attention;
} martlet_step_phase;

/// What changes from pass to pass.
typedef struct {
    size_t rows;
    size_t segments;  // of the longest memory
} martlet_step_pass;

/// Chunks of a phase, and bytes of scratch that each thread needs for it.
size_t martlet_step_chunks(const martlet_step_phase *phase, const martlet_step_pass *pass);
size_t martlet_step_scratch(const martlet_step_phase *phase, const martlet_step_pass *pass);

/// Bytes of weights that one chunk reads; 0 where none.
size_t martlet_step_chunk_bytes(const martlet_step_phase *phase);

/// Before a thread's first chunk of a phase; what it leaves in `scratch` its chunks read.
void martlet_step_prologue(const martlet_step_phase *phase, const martlet_step_pass *pass, uint8_t *scratch);

/// Chunks `first ..< end`.
void martlet_step_run(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t first, size_t end, uint8_t *scratch);

/// Asks for a kilobyte of the weights that the chunks from `first` on will read, the `ahead`-th. For a thread that has to wait.
void martlet_step_foresee(const martlet_step_phase *phase, size_t first, size_t ahead);

#endif
