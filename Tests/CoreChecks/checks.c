/* Runs the suites and reports: one line per suite and level, a failure with everything needed to see it again. */
#include "checks.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

effort_kind effort = EFFORT_SLICE;

static uint64_t run_seed;
static uint64_t random_state;

static struct {
    const char *suite;
    size_t level, length, alignment;
    const char *detail;
    size_t detail_values[3];
} current;

static struct {
    size_t comparisons;
    bool failed;
} verdicts[LEVELS_MAX];

/* The only level to check, or null for all. */
static const char *only_level;

static bool is_left_out(size_t level) {
    return only_level != NULL && strcmp(sfc_level_name(level), only_level) != 0;
}

size_t by_effort(size_t brief, size_t slice, size_t whole) {
    switch (effort) {
    case EFFORT_BRIEF: return brief;
    case EFFORT_SLICE: return slice;
    case EFFORT_LONG: break;
    }
    return whole;
}

size_t level_after(size_t level) {
    do level++;
    while (level < sfc_level_count() && (verdicts[level].failed || is_left_out(level)));
    return level;
}

size_t first_level(void) {
    return level_after(SIZE_MAX);
}

void set_case(size_t level, size_t length, size_t alignment) {
    current.level = level;
    current.length = length;
    current.alignment = alignment;
}

void set_detail(const char *format, size_t a, size_t b, size_t c) {
    current.detail = format;
    current.detail_values[0] = a;
    current.detail_values[1] = b;
    current.detail_values[2] = c;
}

static void report_failure(const char *what) {
    printf("FAILED %s: %s: level %s, seed %llu, length %zu, alignment %zu", current.suite, what,
           sfc_level_name(current.level), (unsigned long long)run_seed, current.length, current.alignment);
    if (current.detail != NULL) {
        /* A format may use fewer than three values; the rest is ignored. */
        char text[200];
        const size_t *values = current.detail_values;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, current.detail, values[0], values[1], values[2]);
#pragma GCC diagnostic pop
        printf(", %s", text);
    }
    printf("\n");
    fflush(stdout);
}

bool expect(bool holds, const char *what) {
    verdicts[current.level].comparisons++;
    if (holds) return true;
    if (!verdicts[current.level].failed) report_failure(what);
    verdicts[current.level].failed = true;
    return false;
}

static void print_bytes(const char *title, const uint8_t *bytes, size_t size) {
    printf("  %s", title);
    for (size_t i = 0; i < size && i < 32; i++) printf("%02x", bytes[i]);
    printf("\n");
}

bool expect_bytes(const uint8_t *actual, const uint8_t *expected, size_t size, const char *what) {
    const bool was_failed = verdicts[current.level].failed;
    if (expect(size == 0 || memcmp(actual, expected, size) == 0, what)) return true;
    if (was_failed) return false;
    size_t first = 0;
    while (actual[first] == expected[first]) first++;
    printf("  first difference in byte %zu of %zu; from there on\n", first, size);
    print_bytes("got      ", actual + first, size - first);
    print_bytes("expected ", expected + first, size - first);
    return false;
}

/* SplitMix64. */
uint64_t random_word(void) {
    random_state += 0x9e3779b97f4a7c15;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

size_t random_below(size_t bound) {
    return (size_t)(random_word() % bound);
}

void random_fill(uint8_t *target, size_t size) {
    while (size > 0) {
        const uint64_t word = random_word();
        const size_t count = size < sizeof word ? size : sizeof word;
        memcpy(target, &word, count);
        target += count;
        size -= count;
    }
}

void *allocate(size_t size) {
    void *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL) abort();
    return memory;
}

