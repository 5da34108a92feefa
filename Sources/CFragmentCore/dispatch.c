/* Which levels this machine has, and which of them production code uses: decided once, at first use. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "processor/cpu_features_aarch64.h"
#include "processor/cpu_features_x86.h"
#include "fingerprint/kernels_aarch64.h"
#include "fingerprint/kernels_x86.h"
#include "hash/sha256_choice.h"

enum { LEVELS_MAX = 8 };

static sfc_level levels[LEVELS_MAX];
static size_t level_count;
static size_t active_level;
static pthread_once_t levels_once = PTHREAD_ONCE_INIT;

/* Measured: a single fragment of so many bytes takes about a third of the time or less by the definition. The whole key
 * catches up when about eight of them share it with AVX-512, and ten or more elsewhere. */
enum { PORTABLE_SHORT_BYTES = 16, MULTIPLIER_SHORT_BYTES = SFC_CHUNK_BYTES };

static void add_level(sfc_level level) {
    levels[level_count++] = level;
}

static void add_portable_level(void) {
    sfc_level level = {
        .name = "portable",
        .short_bytes = PORTABLE_SHORT_BYTES,
        .compute_powers = sfc_compute_powers_portable,
        .prepare_folding = sfc_prepare_folding_portable,
        .fold = sfc_fold_portable,
        .evaluate = sfc_evaluate_portable,
        .inner_product = sfc_inner_product_portable,
        .matrix = &sfc_matrix_isal,
    };
    sfc_choose_sha256_portable(&level);
    add_level(level);
}

#if defined(__x86_64__)
/* "sse42", "avx2", "vpclmul" and "avx512" differ in the fingerprint's kernels, in the vectors that hashes may use and
 * in the encoder. */
static void add_x86_levels(void) {
    const sfc_x86_features features = sfc_detect_x86_features();
    if (!features.sse42 || !features.pclmulqdq) return;

    sfc_level level = levels[0];
    level.short_bytes = MULTIPLIER_SHORT_BYTES;
    level.compute_powers = sfc_compute_powers_pclmul;
    level.prepare_folding = sfc_prepare_folding_pclmul;
    level.evaluate = sfc_evaluate_pclmul;
    level.inner_product = sfc_inner_product_pclmul;
    if (features.avx2) level.matrix = &sfc_matrix_isal_avx;

    level.name = "sse42";
    level.fold = sfc_fold_sse42;
    sfc_choose_sha256_x86(&level, &features, 128);
    add_level(level);

    if (!features.avx2) return;
    level.name = "avx2";
    level.fold = sfc_fold_avx2;
    sfc_choose_sha256_x86(&level, &features, 256);
    add_level(level);

    if (!features.vpclmulqdq) return;
    level.name = "vpclmul";
    level.compute_powers = sfc_compute_powers_vpclmul;
    level.prepare_folding = sfc_prepare_folding_vpclmul;
    level.evaluate = sfc_evaluate_vpclmul;
    level.inner_product = sfc_inner_product_vpclmul;
    level.fold = sfc_fold_vpclmul;
    add_level(level);

    if (!features.avx512) return;
    level.name = "avx512";
    level.compute_powers = sfc_compute_powers_avx512;
    level.prepare_folding = sfc_prepare_folding_avx512;
    level.fold = sfc_fold_avx512;
    level.evaluate = sfc_evaluate_avx512;
    level.inner_product = sfc_inner_product_avx512;
    level.matrix = &sfc_matrix_gfni;
    sfc_choose_sha256_x86(&level, &features, 512);
    add_level(level);
}
#endif

#if defined(__aarch64__)
static void add_aarch64_levels(void) {
    const sfc_aarch64_features features = sfc_detect_aarch64_features();
    if (!features.pmull) return;

    sfc_level level = levels[0];
    level.name = "pmull";
    level.short_bytes = MULTIPLIER_SHORT_BYTES;
    level.compute_powers = sfc_compute_powers_pmull;
    level.prepare_folding = sfc_prepare_folding_pmull;
    level.fold = sfc_fold_pmull;
    level.evaluate = sfc_evaluate_pmull;
    level.inner_product = sfc_inner_product_pmull;
    sfc_choose_sha256_aarch64(&level, &features);
    add_level(level);
}
#endif

static void choose_active_level(void) {
    active_level = level_count - 1;
    const char *wanted = getenv("SOLIDUS_CPU_LEVEL");
    if (wanted == NULL) return;
    for (size_t level = 0; level < level_count; level++) {
        if (strcmp(levels[level].name, wanted) == 0) active_level = level;
    }
}

static void find_levels(void) {
    add_portable_level();
#if defined(__x86_64__)
    add_x86_levels();
#elif defined(__aarch64__)
    add_aarch64_levels();
#endif
    choose_active_level();
}

/* pthread_once fails only on an invalid argument. */
static void ensure_levels(void) {
    if (pthread_once(&levels_once, find_levels) != 0) abort();
}

size_t sfc_level_count(void) {
    ensure_levels();
    return level_count;
}

const char *sfc_level_name(size_t level) {
    ensure_levels();
    return level < level_count ? levels[level].name : NULL;
}

size_t sfc_active_level(void) {
    ensure_levels();
    return active_level;
}

const sfc_level *sfc_level_at(size_t level) {
    ensure_levels();
    /* A wrong index is a fault of the caller; going on would run instructions the machine may lack. */
    if (level >= level_count) abort();
    return &levels[level];
}
