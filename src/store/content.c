/* A record says whose content follows, how long it is and what it sums to, so that a reader notices
 * a segment that was emptied or reused meanwhile, and a check after a power cut notices what the
 * disk lost. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/blob.h"
#include "store/private.h"

#define SUM_K0 0xa0761d6478bd642fu
#define SUM_K1 0xe7037ed1a0b428dbu

static uint64_t
fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Two lanes, so that the multiplications overlap. On disk: must never change. */
uint64_t
store_content_sum(struct str content, uint64_t msg)
{
	uint64_t a = SUM_K0 ^ msg, b = SUM_K1 ^ content.n;
	const char *p = content.p;
	size_t n = content.n;

	for (; n >= 16; p += 16, n -= 16) {
		uint64_t w[2];
		memcpy(w, p, sizeof(w));
		a = fold(a ^ w[0], SUM_K1);
		b = fold(b ^ w[1], SUM_K0);
	}
	uint64_t tail[2] = { 0, 0 };
	if (n > 0)
		memcpy(tail, p, n);
	a = fold(a ^ tail[0], SUM_K1);
	b = fold(b ^ tail[1], SUM_K0);
	return fold(a ^ SUM_K0, b ^ SUM_K1);
}

static enum rc
read_all(int fd, void *to, size_t n, off_t at, struct fault *fault)
{
	char *p = to;

	while (n > 0) {
		ssize_t r = pread(fd, p, n, at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return fault_sys(fault, RC_IO, "reading content");
		if (r == 0)
			return fault_set(
			    fault, RC_IO, "reading content: the segment file is cut short");
		p += r;
		n -= (size_t)r;
		at += r;
	}
	return RC_OK;
}

static enum rc
read_record(int fd, uint64_t msg, struct store_content at, struct blob **out, struct fault *fault)
{
	struct store_record head;
	enum rc rc = read_all(fd, &head, sizeof(head), at.offset, fault);

	if (rc != RC_OK)
		return rc;
	if (head.magic != STORE_RECORD_MAGIC || head.msg != msg || head.bytes != at.bytes)
		return fault_set(fault, RC_NOT_FOUND, "segment %u holds no content of message %llu",
		    at.segment, (unsigned long long)msg);
	AUTO(blob_unref) struct blob *b = blob_new(at.bytes);
	rc = read_all(fd, b->p, b->n, (off_t)at.offset + (off_t)sizeof(head), fault);
	if (rc != RC_OK)
		return rc;
	if (store_content_sum(blob_str(b), msg) != head.sum)
		return fault_set(fault, RC_IO, "content of message %llu in segment %u is damaged",
		    (unsigned long long)msg, at.segment);
	*out = TAKE(b);
	return RC_OK;
}

enum rc
store_content_read(
    int dir_fd, uint64_t msg, struct store_content at, struct blob **out, struct fault *fault)
{
	char name[STORE_SEGMENT_NAME_SIZE];

	store_segment_name(name, at.segment);
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? fault_set(fault, RC_NOT_FOUND,
					     "the content of message %llu is no longer kept",
					     (unsigned long long)msg)
				       : fault_sys(fault, RC_IO, "opening %s", name);
	enum rc rc = read_record(fd, msg, at, out, fault);
	close(fd);
	return rc;
}
