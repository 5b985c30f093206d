// Routing: the experts of each row and their weights.

#ifndef MARTLET_ROUTE_H
#define MARTLET_ROUTE_H

#include "rows.h"

/// The `active` largest of each row of probabilities, descending, the first of equals first; where fewer are numbers,
/// the lowest of the others.
static void route(const float *probabilities, size_t rows, size_t experts, size_t active, bool renormalised, uint32_t *chosen,
                  float *weights) {
    for (size_t r = 0; r < rows; r++, probabilities += experts, chosen += active, weights += active) {
        size_t found = largest_of(probabilities, experts, active, chosen);
        for (uint32_t e = 0; found < active; e++) {
            size_t i = 0;
            while (i < found && chosen[i] != e) i++;
            if (i == found) chosen[found++] = e;
        }
        float total = 0;
        for (size_t i = 0; i < active; i++) total += probabilities[chosen[i]];
        for (size_t i = 0; i < active; i++) weights[i] = renormalised ? probabilities[chosen[i]] / total : probabilities[chosen[i]];
    }
}

#endif
