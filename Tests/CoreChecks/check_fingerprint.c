/* Fingerprints of every level against Horner's rule bit by bit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "level.h"
#include "reference.h"

/* One key prepared at every level. */
typedef struct {
    element r;
    sfc_fingerprint_key *keys[LEVELS_MAX];
} key_set;

static key_set prepare_keys(element r) {
    key_set set = {.r = r};
    uint8_t bytes[16];
    bytes_of_element(r, bytes);
    for (size_t level = 0; level < sfc_level_count(); level++) {
        set.keys[level] = sfc_fingerprint_key_create(level, bytes);
        if (set.keys[level] == NULL) abort();
    }
    return set;
}

static void destroy_keys(key_set *set) {
    for (size_t level = 0; level < sfc_level_count(); level++) sfc_fingerprint_key_destroy(set->keys[level]);
}

static element random_element(void) {
    const uint64_t high = random_word();
    return element_of_halves(high, random_word());
}

/* Under a key that is prepared for no longer fragments, as a stripe's is. What such a key lacks is garbage. */
static void check_fitting_key(element r, size_t level, const uint8_t *data, size_t length, const uint8_t *expected) {
    static sfc_fingerprint_key key;
    memset(&key, 0xa5, sizeof key);
    uint8_t bytes[16], actual[16];
    bytes_of_element(r, bytes);
    sfc_fingerprint_key_init(sfc_level_at(level), bytes, length, &key);
    sfc_fingerprint(&key, data, length, actual);
    expect_bytes(actual, expected, sizeof actual, "fingerprint under a key for its length");
}

/* A copy at each of the given alignments, fingerprinted at every level. */
static void check_data(const key_set *set, const uint8_t *data, size_t length, size_t first_alignment,
                       size_t alignment_count) {
    uint8_t expected[16];
    bytes_of_element(reference_fingerprint(set->r, data, length), expected);
    for (size_t i = 0; i < alignment_count; i++) {
        const size_t alignment = (first_alignment + i) % MAX_ALIGNMENT;
        const aligned_buffer copy = allocate_aligned(length, alignment);
        memcpy(copy.bytes, data, length);
        for (EACH_LEVEL(level)) {
            uint8_t actual[16];
            set_case(level, length, alignment);
            sfc_fingerprint(set->keys[level], copy.bytes, length, actual);
            expect_bytes(actual, expected, sizeof expected, "fingerprint");
            if (i == 0) check_fitting_key(set->r, level, copy.bytes, length, expected);
        }
        free(copy.block);
    }
}

static void check_random_data(const key_set *set, size_t length, size_t first_alignment, size_t alignment_count) {
    uint8_t *data = allocate(length);
    random_fill(data, length);
    check_data(set, data, length, first_alignment, alignment_count);
    free(data);
}

static void check_lengths(void) {
    const size_t alignments = by_effort(1, 4, MAX_ALIGNMENT);
    key_set set = prepare_keys(random_element());
    for (size_t length = 0; length <= 1200; length += by_effort(7, 1, 1)) {
        check_random_data(&set, length, random_below(MAX_ALIGNMENT), alignments);
    }
    destroy_keys(&set);
}

static void check_alignments(void) {
    static const size_t lengths[] = {1, 63, 127, 128, 129, 255, 256, 257, 640, 4095, 4096, 4097, 8192 + 77};
    key_set set = prepare_keys(random_element());
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i += by_effort(4, 1, 1)) {
        check_random_data(&set, lengths[i], 0, MAX_ALIGNMENT);
    }
    destroy_keys(&set);
}

/* Kernels take blocks of chunks and double or quadruple them: sizes around every such step. */
static void check_block_boundaries(void) {
    key_set set = prepare_keys(random_element());
    for (size_t chunks = 1; chunks <= by_effort(36, 140, 530); chunks += by_effort(7, chunks < 70 ? 1 : 3, 1)) {
        for (int surplus = -1; surplus <= 1; surplus++) {
            check_random_data(&set, 128 * chunks + (size_t)surplus, random_below(MAX_ALIGNMENT), 1);
        }
    }
    destroy_keys(&set);
}

