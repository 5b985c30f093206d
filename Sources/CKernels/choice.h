// The choice of a token from a row of logits: what may come, how probable each is, and which one a random number names.
//
// Candidates stand in descending order where the k largest were taken one by one, else in ascending order of token;
// that order is the order of the draw.

#ifndef MARTLET_CHOICE_H
#define MARTLET_CHOICE_H

#include "functions.h"
#include "restrictions.h"

enum {
    INSERTED = MARTLET_INSERTED_CANDIDATES,  // up to this many, the largest are found by insertion
    DRAW_BLOCK = 1024,                       // tokens whose probabilities are summed together when all may come
    NEAR = -5                                // nats from the most probable token, where a nucleus is looked for first
};

/// A place in a row: the change that comes next, and up to where logits are taken as they are.
typedef struct {
    const martlet_logits *row;
    size_t next, plain_end;
} logit_reader;

INLINE void seek_plain_end(logit_reader *reader) {
    const martlet_logits *row = reader->row;
    const size_t end = reader->next < row->change_count ? row->changes[reader->next].token : row->count;
    reader->plain_end = row->allowed ? 0 : end / LANES * LANES;
}

/// Reads a row in ascending order from token `first` on, a multiple of 16.
INLINE logit_reader read_logits(const martlet_logits *row, size_t first) {
    logit_reader reader = {row, 0, 0};
    while (reader.next < row->change_count && row->changes[reader.next].token < first) reader.next++;
    seek_plain_end(&reader);
    return reader;
}

/// Puts the changes of tokens i ..< i + 16 into their lanes.
static __attribute__((noinline)) f32x16 with_changes(logit_reader *reader, size_t i, f32x16 logits) {
    const martlet_logits *row = reader->row;
    for (; reader->next < row->change_count && row->changes[reader->next].token < i + LANES; reader->next++) {
        const martlet_logit_change *change = row->changes + reader->next;
        if (change->token < i) continue;  // among tokens that may not come
        float logit = logits[change->token - i] + change->bias;
        logit = logit > 0 ? logit / change->penalty : logit * change->penalty;
        logits[change->token - i] = logit - change->subtracted;
    }
    seek_plain_end(reader);
    return logits;
}

/// A mask of all ones in the lanes whose bit is set among the low sixteen.
INLINE i32x16 lanes_of_bits(uint32_t bits) {
    const i32x16 single = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    return (splat_int((int32_t)bits) & single) != splat_int(0);
}

/// The logits of tokens i ..< i + 16 as the choice sees them; −∞ for what may not come, does not exist or is no number.
INLINE f32x16 next_logits(logit_reader *reader, size_t i) {
    const f32x16 lowest = splat(-__builtin_inff());
    if (i < reader->plain_end) {
        const f32x16 logits = load(reader->row->logits + i);
        return choose(logits == logits, logits, lowest);
    }
    const martlet_logits *row = reader->row;
    const uint32_t bits = row->allowed ? row->allowed[i / 32] >> (i % 32) & 0xffff : 0xffff;
    if (bits == 0) return lowest;
    f32x16 logits = load_some(row->logits + i, row->count - i);
    if (reader->next < row->change_count && row->changes[reader->next].token < i + LANES) logits = with_changes(reader, i, logits);
    return choose(lanes_below(row->count - i) & lanes_of_bits(bits) & (logits == logits), logits, lowest);
}

/// (logit − largest) / temperature: the logarithm of how probable a token is beside the most probable one.
INLINE f32x16 scaled_logits(f32x16 logits, float largest, float factor) { return (logits - splat(largest)) * splat(factor); }

INLINE float temperature_factor(float temperature) {
    const float factor = 1.0f / temperature;
    return factor < 0x1p126f ? factor : 0x1p126f;
}

/// The largest logit, and the lowest token that has it; `count` where none may come.
static size_t best_token(const martlet_logits *row, float *largest) {
    logit_reader reader = read_logits(row, 0);
    f32x16 best = splat(-__builtin_inff());
    i32x16 block = splat_int(-1);
    for (size_t i = 0; i < row->count; i += LANES) {
        const f32x16 logits = next_logits(&reader, i);
        const i32x16 wins = logits > best;
        best = choose(wins, logits, best);
        block = (wins & splat_int((int32_t)(i / LANES))) | (~wins & block);
    }
    size_t found = row->count;
    *largest = -__builtin_inff();
    for (int lane = 0; lane < LANES; lane++) {
        if (block[lane] < 0) continue;
        const size_t token = (size_t)block[lane] * LANES + (size_t)lane;
        if (best[lane] > *largest || (best[lane] == *largest && token < found)) found = token, *largest = best[lane];
    }
    return found;
}

