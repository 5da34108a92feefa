/* Matrices over GF(2^8) prepared for a level's kernel, and their application to pieces of any length. */
#include <stdlib.h>

#include "level.h"

struct sfc_matrix {
    const sfc_matrix_kernel *kernel;
    size_t row_count, column_count;
    uint8_t *entries;
};

sfc_matrix *sfc_matrix_create(size_t level, const uint8_t *coefficients, size_t row_count, size_t column_count) {
    /* Beyond the field's size there is no code; a caller who gets here with one is at fault. */
    if (row_count > SFC_FRAGMENTS_MAX || column_count > SFC_FRAGMENTS_MAX) abort();
    enum { CACHE_LINE_BYTES = 64 };
    sfc_matrix *matrix = malloc(sizeof *matrix);
    if (matrix == NULL) return NULL;
    *matrix = (sfc_matrix){.kernel = sfc_level_at(level)->matrix, .row_count = row_count, .column_count = column_count};
    const size_t entry_count = row_count * column_count;
    if (entry_count == 0) return matrix;
    /* aligned_alloc wants a multiple of the alignment. */
    const size_t size = entry_count * matrix->kernel->entry_bytes;
    matrix->entries = aligned_alloc(CACHE_LINE_BYTES, (size + CACHE_LINE_BYTES - 1) & ~(size_t)(CACHE_LINE_BYTES - 1));
    if (matrix->entries == NULL) {
        free(matrix);
        return NULL;
    }
    matrix->kernel->prepare(matrix->entries, coefficients, row_count, column_count);
    return matrix;
}

void sfc_matrix_destroy(sfc_matrix *matrix) {
    if (matrix == NULL) return;
    free(matrix->entries);
    free(matrix);
}

/* A kernel that needs several passes over the inputs goes through the pieces in segments, short enough for what it
 * comes back to to be still in the second-level cache. Otherwise only ISA-L's lengths, 32-bit integers, set a limit. */
static size_t segment_bytes(const sfc_matrix *matrix) {
    const size_t longest = (size_t)1 << 30, cached = (size_t)1 << 15;
    return matrix->row_count <= matrix->kernel->rows_per_pass ? longest : cached;
}

void sfc_matrix_apply(const sfc_matrix *matrix, const uint8_t *const *inputs, uint8_t *const *outputs, size_t length) {
    if (matrix->entries == NULL) return;
    const size_t segment = segment_bytes(matrix);
    for (size_t offset = 0; offset < length;) {
        const size_t remaining = length - offset, taken = remaining < segment ? remaining : segment;
        matrix->kernel->apply(matrix->entries, matrix->row_count, matrix->column_count, inputs, outputs, offset, taken);
        offset += taken;
    }
}