static void check_large(void) {
    for (size_t i = 0; i < by_effort(1, 3, 16); i++) {
        key_set set = prepare_keys(random_element());
        check_random_data(&set, 1200 + random_below(by_effort(20 << 10, 1 << 20, 6 << 20)),
                          random_below(MAX_ALIGNMENT), 1);
        destroy_keys(&set);
    }
}

/* Data whose planes are sparse, full or periodic. */
static void check_patterns(void) {
    enum { LENGTH = 4096 + 128 + 77 };
    key_set set = prepare_keys(random_element());
    uint8_t *data = allocate(LENGTH);
    static const uint8_t fills[] = {0x00, 0xff, 0x01, 0x80, 0x55, 0xaa};
    for (size_t i = 0; i < sizeof fills; i++) {
        memset(data, fills[i], LENGTH);
        check_data(&set, data, LENGTH, 0, 1);
    }
    /* Fingerprints are linear over bits, so single bits decide everything: each bit of a chunk on its own. */
    memset(data, 0, LENGTH);
    for (size_t bit = 0; bit < 8 * 256; bit += by_effort(61, 1, 1)) {
        data[bit / 8] = (uint8_t)(1 << bit % 8);
        set_detail("only bit %zu set", bit, 0, 0);
        check_data(&set, data, 256 + bit % 3, 0, 1);
        data[bit / 8] = 0;
    }
    free(data);
    destroy_keys(&set);
}

static void check_key(element r) {
    static const size_t lengths[] = {0, 1, 2, 16, 32, 33, 64, 65, 127, 128, 129, 255, 256, 1000, 4096 + 128 + 5};
    const size_t count = sizeof lengths / sizeof lengths[0];
    key_set set = prepare_keys(r);
    for (size_t i = 0; i < count; i++) {
        if (effort == EFFORT_BRIEF && lengths[i] > 300) continue;
        check_random_data(&set, lengths[i], random_below(MAX_ALIGNMENT), 1);
    }
    destroy_keys(&set);
}

static void check_special_keys(void) {
    set_detail("key 0, 1, z, theta's powers or all ones", 0, 0, 0);
    check_key(0);
    check_key(1);
    check_key(2);
    check_key(~(element)0);
    for (unsigned j = 1; j < 8; j++) check_key(reference_power(reference_theta(), j));
    for (int byte = 2; byte < 256; byte += (int)by_effort(85, 23, 1)) {
        set_detail("key E(%zu)", (size_t)byte, 0, 0);
        check_key(reference_embed((uint8_t)byte));
    }
}

/* The exponent (2^128 - 1) / (2^d - 1) takes every unit into the subfield of 2^d elements. */
static void check_subfield_keys(void) {
    for (unsigned degree = 1; degree <= 64; degree *= 2) {
        const element units = degree == 64 ? (element)UINT64_MAX : ((element)1 << degree) - 1;
        for (size_t i = 0; i < by_effort(1, 3, 12); i++) {
            set_detail("key in the subfield of 2^%zu elements", degree, 0, 0);
            check_key(reference_power(random_element(), ~(element)0 / units));
        }
    }
}

static void check_single_bit_keys(void) {
    for (size_t bit = 0; bit < 128; bit += by_effort(43, 5, 1)) {
        set_detail("key z^%zu", bit, 0, 0);
        check_key((element)1 << bit);
    }
}

static void check_random_keys(void) {
    for (size_t i = 0; i < by_effort(2, 40, 600); i++) check_key(random_element());
}

