// All kernels of one level. Included by each level_*.c once, inside the pragma that names its instruction set, after dot4 is defined.

#include "attention.h"
#include "limits.h"
#include "product.h"
#include "rows.h"
#include "search.h"

#define TABLE \
    { \
        .products = {[MARTLET_F32] = product_f32, [MARTLET_F16] = product_f16, [MARTLET_BF16] = product_bf16, \
                     [MARTLET_Q8_0] = product_q8_0, [MARTLET_Q4_0] = product_q4_0, [MARTLET_Q4_1] = product_q4_1, \
                     [MARTLET_Q5_0] = product_q5_0, [MARTLET_Q5_1] = product_q5_1, [MARTLET_Q4_K] = product_q4_K, \
                     [MARTLET_Q5_K] = product_q5_K, [MARTLET_Q6_K] = product_q6_K, [MARTLET_BF16_PAIRS] = product_bf16_pairs}, \
        .prepare = prepare, .rms_norm = rms_norm, .layer_norm = layer_norm, .softmax = softmax, .argmax = argmax, \
        .activate = activate, .gate = gate, .add = add, .multiply = multiply, .scale = scale, .add_bias = add_bias, \
        .soft_cap = soft_cap, .search = search, .rotate = rotate, .attend_scratch = attend_scratch, .attend = attend, \
        .attend_segment = attend_segment, .attend_merge = attend_merge, .attention_weights = attention_weights, \
        .read_all = read_all, .burn_f32 = burn_f32, .burn_int8 = burn_int8, .burn_bf16 = burn_bf16 \
    }
