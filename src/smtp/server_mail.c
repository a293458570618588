/* MAIL (RFC 5321 §4.1.1.2 and the extensions' parameters): a transaction begins.
 *
 * The message is made here and grows until it is handed to the owner; all its strings live in its
 * own arena, so that handing over is moving one pointer. */
#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "smtp/server_private.h"

/* The parameters that go with what is announced. AUTH= comes with AUTH and is taken from anybody,
 * as RFC 4954 §5 wants, and then not believed. */
static uint32_t
allowed_params(const struct smtp_server_session *s)
{
	static const struct {
		enum smtp_server_extension bit;
		uint32_t params;
	} rows[] = {
		{ SMTP_SERVER_SIZE, SMTP_PARAM_BIT(SIZE) },
		{ SMTP_SERVER_8BITMIME, SMTP_PARAM_BIT(BODY) },
		{ SMTP_SERVER_SMTPUTF8, SMTP_PARAM_BIT(SMTPUTF8) },
		{ SMTP_SERVER_DSN, SMTP_PARAM_BIT(RET) | SMTP_PARAM_BIT(ENVID) },
		{ SMTP_SERVER_AUTH, SMTP_PARAM_BIT(AUTH) },
		{ SMTP_SERVER_FUTURERELEASE, SMTP_PARAM_BIT(HOLDFOR) | SMTP_PARAM_BIT(HOLDUNTIL) },
	};
	uint32_t allowed = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (server_has(s, rows[i].bit))
			allowed |= rows[i].params;
	}
	return allowed;
}

/* Whether mail may begin at all; else the reply is said. */
static bool
may_begin(struct smtp_server_session *s)
{
	const struct smtp_server_opts *opts = server_opts(s);

	if (opts->auth_required && !s->facts.trusted && s->facts.user.n == 0) {
		bool tls_first = opts->auth_requires_tls && !s->facts.tls;
		smtp_server_reply_error(
		    s, tls_first ? SERVER_SAID_TLS_FIRST : SERVER_SAID_AUTH_FIRST);
		return false;
	}
	if (opts->max_messages != 0 && s->facts.messages >= opts->max_messages) {
		smtp_server_reply_bye(s, SERVER_SAID_TOO_MANY_MESSAGES);
		return false;
	}
	return true;
}

/* What the parser cannot know; false when the reply is said. */
static bool
check_params(struct smtp_server_session *s, const struct smtp_mail_params *p, int64_t *release_out)
{
	const struct smtp_server_opts *opts = server_opts(s);
	int64_t now = clock_wall_us();
	bool by_span = (p->seen & SMTP_PARAM_BIT(HOLDFOR)) != 0;
	bool by_date = (p->seen & SMTP_PARAM_BIT(HOLDUNTIL)) != 0;

	if ((p->seen & SMTP_PARAM_BIT(SIZE)) != 0 && p->size > opts->max_size) {
		smtp_server_reply_say(s, SERVER_SAID_TOO_BIG);
		return false;
	}
	if ((p->seen & SMTP_PARAM_BIT(BODY)) != 0 && p->body == SMTP_BODY_BINARYMIME) {
		smtp_server_reply_errorf(s, 501, SMTP_ENHANCED(5, 5, 4),
		    "BODY=BINARYMIME is not offered here; use BODY=8BITMIME");
		return false;
	}
	if (by_span && by_date) {
		smtp_server_reply_errorf(
		    s, 501, SMTP_ENHANCED(5, 5, 4), "Give HOLDFOR or HOLDUNTIL, not both");
		return false;
	}
	if (!by_span && !by_date)
		return true;
	/* hold_until_s is far below the range where its microseconds would overflow: years have
	 * four digits. */
	int64_t release = by_span ? now + SECONDS(p->hold_for_s) : SECONDS(p->hold_until_s);
	if (release > now + opts->max_hold_us) {
		smtp_server_reply_errorf(s, 501, SMTP_ENHANCED(5, 5, 4),
		    "That is too far ahead: a message is held for at most %lld seconds",
		    (long long)(opts->max_hold_us / SECONDS(1)));
		return false;
	}
	*release_out = release > now ? release : 0;
	return true;
}

static struct smtp_mail_params
copy_params(struct arena *to, const struct smtp_mail_params *p)
{
	struct smtp_mail_params copy = *p;

	copy.envid = (p->seen & SMTP_PARAM_BIT(ENVID)) != 0 ? arena_str(to, p->envid) : STR("");
	copy.auth = (p->seen & SMTP_PARAM_BIT(AUTH)) != 0 ? arena_str(to, p->auth) : STR("");
	return copy;
}

void
smtp_server_mail_begin(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	struct smtp_server *server = s->server;
	struct smtp_refusal refusal;
	struct smtp_mail mail;
	struct mail_addr sender;
	const char *why = NULL;
	int64_t release_us = 0;

	if (!may_begin(s))
		return;
	if (!smtp_command_parse_mail(cmd->args, allowed_params(s), &s->scratch, &mail, &refusal)) {
		smtp_server_reply_refusal(s, &refusal);
		return;
	}
	bool utf8 = (mail.params.seen & SMTP_PARAM_BIT(SMTPUTF8)) != 0;
	if (mail_addr_parse(mail.path, utf8 ? MAIL_ADDR_UTF8 : MAIL_ADDR_ASCII, &s->scratch,
		&sender, &why) != RC_OK) {
		smtp_server_reply_errorf(
		    s, 553, SMTP_ENHANCED(5, 1, 7), "That is no sender address: %s", why);
		return;
	}
	if (!check_params(s, &mail.params, &release_us))
		return;
	struct smtp_server_message *m = MEM_NEW(struct smtp_server_message);
	m->sender = mail_addr_copy(&m->arena, &sender);
	m->params = copy_params(&m->arena, &mail.params);
	m->release_us = release_us;
	s->message = m;
	struct smtp_server_ticket t = smtp_server_session_ask(s, SERVER_MAIL_ASKED);
	if (server->ops->on_mail == NULL) {
		smtp_server_session_answered(s, NULL);
	} else {
		server->ops->on_mail(s, t, m, server->arg);
	}
}

void
smtp_server_mail_answered(struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	if (server_refused(reply)) {
		smtp_server_session_forget(s);
		smtp_server_session_set_state(s, SERVER_READY);
		smtp_server_reply_owner(s, reply);
		return;
	}
	smtp_server_session_set_state(s, SERVER_MAIL);
	smtp_server_reply_yes(s, reply, SERVER_SAID_SENDER_OK);
}
