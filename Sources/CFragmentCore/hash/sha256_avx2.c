/* SHA-256 of eight messages side by side with AVX2. */
#include "hash/sha256_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SFC_TARGET __attribute__((target("avx2")))
#define SFC_INLINE static inline __attribute__((always_inline, target("avx2")))

enum { LANE_COUNT = 8 };
typedef uint32_t lanes __attribute__((vector_size(32)));

SFC_INLINE lanes load_row(const uint8_t *source) { return (lanes)_mm256_loadu_si256((const __m256i *)source); }
SFC_INLINE lanes load_state(const uint32_t *source) { return (lanes)_mm256_loadu_si256((const __m256i *)source); }
SFC_INLINE void store_state(uint32_t *target, lanes value) { _mm256_storeu_si256((__m256i *)target, (__m256i)value); }
SFC_INLINE lanes swap_bytes(lanes a) {
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    return (lanes)_mm256_shuffle_epi8((__m256i)a, _mm256_broadcastsi128_si256(order));
}
SFC_INLINE lanes unpack_low_words(lanes a, lanes b) { return (lanes)_mm256_unpacklo_epi32((__m256i)a, (__m256i)b); }
SFC_INLINE lanes unpack_high_words(lanes a, lanes b) { return (lanes)_mm256_unpackhi_epi32((__m256i)a, (__m256i)b); }
SFC_INLINE lanes unpack_low_pairs(lanes a, lanes b) { return (lanes)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b); }
SFC_INLINE lanes unpack_high_pairs(lanes a, lanes b) { return (lanes)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b); }

SFC_INLINE void transpose_parts(lanes rows[8]) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        const __m256i first = (__m256i)rows[k], second = (__m256i)rows[k + 4];
        rows[k] = (lanes)_mm256_permute2x128_si256(first, second, 0x20);
        rows[k + 4] = (lanes)_mm256_permute2x128_si256(first, second, 0x31);
    }
}

SFC_INLINE lanes xor3(lanes x, lanes y, lanes z) { return x ^ y ^ z; }
SFC_INLINE lanes choice(lanes x, lanes y, lanes z) { return z ^ (x & (y ^ z)); }
/* Of the two sums, y ^ z was x ^ y one round before: compilers compute it once. */
SFC_INLINE lanes majority(lanes x, lanes y, lanes z) { return y ^ ((x ^ y) & (y ^ z)); }

#include "hash/sha256_lanes.h"

const sfc_sha256_kernel sfc_sha256_avx2 = {.lanes = LANE_COUNT, .compress = compress};

#endif
