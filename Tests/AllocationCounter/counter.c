#include "CAllocationCounter.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__GLIBC__)
// The program's own definitions stand before the C library's, which it also exports under these names.
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static _Thread_local long count;

void *malloc(size_t size) { return count++, __libc_malloc(size); }
void *calloc(size_t number, size_t size) { return count++, __libc_calloc(number, size); }
void *realloc(void *memory, size_t size) { return count++, __libc_realloc(memory, size); }
void *memalign(size_t alignment, size_t size) { return count++, __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return count++, __libc_memalign(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *taken = (count++, __libc_memalign(alignment, size));
    if (!taken) return ENOMEM;
    *memory = taken;
    return 0;
}

bool allocation_counter_works(void) { return true; }
long allocations_of_this_thread(void) { return count; }
#else
bool allocation_counter_works(void) { return false; }
long allocations_of_this_thread(void) { return 0; }
#endif
