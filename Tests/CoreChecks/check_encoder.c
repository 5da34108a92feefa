/* Matrices over GF(2^8) against the reference, and against ISA-L where the reference would take too long. */
#include <isa-l/erasure_code.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "reference.h"

/* Pieces at alignments of their own. */
typedef struct {
    size_t count, length;
    aligned_buffer *copies;
    uint8_t **bytes;
} piece_set;

static piece_set allocate_pieces(size_t count, size_t length, size_t first_alignment) {
    piece_set pieces = {count, length, allocate(count * sizeof(aligned_buffer)), allocate(count * sizeof(uint8_t *))};
    for (size_t i = 0; i < count; i++) {
        pieces.copies[i] = allocate_aligned(length, (first_alignment + 11 * i) % MAX_ALIGNMENT);
        pieces.bytes[i] = pieces.copies[i].bytes;
        memset(pieces.bytes[i], 0xc5, length);
    }
    return pieces;
}

static void free_pieces(piece_set *pieces) {
    for (size_t i = 0; i < pieces->count; i++) free(pieces->copies[i].block);
    free(pieces->copies);
    free(pieces->bytes);
}

/* ISA-L as everybody calls it. */
static void isal_apply(const uint8_t *coefficients, size_t row_count, size_t column_count,
                       const piece_set *inputs, const piece_set *outputs) {
    uint8_t *tables = allocate(32 * row_count * column_count);
    uint8_t *mutable_coefficients = allocate(row_count * column_count);
    memcpy(mutable_coefficients, coefficients, row_count * column_count);
    ec_init_tables((int)column_count, (int)row_count, mutable_coefficients, tables);
    ec_encode_data((int)inputs->length, (int)column_count, (int)row_count, tables, inputs->bytes, outputs->bytes);
    free(mutable_coefficients);
    free(tables);
}

typedef enum { BY_DEFINITION, BY_ISAL } expectation;

static void check_matrix(const uint8_t *coefficients, size_t row_count, size_t column_count, size_t length,
                         size_t first_alignment, expectation by) {
    piece_set inputs = allocate_pieces(column_count, length, first_alignment);
    piece_set expected = allocate_pieces(row_count, length, 0);
    piece_set before = allocate_pieces(column_count, length, 0);
    for (size_t j = 0; j < column_count; j++) {
        random_fill(inputs.bytes[j], length);
        memcpy(before.bytes[j], inputs.bytes[j], length);
    }
    if (by == BY_DEFINITION) {
        reference_matrix_apply(coefficients, row_count, column_count, (const uint8_t *const *)inputs.bytes,
                               expected.bytes, length);
    } else {
        isal_apply(coefficients, row_count, column_count, &inputs, &expected);
    }
    set_detail("%zu rows, %zu columns", row_count, column_count, 0);
    for (EACH_LEVEL(level)) {
        set_case(level, length, first_alignment);
        piece_set outputs = allocate_pieces(row_count, length, (first_alignment + 5) % MAX_ALIGNMENT);
        sfc_matrix *matrix = sfc_matrix_create(level, coefficients, row_count, column_count);
        if (matrix == NULL) abort();
        sfc_matrix_apply(matrix, (const uint8_t *const *)inputs.bytes, outputs.bytes, length);
        sfc_matrix_destroy(matrix);
        for (size_t i = 0; i < row_count; i++) {
            expect_bytes(outputs.bytes[i], expected.bytes[i], length, "product of a matrix");
        }
        for (size_t j = 0; j < column_count; j++) {
            expect_bytes(inputs.bytes[j], before.bytes[j], length, "input of a matrix left as it was");
        }
        free_pieces(&outputs);
    }
    free_pieces(&inputs);
    free_pieces(&expected);
    free_pieces(&before);
}

/* The rows of a systematic Cauchy code of `fragments` by `data_fragments` below the unit matrix; all of them for the
 * trivial codes without parity. */
static void check_code(size_t data_fragments, size_t fragments, size_t length, size_t alignment, expectation by) {
    uint8_t *generator = allocate(fragments * data_fragments);
    gf_gen_cauchy1_matrix(generator, (int)fragments, (int)data_fragments);
    const size_t first = fragments > data_fragments ? data_fragments : 0;
    check_matrix(generator + first * data_fragments, fragments - first, data_fragments, length, alignment, by);
    free(generator);
}

static const struct {
    size_t data_fragments, fragments;
} codes[] = {{1, 1}, {1, 4}, {2, 4}, {3, 7}, {4, 8}, {8, 10}, {7, 19}, {20, 60}, {128, 255}};
enum { CODES = sizeof codes / sizeof codes[0], SMALL_CODES = CODES - 2 };