aligned_buffer allocate_aligned(size_t size, size_t alignment) {
    void *block = NULL;
    /* No longer than the bytes reach, so that a memory checker sees any access beyond them. */
    if (posix_memalign(&block, MAX_ALIGNMENT, alignment + size > 0 ? alignment + size : 1) != 0) abort();
    return (aligned_buffer){block, (uint8_t *)block + alignment};
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void seed_suite(const char *name) {
    random_state = run_seed;
    for (; *name != '\0'; name++) random_state = (random_state ^ (uint8_t)*name) * 0x100000001b3;
}

static size_t passed_count, failed_count;

static void run_suite(const suite *entry) {
    printf("%s: %s\n", entry->name, entry->covers);
    fflush(stdout);
    memset(verdicts, 0, sizeof verdicts);
    memset(&current, 0, sizeof current);
    current.suite = entry->name;
    seed_suite(entry->name);
    const double start = seconds_now();
    entry->run();
    const double seconds = seconds_now() - start;
    for (size_t level = 0; level < sfc_level_count(); level++) {
        if (is_left_out(level)) continue;
        /* A suite that compared nothing checked nothing. */
        const bool passed = !verdicts[level].failed && verdicts[level].comparisons > 0;
        printf("  %-10s %8zu comparisons  %s\n", sfc_level_name(level), verdicts[level].comparisons,
               passed ? "passed" : "FAILED");
        if (passed) passed_count++;
        else failed_count++;
    }
    printf("  %.1f s\n", seconds);
    fflush(stdout);
}

/* A memory fault inside a kernel is a failed check like any other, only that nothing can go on after it. */
static void report_fault(int signal_number) {
    printf("signal %d\n", signal_number);
    report_failure(signal_number == SIGILL ? "an instruction this machine lacks" : "an access outside its memory");
    printf("%zu passed, %zu failed\n", passed_count, failed_count + 1);
    fflush(stdout);
    _exit(1);
}

static void *count_levels(void *count) {
    *(size_t *)count = sfc_level_count();
    return NULL;
}

/* The levels are found out at first use: let that be by many threads at once. */
static bool first_use_is_safe(void) {
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    size_t counts[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, count_levels, &counts[i]) != 0) abort();
    }
    for (int i = 0; i < THREADS; i++) {
        if (pthread_join(threads[i], NULL) != 0) abort();
    }
    for (int i = 0; i < THREADS; i++) {
        if (counts[i] == 0 || counts[i] > LEVELS_MAX || counts[i] != counts[0]) return false;
    }
    return true;
}

static void choose_seed(void) {
    const char *wanted = getenv("SOLIDUS_TEST_SEED");
    run_seed = wanted != NULL ? strtoull(wanted, NULL, 0) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
}

static int usage(const char *program) {
    fprintf(stderr, "usage: %s [--brief | --long] [--level NAME] [SUITE]...\n"
                    "SUITE is the beginning of a suite's name; SOLIDUS_TEST_SEED sets the seed.\n", program);
    return 2;
}

static bool is_wanted(const char *name, char **wanted, int count) {
    for (int i = 0; i < count; i++) {
        if (strncmp(name, wanted[i], strlen(wanted[i])) == 0) return true;
    }
    return count == 0;
}

int main(int argc, char **argv) {
    int first_name = 1;
    for (; first_name < argc && argv[first_name][0] == '-'; first_name++) {
        if (strcmp(argv[first_name], "--brief") == 0) effort = EFFORT_BRIEF;
        else if (strcmp(argv[first_name], "--long") == 0) effort = EFFORT_LONG;
        else if (strcmp(argv[first_name], "--level") == 0 && argv[first_name + 1] != NULL) only_level = argv[++first_name];
        else return usage(argv[0]);
    }
    const struct sigaction action = {.sa_handler = report_fault};
    if (sigaction(SIGSEGV, &action, NULL) != 0 || sigaction(SIGBUS, &action, NULL) != 0
        || sigaction(SIGILL, &action, NULL) != 0) abort();
    choose_seed();
    if (first_use_is_safe()) passed_count++;
    else failed_count++;
    printf("seed %llu, levels", (unsigned long long)run_seed);
    for (size_t level = 0; level < sfc_level_count(); level++) printf(" %s", sfc_level_name(level));
    printf("\n");

    const suite *const groups[] = {
        fingerprint_suites, hash_suites, sha256_suites, encoder_suites, stripe_suites, boundary_suites,
        thread_suites,
    };
    for (size_t group = 0; group < sizeof groups / sizeof groups[0]; group++) {
        for (const suite *entry = groups[group]; entry->name != NULL; entry++) {
            if (is_wanted(entry->name, argv + first_name, argc - first_name)) run_suite(entry);
        }
    }
    if (passed_count == 1 && failed_count == 0) {
        printf("there is no such suite or level\n");
        failed_count++;
    }
    printf("%zu passed, %zu failed\n", passed_count, failed_count);
    return failed_count == 0 ? 0 : 1;
}
