/* A small machine between two descriptors: it knows whose turn it is.
 *
 *	GREETING, REPLY  the service's: its bytes are passed on until a final line of a reply
 *	COMMAND          the program's: one line is passed on
 *	CONTENT          the program's until a line of a single dot
 *	CHUNK            the program's for so many bytes (BDAT)
 *	DEAF             after STARTTLS: both sides are passed on as they are
 *
 * The end of the program's input is its QUIT. */
#include "cli/join.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/submit.h"

#define LINE_MAX_BYTES (1u << 20)
#define PIECE          (16u << 10)

enum turn { GREETING, COMMAND, REPLY, CONTENT, CHUNK, DEAF };

struct join {
	int fd;      /* the service */
	int in, out; /* the program */
	enum turn turn;
	enum turn next;   /* after a reply of 2xx and 3xx; COMMAND otherwise */
	uint64_t chunk;   /* bytes of CHUNK still to come */
	bool ended;       /* the program has nothing more to say */
	bool asked;       /* QUIT was passed on */
	struct buf said;  /* by the program, not passed on yet */
	struct buf heard; /* the line of a reply that is not whole yet */
};

static bool
put(int fd, struct str s)
{
	while (s.n != 0) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = str_skip(s, (size_t)n);
	}
	return true;
}

/* ---- the program's turn ---- */

static void
expect(struct join *j, struct str line)
{
	struct str word = str_sub(line, 0, str_find(line, ' '));
	struct str rest = str_trim(str_skip(line, word.n));
	uint64_t n = 0;

	j->turn = REPLY;
	j->next = COMMAND;
	if (str_eq_nocase(word, STR("DATA")))
		j->next = CONTENT;
	else if (str_eq_nocase(word, STR("STARTTLS")))
		j->next = DEAF;
	else if (str_eq_nocase(word, STR("QUIT")))
		j->asked = true;
	else if (str_eq_nocase(word, STR("BDAT")) &&
		 str_to_u64(str_sub(rest, 0, str_find(rest, ' ')), &n) == RC_OK && n != 0) {
		j->turn = CHUNK;
		j->chunk = n;
	}
}

/* Passes on one line, with CRLF. False when there is none yet. */
static bool
pass_line(struct join *j, bool *ok)
{
	struct str all = buf_str(&j->said);
	size_t n = str_find(all, '\n');

	if (n == all.n && !(j->ended && all.n != 0))
		return false;
	struct str line = str_sub(all, 0, n);
	if (str_ends(line, STR("\r")))
		line = str_sub(line, 0, line.n - 1);
	*ok = put(j->fd, line) && put(j->fd, STR("\r\n"));
	if (j->turn == COMMAND) {
		expect(j, line);
	} else if (str_eq(line, STR("."))) {
		j->turn = REPLY;
		j->next = COMMAND;
	}
	buf_drop(&j->said, n < all.n ? n + 1 : n);
	return true;
}

static bool
pass_chunk(struct join *j, bool *ok)
{
	struct str piece = buf_str(&j->said);

	if (piece.n == 0)
		return false;
	if (j->turn == CHUNK)
		piece = str_sub(piece, 0, j->chunk < piece.n ? (size_t)j->chunk : piece.n);
	*ok = put(j->fd, piece);
	buf_drop(&j->said, piece.n);
	if (j->turn == CHUNK && (j->chunk -= piece.n) == 0) {
		j->turn = REPLY;
		j->next = COMMAND;
	}
	return true;
}

/* Passes on what may be; false when the service is gone. */
static bool
pass(struct join *j)
{
	bool ok = true, more = true;

	while (ok && more) {
		switch (j->turn) {
		case COMMAND:
		case CONTENT: more = pass_line(j, &ok); break;
		case CHUNK:
		case DEAF: more = pass_chunk(j, &ok); break;
		case GREETING:
		case REPLY: more = false; break;
		}
	}
	if (ok && j->ended && !j->asked && j->turn == COMMAND && buf_len(&j->said) == 0) {
		j->asked = true;
		j->turn = REPLY;
		ok = put(j->fd, STR("QUIT\r\n"));
	}
	return ok;
}

/* ---- the service's turn ---- */

/* A whole line of a reply: the last one has no hyphen behind its code. */
static void
hear(struct join *j, struct str line)
{
	if (line.p == NULL || line.n < 3 || (line.n > 3 && line.p[3] == '-'))
		return;
	if (j->turn != GREETING && j->turn != REPLY)
		return;
	bool good = line.p[0] == '2' || line.p[0] == '3';
	j->turn = j->turn == REPLY && good ? j->next : COMMAND;
}

static bool
listen_to_service(struct join *j)
{
	char piece[PIECE];
	ssize_t n = read(j->fd, piece, sizeof(piece));

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0 || !put(j->out, str_make(piece, (size_t)n)))
		return false;
	for (ssize_t i = 0; i < n && j->turn != DEAF; i++) {
		if (piece[i] != '\n') {
			buf_add_byte(&j->heard, piece[i]);
			continue;
		}
		hear(j, buf_str(&j->heard));
		buf_clear(&j->heard);
	}
	return true;
}

static bool
listen_to_program(struct join *j)
{
	char *room = buf_reserve(&j->said, PIECE);

	if (room == NULL)
		return false;
	ssize_t n = read(j->in, room, PIECE);
	if (n < 0 && errno == EINTR)
		return true;
	if (n > 0)
		buf_commit(&j->said, (size_t)n);
	else
		j->ended = true;
	return true;
}

static void
run(struct join *j)
{
	bool ok = true;

	while (ok) {
		bool room = !j->ended && buf_len(&j->said) < LINE_MAX_BYTES - PIECE;
		struct pollfd p[2] = { { .fd = j->fd, .events = POLLIN },
			{ .fd = room ? j->in : -1, .events = POLLIN } };
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[0].revents != 0)
			ok = listen_to_service(j);
		if (ok && p[1].revents != 0)
			ok = listen_to_program(j);
		ok = ok && pass(j);
	}
}

enum rc
cli_join(struct str server, int in, int out, struct fault *f)
{
	struct join j = { .fd = -1, .in = in, .out = out, .turn = GREETING };
	enum rc rc = cli_submit_open(server, &j.fd, f);

	if (rc != RC_OK)
		return rc;
	buf_init(&j.said, LINE_MAX_BYTES);
	buf_init(&j.heard, 64 << 10);
	run(&j);
	close(j.fd);
	buf_done(&j.said);
	buf_done(&j.heard);
	return j.asked || j.turn == DEAF
		   ? RC_OK
		   : fault_set(f, RC_IO, "the service hung up in the middle of the conversation");
}
