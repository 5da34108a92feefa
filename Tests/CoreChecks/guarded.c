/* Memory between inaccessible pages, and canaries around what may be written. */
#include "guarded.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CANARY = 0xc5 };

static void protect(guarded_memory *memory, int protection) {
    if (mprotect(memory->pages, memory->pages_size, protection) != 0) abort();
}

guarded_memory guarded_create(size_t capacity) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guarded_memory memory;
    memory.pages_size = (capacity / page + 1) * page;
    memory.mapping_size = memory.pages_size + 2 * page;
    memory.mapping = mmap(NULL, memory.mapping_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory.mapping == MAP_FAILED) abort();
    memory.pages = memory.mapping + page;
    protect(&memory, PROT_READ | PROT_WRITE);
    memset(memory.pages, CANARY, memory.pages_size);
    return memory;
}

void guarded_destroy(guarded_memory *memory) {
    if (munmap(memory->mapping, memory->mapping_size) != 0) abort();
}

uint8_t *guarded_place(guarded_memory *memory, size_t size, guard_side side) {
    if (size > memory->pages_size) abort();
    protect(memory, PROT_READ | PROT_WRITE);
    memset(memory->pages, CANARY, memory->pages_size);
    return side == AFTER_GUARD ? memory->pages : memory->pages + memory->pages_size - size;
}

static bool is_canary(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != CANARY) return false;
    }
    return true;
}

bool guarded_is_intact(const guarded_memory *memory, const uint8_t *buffer, size_t size) {
    const size_t before = (size_t)(buffer - memory->pages);
    return is_canary(memory->pages, before) && is_canary(buffer + size, memory->pages_size - before - size);
}

void guarded_seal(guarded_memory *memory) {
    protect(memory, PROT_READ);
}