/* Around both lengths up to which levels go by the definition, under keys whose powers are few or plain. */
static void check_short(void) {
    const element subfield_key = reference_power(random_element(), ~(element)0 / UINT16_MAX);
    const element keys[] = {0, 1, 2, reference_theta(), subfield_key, ~(element)0, random_element()};
    uint8_t data[300];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        key_set set = prepare_keys(keys[i]);
        set_detail("short fragment, key %zu of check_short", i, 0, 0);
        for (size_t length = 0; length <= sizeof data; length += by_effort(11, 1, 1)) {
            memset(data, 0, length);
            check_data(&set, data, length, random_below(MAX_ALIGNMENT), 1);
            if (length > 0) data[random_below(length)] = (uint8_t)(1 + random_below(255));
            check_data(&set, data, length, random_below(MAX_ALIGNMENT), 1);
            random_fill(data, length);
            check_data(&set, data, length, random_below(MAX_ALIGNMENT), 1);
        }
        destroy_keys(&set);
    }
}

/* A key for fragments of up to some length serves all shorter ones. */
static void check_shorter_than_key(void) {
    const element r = random_element();
    uint8_t bytes[16], data[300];
    bytes_of_element(r, bytes);
    for (size_t longest = 0; longest <= sizeof data; longest += by_effort(37, 1, 1)) {
        const size_t length = random_below(longest + 1);
        uint8_t expected[16];
        random_fill(data, length);
        bytes_of_element(reference_fingerprint(r, data, length), expected);
        set_detail("key for up to %zu bytes", longest, 0, 0);
        for (EACH_LEVEL(level)) {
            static sfc_fingerprint_key key;
            uint8_t actual[16];
            set_case(level, length, 0);
            memset(&key, 0xa5, sizeof key);
            sfc_fingerprint_key_init(sfc_level_at(level), bytes, longest, &key);
            sfc_fingerprint(&key, data, length, actual);
            expect_bytes(actual, expected, sizeof actual, "fingerprint under a key for longer fragments");
        }
    }
}

static element element_of_hex(const char *hex) {
    element value = 0;
    for (; *hex != '\0'; hex++) value = (value << 4) | (element)(*hex <= '9' ? *hex - '0' : *hex - 'a' + 10);
    return value;
}

