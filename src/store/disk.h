/* The disk as the store's content files use it: a seam, so that tests can fill it or break it.
 *
 * What SQLite writes does not pass here; a test replaces its system calls by its own means. */
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/fault.h"

/* Like the calls they are named after: -1 and errno. */
struct store_disk {
	ssize_t (*pwritev)(int fd, const struct iovec *iov, int n, off_t at);
	int (*fdatasync)(int fd);
	int (*allocate)(int fd, off_t bytes);
	int (*free_bytes)(const char *dir, uint64_t *out);
};

/* Uses `d` from now on; NULL: the system's calls again. Tests only, while no writer runs. */
void store_disk_replace(const struct store_disk *d);
/* The system's own. */
extern const struct store_disk store_disk_system;

/* Writes all of `iov` (which it uses up) at `at`. RC_LIMIT: the disk is full. RC_IO: anything else.
 */
enum rc store_disk_write(int fd, struct iovec *iov, int n, uint64_t at, struct fault *fault);
/* Syncs file data. A failure cannot be retried truthfully (the kernel may have dropped the pages),
 * so it aborts the process. */
void store_disk_sync(int fd);
/* Makes `fd` a file of `bytes` with its space reserved. RC_LIMIT, RC_IO. */
enum rc store_disk_allocate(int fd, uint64_t bytes, struct fault *fault);
/* Bytes that an unprivileged user can still write. */
enum rc store_disk_free(const char *dir, uint64_t *out, struct fault *fault);
/* Syncs the directory itself, so that a created or removed name survives a power cut. Aborts
 * likewise. */
void store_disk_sync_dir(int dir_fd);
