/* Memory whose neighbours cannot be touched, and canaries where they can. */
#ifndef SOLIDUS_GUARDED_H
#define SOLIDUS_GUARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Readable pages between two that fault on any access. */
typedef struct {
    uint8_t *mapping;
    size_t mapping_size;
    uint8_t *pages;
    size_t pages_size;
} guarded_memory;

/* Which of the inaccessible pages a buffer touches. */
typedef enum { BEFORE_GUARD, AFTER_GUARD } guard_side;

guarded_memory guarded_create(size_t capacity);
void guarded_destroy(guarded_memory *memory);

/* `size` bytes that end exactly at the inaccessible page or begin exactly at it; everything else becomes canaries. */
uint8_t *guarded_place(guarded_memory *memory, size_t size, guard_side side);

/* Whether the canaries around a placed buffer are as they were. */
bool guarded_is_intact(const guarded_memory *memory, const uint8_t *buffer, size_t size);

/* From now on, until the next guarded_place, a write to any of the pages faults. */
void guarded_seal(guarded_memory *memory);

#endif
