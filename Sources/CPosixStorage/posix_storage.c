// Hole punching and reads that do not wait, which need GNU declarations.
#define _GNU_SOURCE
#include "posix_storage.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

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

int64_t solidus_read_cached(int descriptor, void *target, uint64_t count, int64_t offset_bytes) {
    struct iovec vector = {.iov_base = target, .iov_len = count};
    const ssize_t done = preadv2(descriptor, &vector, 1, offset_bytes, RWF_NOWAIT);
    return done < 0 ? -1 : done;
}
