/* Preloaded into the service: records, in order, what it does to the files of one directory.
 *
 * Every call that changes a file or a directory below $RECORDER_ROOT goes into the log when it has
 * succeeded; every sync when it begins and when it has ended, since it covers what was written
 * before it began. So do replies that promise to keep a message ("Kept as"): images.py cuts the
 * power there and knows what had been promised. One lock covers call and record, except around
 * syncs, which may overlap with others' writes as they do without the recorder. Without
 * $RECORDER_LOG nothing is recorded.
 *
 * $RECORDER_CONTROL is a file of two numbers (struct control) that a test may change at any time:
 * the error with which every change is refused, such as EROFS, and how much longer a sync takes.
 *
 * Changes through mmap and stdio are not seen. Posthouse changes nothing that matters in these
 * ways (SQLite maps only its -shm file, which is no part of what survives).
 *
 * Each process writes a log of its own, $RECORDER_LOG.PID; the last record of one that was killed
 * may be cut off. A record is a header (struct record) and `bytes` bytes, in the machine's byte
 * order. `handle` numbers the openings of files, not the files; names are relative to the root.
 *
 *	OPEN       name; a = flags of open(2), b = 1 if it made the file
 *	WRITE      what was written at offset a
 *	SIZE       a = the new size (ftruncate)
 *	RESERVE    a = the size it has at least now (fallocate)
 *	SYNC_BEGIN, SYNC_END   handle
 *	MKDIR, UNLINK          name
 *	RENAME, LINK           old name, NUL, new name
 *	REPLY      the promise, recorded before it is sent */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
	OPEN = 1,
	WRITE,
	SIZE,
	RESERVE,
	SYNC_BEGIN,
	SYNC_END,
	MKDIR,
	UNLINK,
	RENAME,
	LINK,
	REPLY
};

struct record {
	uint64_t kind, handle;
	uint64_t a, b;
	uint64_t wall_us;
	uint64_t bytes;
};

/* Of one write; one less than the system takes, for the header of the record. */
#define PIECES 1023
#define FDS    65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char root[4096];
static size_t root_n;
/* Mapped from a file; without one, all is well. */
struct control {
	int32_t error;
	int32_t sync_delay_ms;
};
static const struct control all_well;
static const volatile struct control *control = &all_well;
static uint64_t handles[FDS]; /* of descriptors below the root; 0: not ours */
static uint64_t next_handle = 1;

