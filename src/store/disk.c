/* System calls behind one pointer, and the two rules that hold everywhere: a full disk is
 * temporary, a failed sync is the end of the process. */
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

static ssize_t
system_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	return pwritev(fd, iov, n, at);
}

static int
system_fdatasync(int fd)
{
	return fdatasync(fd);
}

static int
system_allocate(int fd, off_t bytes)
{
	if (fallocate(fd, 0, 0, bytes) == 0)
		return 0;
	/* Some file systems cannot reserve; then the size alone has to do. */
	return errno == EOPNOTSUPP ? ftruncate(fd, bytes) : -1;
}

static int
system_free_bytes(const char *dir, uint64_t *out)
{
	struct statvfs v;

	if (statvfs(dir, &v) != 0)
		return -1;
	*out = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

const struct store_disk store_disk_system = {
	.pwritev = system_pwritev,
	.fdatasync = system_fdatasync,
	.allocate = system_allocate,
	.free_bytes = system_free_bytes,
};
static const struct store_disk *disk = &store_disk_system;

void
store_disk_replace(const struct store_disk *d)
{
	disk = d != NULL ? d : &store_disk_system;
}

static enum rc
fault_of_errno(struct fault *fault, const char *what)
{
	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return fault_sys(fault, RC_LIMIT, "the disk is full: %s", what);
	return fault_sys(fault, RC_IO, "%s", what);
}

/* Drops `n` written bytes from the front of `iov`; returns how many entries are used up. */
static int
advance(struct iovec *iov, int count, size_t n)
{
	int used = 0;

	while (used < count && n >= iov[used].iov_len)
		n -= iov[used++].iov_len;
	if (used < count) {
		iov[used].iov_base = (char *)iov[used].iov_base + n;
		iov[used].iov_len -= n;
	}
	return used;
}

enum rc
store_disk_write(int fd, struct iovec *iov, int n, uint64_t at, struct fault *fault)
{
	while (n > 0) {
		ssize_t w = disk->pwritev(fd, iov, n < IOV_MAX ? n : IOV_MAX, (off_t)at);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			if (w == 0)
				errno = ENOSPC;
			return fault_of_errno(fault, "writing content");
		}
		int used = advance(iov, n, (size_t)w);
		iov += used;
		n -= used;
		at += (uint64_t)w;
	}
	return RC_OK;
}

static _Noreturn void
sync_failed(const char *what)
{
	log_event(LOG_ERROR, NULL, "store.sync_failed",
	    "%s: errno %d; stopping, since what was written may be lost", what, errno);
	abort();
}

void
store_disk_sync(int fd)
{
	while (disk->fdatasync(fd) != 0) {
		if (errno != EINTR)
			sync_failed("fdatasync of content");
	}
}

void
store_disk_sync_dir(int dir_fd)
{
	while (fsync(dir_fd) != 0) {
		if (errno == EINVAL || errno == EROFS)
			return; /* a file system that cannot sync directories */
		if (errno != EINTR)
			sync_failed("fsync of a directory");
	}
}

enum rc
store_disk_allocate(int fd, uint64_t bytes, struct fault *fault)
{
	while (disk->allocate(fd, (off_t)bytes) != 0) {
		if (errno != EINTR)
			return fault_of_errno(fault, "reserving space");
	}
	return RC_OK;
}

enum rc
store_disk_free(const char *dir, uint64_t *out, struct fault *fault)
{
	uint64_t n;

	if (disk->free_bytes(dir, &n) != 0)
		return fault_sys(fault, RC_IO, "asking for free space");
	*out = n;
	return RC_OK;
}
