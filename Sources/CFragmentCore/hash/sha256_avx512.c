/* SHA-256 of sixteen messages side by side with AVX-512: schedule, working variables and temporaries fit the thirty-two
 * registers. Rotations are one instruction, and so is every Boolean function of three variables: its truth table is the
 * instruction's constant. */
#include "hash/sha256_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SFC_TARGET __attribute__((target("avx512f,avx512bw")))
#define SFC_INLINE static inline __attribute__((always_inline, target("avx512f,avx512bw")))

enum { LANE_COUNT = 16 };
typedef uint32_t lanes __attribute__((vector_size(64)));

SFC_INLINE lanes load_row(const uint8_t *source) { return (lanes)_mm512_loadu_si512(source); }
SFC_INLINE lanes load_state(const uint32_t *source) {
    return (lanes)_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)source));
}
SFC_INLINE void store_state(uint32_t *target, lanes value) {
    _mm256_storeu_si256((__m256i *)target, _mm512_castsi512_si256((__m512i)value));
}
SFC_INLINE lanes swap_bytes(lanes a) {
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    return (lanes)_mm512_shuffle_epi8((__m512i)a, _mm512_broadcast_i32x4(order));
}
SFC_INLINE lanes unpack_low_words(lanes a, lanes b) { return (lanes)_mm512_unpacklo_epi32((__m512i)a, (__m512i)b); }
SFC_INLINE lanes unpack_high_words(lanes a, lanes b) { return (lanes)_mm512_unpackhi_epi32((__m512i)a, (__m512i)b); }
SFC_INLINE lanes unpack_low_pairs(lanes a, lanes b) { return (lanes)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b); }
SFC_INLINE lanes unpack_high_pairs(lanes a, lanes b) { return (lanes)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b); }

/* Parts 0 and 2 of a, then of b. */
SFC_INLINE __m512i even_parts(__m512i a, __m512i b) { return _mm512_shuffle_i32x4(a, b, 0x88); }
SFC_INLINE __m512i odd_parts(__m512i a, __m512i b) { return _mm512_shuffle_i32x4(a, b, 0xdd); }

SFC_INLINE void transpose_parts(lanes rows[16]) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        const __m512i first = (__m512i)rows[k], second = (__m512i)rows[k + 4];
        const __m512i third = (__m512i)rows[k + 8], fourth = (__m512i)rows[k + 12];
        const __m512i even_12 = even_parts(first, second), even_34 = even_parts(third, fourth);
        const __m512i odd_12 = odd_parts(first, second), odd_34 = odd_parts(third, fourth);
        rows[k] = (lanes)even_parts(even_12, even_34);
        rows[k + 4] = (lanes)even_parts(odd_12, odd_34);
        rows[k + 8] = (lanes)odd_parts(even_12, even_34);
        rows[k + 12] = (lanes)odd_parts(odd_12, odd_34);
    }
}

/* Truth tables over (x, y, z), x the most significant bit of the row's number. */
enum { TABLE_XOR = 0x96, TABLE_CHOICE = 0xca, TABLE_MAJORITY = 0xe8 };

SFC_INLINE lanes xor3(lanes x, lanes y, lanes z) {
    return (lanes)_mm512_ternarylogic_epi32((__m512i)x, (__m512i)y, (__m512i)z, TABLE_XOR);
}
SFC_INLINE lanes choice(lanes x, lanes y, lanes z) {
    return (lanes)_mm512_ternarylogic_epi32((__m512i)x, (__m512i)y, (__m512i)z, TABLE_CHOICE);
}
SFC_INLINE lanes majority(lanes x, lanes y, lanes z) {
    return (lanes)_mm512_ternarylogic_epi32((__m512i)x, (__m512i)y, (__m512i)z, TABLE_MAJORITY);
}

#include "hash/sha256_lanes.h"

const sfc_sha256_kernel sfc_sha256_avx512 = {.lanes = LANE_COUNT, .compress = compress};

#endif