#define REAL(result, name, ...)                                                                    \
	static result (*real_##name)(__VA_ARGS__);                                                 \
	if (real_##name == NULL)                                                                   \
	*(void **)&real_##name = dlsym(RTLD_NEXT, #name)

/* ---- the log ---- */

static void
note(enum kind kind, uint64_t handle, uint64_t a, uint64_t b, const struct iovec *iov, int n_iov)
{
	REAL(ssize_t, writev, int, const struct iovec *, int);
	struct timespec now;
	struct iovec all[PIECES + 1];
	struct record r = { .kind = kind, .handle = handle, .a = a, .b = b };

	if (log_fd < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	r.wall_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	all[0] = (struct iovec){ &r, sizeof(r) };
	for (int i = 0; i < n_iov && i < PIECES; i++) {
		r.bytes += iov[i].iov_len;
		all[i + 1] = iov[i];
	}
	if (real_writev(log_fd, all, n_iov + 1) != (ssize_t)(sizeof(r) + r.bytes))
		abort(); /* a gap would make every image a lie */
}

static void
note_text(enum kind kind, uint64_t handle, uint64_t a, uint64_t b, const char *text)
{
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };

	note(kind, handle, a, b, &iov, 1);
}

__attribute__((constructor)) static void
begin(void)
{
	const char *r = getenv("RECORDER_ROOT"), *l = getenv("RECORDER_LOG");
	const char *c = getenv("RECORDER_CONTROL");
	char name[4200];

	REAL(int, open, const char *, int, ...);
	if (r == NULL)
		return;
	snprintf(root, sizeof(root), "%s", r);
	root_n = strlen(root);
	int fd = c != NULL ? real_open(c, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		void *p = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
		control = p != MAP_FAILED ? p : &all_well;
	}
	if (l != NULL) {
		snprintf(name, sizeof(name), "%s.%d", l, (int)getpid());
		log_fd = real_open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	}
}

/* Whether a change is refused now; sets errno. */
static bool
is_refused(void)
{
	int error = control->error;

	if (error != 0)
		errno = error;
	return error != 0;
}

/* ---- names ---- */

/* The name below the root of `path` as seen from `dir_fd`; false: it lies elsewhere. */
static bool
name_of(int dir_fd, const char *path, char out[static 4096])
{
	char full[8192], dir[4096] = "";

	if (root_n == 0 || path == NULL)
		return false;
	if (path[0] == '/') {
		snprintf(full, sizeof(full), "%s", path);
	} else {
		char link[64];
		snprintf(link, sizeof(link),
		    dir_fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir_fd);
		ssize_t n = readlink(link, dir, sizeof(dir) - 1);
		if (n <= 0)
			return false;
		dir[n] = '\0';
		snprintf(full, sizeof(full), "%s/%s", dir, path);
	}
	if (strncmp(full, root, root_n) != 0 || (full[root_n] != '/' && full[root_n] != '\0'))
		return false;
	const char *name = full + root_n;
	while (*name == '/')
		name++;
	snprintf(out, 4096, "%s", *name != '\0' ? name : ".");
	return true;
}

static uint64_t
handle_of(int fd)
{
	return fd >= 0 && fd < FDS ? __atomic_load_n(&handles[fd], __ATOMIC_ACQUIRE) : 0;
}

/* ---- opening ---- */

static int
open_at(int dir_fd, const char *path, int flags, mode_t mode)
{
	REAL(int, openat, int, const char *, int, ...);
	char name[4096];
	struct stat st;

	if (!name_of(dir_fd, path, name)) {
		int fd = real_openat(dir_fd, path, flags, mode);
		if (fd >= 0 && fd < FDS)
			__atomic_store_n(&handles[fd], 0, __ATOMIC_RELEASE);
		return fd;
	}
	if ((flags & (O_CREAT | O_TRUNC)) != 0 && is_refused())
		return -1;
	pthread_mutex_lock(&lock);
	bool made = (flags & O_CREAT) != 0 && fstatat(dir_fd, path, &st, 0) != 0;
	int fd = real_openat(dir_fd, path, flags, mode);
	int error = errno;
	if (fd >= 0 && fd < FDS) {
		__atomic_store_n(&handles[fd], next_handle++, __ATOMIC_RELEASE);
		note_text(OPEN, handles[fd], (uint64_t)(unsigned)flags, made, name);
	}
	pthread_mutex_unlock(&lock);
	errno = error;
	return fd;
}

static mode_t
mode_of(int flags, va_list *ap)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(*ap, mode_t) : 0;
}

int
open(const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = mode_of(flags, &ap);
	va_end(ap);
	return open_at(AT_FDCWD, path, flags, mode);
}

int
openat(int dir_fd, const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = mode_of(flags, &ap);
	va_end(ap);
	return open_at(dir_fd, path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = mode_of(flags, &ap);
	va_end(ap);
	return open_at(AT_FDCWD, path, flags, mode);
}

int
openat64(int dir_fd, const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = mode_of(flags, &ap);
	va_end(ap);
	return open_at(dir_fd, path, flags, mode);
}

/* What fortified programs call. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir_fd, const char *path, int flags);
int __openat64_2(int dir_fd, const char *path, int flags);

int
__open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int
__open64_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int
__openat_2(int dir_fd, const char *path, int flags)
{
	return open_at(dir_fd, path, flags, 0);
}

int
__openat64_2(int dir_fd, const char *path, int flags)
{
	return open_at(dir_fd, path, flags, 0);
}

int
close(int fd)
{
	REAL(int, close, int);

	if (fd >= 0 && fd < FDS)
		__atomic_store_n(&handles[fd], 0, __ATOMIC_RELEASE);
	return real_close(fd);
}

/* ---- writing ---- */

/* `n` of the bytes of `iov` were written at `at`. */
static void
note_write(uint64_t handle, uint64_t at, const struct iovec *iov, int n_iov, size_t n)
{
	struct iovec part[PIECES];
	int used = 0;

	for (int i = 0; i < n_iov && n > 0; i++) {
		part[used] = iov[i];
		if (part[used].iov_len > n)
			part[used].iov_len = n;
		n -= part[used++].iov_len;
	}
	note(WRITE, handle, at, 0, part, used);
}

static ssize_t
write_at(int fd, const struct iovec *iov, int n_iov, off_t at)
{
	REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
	uint64_t handle = handle_of(fd);

	if (handle == 0)
		return real_pwritev(fd, iov, n_iov, at);
	if (is_refused())
		return -1;
	if (n_iov > PIECES)
		n_iov = PIECES; /* a short write; the caller goes on */
	pthread_mutex_lock(&lock);
	ssize_t n = real_pwritev(fd, iov, n_iov, at);
	int error = errno;
	if (n > 0)
		note_write(handle, (uint64_t)at, iov, n_iov, (size_t)n);
	pthread_mutex_unlock(&lock);
	errno = error;
	return n;
}

ssize_t
pwritev(int fd, const struct iovec *iov, int n_iov, off_t at)
{
	return write_at(fd, iov, n_iov, at);
}

ssize_t
pwritev64(int fd, const struct iovec *iov, int n_iov, off_t at)
{
	return write_at(fd, iov, n_iov, at);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };

	return write_at(fd, &iov, 1, at);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off_t at)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };

	return write_at(fd, &iov, 1, at);
}

