/* The parts of the hash that fragment_core.h does not show: messages in lanes, and each kernel by itself, also those
 * that no level of this machine uses. */
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "reference.h"
#include "hash/sha256.h"
#include "processor/cpu_features_aarch64.h"
#include "processor/cpu_features_x86.h"

enum { LANES = SFC_SHA256_LANES_MAX, PREFIX_MAX = 16 };

/* One message in 1 ... 16 lanes, cut into the prefix that the lanes share and the rest. */
static void check_message(const uint8_t *message, size_t length, const uint8_t *expected) {
    const size_t step = length > 10000 ? 15 : 1;
    for (EACH_LEVEL(level)) {
        uint8_t digest[32];
        const size_t half = length / 2;
        set_case(level, length, 0);
        sfc_sha256_pieces(sfc_level_at(level), (const uint8_t *[]){message, message + half},
                          (size_t[]){half, length - half}, 2, digest);
        expect_bytes(digest, expected, 32, "SHA-256 of two pieces");
        for (size_t prefix = 1; prefix <= PREFIX_MAX && prefix <= length; prefix += step) {
            for (size_t count = 1; count <= LANES; count += step) {
                uint8_t digests[LANES][32];
                sfc_sha256_message messages[LANES];
                for (size_t lane = 0; lane < count; lane++) {
                    messages[lane] = (sfc_sha256_message){message + prefix, length - prefix, digests[lane]};
                }
                set_detail("prefix %zu, %zu lanes", prefix, count, 0);
                sfc_sha256_messages(sfc_level_at(level), message, prefix, messages, count);
                for (size_t lane = 0; lane < count; lane++) {
                    expect_bytes(digests[lane], expected, 32, "SHA-256 in lanes");
                }
            }
        }
    }
}