/// The `wanted` largest in descending order, the first of equals first.
static size_t largest_candidates(const martlet_logits *row, size_t wanted, martlet_candidate *candidates) {
    logit_reader reader = read_logits(row, 0);
    float least = -__builtin_inff();
    size_t found = 0;
    for (size_t i = 0; i < row->count; i += LANES) {
        const f32x16 logits = next_logits(&reader, i);
        if (__builtin_reduce_or(logits > splat(least)) == 0) continue;
        for (size_t lane = 0; lane < LANES; lane++) {
            const float logit = logits[lane];
            if (!(logit > least)) continue;
            if (found < wanted) found++;
            size_t place = found - 1;
            for (; place > 0 && candidates[place - 1].logit < logit; place--) candidates[place] = candidates[place - 1];
            candidates[place] = (martlet_candidate){.token = (uint32_t)(i + lane), .logit = logit};
            if (found == wanted) least = candidates[found - 1].logit;
        }
    }
    return found;
}

/// Scaled logits and weights for candidates that have only their logits, the largest first.
static void weigh(martlet_candidate *candidates, size_t count, float factor) {
    for (size_t i = 0; i < count; i += LANES) {
        f32x16 logits = splat(candidates[0].logit);
        for (size_t lane = 0; lane < LANES && i + lane < count; lane++) logits[lane] = candidates[i + lane].logit;
        const f32x16 scaled = scaled_logits(logits, candidates[0].logit, factor), weights = exponential(scaled);
        for (size_t lane = 0; lane < LANES && i + lane < count; lane++) {
            candidates[i + lane].scaled = i + lane ? scaled[lane] : 0;
            candidates[i + lane].weight = i + lane ? weights[lane] : 1;
        }
    }
}

/// Scaled logits below the first have a weight of 0; none that may come is below the second.
static const float deepest = -86, bottomless = -0x1p127f;

/// Appends the tokens i ..< i + 16 whose scaled logit is at least `least`, and returns how many there are.
INLINE size_t append_above(float least, size_t i, f32x16 logits, f32x16 scaled, f32x16 weights, martlet_candidate *candidates) {
    const i32x16 wins = scaled >= splat(least);
    if (__builtin_reduce_or(wins) == 0) return 0;
    size_t found = 0;
    for (size_t lane = 0; lane < LANES; lane++)
        if (wins[lane]) candidates[found++] = (martlet_candidate){(uint32_t)(i + lane), logits[lane], scaled[lane], weights[lane]};
    return found;
}

/// The tokens whose scaled logit is at least `least`, ascending.
static size_t gather_candidates(const martlet_logits *row, float largest, float factor, float least, martlet_candidate *candidates) {
    logit_reader reader = read_logits(row, 0);
    size_t found = 0;
    for (size_t i = 0; i < row->count; i += LANES) {
        const f32x16 logits = next_logits(&reader, i), scaled = scaled_logits(logits, largest, factor);
        if (__builtin_reduce_or(scaled >= splat(least)) == 0) continue;
        found += append_above(least, i, logits, scaled, exponential(scaled), candidates + found);
    }
    return found;
}

/// Σ e^scaled of tokens first ..< end, of which `first` is a multiple of 16.
INLINE float weight_of_block(logit_reader *reader, size_t first, size_t end, float largest, float factor) {
    f32x16 sums = splat(0);
    for (size_t i = first; i < end; i += LANES) sums += exponential(scaled_logits(next_logits(reader, i), largest, factor));
    return sum_lanes(sums);
}

/// Σ e^scaled of a row, and of each of its blocks.
static double weight_of_all(const martlet_logits *row, float largest, float factor, double *blocks) {
    logit_reader reader = read_logits(row, 0);
    double total = 0;
    for (size_t i = 0; i < row->count; i += DRAW_BLOCK) {
        const double weight = weight_of_block(&reader, i, row->count - i < DRAW_BLOCK ? row->count : i + DRAW_BLOCK, largest, factor);
        blocks[i / DRAW_BLOCK] = weight;
        total += weight;
    }
    return total;
}

// ---------------------------------------------------------------- candidates of a restricted choice

/// Gathers everything that top-p might keep, and what its share of all weights is. A nucleus mostly lies within a few
/// nats of the most probable token: those are gathered while the weights are summed, and only a flat row is read again.
static size_t gather_nucleus(const martlet_logits *row, float largest, float factor, float top_p, martlet_candidate *candidates,
                             double *share) {
    logit_reader reader = read_logits(row, 0);
    double total = 0;
    size_t found = 0;
    for (size_t first = 0; first < row->count; first += DRAW_BLOCK) {
        const size_t end = row->count - first < DRAW_BLOCK ? row->count : first + DRAW_BLOCK;
        f32x16 sums = splat(0);
        for (size_t i = first; i < end; i += LANES) {
            const f32x16 logits = next_logits(&reader, i), scaled = scaled_logits(logits, largest, factor);
            const f32x16 weights = exponential(scaled);
            sums += weights;
            found += append_above(NEAR, i, logits, scaled, weights, candidates + found);
        }
        total += sum_lanes(sums);
    }
    *share = top_p * total;
    return sum_of_weights(candidates, found) >= *share ? found : gather_candidates(row, largest, factor, deepest, candidates);
}

INLINE bool takes_largest(const martlet_logits *row, const martlet_sampling *sampling) {
    return sampling->top_k > 0 && sampling->top_k < row->count;
}