static ssize_t
write_here(int fd, const struct iovec *iov, int n_iov)
{
	REAL(ssize_t, writev, int, const struct iovec *, int);
	uint64_t handle = handle_of(fd);
	struct stat st;

	if (handle == 0)
		return real_writev(fd, iov, n_iov);
	if (is_refused())
		return -1;
	if (n_iov > PIECES)
		n_iov = PIECES;
	pthread_mutex_lock(&lock);
	bool append = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
	off_t at = append && fstat(fd, &st) == 0 ? st.st_size : lseek(fd, 0, SEEK_CUR);
	ssize_t n = real_writev(fd, iov, n_iov);
	int error = errno;
	if (n > 0)
		note_write(handle, (uint64_t)at, iov, n_iov, (size_t)n);
	pthread_mutex_unlock(&lock);
	errno = error;
	return n;
}

ssize_t
writev(int fd, const struct iovec *iov, int n_iov)
{
	return write_here(fd, iov, n_iov);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	REAL(ssize_t, write, int, const void *, size_t);
	struct iovec iov = { (void *)(uintptr_t)p, n };

	return handle_of(fd) != 0 ? write_here(fd, &iov, 1) : real_write(fd, p, n);
}

static int
set_size(int fd, off_t size)
{
	REAL(int, ftruncate, int, off_t);
	uint64_t handle = handle_of(fd);

	if (handle == 0)
		return real_ftruncate(fd, size);
	if (is_refused())
		return -1;
	pthread_mutex_lock(&lock);
	int rc = real_ftruncate(fd, size);
	int error = errno;
	if (rc == 0)
		note(SIZE, handle, (uint64_t)size, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	errno = error;
	return rc;
}

int
ftruncate(int fd, off_t size)
{
	return set_size(fd, size);
}

int
ftruncate64(int fd, off_t size)
{
	return set_size(fd, size);
}

static int
reserve(int fd, int mode, off_t at, off_t n)
{
	REAL(int, fallocate, int, int, off_t, off_t);
	uint64_t handle = handle_of(fd);

	if (handle == 0)
		return real_fallocate(fd, mode, at, n);
	if (is_refused())
		return -1;
	pthread_mutex_lock(&lock);
	int rc = real_fallocate(fd, mode, at, n);
	int error = errno;
	if (rc == 0 && mode == 0)
		note(RESERVE, handle, (uint64_t)(at + n), 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	errno = error;
	return rc;
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
	return reserve(fd, mode, at, n);
}

int
fallocate64(int fd, int mode, off_t at, off_t n)
{
	return reserve(fd, mode, at, n);
}

int
posix_fallocate(int fd, off_t at, off_t n)
{
	return reserve(fd, 0, at, n) == 0 ? 0 : errno;
}

int
posix_fallocate64(int fd, off_t at, off_t n)
{
	return reserve(fd, 0, at, n) == 0 ? 0 : errno;
}

/* ---- syncing ---- */

static int
sync_by(int (*real)(int), int fd)
{
	uint64_t handle = handle_of(fd);
	long delay_ms = control->sync_delay_ms;
	struct timespec wait = { delay_ms / 1000, delay_ms % 1000 * 1000000 };

	if (handle == 0)
		return real(fd);
	pthread_mutex_lock(&lock);
	note(SYNC_BEGIN, handle, 0, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	if (delay_ms > 0)
		nanosleep(&wait, NULL);
	int rc = real(fd);
	int error = errno;
	pthread_mutex_lock(&lock);
	if (rc == 0)
		note(SYNC_END, handle, 0, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	errno = error;
	return rc;
}

int
fsync(int fd)
{
	REAL(int, fsync, int);
	return sync_by(real_fsync, fd);
}

int
fdatasync(int fd)
{
	REAL(int, fdatasync, int);
	return sync_by(real_fdatasync, fd);
}

/* ---- directories ---- */

static void
note_pair(enum kind kind, const char *from, const char *to)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)from, strlen(from) + 1 },
		{ (void *)(uintptr_t)to, strlen(to) } };

	note(kind, 0, 0, 0, iov, 2);
}

