// Counts what one thread takes from the heap: for tests that say "this allocates nothing".

#ifndef CALLOCATION_COUNTER_H
#define CALLOCATION_COUNTER_H

#include <stdbool.h>

/// Whether allocations can be counted here: with the GNU C library.
bool allocation_counter_works(void);

/// Allocations and reallocations of this thread so far.
long allocations_of_this_thread(void);

#endif
