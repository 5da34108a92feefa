/* Linear combinations of whole pieces over GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, in their several forms. */
#ifndef SOLIDUS_MATRIX_KERNELS_H
#define SOLIDUS_MATRIX_KERNELS_H

#include "fragment_core.h"

/* One implementation. The form in which it wants a matrix is its own: `entry_bytes` bytes for each coefficient. */
typedef struct {
    size_t entry_bytes;

    /* How many outputs it computes each time it reads the inputs. */
    size_t rows_per_pass;

    /* Expands the coefficients, given row by row, into row_count * column_count entries, both counts 1 ... 255. */
    void (*prepare)(uint8_t *entries, const uint8_t *coefficients, size_t row_count, size_t column_count);

    /* outputs[i] = sum of coefficient[i][j] * inputs[j], over `length` bytes (1 ... 2^30) from byte `offset` on. */
    void (*apply)(const uint8_t *entries, size_t row_count, size_t column_count, const uint8_t *const *inputs,
                  uint8_t *const *outputs, size_t offset, size_t length);
} sfc_matrix_kernel;

/* ISA-L, which chooses among its own forms by the processor. */
extern const sfc_matrix_kernel sfc_matrix_isal;

#if defined(__x86_64__)
/* The same, to be used where there is AVX. */
extern const sfc_matrix_kernel sfc_matrix_isal_avx;
/* AVX-512 F and BW with GFNI. */
extern const sfc_matrix_kernel sfc_matrix_gfni;
#endif

#endif