int
mkdirat(int dir_fd, const char *path, mode_t mode)
{
	REAL(int, mkdirat, int, const char *, mode_t);
	char name[4096];

	pthread_mutex_lock(&lock);
	int rc = real_mkdirat(dir_fd, path, mode);
	int error = errno;
	if (rc == 0 && name_of(dir_fd, path, name))
		note_text(MKDIR, 0, 0, 0, name);
	pthread_mutex_unlock(&lock);
	errno = error;
	return rc;
}

int
mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int
unlinkat(int dir_fd, const char *path, int flags)
{
	REAL(int, unlinkat, int, const char *, int);
	char name[4096];

	pthread_mutex_lock(&lock);
	int rc = real_unlinkat(dir_fd, path, flags);
	int error = errno;
	if (rc == 0 && name_of(dir_fd, path, name))
		note_text(UNLINK, 0, 0, 0, name);
	pthread_mutex_unlock(&lock);
	errno = error;
	return rc;
}

int
unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	REAL(int, renameat, int, const char *, int, const char *);
	char old_name[4096], new_name[4096];

	pthread_mutex_lock(&lock);
	int rc = real_renameat(from_fd, from, to_fd, to);
	int error = errno;
	if (rc == 0 && name_of(from_fd, from, old_name) && name_of(to_fd, to, new_name))
		note_pair(RENAME, old_name, new_name);
	pthread_mutex_unlock(&lock);
	errno = error;
	return rc;
}

int
rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int
linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	REAL(int, linkat, int, const char *, int, const char *, int);
	char old_name[4096], new_name[4096];

	pthread_mutex_lock(&lock);
	int rc = real_linkat(from_fd, from, to_fd, to, flags);
	int error = errno;
	if (rc == 0 && name_of(from_fd, from, old_name) && name_of(to_fd, to, new_name))
		note_pair(LINK, old_name, new_name);
	pthread_mutex_unlock(&lock);
	errno = error;
	return rc;
}

int
link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Names that the C library makes up. */
static int
make_temporary(char *path, int flags)
{
	REAL(int, mkostemp, char *, int);
	char name[4096];

	pthread_mutex_lock(&lock);
	int fd = real_mkostemp(path, flags);
	int error = errno;
	if (fd >= 0 && fd < FDS && name_of(AT_FDCWD, path, name)) {
		__atomic_store_n(&handles[fd], next_handle++, __ATOMIC_RELEASE);
		note_text(OPEN, handles[fd], O_RDWR | O_CREAT, 1, name);
	}
	pthread_mutex_unlock(&lock);
	errno = error;
	return fd;
}

int
mkostemp(char *path, int flags)
{
	return make_temporary(path, flags);
}

int
mkostemp64(char *path, int flags)
{
	return make_temporary(path, flags);
}

int
mkstemp(char *path)
{
	return make_temporary(path, 0);
}

int
mkstemp64(char *path)
{
	return make_temporary(path, 0);
}

/* ---- promises ---- */

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	REAL(ssize_t, send, int, const void *, size_t, int);
	static const char promise[] = "250 2.0.0 Kept as ";
	const char *end = (const char *)p + n;
	const char *at = log_fd >= 0 ? p : end;

	while ((at = memmem(at, (size_t)(end - at), promise, sizeof(promise) - 1)) != NULL) {
		const char *cr = memchr(at, '\r', (size_t)(end - at));
		struct iovec line = { (void *)(uintptr_t)at,
			(size_t)((cr != NULL ? cr : end) - at) };
		pthread_mutex_lock(&lock);
		note(REPLY, 0, 0, 0, &line, 1);
		pthread_mutex_unlock(&lock);
		at += line.iov_len;
	}
	return real_send(fd, p, n, flags);
}
