/* STARTTLS (RFC 3207), and what follows a handshake.
 *
 * What the client sent behind STARTTLS in the clear could be anybody's, so a session with such
 * bytes is closed before a byte of it is read as a command; conn_start_tls refuses them once more.
 * After the handshake everything the client said before is forgotten: name, login, transaction. */
#include <stdio.h>

#include "base/check.h"
#include "net/tls.h"
#include "smtp/server_private.h"

bool
smtp_server_tls_is_offered(const struct smtp_server_session *s)
{
	return server_has(s, SMTP_SERVER_STARTTLS) && server_opts(s)->tls != NULL && !s->facts.tls;
}

void
smtp_server_tls_begin(struct smtp_server_session *s)
{
	struct smtp_server *server = s->server;

	if (s->facts.tls) {
		smtp_server_reply_error(s, SERVER_SAID_TLS_ALREADY);
		return;
	}
	if (!server_has(s, SMTP_SERVER_STARTTLS)) {
		smtp_server_reply_error(s, SERVER_SAID_TLS_OFF);
		return;
	}
	if (server_opts(s)->tls == NULL) {
		smtp_server_reply_say(s, SERVER_SAID_TLS_NOT_NOW);
		return;
	}
	struct smtp_server_ticket t = smtp_server_session_ask(s, SERVER_TLS_ASKED);
	if (server->ops->on_stage == NULL) {
		smtp_server_session_answered(s, NULL);
	} else {
		server->ops->on_stage(s, t, SMTP_SERVER_AT_STARTTLS, server->arg);
	}
}

void
smtp_server_tls_answered(struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	if (buf_len(conn_input(s->conn)) != 0) {
		smtp_server_reply_bye(s, SERVER_SAID_EARLY_TLS);
		return;
	}
	if (server_refused(reply)) {
		smtp_server_session_set_state(s, SERVER_READY);
		smtp_server_reply_owner(s, reply);
		return;
	}
	smtp_server_session_set_state(s, SERVER_HANDSHAKE);
	smtp_server_reply_yes(s, NULL, SERVER_SAID_TLS_GO);
	if (conn_start_tls(s->conn, server_opts(s)->tls, NULL, NULL) != RC_OK)
		smtp_server_session_close(s);
}

static void
set_facts(struct smtp_server_session *s)
{
	struct tls_facts facts;

	s->facts.tls = true;
	if (!conn_tls_facts(s->conn, &facts))
		return;
	char text[sizeof(facts.version) + sizeof(facts.cipher) + 1];
	int n = snprintf(text, sizeof(text), "%s %s", facts.version, facts.cipher);
	free(s->tls_text);
	s->tls_text = str_dup0(str_make(text, (size_t)n));
	s->facts.tls_text = str_make(s->tls_text, (size_t)n);
}

void
smtp_server_tls_ready(struct smtp_server_session *s)
{
	ASSERT(s->state == SERVER_HANDSHAKE);
	set_facts(s);
	if (s->implicit_tls)
		return; /* the greeting is still to come */
	free(s->helo);
	free(s->user);
	s->helo = s->user = NULL;
	s->facts.helo = s->facts.user = str_make(NULL, 0);
	s->facts.esmtp = false;
	smtp_server_session_set_state(s, SERVER_HELLO);
}
