// An ordered, durable map of bytes for an index that can be made again from a journal: RocksDB, behind a few C
// functions.
//
// It is written without a log of its own. A crash takes it back to its last flush, and a flush keeps a prefix of the
// batches in their order, never a piece of one.
//
// RocksDB itself never learns that the disk is full or that a write failed (patient_files.h says why): what flushes
// waits for room, and after any other failed write the database goes dead, as if the machine had stopped at that
// moment.

#ifndef SOLIDUS_INDEX_DATABASE_H
#define SOLIDUS_INDEX_DATABASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct index_database index_database;
typedef struct index_value index_value;
typedef struct index_walk index_walk;

/// What became of a call. Everything from INDEX_DAMAGED on comes with a message.
typedef enum index_outcome {
    INDEX_OK = 0,
    INDEX_NOT_FOUND = 1,
    /// A block does not match its checksum, or a file is missing.
    INDEX_DAMAGED = 2,
    /// There is no room for what would have to be written.
    INDEX_NO_SPACE = 3,
    INDEX_FAILED = 4,
    /// It takes a read from the disk to tell.
    INDEX_NOT_IN_MEMORY = 5,
} index_outcome;

/// Where to look a key up.
typedef enum {
    /// What was written last, wherever it is.
    INDEX_ANYWHERE = 0,
    /// What a crash now would keep.
    INDEX_ON_DISK = 1,
    /// What was written last, if that is in memory.
    INDEX_IN_MEMORY = 2,
} index_place;

typedef struct index_settings {
    /// Makes a new database; without it, opens one that is there.
    int creating;
    size_t write_buffer_bytes;
    size_t cache_bytes;
    /// Room on the disk kept for flushes when nothing else is left of it.
    uint64_t set_aside_bytes;
} index_settings;

/// Every message is the caller's, who gives it to `index_free`.
void index_free(char *message);

index_outcome index_open(const char *path, const index_settings *settings, index_database **database, char **message);

/// Closes and writes nothing more, as a crash would. No other call may be running or follow.
void index_close(index_database *database);

/// Looks a key up; `value` is the caller's, who gives it to `index_value_release`.
index_outcome index_get(
    index_database *database, const void *key, size_t key_size, index_place place, index_value **value,
    char **message);
const void *index_value_bytes(const index_value *value, size_t *size);
void index_value_release(index_value *value);

/// The kinds of changes in a batch: a byte, then sizes (u32, little-endian) each followed by that many bytes.
enum {
    /// Key and value.
    INDEX_PUT = 1,
    /// Key.
    INDEX_DELETE = 2,
    /// First key, and the key before which to stop.
    INDEX_DELETE_RANGE = 3,
};

/// Makes all changes of a batch visible together. Nothing is on the disk before the next flush.
index_outcome index_write(index_database *database, const void *changes, size_t size, char **message);

/// Begins to write what only memory holds; with `waiting`, returns when it is on the disk or there is no room for it.
index_outcome index_flush(index_database *database, int waiting, char **message);

/// Whether a flush waits for room on the disk.
int index_is_short_of_space(const index_database *database);

/// Bytes that only memory holds.
uint64_t index_unflushed_bytes(index_database *database);

/// Gives up to `bytes` of the room set aside to whoever needs it; how many.
uint64_t index_release_set_aside(index_database *database, uint64_t bytes);

/// Sets room aside again if some of it was used and there is plenty.
void index_replenish_set_aside(index_database *database);

/// Walks over what the index holds now, in the order of the keys. Must not outlive the database.
index_walk *index_walk_create(index_database *database);
void index_walk_release(index_walk *walk);
/// To the first key at or above, or the last one at or below.
void index_walk_seek(index_walk *walk, const void *key, size_t key_size, int backward);
void index_walk_next(index_walk *walk);
void index_walk_previous(index_walk *walk);
/// The present key; INDEX_NOT_FOUND at either end.
index_outcome index_walk_key(index_walk *walk, const void **key, size_t *size, char **message);
const void *index_walk_value(index_walk *walk, size_t *size);

#ifdef __cplusplus
}
#endif

#endif
