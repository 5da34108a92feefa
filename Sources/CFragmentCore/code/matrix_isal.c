/* Linear combinations by ISA-L: thirty-two bytes of look-up tables per coefficient.
 *
 * ISA-L's AVX2 code leaves the upper halves of the vector registers in use. Code without AVX that comes later then pays
 * for preserving them (110 ns at the first instruction on Zen 3), so they are given up here where they exist.
 */
#include <isa-l/erasure_code.h>

#include "code/matrix_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* In its AVX2 form; with AVX-512 there are six rows to a pass. */
enum { TABLE_BYTES = 32, ROWS_PER_PASS = 4 };

static void prepare(uint8_t *entries, const uint8_t *coefficients, size_t row_count, size_t column_count) {
    /* The declaration lacks a const; coefficients are only read. */
    ec_init_tables((int)column_count, (int)row_count, (uint8_t *)coefficients, entries);
}

static void apply(const uint8_t *entries, size_t row_count, size_t column_count, const uint8_t *const *inputs,
                  uint8_t *const *outputs, size_t offset, size_t length) {
    /* Here, too, inputs and tables are only read. */
    uint8_t *sources[SFC_FRAGMENTS_MAX], *targets[SFC_FRAGMENTS_MAX];
    for (size_t j = 0; j < column_count; j++) sources[j] = (uint8_t *)inputs[j] + offset;
    for (size_t i = 0; i < row_count; i++) targets[i] = outputs[i] + offset;
    ec_encode_data((int)length, (int)column_count, (int)row_count, (uint8_t *)entries, sources, targets);
}

const sfc_matrix_kernel sfc_matrix_isal = {
    .entry_bytes = TABLE_BYTES,
    .rows_per_pass = ROWS_PER_PASS,
    .prepare = prepare,
    .apply = apply,
};

#if defined(__x86_64__)

__attribute__((target("avx"))) static void apply_and_clear(const uint8_t *entries, size_t row_count,
                                                           size_t column_count, const uint8_t *const *inputs,
                                                           uint8_t *const *outputs, size_t offset, size_t length) {
    apply(entries, row_count, column_count, inputs, outputs, offset, length);
    _mm256_zeroupper();
}

const sfc_matrix_kernel sfc_matrix_isal_avx = {
    .entry_bytes = TABLE_BYTES,
    .rows_per_pass = ROWS_PER_PASS,
    .prepare = prepare,
    .apply = apply_and_clear,
};

#endif
