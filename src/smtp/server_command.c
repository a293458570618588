/* Command lines: taken off the input, told apart, allowed or not, and handed to the file of their
 * verb.
 *
 * A line is parsed where it stands in the input buffer. It is dropped from the buffer before it is
 * obeyed, since STARTTLS must find the buffer empty; its bytes stay readable until the connection
 * next reads, which it does only from the loop.
 *
 * Order is a table: for each verb the states in which it is obeyed, and for each other state the
 * sentence that says what is missing. BDAT alone is dealt with in every state, because its chunk
 * has to be read in any case.
 *
 * What is no SMTP at all (a browser, a TLS handshake on a plain port) is told so once and closed:
 * some of it is an attack that makes a browser speak to us, and none of it gets better by going on.
 */
#include <ctype.h>

#include "base/check.h"
#include "smtp/server_private.h"

#define IN(name)       (1u << SERVER_##name)
#define ANY_STATE      (IN(HELLO) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(BETWEEN))
#define IN_TRANSACTION (IN(MAIL) | IN(RCPT) | IN(BETWEEN))

/* A line without an end is given up at so many times its limit. */
#define LINE_PATIENCE  4

/* ---- lines ---- */

static bool
is_lf_enough(const struct smtp_server_session *s)
{
	return server_opts(s)->normalize && s->facts.trusted;
}

enum parse
smtp_server_command_line(
    struct smtp_server_session *s, size_t limit, struct str *line_out, enum server_said *why_out)
{
	struct buf *input = conn_input(s->conn);
	struct str in = buf_str(input);
	const char *lf = NULL;

	if (in.n > s->scanned)
		lf = memchr(in.p + s->scanned, '\n', in.n - s->scanned);
	if (lf == NULL) {
		s->scanned = in.n;
		if (in.n < limit * LINE_PATIENCE && !conn_input_is_full(s->conn))
			return PARSE_MORE;
		smtp_server_reply_say(s, SERVER_SAID_LINE_LONG);
		smtp_server_session_close(s);
		return PARSE_BROKEN;
	}
	struct str line = str_sub(in, 0, (size_t)(lf - in.p) + 1);
	buf_drop(input, line.n);
	s->scanned = 0;
	*why_out = SERVER_SAID_LINE_LONG;
	if (line.n > limit)
		return PARSE_BROKEN;
	line.n--;
	*why_out = SERVER_SAID_LINE_END;
	if (line.n != 0 && line.p[line.n - 1] == '\r') {
		line.n--;
	} else if (!is_lf_enough(s)) {
		return PARSE_BROKEN;
	}
	if (str_has_byte(line, '\r') || str_has_byte(line, '\0'))
		return PARSE_BROKEN;
	*line_out = line;
	return PARSE_ONE;
}

/* ---- what is no SMTP ---- */

static bool
is_http_method(struct str name)
{
	static const struct str methods[] = {
		STR_INIT("GET"),
		STR_INIT("POST"),
		STR_INIT("HEAD"),
		STR_INIT("PUT"),
		STR_INIT("DELETE"),
		STR_INIT("OPTIONS"),
		STR_INIT("CONNECT"),
		STR_INIT("PATCH"),
		STR_INIT("PRI"),
	};

	for (size_t i = 0; i < COUNT_OF(methods); i++) {
		if (str_eq(name, methods[i]))
			return true;
	}
	return false;
}

/* A line of a mail or HTTP header: whoever sends one as a command does not listen to replies. */
static bool
is_header_line(struct str name)
{
	return name.n > 1 && name.p[name.n - 1] == ':';
}

/* The first bytes are a TLS record: handshake, version 3.x. */
static bool
is_tls_hello(const struct smtp_server_session *s)
{
	struct str in = buf_str(conn_input(s->conn));

	return s->facts.commands == 0 && !s->facts.tls && in.n >= 2 && in.p[0] == 0x16 &&
	       in.p[1] == 0x03;
}

/* ---- verbs without a life of their own ---- */

static void
rset(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	(void)cmd;
	smtp_server_session_forget(s);
	if ((IN_TRANSACTION & (1u << s->state)) != 0)
		smtp_server_session_set_state(s, SERVER_READY);
	smtp_server_reply_say(s, SERVER_SAID_RESET);
}

static void
noop(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	(void)cmd;
	smtp_server_reply_say(s, SERVER_SAID_OK);
}

static void
help(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	(void)cmd;
	smtp_server_reply_say(s, SERVER_SAID_HELP);
}

static void
vrfy(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	(void)cmd;
	smtp_server_reply_say(s, SERVER_SAID_VRFY);
}

static void
expn(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	(void)cmd;
	smtp_server_reply_error(s, SERVER_SAID_EXPN);
}

static void
quit(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	(void)cmd;
	smtp_server_reply_bye(s, SERVER_SAID_BYE);
}

static void
starttls(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	(void)cmd;
	smtp_server_tls_begin(s);
}

static void
data(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	(void)cmd;
	smtp_server_data_begin(s);
}

static void
unknown(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	if (is_http_method(cmd->name)) {
		smtp_server_reply_bye(s, SERVER_SAID_HTTP);
	} else if (is_header_line(cmd->name)) {
		smtp_server_reply_bye(s, SERVER_SAID_NOT_SMTP);
	} else {
		smtp_server_reply_error(s, SERVER_SAID_UNKNOWN);
	}
}

