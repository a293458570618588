/* The bytes of a message on their way in.
 *
 * Content is written once, straight into the blob that the owner, the store and the sending side
 * will share: the reader takes the dots out while it copies from the connection's input, and no
 * later step moves the bytes again. The owner's prefix (the Received field) is written first, so
 * that putting it in front costs nothing either.
 *
 * The blob is asked for in the size that the client declared, within reason, and doubles when that
 * was too little; at the end it is cut to its length. The reader writes through a `struct buf` that
 * is a window onto the blob. A buffer that runs out of room would move its memory, which must not
 * happen here; so room is made before each feed for the worst it can write.
 *
 * A message that turns out too large, or for which memory runs out, is given up at once (its blob
 * is freed) but read to its end, since only there can a reply be sent. */
#include "base/blob.h"
#include "base/check.h"
#include "smtp/server_private.h"

/* A declared size is a claim: nobody gets more than ROOM_MAX before sending something. */
#define ROOM_MIN ((size_t)8 << 10)
#define ROOM_MAX ((size_t)256 << 10)
/* The reader may hold back three bytes of the last feed, and a buffer keeps a byte free. */
#define SLACK    16

static const char empty_line[4] = { '\r', '\n', '\r', '\n' };

static void
give_up(struct server_content *c, enum server_said why)
{
	c->refusal = why;
	blob_unref(&c->blob);
}

enum server_said
smtp_server_content_begin(struct smtp_server_session *s, enum smtp_data_mode mode, uint64_t hint)
{
	const struct smtp_server_opts *opts = server_opts(s);
	struct server_content *c = &s->content;
	uint64_t expected = hint < opts->max_size ? hint : opts->max_size;
	size_t room = ROOM_MIN;

	if (expected + SLACK > room)
		room = expected + SLACK < ROOM_MAX ? (size_t)expected + SLACK : ROOM_MAX;
	if (!blob_budget_has(expected > room ? (size_t)expected : room))
		return SERVER_SAID_NO_ROOM;
	ASSERT(c->blob == NULL);
	*c = (struct server_content){ .blob = blob_new(room) };
	smtp_data_reader_init(&c->reader, mode, opts->normalize && s->facts.trusted);
	return SERVER_SAID_NONE;
}

/* Room for `n` more bytes, or the message is given up. */
static void
make_room(struct server_content *c, size_t n)
{
	size_t have = c->blob->n, need = c->used + n + SLACK;

	if (need <= have)
		return;
	size_t room = have * 2 > need ? have * 2 : need;
	if (!blob_budget_has(room - have)) {
		give_up(c, SERVER_SAID_NO_ROOM);
		return;
	}
	c->blob = blob_resize(c->blob, room);
}

void
smtp_server_prefix(struct smtp_server_session *s, struct str lines)
{
	struct server_content *c = &s->content;

	ASSERT(s->state == SERVER_CONTENT_ASKED && c->blob != NULL && c->prefix == 0);
	make_room(c, lines.n);
	if (c->blob == NULL)
		return;
	memcpy(c->blob->p, lines.p, lines.n);
	c->prefix = c->used = lines.n;
}

/* Looks for the header's end in what came since `from`. */
static void
find_header_end(struct server_content *c, size_t from)
{
	const char *content = c->blob->p + c->prefix;
	size_t n = c->used - c->prefix;

	if (c->header != 0)
		return;
	if (from == c->prefix && n >= 2 && memcmp(content, empty_line, 2) == 0) {
		c->header = 2;
		return;
	}
	/* The empty line may have begun in what was there before. */
	size_t at = from - c->prefix < 3 ? 0 : from - c->prefix - 3;
	const char *found = memmem(content + at, n - at, empty_line, sizeof(empty_line));
	if (found != NULL)
		c->header = (size_t)(found - content) + sizeof(empty_line);
}

static void
check_limits(struct smtp_server_session *s)
{
	const struct smtp_server_opts *opts = server_opts(s);
	struct server_content *c = &s->content;
	size_t header = c->header != 0 ? c->header : c->used - c->prefix;

	if (c->reader.size > opts->max_size) {
		give_up(c, SERVER_SAID_TOO_BIG);
	} else if (opts->max_header != 0 && header > opts->max_header) {
		give_up(c, SERVER_SAID_HEADER_BIG);
	}
}

/* Lets the reader write what `read` says into the blob, which has room for it. */
#define WINDOW(c)                                                                                  \
	{                                                                                          \
		.p = (c)->blob->p, .end = (c)->used, .cap = (c)->blob->n, .limit = (c)->blob->n    \
	}

enum parse
smtp_server_content_feed(struct smtp_server_session *s, struct str in, size_t *used_out)
{
	struct server_content *c = &s->content;

	/* Normalizing makes two bytes of one at worst. */
	if (c->blob != NULL)
		make_room(c, c->reader.normalize ? in.n * 2 : in.n);
	if (c->blob == NULL)
		return smtp_data_reader_feed(&c->reader, in, NULL, used_out);
	struct buf out = WINDOW(c);
	size_t before = c->used;
	enum parse got = smtp_data_reader_feed(&c->reader, in, &out, used_out);
	ASSERT(out.p == c->blob->p && buf_is_ok(&out));
	c->used = out.end;
	find_header_end(c, before);
	check_limits(s);
	return got;
}

enum server_said
smtp_server_content_finish(struct smtp_server_session *s)
{
	struct server_content *c = &s->content;
	struct smtp_server_message *m = s->message;

	if (c->reader.mode == SMTP_DATA_CHUNK) {
		if (c->blob != NULL)
			make_room(c, 0);
		struct buf out = { 0 };
		if (c->blob != NULL)
			out = (struct buf)WINDOW(c);
		smtp_data_reader_finish(&c->reader, c->blob != NULL ? &out : NULL);
		if (c->blob != NULL) {
			c->used = out.end;
			check_limits(s);
		}
	}
	const struct smtp_data_reader *r = &c->reader;
	bool bare = r->bare_cr || r->bare_lf;
	if (c->blob != NULL && (r->nul || (bare && !r->normalize)))
		give_up(c, SERVER_SAID_BAD_BYTES);
	if (c->blob == NULL)
		return c->refusal;
	m->content = blob_resize(TAKE(c->blob), c->used);
	m->prefix_bytes = c->prefix;
	m->header_bytes = c->header != 0 ? c->header : c->used - c->prefix;
	m->longest_line = r->longest_line;
	m->eight_bit = r->eight_bit;
	m->normalized = bare;
	return SERVER_SAID_NONE;
}

void
smtp_server_content_drop(struct smtp_server_session *s)
{
	blob_unref(&s->content.blob);
}
