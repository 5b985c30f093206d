// Philox for sixteen counters at a time (see philox.c), and the elements that dropout keeps.

#ifndef MARTLET_PHILOX_H
#define MARTLET_PHILOX_H

#include "vector.h"

typedef uint64_t u64x16 __attribute__((vector_size(128)));

/// The upper and lower words of a · factor; returns the upper.
INLINE u32x16 multiply_words(u32x16 a, uint32_t factor, u32x16 *low) {
    const u64x16 product = __builtin_convertvector(a, u64x16) * (u64x16){factor, factor, factor, factor, factor, factor, factor, factor,
                                                                          factor, factor, factor, factor, factor, factor, factor, factor};
    *low = __builtin_convertvector(product, u32x16);
    return __builtin_convertvector(product >> 32, u32x16);
}

INLINE u32x16 splat_word(uint32_t x) { return (u32x16)splat_int((int32_t)x); }

/// martlet_philox for the sixteen counters from `counter` on.
INLINE void philox_words(uint64_t key, uint64_t stream, uint64_t counter, u32x16 words[4]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    u32x16 c0 = splat_word((uint32_t)counter) + (u32x16)lane_numbers(), c1 = splat_word((uint32_t)(counter >> 32));
    u32x16 c2 = splat_word((uint32_t)stream), c3 = splat_word((uint32_t)(stream >> 32));
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
        u32x16 first_low, second_low;
        const u32x16 first = multiply_words(c0, 0xD2511F53, &first_low), second = multiply_words(c2, 0xCD9E8D57, &second_low);
        c0 = second ^ c1 ^ splat_word(k0), c2 = first ^ c3 ^ splat_word(k1);
        c1 = second_low, c3 = first_low;
    }
    words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
}

/// factor where an element's random word is at least `threshold`, zero elsewhere.
INLINE f32x16 kept_factor(u32x16 words, uint32_t threshold, float factor) {
    return choose((i32x16)(words >= splat_word(threshold)), splat(factor), splat(0));
}

#endif
