/* One command, one reply; no pipelining, no extensions but SIZE, 8BITMIME, SMTPUTF8 and DSN, each
 * used where it is announced. A refusal of one recipient is a refusal of the message: the caller
 * has one exit status for all. */
#include "cli/submit.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "codec/smtp_reply.h"
#include "codec/utf8.h"
#include "codec/xtext.h"

#define WAIT_S  300
#define IN_MAX  (64u << 10)
#define OUT_MAX (160u << 20)

struct talk {
	int fd;
	struct buf in;
	struct arena arena;
	struct smtp_reply reply;
};

/* ---- the connection ---- */

enum rc
cli_submit_open(struct str server, int *fd_out, struct fault *f)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST },
			*found = NULL;
	struct timeval wait = { .tv_sec = WAIT_S };
	size_t colon = str_find_last(server, ':');
	struct str host = str_sub(server, 0, colon);
	char name[256], port[8];

	if (host.n >= 2 && host.p[0] == '[')
		host = str_sub(host, 1, host.n - 2);
	snprintf(name, sizeof(name), "%.*s", STR_ARG(host));
	snprintf(port, sizeof(port), "%.*s", STR_ARG(str_skip(server, colon + 1)));
	if (colon == server.n || getaddrinfo(name, port, &hints, &found) != 0)
		return fault_set(f, RC_INVALID, "%.*s is no ADDRESS:PORT", STR_ARG(server));
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0;
	int error = errno;
	freeaddrinfo(found);
	if (!ok) {
		if (fd >= 0)
			close(fd);
		errno = error;
		return fault_sys(f, RC_CLOSED, "nobody takes mail at %.*s", STR_ARG(server));
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	*fd_out = fd;
	return RC_OK;
}

static enum rc
put(int fd, struct str s, struct fault *f)
{
	while (s.n != 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_sys(f, RC_IO, "the service hung up");
		s = str_skip(s, (size_t)n);
	}
	return RC_OK;
}

/* The next reply, into t->reply. */
static enum rc
get(struct talk *t, struct fault *f)
{
	const char *why;
	size_t used;

	for (;;) {
		switch (smtp_reply_parse(buf_str(&t->in), &t->arena, &t->reply, &used, &why)) {
		case PARSE_ONE: buf_drop(&t->in, used); return RC_OK;
		case PARSE_BROKEN: return fault_set(f, RC_IO, "that is no SMTP server: %s", why);
		case PARSE_MORE: break;
		}
		char *room = buf_reserve(&t->in, 4096);
		if (room == NULL)
			return fault_set(f, RC_IO, "that is no SMTP server: a reply has no end");
		ssize_t n = recv(t->fd, room, 4096, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return fault_set(
			    f, RC_TIMEOUT, "the service did not answer within %d s", WAIT_S);
		if (n <= 0)
			return fault_set(f, RC_IO, "the service hung up");
		buf_commit(&t->in, (size_t)n);
	}
}

/* RC_OK for a reply of class `want`. */
static enum rc
expect(struct talk *t, int want, struct fault *f)
{
	enum rc rc = get(t, f);
	const struct smtp_reply *r = &t->reply;
	char enhanced[24] = "";

	if (rc != RC_OK || r->code / 100 == want)
		return rc;
	if (r->enhanced.cls != 0)
		snprintf(enhanced, sizeof(enhanced), "%u.%u.%u ", (unsigned)r->enhanced.cls,
		    (unsigned)r->enhanced.subject, (unsigned)r->enhanced.detail);
	return fault_set(f, r->code / 100 == 5 ? RC_DENIED : RC_AGAIN,
	    "the service says: %u %s%.*s", (unsigned)r->code, enhanced, STR_ARG(r->text));
}

static enum rc
command(struct talk *t, int want, struct str line, struct fault *f)
{
	enum rc rc = put(t->fd, line, f);

	return rc == RC_OK ? expect(t, want, f) : rc;
}

/* ---- the message ---- */

static bool
offers(const struct smtp_reply *ehlo, const char *name)
{
	struct str rest = ehlo->text, line;

	while (str_cut(&rest, '\n', &line)) {
		struct str word = str_sub(line, 0, str_find(line, ' '));
		if (str_eq_nocase(word, str_from(name)))
			return true;
	}
	return false;
}

static bool
is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f || s.p[i] == '<' ||
		    s.p[i] == '>')
			return false;
	}
	return true;
}

