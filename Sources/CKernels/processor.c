// What this processor is, and a hint for its spin loops.

#include "kernels.h"
#if defined(__x86_64__)
#include <pthread.h>
#include <string.h>

static char names[256];

#define APPEND(feature) \
    if (__builtin_cpu_supports(feature)) strcat(strcat(names, names[0] ? " " : ""), feature)

static void name_features(void) {
    __builtin_cpu_init();
    APPEND("sse4.2");
    APPEND("avx");
    APPEND("avx2");
    APPEND("fma");
    APPEND("f16c");
    APPEND("avxvnni");
    APPEND("avx512f");
    APPEND("avx512bw");
    APPEND("avx512vl");
    APPEND("avx512dq");
    APPEND("avx512vnni");
    APPEND("avx512bf16");
}

const char *martlet_processor_features(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, name_features);
    return names;
}

void martlet_spin_hint(void) { __builtin_ia32_pause(); }
#elif defined(__aarch64__)
#include <sys/auxv.h>

bool martlet_has_dot_product(void) {
    const unsigned long dot_product = 1ul << 20;  // HWCAP_ASIMDDP
    return getauxval(AT_HWCAP) & dot_product;
}

const char *martlet_processor_features(void) { return martlet_has_dot_product() ? "neon asimddp" : "neon"; }

void martlet_spin_hint(void) { __asm__ volatile("yield"); }
#else
const char *martlet_processor_features(void) { return ""; }

void martlet_spin_hint(void) {}
#endif
