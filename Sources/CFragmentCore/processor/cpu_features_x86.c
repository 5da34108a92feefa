/* CPUID, read directly: compilers' built-in queries do not know every feature needed here (SHA in particular). */
#include "processor/cpu_features_x86.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdint.h>

static bool bit(unsigned word, int position) {
    return (word >> position) & 1;
}

/* Extended control register 0: which register files the operating system saves. */
static uint64_t read_xcr0(void) {
    uint32_t low, high;
    /* Volatile: it must not be moved ahead of the test whether the instruction exists. */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

sfc_x86_features sfc_detect_x86_features(void) {
    sfc_x86_features features = {0};
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return features;
    const bool ssse3 = bit(ecx, 9), sse41 = bit(ecx, 19), sse42 = bit(ecx, 20);
    const bool osxsave = bit(ecx, 27), avx = bit(ecx, 28);
    const bool popcnt = bit(ecx, 23);
    features.sse42 = ssse3 && sse41 && sse42 && popcnt;
    features.pclmulqdq = bit(ecx, 1);
    /* Bits 1 and 2 of XCR0: the 128-bit and the upper 128 bits of the 256-bit registers. Bits 5, 6 and 7: the mask
     * registers, the upper 256 bits of registers 0 ... 15, and registers 16 ... 31. */
    const uint64_t saved = osxsave ? read_xcr0() : 0;
    const bool wide_registers = avx && (saved & 0x06) == 0x06;
    const bool widest_registers = wide_registers && (saved & 0xe0) == 0xe0;

    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return features;
    features.sha = wide_registers && bit(ebx, 29);
    features.avx2 = wide_registers && bit(ebx, 5);
    const bool bmi1 = bit(ebx, 3), bmi2 = bit(ebx, 8);
    features.vpclmulqdq = features.avx2 && bmi1 && bmi2 && bit(ecx, 10);
    const bool avx512f = bit(ebx, 16), avx512dq = bit(ebx, 17), avx512bw = bit(ebx, 30), avx512vl = bit(ebx, 31);
    const bool avx512vbmi = bit(ecx, 1), gfni = bit(ecx, 8);
    features.avx512 = widest_registers && features.avx2 && features.vpclmulqdq && avx512f && avx512dq && avx512bw &&
                      avx512vl && avx512vbmi && gfni;
    return features;
}

#endif
