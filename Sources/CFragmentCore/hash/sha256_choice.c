/* Which SHA-256 kernels a level combines.
 *
 * The thresholds are ratios of times per call, which for a wide kernel do not depend on how many of its lanes carry a
 * message. In nanoseconds per block and call:
 *
 *   Zen 3   portable 225   SHA extensions 40, 43, 62, 72 (1 ... 4 states)   AVX2 310 (8 states)
 *   Zen 5                  SHA extensions 75 (4 states)                     AVX-512 209 (16 states)
 *
 * Zen 3 as measured with these kernels; Zen 5 from what a prototype of them reached there, 3.4 and 4.9 GB/s.
 *
 * So four states with the SHA extensions beat everything up to ten states, eleven and more are worth sixteen lanes;
 * and without the SHA extensions any two messages are worth a whole register's.
 */
#include "hash/sha256_choice.h"

enum { AVX512_LANES_WORTH_MORE_THAN_SHANI = 11 };

void sfc_choose_sha256_portable(sfc_level *level) {
    level->sha256[0] = (sfc_sha256_choice){&sfc_sha256_portable, 1};
    level->hashes_by_libcrypto = true;
}

#if defined(__x86_64__)

void sfc_choose_sha256_x86(sfc_level *level, const sfc_x86_features *features, int vector_bits) {
    const bool avx2 = features->avx2 && vector_bits >= 256;
    const bool avx512 = features->avx512 && vector_bits >= 512;
    sfc_sha256_choice *choice = level->sha256;
    if (avx512) {
        const size_t from_lanes = features->sha ? AVX512_LANES_WORTH_MORE_THAN_SHANI : 2;
        *choice++ = (sfc_sha256_choice){&sfc_sha256_avx512, from_lanes};
    } else if (avx2 && !features->sha) {
        *choice++ = (sfc_sha256_choice){&sfc_sha256_avx2, 2};
    }
    *choice = (sfc_sha256_choice){features->sha ? &sfc_sha256_shani : &sfc_sha256_portable, 1};
    level->hashes_by_libcrypto = !features->sha && !avx2 && !avx512;
}

#elif defined(__aarch64__)

void sfc_choose_sha256_aarch64(sfc_level *level, const sfc_aarch64_features *features) {
    level->sha256[0] = (sfc_sha256_choice){features->sha2 ? &sfc_sha256_armv8 : &sfc_sha256_portable, 1};
    level->hashes_by_libcrypto = !features->sha2;
}

#endif
