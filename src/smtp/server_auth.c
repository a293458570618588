/* AUTH (RFC 4954): a login, carried by the engine in sasl_server.c.
 *
 * The engine says what it needs: another line of the client, the verifier of a user, or a verdict
 * on a secret. This file asks the client or the owner for it and slows down who is wrong: the first
 * failure is answered after failure_us, the next after twice that, and so on; after max_failures
 * the connection ends. Nothing is read in the meantime, so trying faster needs more connections,
 * and those the owner counts by address.
 *
 * Lines of a login hold secrets: each is wiped from the input as soon as it is used. */
#include "base/check.h"
#include "base/mem.h"
#include "smtp/server_private.h"

/* The wait doubles no more often than this. */
#define DOUBLINGS_MAX 6

struct str
smtp_server_auth_mechanisms(const struct smtp_server_session *s)
{
	const struct smtp_server_ops *ops = s->server->ops;
	bool in_clear = server_opts(s)->auth_requires_tls && !s->facts.tls && !s->facts.trusted;

	if (!server_has(s, SMTP_SERVER_AUTH) || s->facts.user.n != 0 || in_clear)
		return STR("");
	if (ops->verify_password != NULL && ops->lookup_credential != NULL)
		return STR(SASL_SERVER_MECHANISMS);
	if (ops->verify_password != NULL)
		return STR("PLAIN LOGIN");
	return ops->lookup_credential != NULL ? STR("SCRAM-SHA-256") : STR("");
}

static bool
is_offered(const struct smtp_server_session *s, struct str mechanism)
{
	struct str rest = smtp_server_auth_mechanisms(s), name;

	while (str_cut(&rest, ' ', &name)) {
		if (name.n != 0 && str_eq_nocase(name, mechanism))
			return true;
	}
	return false;
}

/* `line` looks into the input buffer, or into scratch memory. */
static void
wipe(struct str line)
{
	if (line.n != 0)
		mem_wipe(mem_unconst(line.p), line.n);
}

/* ---- verdicts ---- */

static void
give_up(struct smtp_server_session *s, enum server_said said)
{
	sasl_server_free(&s->sasl);
	smtp_server_session_set_state(s, SERVER_READY);
	smtp_server_reply_error(s, said);
}

static void
challenge(struct smtp_server_session *s)
{
	if (s->state == SERVER_AUTH) {
		smtp_server_session_touch(s);
	} else {
		smtp_server_session_set_state(s, SERVER_AUTH);
	}
	/* Base64, and possibly longer than a reply's line may be: splitting it would break it. */
	conn_write(s->conn, STR("334 "));
	conn_write(s->conn, sasl_server_challenge(s->sasl));
	conn_write(s->conn, STR("\r\n"));
}

static void
tell_login(struct smtp_server_session *s, bool right)
{
	struct smtp_server *server = s->server;

	if (server->ops->on_login != NULL)
		server->ops->on_login(s, sasl_server_user(s->sasl), right, server->arg);
}

static void
succeed(struct smtp_server_session *s)
{
	struct str user = sasl_server_user(s->sasl);

	free(s->user);
	s->user = str_dup0(user);
	s->facts.user = str_make(s->user, user.n);
	tell_login(s, true);
	sasl_server_free(&s->sasl);
	if (s->state == SERVER_CLOSING)
		return;
	smtp_server_session_set_state(s, SERVER_READY);
	smtp_server_reply_say(s, SERVER_SAID_LOGGED_IN);
}

static void
fail(struct smtp_server_session *s)
{
	unsigned doublings = s->facts.failures < DOUBLINGS_MAX ? s->facts.failures : DOUBLINGS_MAX;

	s->facts.failures++;
	tell_login(s, false);
	sasl_server_free(&s->sasl);
	if (s->state != SERVER_CLOSING)
		smtp_server_session_slow(s, server_opts(s)->failure_us << doublings);
}

void
smtp_server_auth_slowed(struct smtp_server_session *s)
{
	unsigned limit = server_opts(s)->max_failures;

	if (limit != 0 && s->facts.failures >= limit) {
		smtp_server_reply_bye(s, SERVER_SAID_TOO_MANY_LOGINS);
		return;
	}
	smtp_server_session_set_state(s, SERVER_READY);
	smtp_server_reply_say(s, SERVER_SAID_WRONG_SECRET);
}

