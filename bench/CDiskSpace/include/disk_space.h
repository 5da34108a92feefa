// The one call on files that Swift cannot make itself.

#ifndef SOLIDUS_DISK_SPACE_H
#define SOLIDUS_DISK_SPACE_H

#include <stdint.h>

/// Bytes of the file's blocks that were ever written: space that is reserved for it (posix_fallocate) but holds nothing yet
/// is left out. Returns -1 with errno where the file system does not tell.
int64_t disk_space_written_bytes(int descriptor);

#endif
