/* RCPT (RFC 5321 §4.1.1.3, RFC 3461 §4.1, §4.2): one more recipient.
 *
 * A recipient is read into scratch memory and copied into the message when the owner has taken it,
 * so that a client that tries a million refused ones costs nothing. */
#include "base/check.h"
#include "smtp/server_private.h"

#define RCPTS_FIRST 4

static uint32_t
allowed_params(const struct smtp_server_session *s)
{
	return server_has(s, SMTP_SERVER_DSN) ? SMTP_PARAM_BIT(NOTIFY) | SMTP_PARAM_BIT(ORCPT) : 0;
}

/* Reads the command into s->rcpt; else the reply is said. */
static bool
read_rcpt(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	bool utf8 = (s->message->params.seen & SMTP_PARAM_BIT(SMTPUTF8)) != 0;
	unsigned flags = MAIL_ADDR_POSTMASTER | (utf8 ? MAIL_ADDR_UTF8 : MAIL_ADDR_ASCII);
	struct smtp_refusal refusal;
	struct smtp_rcpt rcpt;
	const char *why = NULL;

	if (!smtp_command_parse_rcpt(cmd->args, allowed_params(s), &s->scratch, &rcpt, &refusal)) {
		smtp_server_reply_refusal(s, &refusal);
		return false;
	}
	if (mail_addr_parse(rcpt.path, flags, &s->scratch, &s->rcpt.addr, &why) != RC_OK) {
		smtp_server_reply_errorf(
		    s, 553, SMTP_ENHANCED(5, 1, 3), "That is no recipient address: %s", why);
		return false;
	}
	if (s->rcpt.addr.is_null) {
		smtp_server_reply_errorf(
		    s, 553, SMTP_ENHANCED(5, 1, 3), "The empty address cannot be a recipient");
		return false;
	}
	/* The parameters may look into the line, which is gone when the owner answers late. */
	s->rcpt.params = rcpt.params;
	if ((rcpt.params.seen & SMTP_PARAM_BIT(ORCPT)) != 0) {
		s->rcpt.params.orcpt_type = arena_str(&s->scratch, rcpt.params.orcpt_type);
		s->rcpt.params.orcpt = arena_str(&s->scratch, rcpt.params.orcpt);
	}
	return true;
}

void
smtp_server_rcpt_begin(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	struct smtp_server *server = s->server;
	size_t limit = server_opts(s)->max_rcpts;

	if (!read_rcpt(s, cmd))
		return;
	if (limit != 0 && s->message->n_rcpts >= limit) {
		smtp_server_reply_say(s, SERVER_SAID_RCPTS_FULL);
		return;
	}
	struct smtp_server_ticket t = smtp_server_session_ask(s, SERVER_RCPT_ASKED);
	if (server->ops->on_rcpt == NULL) {
		smtp_server_session_answered(s, NULL);
	} else {
		server->ops->on_rcpt(s, t, s->message, &s->rcpt, server->arg);
	}
}

/* Room for one more. What is outgrown stays in the arena: in all less than what is in use. */
static struct smtp_server_rcpt *
push_rcpt(struct smtp_server_message *m)
{
	if (m->n_rcpts == m->cap_rcpts) {
		size_t cap = m->cap_rcpts == 0 ? RCPTS_FIRST : m->cap_rcpts * 2;
		struct smtp_server_rcpt *more =
		    ARENA_NEW_ARRAY(&m->arena, struct smtp_server_rcpt, cap);
		if (m->n_rcpts != 0)
			memcpy(more, m->rcpts, m->n_rcpts * sizeof(*more));
		m->rcpts = more;
		m->cap_rcpts = cap;
	}
	return &m->rcpts[m->n_rcpts++];
}

void
smtp_server_rcpt_answered(struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	struct smtp_server_message *m = s->message;

	if (server_refused(reply)) {
		smtp_server_session_set_state(s, m->n_rcpts == 0 ? SERVER_MAIL : SERVER_RCPT);
		smtp_server_reply_owner(s, reply);
		return;
	}
	struct smtp_server_rcpt *rcpt = push_rcpt(m);
	rcpt->addr = mail_addr_copy(&m->arena, &s->rcpt.addr);
	rcpt->params = s->rcpt.params;
	if ((rcpt->params.seen & SMTP_PARAM_BIT(ORCPT)) != 0) {
		rcpt->params.orcpt_type = arena_str(&m->arena, s->rcpt.params.orcpt_type);
		rcpt->params.orcpt = arena_str(&m->arena, s->rcpt.params.orcpt);
	}
	smtp_server_session_set_state(s, SERVER_RCPT);
	smtp_server_reply_yes(s, reply, SERVER_SAID_RCPT_OK);
}