/* The published vectors: r = SHA-256("key" + n), the first 16 bytes; data = SHAKE256("data" + n, n bytes). */
static void check_vectors(void) {
    static const struct {
        size_t length;
        const char *r, *fingerprint;
    } vectors[] = {
        {0, "5f9fd8c39af59ee0a20c01e58c4019a8", "00000000000000000000000000000000"},
        {1, "dab303ccd7cde2f42166a28796097481", "053d8555a9979a1ca13fe8ac5560ce0d"},
        {7, "9d69905d8593bfb083eb78f6d0923f1e", "61b2a91ce7aa217c5e36b7d9c93c6c74"},
        {127, "cc843e4a767f64ad5c14738bceb445fd", "d4114442dac5b7b5e1c03e0faa76622a"},
        {128, "11ca14eb567d6266160eb6f13aac2653", "746176617afe56a217d1cc2895555088"},
        {129, "5321c599b25ce3613f5c1554665d61de", "b5314b5ac72e3a9ae3199b7f2f9961d0"},
        {4096, "7f7befd4c3691e40b65194733df3d5c1", "cddc560e9d7cb6ddb1e05a05cfe1a161"},
        {5000, "e100fcf273d5ee04f43887d63ae55ae5", "afa42c19a093700043f3582135550b1d"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const size_t length = vectors[i].length;
        char text[32];
        uint8_t digest[32], expected[16];
        int text_length = snprintf(text, sizeof text, "key%zu", length);
        reference_sha256((const uint8_t *)text, (size_t)text_length, digest);
        key_set set = prepare_keys(element_of_bytes(digest));
        text_length = snprintf(text, sizeof text, "data%zu", length);
        uint8_t *data = allocate(length);
        if (length > 0) reference_shake256((const uint8_t *)text, (size_t)text_length, data, length);
        bytes_of_element(element_of_hex(vectors[i].fingerprint), expected);
        for (EACH_LEVEL(level)) {
            uint8_t actual[16];
            set_case(level, length, 0);
            expect(set.r == element_of_hex(vectors[i].r), "the vector's key");
            sfc_fingerprint(set.keys[level], data, length, actual);
            expect_bytes(actual, expected, 16, "published fingerprint");
        }
        free(data);
        destroy_keys(&set);
    }
}

/* fp(b x + y) = E(b) fp(x) + fp(y). */
static void check_linearity(void) {
    enum { LENGTH = 777 };
    static uint8_t x[LENGTH], y[LENGTH], mixed[LENGTH];
    key_set set = prepare_keys(random_element());
    for (int byte = 0; byte < 256; byte += (int)by_effort(51, 1, 1)) {
        random_fill(x, LENGTH);
        random_fill(y, LENGTH);
        const uint8_t coefficients[2] = {(uint8_t)byte, 1};
        const uint8_t *const inputs[2] = {x, y};
        uint8_t *const outputs[1] = {mixed};
        reference_matrix_apply(coefficients, 1, 2, inputs, outputs, LENGTH);
        set_detail("coefficient %zu", (size_t)byte, 0, 0);
        for (EACH_LEVEL(level)) {
            uint8_t parts[32], combined[16], direct[16];
            set_case(level, LENGTH, 0);
            sfc_fingerprint(set.keys[level], x, LENGTH, parts);
            sfc_fingerprint(set.keys[level], y, LENGTH, parts + 16);
            sfc_fingerprint_combine(level, coefficients, parts, 2, combined);
            sfc_fingerprint(set.keys[level], mixed, LENGTH, direct);
            expect_bytes(direct, combined, 16, "fingerprint of a linear combination");
        }
    }
    destroy_keys(&set);
}

static void check_combination(size_t count) {
    uint8_t *coefficients = allocate(count), *fingerprints = allocate(16 * count);
    random_fill(coefficients, count);
    random_fill(fingerprints, 16 * count);
    if (count > 2) {
        coefficients[random_below(count)] = 0;
        coefficients[random_below(count)] = 1;
        memset(fingerprints + 16 * random_below(count), 0xff, 16);
    }
    element sum = 0;
    for (size_t j = 0; j < count; j++) {
        sum ^= reference_multiply(reference_embed(coefficients[j]), element_of_bytes(fingerprints + 16 * j));
    }
    uint8_t expected[16];
    bytes_of_element(sum, expected);
    for (EACH_LEVEL(level)) {
        uint8_t actual[16];
        set_case(level, count, 0);
        sfc_fingerprint_combine(level, coefficients, fingerprints, count, actual);
        expect_bytes(actual, expected, 16, "combination (its length is the count)");
    }
    free(coefficients);
    free(fingerprints);
}

static void check_combinations(void) {
    for (size_t count = 0; count <= 255; count += by_effort(17, 1, 1)) {
        for (size_t i = 0; i < by_effort(1, 2, 40); i++) check_combination(count);
    }
}

const suite fingerprint_suites[] = {
    {"fingerprint.vectors", "the published vectors", check_vectors},
    {"fingerprint.lengths", "every length 0 ... 1200 at several alignments", check_lengths},
    {"fingerprint.alignments", "all 64 alignments", check_alignments},
    {"fingerprint.blocks", "one byte around every multiple of a chunk", check_block_boundaries},
    {"fingerprint.short", "every length 0 ... 300, zeros, single bytes and random ones, special keys", check_short},
    {"fingerprint.shorter", "fragments shorter than their key is prepared for", check_shorter_than_key},
    {"fingerprint.large", "random lengths up to megabytes", check_large},
    {"fingerprint.patterns", "constant bytes and every single bit", check_patterns},
    {"fingerprint.special_keys", "keys 0, 1, z, theta, E(b), all ones", check_special_keys},
    {"fingerprint.subfield_keys", "keys in the subfields of 2^1 ... 2^64 elements", check_subfield_keys},
    {"fingerprint.single_bit_keys", "keys z^0 ... z^127", check_single_bit_keys},
    {"fingerprint.random_keys", "random keys", check_random_keys},
    {"fingerprint.linearity", "fp(b x + y) = E(b) fp(x) + fp(y) for every b", check_linearity},
    {"fingerprint.combine", "combinations of 0 ... 255 fingerprints", check_combinations},
    {0},
};
