/* A file is written under a temporary name in the same directory, synced, and then linked to its
 * real name: link(2), unlike rename(2), never replaces what is there. A crash leaves at most a
 * stray temporary file. */
#include "crypto/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"

#define PIECE_BYTES 4096

static void
close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static enum rc
check_mode(int fd, const char *path, struct fault *f)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fault_sys(f, RC_IO, "%s: cannot look at it", path);
	if (!S_ISREG(st.st_mode))
		return fault_set(f, RC_IO, "%s: is not a file", path);
	/* The group may read: that is how containers and service managers hand secrets over. */
	if ((st.st_mode & (S_IWGRP | S_IRWXO)) != 0)
		return fault_set(
		    f, RC_DENIED, "%s: other users may use it; run chmod 600 on it", path);
	return RC_OK;
}

enum rc
keyfile_read(const char *path, struct buf *out, struct fault *f)
{
	AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char piece[PIECE_BYTES];
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return fault_set(f, RC_NOT_FOUND, "%s: no such file", path);
	if (fd < 0)
		return fault_sys(f, RC_IO, "%s: cannot be opened", path);
	enum rc rc = check_mode(fd, path, f);
	if (rc != RC_OK)
		return rc;
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		buf_add(out, str_make(piece, (size_t)n));
	int failed = errno;
	mem_wipe(piece, sizeof(piece));
	errno = failed;
	if (n < 0)
		return fault_sys(f, RC_IO, "%s: cannot be read", path);
	if (!buf_is_ok(out))
		return fault_set(f, RC_LIMIT, "%s: is too long to be a key", path);
	return RC_OK;
}

static bool
write_all(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			s = str_skip(s, (size_t)n);
	}
	return true;
}

static enum rc
sync_directory_of(const char *path, struct fault *f)
{
	size_t slash = str_find_last(str_from(path), '/');
	struct str dir = path[slash] == '\0' ? STR(".") : str_make(path, slash == 0 ? 1 : slash);
	char *name = str_dup0(dir);
	AUTO(close_fd) int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	free(name);
	if (fd < 0 || fsync(fd) != 0)
		return fault_sys(f, RC_IO, "%s: its directory cannot be synced", path);
	return RC_OK;
}

static enum rc
fill_and_link(int fd, const char *tmp, const char *path, struct str content, struct fault *f)
{
	if (!write_all(fd, content) || fsync(fd) != 0)
		return fault_sys(f, RC_IO, "%s: cannot be written", path);
	if (link(tmp, path) == 0)
		return RC_OK;
	if (errno == EEXIST)
		return fault_set(f, RC_EXISTS, "%s: exists already", path);
	return fault_sys(f, RC_IO, "%s: cannot be made", path);
}

enum rc
keyfile_create(const char *path, struct str content, struct fault *f)
{
	struct buf name;

	buf_init(&name, 4096);
	buf_addf(&name, "%s.XXXXXX", path);
	if (!buf_is_ok(&name)) {
		buf_done(&name);
		return fault_set(f, RC_IO, "the path of a key file is too long");
	}
	char *tmp = buf_steal(&name);
	AUTO(close_fd) int fd = mkostemp(tmp, O_CLOEXEC); /* mode 0600 */
	enum rc rc = RC_OK;
	if (fd < 0) {
		rc = fault_sys(f, RC_IO, "%s: cannot be made", path);
	} else {
		rc = fill_and_link(fd, tmp, path, content, f);
		unlink(tmp);
	}
	free(tmp);
	return rc == RC_OK ? sync_directory_of(path, f) : rc;
}