static void digest_of_hex(const char *hex, uint8_t *digest) {
    for (int i = 0; i < 32; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        digest[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

/* The examples NIST published with the standard. */
static void check_nist_vectors(void) {
    static const struct {
        const char *message, *digest;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
         "nopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    uint8_t expected[32];
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        digest_of_hex(vectors[i].digest, expected);
        check_message((const uint8_t *)vectors[i].message, strlen(vectors[i].message), expected);
    }
    if (effort == EFFORT_BRIEF) return;
    const size_t million = 1000000;
    uint8_t *message = allocate(million);
    memset(message, 'a', million);
    digest_of_hex("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", expected);
    check_message(message, million, expected);
    free(message);
}

static void check_message_lengths(void) {
    for (size_t length = 0; length <= by_effort(140, 300, 1200); length += by_effort(23, 3, 1)) {
        uint8_t message[1200], expected[32];
        random_fill(message, length);
        reference_sha256(message, length, expected);
        check_message(message, length, expected);
    }
}

static int by_falling_length(const void *a, const void *b) {
    const size_t first = ((const sfc_sha256_message *)a)->length, second = ((const sfc_sha256_message *)b)->length;
    return (first < second) - (first > second);
}

/* Lanes that end one after another. */
static void check_mixed_lengths(void) {
    enum { LENGTH_MAX = 400 };
    static uint8_t text[PREFIX_MAX + LENGTH_MAX], bytes[LANES][LENGTH_MAX];
    for (size_t round = 0; round < by_effort(5, 300, 20000); round++) {
        sfc_sha256_message messages[LANES];
        uint8_t digests[LANES][32];
        const size_t count = 1 + random_below(LANES), prefix = 1 + random_below(PREFIX_MAX);
        random_fill(text, prefix);
        for (size_t lane = 0; lane < count; lane++) {
            const size_t length = random_below(random_below(2) ? LENGTH_MAX : 70);
            random_fill(bytes[lane], length);
            messages[lane] = (sfc_sha256_message){bytes[lane], length, digests[lane]};
        }
        qsort(messages, count, sizeof messages[0], by_falling_length);
        set_detail("prefix %zu, %zu lanes, round %zu", prefix, count, round);
        for (EACH_LEVEL(level)) {
            sfc_sha256_messages(sfc_level_at(level), text, prefix, messages, count);
            for (size_t lane = 0; lane < count; lane++) {
                uint8_t expected[32];
                set_case(level, messages[lane].length, 0);
                memcpy(text + prefix, messages[lane].bytes, messages[lane].length);
                reference_sha256(text, prefix + messages[lane].length, expected);
                expect_bytes(messages[lane].digest, expected, 32, "SHA-256 in lanes of different lengths");
            }
        }
    }
}

/* Appends 1, zeros and the length in bits, so that the message fills whole blocks. */
static void pad(uint8_t *message, size_t length, size_t block_count) {
    const size_t end = 64 * block_count;
    memset(message + length, 0, end - length);
    message[length] = 0x80;
    for (size_t i = 0; i < 8; i++) message[end - 1 - i] = (uint8_t)((uint64_t)(8 * length) >> (8 * i));
}

/* A kernel, and whether this machine has its instructions. */
typedef struct {
    const char *name;
    const sfc_sha256_kernel *kernel;
    bool runs_here;
} kernel_entry;

static void check_kernel(const kernel_entry *entry, size_t lane_count, size_t block_count) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint32_t states[LANES + 1][8];
    uint8_t expected[LANES][32];
    aligned_buffer copies[LANES];
    const uint8_t *blocks[LANES];
    memset(states, 0xc5, sizeof states);
    for (size_t lane = 0; lane < lane_count; lane++) {
        const size_t length = 64 * block_count - 9 - random_below(55);
        copies[lane] = allocate_aligned(64 * block_count, random_below(MAX_ALIGNMENT));
        random_fill(copies[lane].bytes, length);
        reference_sha256(copies[lane].bytes, length, expected[lane]);
        pad(copies[lane].bytes, length, block_count);
        blocks[lane] = copies[lane].bytes;
        memcpy(states[lane], initial, sizeof initial);
    }
    set_detail("%zu lanes, %zu blocks", lane_count, block_count, 0);
    entry->kernel->compress(states, blocks, lane_count, block_count);
    for (size_t lane = 0; lane < lane_count; lane++) {
        uint8_t digest[32];
        for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(states[lane][i / 4] >> (24 - 8 * (i % 4)));
        expect_bytes(digest, expected[lane], 32, entry->name);
        free(copies[lane].block);
    }
    for (size_t lane = lane_count; lane <= LANES; lane++) expect(states[lane][0] == 0xc5c5c5c5, "a state beyond");
}

static void check_every_case(const kernel_entry *entry, size_t level) {
    for (size_t lanes = 1; lanes <= entry->kernel->lanes; lanes++) {
        for (size_t blocks = 1; blocks <= by_effort(3, 9, 70); blocks++) {
            set_case(level, 64 * blocks, 0);
            check_kernel(entry, lanes, blocks);
        }
    }
}

/* Kernels belong to no level here, so the verdict is given at all of them. */
static void check_kernels(void) {
#if defined(__x86_64__)
    const sfc_x86_features features = sfc_detect_x86_features();
#elif defined(__aarch64__)
    const sfc_aarch64_features features = sfc_detect_aarch64_features();
#endif
    const kernel_entry entries[] = {
        {"portable", &sfc_sha256_portable, true},
#if defined(__x86_64__)
        {"shani", &sfc_sha256_shani, features.sha},
        {"avx2", &sfc_sha256_avx2, features.avx2},
        {"avx512", &sfc_sha256_avx512, features.avx512},
#elif defined(__aarch64__)
        {"armv8", &sfc_sha256_armv8, features.sha2},
#endif
    };
    for (EACH_LEVEL(level)) {
        for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
            if (entries[i].runs_here) check_every_case(&entries[i], level);
        }
    }
}

const suite sha256_suites[] = {
    {"sha256.kernels", "every kernel by itself, 1 ... all lanes", check_kernels},
    {"sha256.nist", "NIST's vectors in 1 ... 16 lanes, prefixes of 1 ... 16 bytes", check_nist_vectors},
    {"sha256.messages", "short messages in 1 ... 16 lanes, prefixes of 1 ... 16 bytes", check_message_lengths},
    {"sha256.mixed", "messages of different lengths in one batch", check_mixed_lengths},
    {0},
};
