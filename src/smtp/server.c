/* The set of sessions of one loop, and the way back for the owner's answers.
 *
 * Sessions are found by id, since an answer may come long after its session died: a ticket is good
 * while the session is there, waits for its owner, and has asked nothing since. Answering changes
 * the session's state and writes the reply at once; going on with what the client sent meanwhile is
 * left to the tail of the turn, so that no op is ever called from inside the owner's own call. */
#include "smtp/server.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/tls.h"
#include "smtp/server_private.h"

/* A reply has at most as many lines as HELP or EHLO, or as the owner writes. */
#define REPLY_MAX 65536

/* Ids are unique in the process, whatever the number of servers. */
static _Atomic uint64_t last_conn_id;

struct smtp_server_opts
smtp_server_opts_default(struct str hostname)
{
	return (struct smtp_server_opts){
		.hostname = hostname,
		.extensions = SMTP_SERVER_EVERYTHING,
		.max_line = 4096,
		.max_auth_line = 12288,
		.max_size = (uint64_t)25 << 20,
		.max_header = (size_t)256 << 10,
		.max_rcpts = 1000,
		.max_errors = 10,
		.max_failures = 3,
		.max_messages = 10000,
		.max_commands = 100000,
		.min_rate = 100,
		.idle_us = MINUTES(5),
		.session_us = HOURS(2),
		.answer_us = MINUTES(2),
		.failure_us = SECONDS(1),
		.max_hold_us = DAYS(30),
		.auth_required = true,
		.auth_requires_tls = true,
	};
}

/* ---- settings ---- */

static struct server_settings *
settings_new(const struct smtp_server_opts *opts)
{
	struct server_settings *set = MEM_NEW(struct server_settings);

	ASSERT(opts->max_line != 0 && opts->max_auth_line != 0 && opts->max_size != 0);
	ASSERT(opts->idle_us > 0 && opts->answer_us > 0);
	set->refs = 1;
	set->opts = *opts;
	set->opts.hostname = arena_str(&set->arena, opts->hostname);
	if (opts->n_trusted != 0) {
		struct cidr *trusted = ARENA_NEW_ARRAY(&set->arena, struct cidr, opts->n_trusted);
		memcpy(trusted, opts->trusted, opts->n_trusted * sizeof(*trusted));
		set->opts.trusted = trusted;
	}
	if (opts->tls != NULL)
		set->opts.tls = tls_ctx_ref(opts->tls);
	return set;
}

struct server_settings *
smtp_server_settings_ref(struct server_settings *set)
{
	set->refs++;
	return set;
}

void
smtp_server_settings_unref(struct server_settings **setp)
{
	struct server_settings *set = *setp;

	if (set == NULL)
		return;
	*setp = NULL;
	ASSERT(set->refs > 0);
	if (--set->refs != 0)
		return;
	tls_ctx_unref(&set->opts.tls);
	arena_done(&set->arena);
	free(set);
}

/* ---- servers ---- */

struct smtp_server *
smtp_server_new(struct loop *loop, const struct smtp_server_opts *opts,
    const struct smtp_server_ops *ops, void *arg)
{
	struct smtp_server *server = MEM_NEW(struct smtp_server);

	server->loop = loop;
	server->settings = settings_new(opts);
	server->ops = ops;
	server->arg = arg;
	map_init(&server->sessions);
	buf_init(&server->text, REPLY_MAX);
	return server;
}

void
smtp_server_free(struct smtp_server **serverp)
{
	struct smtp_server *server = *serverp;

	if (server == NULL)
		return;
	*serverp = NULL;
	server->draining = false; /* nobody waits for on_drained any more */
	while (server->sessions.count != 0) {
		size_t at = 0;
		struct smtp_server_session *s = map_next(&server->sessions, &at, NULL);
		smtp_server_session_free(&s);
	}
	map_done(&server->sessions);
	buf_done(&server->text);
	smtp_server_settings_unref(&server->settings);
	free(server);
}

void
smtp_server_accept(struct smtp_server *server, int fd, const struct smtp_server_peer *peer)
{
	uint64_t id = atomic_fetch_add_explicit(&last_conn_id, 1, memory_order_relaxed) + 1;

	smtp_server_session_new(server, (struct conn_id){ id }, fd, peer);
}

