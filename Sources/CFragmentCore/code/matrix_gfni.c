/* Linear combinations with GFNI: each coefficient is the 8 x 8 bit matrix of multiplication by it.
 *
 * GFNI's own multiplication is modulo another polynomial, but its affine instruction applies any bit matrix to
 * sixty-four bytes at once. Up to six outputs are computed in one pass over the inputs, 128 bytes of each at a time:
 * twelve sums in registers. What is left at the end goes through the same steps with masked loads and stores.
 */
#include <string.h>

#include "code/matrix_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SFC_TARGET __attribute__((target("avx512f,avx512bw,gfni")))
#define SFC_INLINE static inline __attribute__((always_inline, target("avx512f,avx512bw,gfni")))

enum { REGISTER_BYTES = 64, STEP_BYTES = 2 * REGISTER_BYTES, ROWS_PER_PASS = 6 };

/* A byte times x modulo x^8 + x^4 + x^3 + x^2 + 1. */
static uint8_t times_x(uint8_t byte) {
    return (uint8_t)((byte << 1) ^ (byte & 0x80 ? 0x1d : 0));
}

/* The bit matrix of multiplication by the coefficient. Column j is coefficient * x^j; the instruction keeps the row for
 * the result's bit i in byte 7 - i. */
static uint64_t multiplication(uint8_t coefficient) {
    uint64_t matrix = 0;
    for (int j = 0; j < 8; j++) {
        for (int i = 0; i < 8; i++) matrix |= (uint64_t)((coefficient >> i) & 1) << (8 * (7 - i) + j);
        coefficient = times_x(coefficient);
    }
    return matrix;
}

static void prepare(uint8_t *entries, const uint8_t *coefficients, size_t row_count, size_t column_count) {
    for (size_t i = 0; i < row_count * column_count; i++) {
        const uint64_t matrix = multiplication(coefficients[i]);
        memcpy(entries + sizeof matrix * i, &matrix, sizeof matrix);
    }
}

/* Bytes of two registers' width, of which the masks say how many exist. */
typedef struct {
    __mmask64 first, second;
} step_masks;

/* The masks of a step with `length` bytes left. */
static inline step_masks masks_for(size_t length) {
    const size_t first = length < REGISTER_BYTES ? length : REGISTER_BYTES;
    const size_t second = length - first < REGISTER_BYTES ? length - first : REGISTER_BYTES;
    const __mmask64 all = ~(__mmask64)0;
    return (step_masks){first > 0 ? all >> (REGISTER_BYTES - first) : 0,
                        second > 0 ? all >> (REGISTER_BYTES - second) : 0};
}

/* One step of `rows` outputs; `rows` is a constant at every call. */
SFC_INLINE void combine_step(const int rows, const uint64_t *matrices, size_t column_count,
                             const uint8_t *const *inputs, uint8_t *const *outputs, size_t offset,
                             step_masks masks) {
    __m512i sums[ROWS_PER_PASS][2];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) sums[i][0] = sums[i][1] = _mm512_setzero_si512();
    for (size_t j = 0; j < column_count; j++) {
        const uint8_t *source = inputs[j] + offset;
        const __m512i first = _mm512_maskz_loadu_epi8(masks.first, source);
        const __m512i second =
            masks.second ? _mm512_maskz_loadu_epi8(masks.second, source + REGISTER_BYTES) : _mm512_setzero_si512();
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            const __m512i matrix = _mm512_set1_epi64((long long)matrices[i * column_count + j]);
            sums[i][0] = _mm512_xor_si512(sums[i][0], _mm512_gf2p8affine_epi64_epi8(first, matrix, 0));
            sums[i][1] = _mm512_xor_si512(sums[i][1], _mm512_gf2p8affine_epi64_epi8(second, matrix, 0));
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        _mm512_mask_storeu_epi8(outputs[i] + offset, masks.first, sums[i][0]);
        if (masks.second) {
            _mm512_mask_storeu_epi8(outputs[i] + offset + REGISTER_BYTES, masks.second, sums[i][1]);
        }
    }
}

SFC_INLINE void combine(const int rows, const uint64_t *matrices, size_t column_count,
                        const uint8_t *const *inputs, uint8_t *const *outputs, size_t offset, size_t length) {
    const size_t whole_end = offset + length / STEP_BYTES * STEP_BYTES, rest = length % STEP_BYTES;
    for (; offset < whole_end; offset += STEP_BYTES) {
        /* All-ones constants, so that the compiler leaves the masks out. */
        const step_masks all = {~(__mmask64)0, ~(__mmask64)0};
        combine_step(rows, matrices, column_count, inputs, outputs, offset, all);
    }
    if (rest > 0) combine_step(rows, matrices, column_count, inputs, outputs, offset, masks_for(rest));
}

SFC_TARGET static void apply(const uint8_t *entries, size_t row_count, size_t column_count,
                             const uint8_t *const *inputs, uint8_t *const *outputs, size_t offset, size_t length) {
    /* The entries are allocated memory, and written as 64-bit words. */
    const uint64_t *matrices = (const uint64_t *)(const void *)entries;
    for (size_t first = 0; first < row_count; first += ROWS_PER_PASS) {
        const size_t rows = row_count - first < ROWS_PER_PASS ? row_count - first : ROWS_PER_PASS;
        const uint64_t *pass = matrices + first * column_count;
        uint8_t *const *targets = outputs + first;
        switch (rows) {
        case 1: combine(1, pass, column_count, inputs, targets, offset, length); break;
        case 2: combine(2, pass, column_count, inputs, targets, offset, length); break;
        case 3: combine(3, pass, column_count, inputs, targets, offset, length); break;
        case 4: combine(4, pass, column_count, inputs, targets, offset, length); break;
        case 5: combine(5, pass, column_count, inputs, targets, offset, length); break;
        default: combine(6, pass, column_count, inputs, targets, offset, length); break;
        }
    }
}

const sfc_matrix_kernel sfc_matrix_gfni = {
    .entry_bytes = sizeof(uint64_t),
    .rows_per_pass = ROWS_PER_PASS,
    .prepare = prepare,
    .apply = apply,
};

#endif