static void check_lengths(void) {
    for (size_t length = 0; length <= 1200; length += by_effort(19, 1, 1)) {
        for (size_t i = 0; i < by_effort(1, 2, SMALL_CODES); i++) {
            const size_t code = (length + i) % SMALL_CODES;
            check_code(codes[code].data_fragments, codes[code].fragments, length, random_below(MAX_ALIGNMENT),
                       BY_DEFINITION);
        }
    }
}

static void check_codes(void) {
    static const size_t lengths[] = {1, 63, 64, 65, 127, 1000, 4096};
    for (size_t code = 0; code < CODES; code++) {
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i += by_effort(6, code < SMALL_CODES ? 1 : 3, 1)) {
            const bool is_small = code < SMALL_CODES || effort == EFFORT_LONG;
            check_code(codes[code].data_fragments, codes[code].fragments, lengths[i], random_below(MAX_ALIGNMENT),
                       is_small ? BY_DEFINITION : BY_ISAL);
        }
    }
}

static void check_alignments(void) {
    for (size_t alignment = 0; alignment < MAX_ALIGNMENT; alignment += by_effort(13, 1, 1)) {
        check_code(2, 4, 777, alignment, BY_DEFINITION);
        check_code(4, 8, 300, alignment, BY_DEFINITION);
    }
}

static void check_large(void) {
    for (size_t i = 0; i < by_effort(1, 6, 40); i++) {
        const size_t code = random_below(SMALL_CODES);
        check_code(codes[code].data_fragments, codes[code].fragments,
                   1200 + random_below(by_effort(10 << 10, 256 << 10, 4 << 20)), random_below(MAX_ALIGNMENT), BY_ISAL);
    }
}

/* Every pair of counts, which is where kernels of several rows at once differ; zero and one among the coefficients. */
static void check_shapes(void) {
    const size_t side = by_effort(5, 14, 40);
    for (size_t row_count = 0; row_count <= side; row_count++) {
        for (size_t column_count = 1; column_count <= side; column_count++) {
            uint8_t coefficients[40 * 40];
            random_fill(coefficients, row_count * column_count);
            for (size_t i = 0; i < row_count * column_count; i++) {
                if (random_below(4) == 0) coefficients[i] = (uint8_t)random_below(2);
            }
            check_matrix(coefficients, row_count, column_count, 1 + random_below(400), random_below(MAX_ALIGNMENT),
                         BY_DEFINITION);
        }
    }
    uint8_t *widest = allocate(255 * 255);
    random_fill(widest, 255 * 255);
    check_matrix(widest, 1, 255, 200, 1, BY_DEFINITION);
    check_matrix(widest, 255, 1, 200, 2, BY_DEFINITION);
    if (effort != EFFORT_BRIEF) check_matrix(widest, 255, 255, 130, 3, BY_ISAL);
    free(widest);
}

/* Every coefficient times every byte. */
static void check_products(void) {
    for (int coefficient = 0; coefficient < 256; coefficient += (int)by_effort(17, 1, 1)) {
        uint8_t bytes[256], expected[256], actual[256];
        const uint8_t one = (uint8_t)coefficient;
        for (int byte = 0; byte < 256; byte++) {
            bytes[byte] = (uint8_t)byte;
            expected[byte] = reference_byte_product(one, (uint8_t)byte);
        }
        set_detail("coefficient %zu", (size_t)coefficient, 0, 0);
        for (EACH_LEVEL(level)) {
            set_case(level, sizeof bytes, 0);
            sfc_matrix *matrix = sfc_matrix_create(level, &one, 1, 1);
            if (matrix == NULL) abort();
            sfc_matrix_apply(matrix, (const uint8_t *[]){bytes}, (uint8_t *[]){actual}, sizeof bytes);
            sfc_matrix_destroy(matrix);
            expect_bytes(actual, expected, sizeof bytes, "multiples of every byte");
        }
    }
}

const suite encoder_suites[] = {
    {"encoder.products", "every coefficient times every byte", check_products},
    {"encoder.lengths", "every length 0 ... 1200", check_lengths},
    {"encoder.codes", "codes (1,1) (1,4) (2,4) (3,7) (4,8) (8,10) (7,19) (20,60) (128,255)", check_codes},
    {"encoder.alignments", "all 64 alignments", check_alignments},
    {"encoder.shapes", "random matrices of 0 ... 14 by 1 ... 14, and 255 wide or high", check_shapes},
    {"encoder.large", "random lengths up to megabytes, against ISA-L", check_large},
    {0},
};