/* ---- order ---- */

typedef void command_fn(struct smtp_server_session *s, const struct smtp_command *cmd);

/* The `_other` columns: the reply in a state that is not in `states`, by what is going on there. */
static const struct {
	command_fn *obey;
	uint32_t states;
	enum server_said before_hello; /* in HELLO */
	enum server_said before_mail;  /* in READY */
	enum server_said in_mail;      /* in MAIL */
	enum server_said in_rcpt;      /* in RCPT */
	enum server_said in_bdat;      /* in BETWEEN */
} verbs[] = {
#define SAID(name) SERVER_SAID_##name
#define ALWAYS     ANY_STATE, SAID(NONE), SAID(NONE), SAID(NONE), SAID(NONE), SAID(NONE)
	[SMTP_VERB_HELO] = { smtp_server_helo_begin, ALWAYS },
	[SMTP_VERB_EHLO] = { smtp_server_helo_begin, ALWAYS },
	[SMTP_VERB_MAIL] = { smtp_server_mail_begin, IN(READY), SAID(HELLO_FIRST), SAID(NONE),
	    SAID(MAIL_TWICE), SAID(MAIL_TWICE), SAID(IN_BDAT) },
	[SMTP_VERB_RCPT] = { smtp_server_rcpt_begin, IN(MAIL) | IN(RCPT), SAID(HELLO_FIRST),
	    SAID(MAIL_FIRST), SAID(NONE), SAID(NONE), SAID(IN_BDAT) },
	[SMTP_VERB_DATA] = { data, IN(RCPT), SAID(HELLO_FIRST), SAID(MAIL_FIRST), SAID(RCPT_FIRST),
	    SAID(NONE), SAID(IN_BDAT) },
	[SMTP_VERB_BDAT] = { smtp_server_data_bdat, ALWAYS },
	[SMTP_VERB_RSET] = { rset, ALWAYS },
	[SMTP_VERB_NOOP] = { noop, ALWAYS },
	[SMTP_VERB_QUIT] = { quit, ALWAYS },
	[SMTP_VERB_VRFY] = { vrfy, ALWAYS },
	[SMTP_VERB_EXPN] = { expn, ALWAYS },
	[SMTP_VERB_HELP] = { help, ALWAYS },
	[SMTP_VERB_STARTTLS] = { starttls, IN(READY), SAID(HELLO_FIRST), SAID(NONE), SAID(IN_MAIL),
	    SAID(IN_MAIL), SAID(IN_BDAT) },
	[SMTP_VERB_AUTH] = { smtp_server_auth_begin, IN(READY), SAID(HELLO_FIRST), SAID(NONE),
	    SAID(IN_MAIL), SAID(IN_MAIL), SAID(IN_BDAT) },
	[SMTP_VERB_UNKNOWN] = { unknown, ALWAYS },
#undef ALWAYS
#undef SAID
};
static_assert(COUNT_OF(verbs) == SMTP_VERB_COUNT, "every verb has a row");

static enum server_said
out_of_order(const struct smtp_server_session *s, enum smtp_verb verb)
{
	if ((verbs[verb].states & (1u << s->state)) != 0)
		return SERVER_SAID_NONE;
	if (s->state == SERVER_HELLO)
		return verbs[verb].before_hello;
	if (s->state == SERVER_READY)
		return verbs[verb].before_mail;
	if (s->state == SERVER_MAIL)
		return verbs[verb].in_mail;
	return s->state == SERVER_RCPT ? verbs[verb].in_rcpt : verbs[verb].in_bdat;
}

/* ---- turning ---- */

static void
obey(struct smtp_server_session *s, struct str line)
{
	struct smtp_command cmd;
	struct smtp_refusal refusal;

	arena_clear(&s->scratch);
	if (!smtp_command_parse(line, &cmd, &refusal)) {
		smtp_server_reply_refusal(s, &refusal);
		return;
	}
	enum server_said wrong = out_of_order(s, cmd.verb);
	if (wrong != SERVER_SAID_NONE) {
		smtp_server_reply_error(s, wrong);
	} else {
		verbs[cmd.verb].obey(s, &cmd);
	}
}

enum server_step
smtp_server_command_step(struct smtp_server_session *s)
{
	const struct smtp_server_opts *opts = server_opts(s);
	enum server_said why = SERVER_SAID_NONE;
	struct str line;

	if (is_tls_hello(s)) {
		smtp_server_reply_bye(s, SERVER_SAID_TLS_TOO_EARLY);
		return SERVER_PARKED;
	}
	enum parse got = smtp_server_command_line(s, opts->max_line, &line, &why);
	if (got == PARSE_MORE || s->state == SERVER_CLOSING)
		return SERVER_PARKED;
	s->facts.commands++;
	smtp_server_session_touch(s);
	if (s->unconfirmed) {
		s->unconfirmed = false;
		if (s->server->ops->on_progress != NULL)
			s->server->ops->on_progress(s, s->server->arg);
	}
	if (opts->max_commands != 0 && s->facts.commands > opts->max_commands) {
		smtp_server_reply_bye(s, SERVER_SAID_TOO_MANY_COMMANDS);
	} else if (got == PARSE_BROKEN) {
		smtp_server_reply_error(s, why);
	} else {
		obey(s, line);
	}
	return SERVER_MORE;
}
