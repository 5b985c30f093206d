// What this processor is, and a hint for its spin loops.

#include "kernels.h"
#if defined(__x86_64__)
#include <cpuid.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char names[256];
static bool has_tiles;

/// Tiles want the processor (CPUID leaf 7: AMX-TILE, AMX-INT8), a system that saves them (XCR0, states 17 and 18), and
/// since Linux 5.16 the system's leave, for the whole process (arch_prctl(2), ARCH_REQ_XCOMP_PERM).
static bool ask_for_tiles(void) {
    const unsigned tile_features = 1u << 24 | 1u << 25, tile_states = 1u << 17 | 1u << 18, saves_states = 1u << 27;
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & saves_states)) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tile_features) != tile_features) return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & tile_states) != tile_states) return false;
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}

static void find_tiles(void) { has_tiles = ask_for_tiles(); }

bool martlet_has_tiles(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_tiles);
    return has_tiles;
}

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
    if (martlet_has_tiles()) strcat(names, " amx");
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
