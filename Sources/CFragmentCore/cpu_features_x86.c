/* CPUID, read directly: compilers' built-in queries do not know every feature needed here (SHA in particular). */
#include "cpu_features_x86.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdint.h>

static bool bit(unsigned word, int position) {
    return (word >> position) & 1;
}

/* Extended control register 0: which register files the operating system saves. */
static uint64_t read_xcr0(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

sfc_x86_features sfc_detect_x86_features(void) {
    sfc_x86_features features = {0};
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return features;
    const bool ssse3 = bit(ecx, 9), sse41 = bit(ecx, 19), sse42 = bit(ecx, 20);
    const bool osxsave = bit(ecx, 27), avx = bit(ecx, 28);
    features.sse42 = ssse3 && sse41 && sse42;
    features.pclmulqdq = bit(ecx, 1);
    /* Bits 1 and 2 of XCR0: the 128-bit and the upper 128 bits of the 256-bit registers. */
    const bool wide_registers = avx && osxsave && (read_xcr0() & 6) == 6;

    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return features;
    features.sha = wide_registers && bit(ebx, 29);
    features.avx2 = wide_registers && bit(ebx, 5);
    features.vpclmulqdq = features.avx2 && bit(ecx, 10);
    /* Bits 5 ... 7 of XCR0: mask registers, and the rest of the 512-bit registers. */
    const bool widest_registers = wide_registers && (read_xcr0() & 0xe0) == 0xe0;
    features.avx512 = widest_registers && bit(ebx, 16) && bit(ebx, 30);
    features.gfni = features.avx512 && bit(ecx, 8);
    return features;
}

#endif
