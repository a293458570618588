/* EHLO and HELO (RFC 5321 §4.1.1.1): who the client says it is, and what it may use here.
 *
 * Either begins anew: a transaction that was begun is gone, a login stays. The name is kept for the
 * Received field and the log and is not held against the client when it is odd, since old programs
 * send all sorts; it only may not be empty or endless.
 *
 * The list says what is possible now, so it differs before and after STARTTLS. */
#include "base/check.h"
#include "base/clock.h"
#include "smtp/server_private.h"

/* RFC 5321 §4.5.3.1.2, and room for a literal with blanks. */
#define NAME_MAX_OCTETS 255

/* RFC 4865 §4: the farthest moment as "2026-11-23T07:48:33Z". */
static void
add_future_release(struct buf *b, int64_t max_hold_us)
{
	char until[CLOCK_TEXT_SIZE];

	clock_format(clock_wall_us() + max_hold_us, until);
	until[sizeof("2026-11-23T07:48:33") - 1] = '\0';
	buf_addf(b, "\nFUTURERELEASE %lld %sZ", (long long)(max_hold_us / SECONDS(1)), until);
}

static void
add_extensions(const struct smtp_server_session *s, struct buf *b)
{
	static const struct {
		enum smtp_server_extension bit;
		const char *line;
	} plain[] = {
		{ SMTP_SERVER_PIPELINING, "\nPIPELINING" },
		{ SMTP_SERVER_8BITMIME, "\n8BITMIME" },
		{ SMTP_SERVER_SMTPUTF8, "\nSMTPUTF8" },
		{ SMTP_SERVER_CHUNKING, "\nCHUNKING" },
		{ SMTP_SERVER_ENHANCEDSTATUSCODES, "\nENHANCEDSTATUSCODES" },
		{ SMTP_SERVER_DSN, "\nDSN" },
	};
	const struct smtp_server_opts *opts = server_opts(s);

	if (server_has(s, SMTP_SERVER_SIZE))
		buf_addf(b, "\nSIZE %llu", (unsigned long long)opts->max_size);
	for (size_t i = 0; i < COUNT_OF(plain); i++) {
		if (server_has(s, plain[i].bit))
			buf_add(b, str_from(plain[i].line));
	}
	if (server_has(s, SMTP_SERVER_FUTURERELEASE))
		add_future_release(b, opts->max_hold_us);
	if (smtp_server_tls_is_offered(s))
		buf_add(b, STR("\nSTARTTLS"));
	struct str mechanisms = smtp_server_auth_mechanisms(s);
	if (mechanisms.n != 0)
		buf_addf(b, "\nAUTH %.*s", STR_ARG(mechanisms));
}

void
smtp_server_helo_begin(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	struct smtp_server *server = s->server;

	if (cmd->args.n > NAME_MAX_OCTETS) {
		smtp_server_reply_error(s, SERVER_SAID_HELO_NAME);
		return;
	}
	smtp_server_session_forget(s);
	if (!str_eq(s->facts.helo, cmd->args)) {
		free(s->helo);
		s->helo = str_dup0(cmd->args);
		s->facts.helo = str_make(s->helo, cmd->args.n);
	}
	s->facts.esmtp = cmd->verb == SMTP_VERB_EHLO;
	struct smtp_server_ticket t = smtp_server_session_ask(s, SERVER_HELLO_ASKED);
	if (server->ops->on_stage == NULL) {
		smtp_server_session_answered(s, NULL);
	} else {
		server->ops->on_stage(s, t, SMTP_SERVER_AT_EHLO, server->arg);
	}
}

void
smtp_server_helo_answered(struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	AUTO(buf_done) struct buf text = { .limit = 4096 };

	if (server_refused(reply)) {
		smtp_server_session_set_state(s, SERVER_HELLO);
		smtp_server_reply_owner(s, reply);
		return;
	}
	smtp_server_session_set_state(s, SERVER_READY);
	buf_add(&text, reply != NULL ? reply->text : server_opts(s)->hostname);
	if (s->facts.esmtp)
		add_extensions(s, &text);
	smtp_server_reply_text(s, 250, SMTP_ENHANCED_NONE, buf_str(&text));
}
