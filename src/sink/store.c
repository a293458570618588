/* Files are written under a name with a leading dot and renamed when whole: who looks at the
 * directory never sees half a message. Nothing is synced, since a sink is no mailbox.
 *
 * A line of the count file: time, envelope sender, recipient, Message-ID, size; separated by tabs.
 */
#include "sink/store.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "mail/header.h"
#include "smtp/server.h"

/* A turn of the loop cannot take in more recipients than that. */
#define LINES_MAX   ((size_t)256 << 20)
#define MESSAGE_MAX ((size_t)3 << 30)

void
sink_store_init(struct sink_store *st, int count_fd, int keep_fd, unsigned loop)
{
	*st = (struct sink_store){ .count_fd = count_fd, .keep_fd = keep_fd, .loop = loop };
	buf_init(&st->lines, LINES_MAX);
	buf_init(&st->message, MESSAGE_MAX);
}

void
sink_store_done(struct sink_store *st)
{
	buf_done(&st->lines);
	buf_done(&st->message);
}

static enum rc
write_all(int fd, struct str s, struct fault *f)
{
	while (s.n != 0) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_sys(f, RC_IO, "cannot write");
		s = str_skip(s, (size_t)n);
	}
	return RC_OK;
}

static enum rc
keep(struct sink_store *st, struct str content, const char *name, struct fault *f)
{
	char temporary[SINK_NAME_SIZE + 8], final[SINK_NAME_SIZE + 8];

	snprintf(temporary, sizeof(temporary), ".%s", name);
	snprintf(final, sizeof(final), "%s.eml", name);
	int fd = openat(st->keep_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fault_sys(f, RC_IO, "cannot make %s", temporary);
	enum rc rc = write_all(fd, content, f);
	if (close(fd) != 0 && rc == RC_OK)
		rc = fault_sys(f, RC_IO, "cannot write %s", temporary);
	if (rc == RC_OK && renameat(st->keep_fd, temporary, st->keep_fd, final) != 0)
		rc = fault_sys(f, RC_IO, "cannot rename to %s", final);
	if (rc != RC_OK)
		unlinkat(st->keep_fd, temporary, 0);
	return rc;
}

/* Text of a peer as one column. */
static void
add_column(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		buf_add_byte(b, (unsigned char)c < ' ' || c == 0x7f ? '?' : c);
	}
}

static void
count(
    struct sink_store *st, const struct smtp_server_message *m, struct str message_id, size_t size)
{
	struct buf *b = &st->lines;
	char time[CLOCK_TEXT_SIZE];

	clock_format(clock_wall_us(), time);
	for (size_t i = 0; i < m->n_rcpts; i++) {
		buf_add(b, str_from(time));
		buf_add_byte(b, '\t');
		mail_addr_format(b, &m->sender);
		buf_add_byte(b, '\t');
		mail_addr_format(b, &m->rcpts[i].addr);
		buf_add_byte(b, '\t');
		add_column(b, str_trim(message_id));
		buf_addf(b, "\t%zu\n", size);
	}
}

/* `content` with `field`, its Message-ID field or nothing, replaced by a new one. */
static struct str
rewrite(struct sink_store *st, struct str content, struct str field, const char *name)
{
	struct buf *b = &st->message;
	size_t at = field.p == NULL ? 0 : (size_t)(field.p - content.p);

	buf_clear(b);
	buf_add(b, str_sub(content, 0, at));
	buf_addf(b, "Message-ID: <%s@sink.invalid>\r\n", name);
	buf_add(b, str_skip(content, at + field.n));
	return buf_str(b);
}

enum rc
sink_store_add(struct sink_store *st, const struct smtp_server_message *m,
    char name_out[static SINK_NAME_SIZE], struct fault *f)
{
	struct str content = blob_str(m->content);
	struct mail_field field = { 0 };
	enum rc rc = RC_OK;

	snprintf(name_out, SINK_NAME_SIZE, "%llx-%u-%llu", (unsigned long long)clock_wall_us(),
	    st->loop, (unsigned long long)++st->n);
	if (st->count_fd < 0 && st->keep_fd < 0)
		return RC_OK;
	mail_header_find(content, STR("Message-ID"), &field);
	if (st->rewrite_message_id) {
		content = rewrite(st, content, field.raw, name_out);
		mail_header_find(content, STR("Message-ID"), &field);
	}
	if (st->keep_fd >= 0)
		rc = keep(st, content, name_out, f);
	if (rc == RC_OK && st->count_fd >= 0)
		count(st, m, field.value, content.n);
	return rc;
}

bool
sink_store_is_dirty(const struct sink_store *st)
{
	return buf_len(&st->lines) != 0;
}

enum rc
sink_store_flush(struct sink_store *st, struct fault *f)
{
	enum rc rc = RC_OK;

	if (buf_len(&st->lines) != 0)
		rc = write_all(st->count_fd, buf_str(&st->lines), f);
	buf_clear(&st->lines);
	return rc;
}
