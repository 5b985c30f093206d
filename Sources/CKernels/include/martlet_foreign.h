// Element types of ggml that files come in and products do not take: decoded, or repacked as a type that they do.

#ifndef MARTLET_FOREIGN_H
#define MARTLET_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Types by their numbers in a GGUF file.
enum {
    MARTLET_GGML_Q8_1 = 9, MARTLET_GGML_Q2_K = 10, MARTLET_GGML_Q3_K = 11, MARTLET_GGML_Q8_K = 15, MARTLET_GGML_IQ2_XXS = 16,
    MARTLET_GGML_IQ2_XS = 17, MARTLET_GGML_IQ3_XXS = 18, MARTLET_GGML_IQ1_S = 19, MARTLET_GGML_IQ4_NL = 20,
    MARTLET_GGML_IQ3_S = 21, MARTLET_GGML_IQ2_S = 22, MARTLET_GGML_IQ4_XS = 23, MARTLET_GGML_I8 = 24, MARTLET_GGML_I16 = 25,
    MARTLET_GGML_I64 = 27, MARTLET_GGML_F64 = 28, MARTLET_GGML_IQ1_M = 29, MARTLET_GGML_TQ1_0 = 34, MARTLET_GGML_TQ2_0 = 35,
    MARTLET_GGML_MXFP4 = 39, MARTLET_GGML_NVFP4 = 40
};

/// Decodes `blocks` stored blocks of a type (single elements of a plain one) to f32, with the bits of the gguf package.
/// False for another type.
bool martlet_decode_foreign(uint32_t type, const void *stored, float *values, size_t blocks);

/// Repacks blocks as q8_0 (as q6_K those of q3_K), which says exactly the same numbers: integers times an f16 scale.
/// False, and `repacked` is of no use, for a type that has no such twin, or where no f16 holds a scale.
bool martlet_repack_foreign(uint32_t type, const void *stored, void *repacked, size_t blocks);

/// Encodes f32 numbers as `blocks` stored blocks of q2_K, q3_K, iq4_nl or iq4_xs, as ggml's reference makes them
/// without an importance matrix. False for another type.
bool martlet_encode_foreign(uint32_t type, const float *values, void *stored, size_t blocks);

#endif
