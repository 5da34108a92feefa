/* What the checks of the C core share: cases, verdicts, seeded randomness and effort.
 *
 * A suite computes what a case should give once, by the slow references of reference.h, and then holds every level
 * against it. Levels agree with each other because each agrees with the reference.
 */
#ifndef SOLIDUS_CHECKS_H
#define SOLIDUS_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fragment_core.h"

enum { LEVELS_MAX = 16, MAX_ALIGNMENT = 64 };

/* How much to do: EFFORT_BRIEF fits an instruction emulator, EFFORT_SLICE takes seconds, EFFORT_LONG leaves nothing
 * out. */
typedef enum { EFFORT_BRIEF, EFFORT_SLICE, EFFORT_LONG } effort_kind;

typedef struct {
    const char *name;
    const char *covers;
    void (*run)(void);
} suite;

extern const suite fingerprint_suites[];
extern const suite hash_suites[];
extern const suite sha256_suites[];
extern const suite encoder_suites[];
extern const suite stripe_suites[];
extern const suite boundary_suites[];
extern const suite thread_suites[];

extern effort_kind effort;

/* One of three numbers, by effort. */
size_t by_effort(size_t brief, size_t slice, size_t whole);

/* A loop over the levels that have not yet failed in this suite: for (size_t level = first_level();
 * level < sfc_level_count(); level = level_after(level)). */
size_t first_level(void);
size_t level_after(size_t level);
#define EACH_LEVEL(level) \
    size_t level = first_level(); level < sfc_level_count(); level = level_after(level)

/* Names the case under check, for the report of a failure. The detail is a format for at most three numbers. */
void set_case(size_t level, size_t length, size_t alignment);
void set_detail(const char *format, size_t a, size_t b, size_t c);

/* Counts one comparison; a failed one is reported with its case and takes the level out of the suite. */
bool expect(bool holds, const char *what);
bool expect_bytes(const uint8_t *actual, const uint8_t *expected, size_t size, const char *what);

/* Randomness of the running suite, from the run's seed and the suite's name. */
uint64_t random_word(void);
size_t random_below(size_t bound);
void random_fill(uint8_t *target, size_t size);

/* Never null; aborts when memory is exhausted. */
void *allocate(size_t size);

/* `size` bytes at an address that is `alignment` bytes after a multiple of 64, the first of a block to be freed. */
typedef struct {
    uint8_t *block;
    uint8_t *bytes;
} aligned_buffer;
aligned_buffer allocate_aligned(size_t size, size_t alignment);

#endif
