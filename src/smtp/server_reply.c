/* Saying things: every reply of a session goes through here.
 *
 * Replies are written behind one another and leave together at the end of the turn, so a pipelined
 * group of commands is answered in one packet. The table holds the sentences; this file counts
 * errors and closes. */
#include <stdarg.h>

#include "base/check.h"
#include "smtp/server_private.h"

static const struct {
	uint16_t code;
	struct smtp_enhanced enhanced;
	struct str text;
} table[] = {
#define X(name, code, cls, sub, det, text)                                                         \
	[SERVER_SAID_##name] = { code, { cls, sub, det }, STR_INIT(text) },
#include "smtp/server_replies.def"
#undef X
};
static_assert(COUNT_OF(table) == SERVER_SAID_COUNT, "every reply has a row");

struct smtp_server_reply
smtp_server_reply_of(enum server_said said)
{
	ASSERT(said > SERVER_SAID_NONE && said < SERVER_SAID_COUNT);
	return (
	    struct smtp_server_reply){ table[said].code, table[said].enhanced, table[said].text };
}

void
smtp_server_reply_text(
    struct smtp_server_session *s, uint16_t code, struct smtp_enhanced e, struct str text)
{
	struct buf *out = &s->server->text;

	if (s->state == SERVER_CLOSING)
		return;
	if (!server_has(s, SMTP_SERVER_ENHANCEDSTATUSCODES))
		e = SMTP_ENHANCED_NONE;
	buf_clear(out);
	smtp_reply_format(out, code, e, text);
	/* An owner's text past the ceiling would be cut in the middle of a line. */
	if (!buf_is_ok(out)) {
		buf_clear(out);
		smtp_reply_format(out, code, e, STR("(the explanation is too long to be sent)"));
	}
	conn_write(s->conn, buf_str(out));
}

static void
reply_value(struct smtp_server_session *s, struct smtp_server_reply r)
{
	smtp_server_reply_text(s, r.code, r.enhanced, r.text);
}

static void reply_v(struct smtp_server_session *s, uint16_t code, struct smtp_enhanced e,
    const char *fmt, va_list ap) PRINTF_LIKE(4, 0);

static void
reply_v(struct smtp_server_session *s, uint16_t code, struct smtp_enhanced e, const char *fmt,
    va_list ap)
{
	AUTO(buf_done) struct buf text = { 0 };

	buf_init(&text, 2048);
	buf_addv(&text, fmt, ap);
	smtp_server_reply_text(s, code, e, buf_str(&text));
}

void
smtp_server_reply_textf(
    struct smtp_server_session *s, uint16_t code, struct smtp_enhanced e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_v(s, code, e, fmt, ap);
	va_end(ap);
}

void
smtp_server_reply_say(struct smtp_server_session *s, enum server_said said)
{
	reply_value(s, smtp_server_reply_of(said));
}

void
smtp_server_reply_bye(struct smtp_server_session *s, enum server_said said)
{
	smtp_server_reply_say(s, said);
	smtp_server_session_close(s);
}

/* Counts an error; true when that was once too often and the session has ended. */
static bool
is_error_too_many(struct smtp_server_session *s)
{
	unsigned limit = server_opts(s)->max_errors;

	s->facts.errors++;
	if (limit == 0 || s->facts.errors < limit)
		return false;
	smtp_server_reply_bye(s, SERVER_SAID_TOO_MANY_ERRORS);
	return true;
}

void
smtp_server_reply_error(struct smtp_server_session *s, enum server_said said)
{
	if (!is_error_too_many(s))
		smtp_server_reply_say(s, said);
}

void
smtp_server_reply_errorf(
    struct smtp_server_session *s, uint16_t code, struct smtp_enhanced e, const char *fmt, ...)
{
	va_list ap;

	if (is_error_too_many(s))
		return;
	va_start(ap, fmt);
	reply_v(s, code, e, fmt, ap);
	va_end(ap);
}

void
smtp_server_reply_refusal(struct smtp_server_session *s, const struct smtp_refusal *refusal)
{
	if (refusal->what.n != 0) {
		smtp_server_reply_errorf(s, refusal->code, refusal->enhanced, "%.*s: %s",
		    STR_ARG(refusal->what), refusal->why);
	} else {
		smtp_server_reply_errorf(s, refusal->code, refusal->enhanced, "%s", refusal->why);
	}
}

void
smtp_server_reply_owner(struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	reply_value(s, *reply);
	if (reply->code == 421)
		smtp_server_session_close(s);
}

void
smtp_server_reply_yes(
    struct smtp_server_session *s, const struct smtp_server_reply *reply, enum server_said said)
{
	if (reply != NULL) {
		reply_value(s, *reply);
	} else {
		smtp_server_reply_say(s, said);
	}
}