void
smtp_server_publish(struct smtp_server *server, const struct smtp_server_opts *opts)
{
	struct server_settings *old = server->settings;

	server->settings = settings_new(opts);
	smtp_server_settings_unref(&old);
}

void
smtp_server_drain(struct smtp_server *server)
{
	struct smtp_server_session *s;
	size_t at = 0;

	if (server->draining)
		return;
	server->draining = true;
	while ((s = map_next(&server->sessions, &at, NULL)) != NULL)
		smtp_server_session_drain(s);
	if (server->sessions.count == 0 && server->ops->on_drained != NULL)
		server->ops->on_drained(server, server->arg);
}

size_t
smtp_server_count(const struct smtp_server *server)
{
	return server->sessions.count;
}

/* ---- answers ---- */

static bool
is_asked(enum server_state state)
{
	switch (state) {
	case SERVER_CONNECT_ASKED:
	case SERVER_HELLO_ASKED:
	case SERVER_TLS_ASKED:
	case SERVER_AUTH_ASKED:
	case SERVER_MAIL_ASKED:
	case SERVER_RCPT_ASKED:
	case SERVER_CONTENT_ASKED:
	case SERVER_MESSAGE_ASKED: return true;
	case SERVER_NEW:
	case SERVER_HANDSHAKE:
	case SERVER_HELLO:
	case SERVER_READY:
	case SERVER_AUTH:
	case SERVER_AUTH_SLOWED:
	case SERVER_MAIL:
	case SERVER_RCPT:
	case SERVER_DATA:
	case SERVER_CHUNK:
	case SERVER_BETWEEN:
	case SERVER_SKIP:
	case SERVER_CLOSING:
	case SERVER_STATE_COUNT: return false;
	}
	UNREACHABLE();
}

struct smtp_server_session *
smtp_server_session_of(struct smtp_server *server, struct smtp_server_ticket t)
{
	struct smtp_server_session *s = map_get(&server->sessions, t.conn.v);

	return s != NULL && s->serial == t.serial && is_asked(s->state) ? s : NULL;
}

void
smtp_server_answer(
    struct smtp_server *server, struct smtp_server_ticket t, const struct smtp_server_reply *reply)
{
	struct smtp_server_session *s = smtp_server_session_of(server, t);

	if (s == NULL)
		return;
	ASSERT(
	    reply == NULL || (reply->code >= 200 && reply->code < 600 && reply->code / 100 != 3));
	smtp_server_session_answered(s, reply);
	smtp_server_session_wake(s);
}

void
smtp_server_answer_credential(struct smtp_server *server, struct smtp_server_ticket t,
    const struct password_verifier *verifier)
{
	struct smtp_server_session *s = smtp_server_session_of(server, t);

	if (s == NULL)
		return;
	ASSERT(s->state == SERVER_AUTH_ASKED && s->question == SERVER_ASKS_CREDENTIAL);
	smtp_server_auth_answered_credential(s, verifier);
	smtp_server_session_wake(s);
}

void
smtp_server_answer_secret(struct smtp_server *server, struct smtp_server_ticket t, bool right)
{
	struct smtp_server_session *s = smtp_server_session_of(server, t);

	if (s == NULL)
		return;
	ASSERT(s->state == SERVER_AUTH_ASKED && s->question == SERVER_ASKS_SECRET);
	smtp_server_auth_answered_secret(s, right);
	smtp_server_session_wake(s);
}

/* ---- what the owner may ask ---- */

const struct smtp_server_facts *
smtp_server_session_facts(const struct smtp_server_session *s)
{
	return &s->facts;
}

struct smtp_server *
smtp_server_session_server(const struct smtp_server_session *s)
{
	return s->server;
}

void
smtp_server_session_set_data(struct smtp_server_session *s, void *data)
{
	s->data = data;
}

void *
smtp_server_session_data(const struct smtp_server_session *s)
{
	return s->data;
}

void
smtp_server_drop(struct smtp_server_session *s)
{
	smtp_server_session_close(s);
}

void
smtp_server_message_free(struct smtp_server_message **mp)
{
	struct smtp_server_message *m = *mp;

	if (m == NULL)
		return;
	*mp = NULL;
	blob_unref(&m->content);
	arena_done(&m->arena);
	free(m);
}
