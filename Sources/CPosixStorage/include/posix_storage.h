// Linux file calls that the Swift overlay of the C library does not show.
#ifndef SOLIDUS_POSIX_STORAGE_H
#define SOLIDUS_POSIX_STORAGE_H

#include <stdint.h>

/// Gives the blocks of `length_bytes` bytes at `offset_bytes` back to the file system; they then read as zeros and the
/// file keeps its size. Returns 0, or the errno of the failure.
int solidus_punch_hole(int descriptor, int64_t offset_bytes, int64_t length_bytes);

#endif
