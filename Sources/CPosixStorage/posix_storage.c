// Hole punching, which needs the GNU declarations of fcntl.h.
#define _GNU_SOURCE
#include "posix_storage.h"

#include <errno.h>
#include <fcntl.h>

int solidus_punch_hole(int descriptor, int64_t offset_bytes, int64_t length_bytes) {
    for (;;) {
        if (fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset_bytes, length_bytes) == 0) {
            return 0;
        }
        if (errno != EINTR) {
            return errno;
        }
    }
}
