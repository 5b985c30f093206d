// All kernels of one level. Included by each level_*.c once, inside the pragma that names its instruction set, after
// dot4 is defined.

#include "attention.h"
#include "choice.h"
#include "limits.h"
#include "product.h"
#include "route.h"
#include "rows.h"
#include "search.h"

#define TABLE \
    { \
        .products = {[MARTLET_F32] = product_f32, [MARTLET_F16] = product_f16, [MARTLET_BF16] = product_bf16, QUANTIZED_PRODUCTS, \
                     [MARTLET_BF16_PAIRS] = product_bf16_pairs}, \
        .packed_rows = {PACKED_ROWS}, \
        .prepare = prepare, .prepare_blocks = prepare_blocks, .rms_norm = rms_norm, .layer_norm = layer_norm, .softmax = softmax, .argmax = argmax, \
        .exponential_sum = exponential_sum, .largest_of = largest_of, \
        .find_candidates = find_candidates, .choose_token = choose_token, .route = route, \
        .activate = activate, .gate = gate, .add = add, .multiply = multiply, .scale = scale, .add_bias = add_bias, \
        .soft_cap = soft_cap, .search = search, .rotate = rotate, .attend_scratch = attend_scratch, .attend = attend, \
        .attend_segment = attend_segment, .attend_merge = attend_merge, .attention_weights = attention_weights, \
        .read_all = read_all, .burn_f32 = burn_f32, .burn_int8 = burn_int8, .burn_bf16 = burn_bf16 \
    }