static void
obey_verdict(struct smtp_server_session *s, enum sasl_verdict verdict)
{
	struct smtp_server *server = s->server;
	struct smtp_server_ticket t;

	switch (verdict) {
	case SASL_CHALLENGE: challenge(s); return;
	case SASL_NEED_LOOKUP:
		s->question = SERVER_ASKS_CREDENTIAL;
		t = smtp_server_session_ask(s, SERVER_AUTH_ASKED);
		server->ops->lookup_credential(s, t, sasl_server_user(s->sasl), server->arg);
		return;
	case SASL_NEED_VERIFY:
		s->question = SERVER_ASKS_SECRET;
		t = smtp_server_session_ask(s, SERVER_AUTH_ASKED);
		server->ops->verify_password(
		    s, t, sasl_server_user(s->sasl), sasl_server_secret(s->sasl), server->arg);
		return;
	case SASL_OK: succeed(s); return;
	case SASL_FAIL: fail(s); return;
	case SASL_CANCELLED: give_up(s, SERVER_SAID_AUTH_CANCELLED); return;
	case SASL_BROKEN: give_up(s, SERVER_SAID_AUTH_BROKEN); return;
	case SASL_UNKNOWN: give_up(s, SERVER_SAID_AUTH_MECHANISM); return;
	}
	UNREACHABLE();
}

/* ---- the command ---- */

/* Whether AUTH `arg` may begin now; else the reply is said. */
static bool
may_begin(struct smtp_server_session *s, struct str args)
{
	struct smtp_refusal refusal;
	struct smtp_auth auth;

	if (s->facts.user.n != 0) {
		smtp_server_reply_error(s, SERVER_SAID_AUTH_ALREADY);
		return false;
	}
	if (!server_has(s, SMTP_SERVER_AUTH) || (s->server->ops->verify_password == NULL &&
						    s->server->ops->lookup_credential == NULL)) {
		smtp_server_reply_error(s, SERVER_SAID_AUTH_OFF);
		return false;
	}
	if (server_opts(s)->auth_requires_tls && !s->facts.tls && !s->facts.trusted) {
		smtp_server_reply_error(s, SERVER_SAID_AUTH_TLS);
		return false;
	}
	if (!smtp_command_parse_auth(args, &auth, &refusal)) {
		smtp_server_reply_refusal(s, &refusal);
		return false;
	}
	if (!is_offered(s, auth.mechanism)) {
		smtp_server_reply_error(s, SERVER_SAID_AUTH_MECHANISM);
		return false;
	}
	return true;
}

void
smtp_server_auth_begin(struct smtp_server_session *s, const struct smtp_command *cmd)
{
	struct smtp_server *server = s->server;

	if (!may_begin(s, cmd->args)) {
		wipe(cmd->args);
		return;
	}
	s->sasl = sasl_server_new(server_opts(s)->scram_fake_key, STR(""));
	s->login = arena_str(&s->scratch, cmd->args);
	wipe(cmd->args);
	s->question = SERVER_ASKS_STAGE;
	struct smtp_server_ticket t = smtp_server_session_ask(s, SERVER_AUTH_ASKED);
	if (server->ops->on_stage == NULL) {
		smtp_server_session_answered(s, NULL);
	} else {
		server->ops->on_stage(s, t, SMTP_SERVER_AT_AUTH, server->arg);
	}
}

static enum server_step
start(struct smtp_server_session *s)
{
	struct str login = s->login;

	s->login = STR("");
	enum sasl_verdict verdict = sasl_server_start(s->sasl, login);
	wipe(login);
	obey_verdict(s, verdict);
	return SERVER_MORE;
}

enum server_step
smtp_server_auth_step(struct smtp_server_session *s)
{
	enum server_said why = SERVER_SAID_NONE;
	struct str line;

	if (s->state == SERVER_AUTH_ASKED)
		return s->question == SERVER_ASKS_NOTHING ? start(s) : SERVER_PARKED;
	enum parse got = smtp_server_command_line(s, server_opts(s)->max_auth_line, &line, &why);

	if (got == PARSE_MORE || s->state == SERVER_CLOSING)
		return SERVER_PARKED;
	if (got == PARSE_BROKEN) {
		give_up(s, why == SERVER_SAID_LINE_LONG ? SERVER_SAID_AUTH_LINE_LONG : why);
		return SERVER_MORE;
	}
	enum sasl_verdict verdict = sasl_server_respond(s->sasl, line);
	wipe(line);
	obey_verdict(s, verdict);
	return SERVER_MORE;
}

/* ---- the owner's answers ---- */

void
smtp_server_auth_answered(struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	if (server_refused(reply)) {
		wipe(s->login);
		s->login = STR("");
		sasl_server_free(&s->sasl);
		smtp_server_session_set_state(s, SERVER_READY);
		smtp_server_reply_owner(s, reply);
		return;
	}
	/* Yes alone does not answer who a user is or whether a secret is right. */
	ASSERT(s->question == SERVER_ASKS_STAGE);
	s->question = SERVER_ASKS_NOTHING;
}

void
smtp_server_auth_answered_credential(
    struct smtp_server_session *s, const struct password_verifier *verifier)
{
	obey_verdict(s, sasl_server_found(s->sasl, verifier));
}

void
smtp_server_auth_answered_secret(struct smtp_server_session *s, bool right)
{
	obey_verdict(s, sasl_server_verified(s->sasl, right));
}