/// Candidates before top-p, all that top-p and min-p might keep; *share is the part of their weights that top-p wants.
static size_t gather_for(const martlet_logits *row, const martlet_sampling *sampling, float factor, martlet_candidate *candidates,
                         ranked *items, double *share) {
    float largest;
    size_t count;
    if (takes_largest(row, sampling) && sampling->top_k <= INSERTED) {
        count = largest_candidates(row, sampling->top_k, candidates);
        if (count && candidates[0].logit == __builtin_inff()) count = 1;
        weigh(candidates, count, factor);
    } else {
        const size_t best = best_token(row, &largest);
        if (best == row->count) return 0;
        if (largest == __builtin_inff()) {
            candidates[0] = (martlet_candidate){(uint32_t)best, largest, 0, 1};
            count = 1;
        } else if (takes_largest(row, sampling)) {
            count = gather_candidates(row, largest, factor, bottomless, candidates);
            count = keep_count(candidates, items, count, sampling->top_k);
        } else if (sampling->top_p < 1) {
            return gather_nucleus(row, largest, factor, sampling->top_p, candidates, share);
        } else {
            const float least = sampling->min_p > 0 ? __builtin_logf(sampling->min_p) - 0.01f : deepest;
            count = gather_candidates(row, largest, factor, least > deepest ? least : deepest, candidates);
        }
    }
    *share = sampling->top_p * sum_of_weights(candidates, count);
    return count;
}

/// top-k, top-p, min-p, typical-p, epsilon and eta, one after the other; each sees what the one before has left.
static size_t find_candidates(const martlet_logits *row, const martlet_sampling *sampling, martlet_candidate *candidates, void *scratch) {
    double share;
    size_t count = gather_for(row, sampling, temperature_factor(sampling->temperature), candidates, scratch, &share);
    if (sampling->top_p < 1) count = keep_nucleus(candidates, scratch, count, share);
    if (sampling->min_p > 0) count = keep_probable(candidates, count, sampling->min_p);
    if (sampling->typical_p < 1) count = keep_typical(candidates, scratch, count, sampling->typical_p);
    if (sampling->epsilon > 0) count = keep_above(candidates, count, sum_of_weights(candidates, count), sampling->epsilon);
    if (sampling->eta > 0) count = keep_desmoothed(candidates, count, sampling->eta);
    return count;
}

// ---------------------------------------------------------------- the draw

/// The token at `left` of the way through the weights of tokens first ..< end; the last that has any where rounding
/// leads past it.
static size_t draw_from_block(const martlet_logits *row, size_t first, size_t end, float largest, float factor, double left) {
    logit_reader reader = read_logits(row, first);
    size_t last = first;
    for (size_t i = first; i < end; i += LANES) {
        const f32x16 weights = exponential(scaled_logits(next_logits(&reader, i), largest, factor));
        for (size_t lane = 0; lane < LANES; lane++) {
            if (!(weights[lane] > 0)) continue;
            last = i + lane;
            left -= weights[lane];
            if (left < 0) return last;
        }
    }
    return last;
}

/// The token at `uniform` of the way through the weights of a whole row, which has some.
static size_t draw_from_all(const martlet_logits *row, float largest, float factor, double uniform, double *blocks) {
    double left = uniform * weight_of_all(row, largest, factor, blocks), before = 0;
    size_t found = 0;
    for (size_t b = 0; b * DRAW_BLOCK < row->count; b++) {
        if (blocks[b] <= 0) continue;
        found = b, before = left;
        if (left < blocks[b]) break;
        left -= blocks[b];
    }
    const size_t first = found * DRAW_BLOCK;
    return draw_from_block(row, first, row->count - first < DRAW_BLOCK ? row->count : first + DRAW_BLOCK, largest, factor, before);
}

static size_t draw_from(const martlet_candidate *candidates, size_t count, double uniform) {
    double left = uniform * sum_of_weights(candidates, count);
    for (size_t i = 0; i < count; i++) {
        left -= candidates[i].weight;
        if (left < 0) return candidates[i].token;
    }
    return candidates[count - 1].token;
}

static size_t choose_token(const martlet_logits *row, const martlet_sampling *sampling, double uniform, void *scratch) {
    const bool all = !takes_largest(row, sampling) && sampling->top_p >= 1 && sampling->min_p <= 0 && sampling->typical_p >= 1
                     && sampling->epsilon <= 0 && sampling->eta <= 0;
    if (sampling->temperature == 0 || all) {
        float largest;
        const size_t best = best_token(row, &largest);
        if (sampling->temperature == 0 || best == row->count || largest == __builtin_inff()) return best;
        return draw_from_all(row, largest, temperature_factor(sampling->temperature), uniform, scratch);
    }
    martlet_candidate *candidates = scratch;
    const size_t count = find_candidates(row, sampling, candidates, candidates + martlet_candidate_room(row->count, sampling));
    return count ? draw_from(candidates, count, uniform) : row->count;
}

#endif
