/* The operating system's list of instruction set extensions; the kernels suppose little-endian words. */
#include "processor/cpu_features_aarch64.h"

#if defined(__aarch64__)

#if defined(__linux__)
#include <sys/auxv.h>

sfc_aarch64_features sfc_detect_aarch64_features(void) {
    enum { HWCAP_BIT_PMULL = 4, HWCAP_BIT_SHA2 = 6 };
    const bool little_endian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    const unsigned long capabilities = getauxval(AT_HWCAP);
    return (sfc_aarch64_features){
        .pmull = little_endian && ((capabilities >> HWCAP_BIT_PMULL) & 1),
        .sha2 = little_endian && ((capabilities >> HWCAP_BIT_SHA2) & 1),
    };
}
#else
sfc_aarch64_features sfc_detect_aarch64_features(void) {
    return (sfc_aarch64_features){0};
}
#endif

#endif