static bool
needs_utf8(const struct cli_submit *s)
{
	bool ascii = utf8_is_ascii(s->sender);

	for (size_t i = 0; i < s->n_rcpts; i++)
		ascii = ascii && utf8_is_ascii(s->rcpts[i]);
	return !ascii;
}

static enum rc
mail(struct talk *t, const struct cli_submit *s, const struct smtp_reply *ehlo, struct fault *f)
{
	struct buf line;

	buf_init(&line, 8192);
	buf_addf(&line, "MAIL FROM:<%.*s>", STR_ARG(s->sender));
	if (offers(ehlo, "SIZE"))
		buf_addf(&line, " SIZE=%zu", s->content.n);
	if (offers(ehlo, "8BITMIME") && !utf8_is_ascii(s->content))
		buf_add(&line, STR(" BODY=8BITMIME"));
	if (needs_utf8(s) && offers(ehlo, "SMTPUTF8"))
		buf_add(&line, STR(" SMTPUTF8"));
	if (offers(ehlo, "DSN") && s->ret.n != 0)
		buf_addf(&line, " RET=%.*s", STR_ARG(s->ret));
	if (offers(ehlo, "DSN") && s->envid.n != 0) {
		buf_add(&line, STR(" ENVID="));
		xtext_encode(&line, s->envid);
	}
	buf_add(&line, STR("\r\n"));
	enum rc rc = command(t, 2, buf_str(&line), f);
	for (size_t i = 0; i < s->n_rcpts && rc == RC_OK; i++) {
		buf_clear(&line);
		buf_addf(&line, "RCPT TO:<%.*s>", STR_ARG(s->rcpts[i]));
		if (offers(ehlo, "DSN") && s->notify.n != 0)
			buf_addf(&line, " NOTIFY=%.*s", STR_ARG(s->notify));
		buf_add(&line, STR("\r\n"));
		rc = command(t, 2, buf_str(&line), f);
	}
	buf_done(&line);
	return rc;
}

/* With the dots of RFC 5321 §4.5.2. */
static enum rc
data(struct talk *t, struct str content, struct fault *f)
{
	struct buf out;
	struct str line;

	buf_init(&out, OUT_MAX);
	while (content.n != 0) {
		size_t n = str_find(content, '\n');
		line = str_sub(content, 0, n + 1);
		if (str_starts(line, STR(".")))
			buf_add_byte(&out, '.');
		buf_add(&out, line);
		content = str_skip(content, line.n);
	}
	buf_add(&out, STR(".\r\n"));
	enum rc rc = buf_is_ok(&out) ? RC_OK : fault_set(f, RC_LIMIT, "the message is too large");
	if (rc == RC_OK)
		rc = command(t, 3, STR("DATA\r\n"), f);
	if (rc == RC_OK)
		rc = command(t, 2, buf_str(&out), f);
	buf_done(&out);
	return rc;
}

static enum rc
converse(struct talk *t, const struct cli_submit *s, struct fault *f)
{
	enum rc rc = expect(t, 2, f);

	if (rc == RC_OK)
		rc = command(t, 2, arena_strf(&t->arena, "EHLO %.*s\r\n", STR_ARG(s->hostname)), f);
	struct smtp_reply ehlo = t->reply;
	if (rc == RC_OK)
		rc = mail(t, s, &ehlo, f);
	if (rc == RC_OK)
		rc = data(t, s->content, f);
	/* Taken or not: nothing that follows changes it. */
	(void)put(t->fd, STR("QUIT\r\n"), NULL);
	return rc;
}

enum rc
cli_submit(const struct cli_submit *s, struct fault *f)
{
	struct talk t = { 0 };
	bool plain =
	    is_plain(s->sender) && is_plain(s->hostname) && is_plain(s->notify) && is_plain(s->ret);

	for (size_t i = 0; i < s->n_rcpts; i++)
		plain = plain && is_plain(s->rcpts[i]);
	if (!plain)
		return fault_set(
		    f, RC_INVALID, "an address or option holds blanks or angle brackets");
	enum rc rc = cli_submit_open(s->server, &t.fd, f);
	if (rc != RC_OK)
		return rc;
	buf_init(&t.in, IN_MAX);
	rc = converse(&t, s, f);
	close(t.fd);
	buf_done(&t.in);
	arena_done(&t.arena);
	return rc;
}
