// The restrictions of a choice to some of its candidates: the first of them by rank, up to a share of weights.

#ifndef MARTLET_RESTRICTIONS_H
#define MARTLET_RESTRICTIONS_H

#include "vector.h"

/// A candidate's rank, by which a restriction orders them, largest first, and its weight, which counts towards its
/// share.
typedef struct { float rank, weight; } ranked;

static double sum_of_weights(const martlet_candidate *candidates, size_t count) {
    double total = 0;
    for (size_t i = 0; i < count; i++) total += candidates[i].weight;
    return total;
}

/// The rank down to which weights sum to at least `share`, by partition around places that a fixed sequence names
/// (Hoare's Find, weighted); what is left of the share for those of that very rank goes to *left.
static float rank_of_share(ranked *items, size_t count, double share, double *left) {
    uint64_t state = 0x9e3779b97f4a7c15;
    while (count > 1) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const float pivot = items[(state >> 33) % count].rank;
        size_t above = 0, at = count;  // [0, above) above the pivot, [at, count) at it
        double weight_above = 0, weight_at = 0;
        for (size_t i = 0; i < at;) {
            const ranked item = items[i];
            if (item.rank > pivot) weight_above += item.weight, items[i++] = items[above], items[above++] = item;
            else if (item.rank == pivot) weight_at += item.weight, items[i] = items[--at], items[at] = item;
            else i++;
        }
        if (above > 0 && weight_above >= share) count = above;
        else if (weight_above + weight_at >= share || above == at) return *left = share - weight_above, pivot;
        else {
            share -= weight_above + weight_at;
            items += above, count = at - above;
        }
    }
    *left = share;
    return count ? items[0].rank : 0;
}

/// Keeps, in their order, the candidates of the highest ranks whose weights sum to `share`: of equals the first, and at
/// least one.
static size_t keep_share(martlet_candidate *candidates, ranked *items, size_t count, double share) {
    if (count == 0) return 0;
    ranked *const copy = items + count;
    memcpy(copy, items, count * sizeof *items);
    double left;
    const float last = rank_of_share(copy, count, share, &left);
    size_t kept = 0;
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        bool keeps = items[i].rank > last;
        if (items[i].rank == last && (first || left > 0)) keeps = true, first = false, left -= items[i].weight;
        if (keeps) candidates[kept++] = candidates[i];
    }
    return kept;
}

static size_t keep_count(martlet_candidate *candidates, ranked *items, size_t count, size_t wanted) {
    if (wanted >= count) return count;
    for (size_t i = 0; i < count; i++) items[i] = (ranked){candidates[i].logit, 1};
    return keep_share(candidates, items, count, (double)wanted);
}

static size_t keep_nucleus(martlet_candidate *candidates, ranked *items, size_t count, double share) {
    for (size_t i = 0; i < count; i++) items[i] = (ranked){candidates[i].logit, candidates[i].weight};
    return keep_share(candidates, items, count, share);
}

/// min-p: keeps the candidates at least `least` times as probable as the most probable one, and returns their number.
static size_t keep_probable(martlet_candidate *candidates, size_t count, float least) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (candidates[i].weight >= least) candidates[kept++] = candidates[i];
    return kept;
}

/// typical-p: keeps the candidates whose surprise −log p is nearest to its mean, the entropy, until they have `share`
/// of the probability (arXiv:2202.00666). Surprise and entropy differ as the scaled logit and its mean do.
static size_t keep_typical(martlet_candidate *candidates, ranked *items, size_t count, float share) {
    double total = 0, mean = 0;
    for (size_t i = 0; i < count; i++) {
        total += candidates[i].weight;
        if (candidates[i].weight > 0) mean += (double)candidates[i].weight * candidates[i].scaled;
    }
    mean /= total;
    for (size_t i = 0; i < count; i++)
        items[i] = (ranked){-__builtin_fabsf((float)(candidates[i].scaled - mean)), candidates[i].weight};
    return keep_share(candidates, items, count, share * total);
}

/// Keeps the candidates whose probability is at least `least`, and the most probable.
static size_t keep_above(martlet_candidate *candidates, size_t count, double total, double least) {
    float largest = -__builtin_inff();
    for (size_t i = 0; i < count; i++) largest = candidates[i].scaled > largest ? candidates[i].scaled : largest;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (candidates[i].weight >= least * total || candidates[i].scaled == largest) candidates[kept++] = candidates[i];
    return kept;
}

/// eta: keeps the candidates whose probability is at least the smaller of η and √η e^−entropy (arXiv:2210.15191).
static size_t keep_desmoothed(martlet_candidate *candidates, size_t count, float eta) {
    const double total = sum_of_weights(candidates, count);
    double mean = 0;
    for (size_t i = 0; i < count; i++)
        if (candidates[i].weight > 0) mean += (double)candidates[i].weight * candidates[i].scaled;
    // The entropy is log total − mean / total.
    const double least = __builtin_sqrt(eta) * __builtin_exp(mean / total) / total;
    return keep_above(candidates, count, total, least < eta ? least : eta);
}

#endif
