// Linux file calls that the Swift overlay of the C library does not show.
#ifndef SOLIDUS_POSIX_STORAGE_H
#define SOLIDUS_POSIX_STORAGE_H

#include <stdint.h>

/// Gives the blocks of `length_bytes` bytes at `offset_bytes` back to the file system; they then read as zeros and the
/// file keeps its size. Returns 0, or the errno of the failure.
int solidus_punch_hole(int descriptor, int64_t offset_bytes, int64_t length_bytes);

/// Reads what the page cache has of the `count` bytes at `offset_bytes`, and waits for no disk. Returns how many bytes
/// that is, 0 at the end of the file, -1 when the first of them is not there, or the file system cannot tell.
int64_t solidus_read_cached(int descriptor, void *target, uint64_t count, int64_t offset_bytes);

#endif
