/* Logins at the door: who may try, whose secret is checked where, and what wrong ones cost.
 *
 * A guesser learns nothing but "wrong": not whether a name exists, not whether it would be let in
 * from elsewhere, neither by words nor by the time it takes. */
#include <stdlib.h>

#include "account/book.h"
#include "account/guard.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/password.h"
#include "crypto/password_cache.h"
#include "submit/private.h"

/* Secrets that wait for the pool; it checks about twenty a second, and a client waits two minutes.
 */
#define CHECKS_MAX 64

/* A password that takes long to check, in the pool. */
struct check_job {
	struct pool_job job;
	struct smtp_server *server;
	struct smtp_server_ticket ticket;
	struct password_verifier verifier;
	char *user;
	size_t user_n;
	char *secret;
	size_t secret_n;
	bool is_known;     /* there is such a credential, with a chosen secret */
	bool is_elsewhere; /* it is not for the client's network */
	enum rc verdict;
};

/* What the guard counts by; a trusted network's programs share addresses, and one of them with a
 * wrong secret must not lock out the others. */
static const struct ip *
guarded_peer(const struct smtp_server_facts *f, struct ip *room)
{
	*room = submit_peer_of(f);
	return f->trusted ? NULL : room;
}

/* Whether this client may try to log in as `user` at all; answers itself when not. *out is NULL
 * where nobody has that name. */
static bool
may_try(struct submit *s, struct smtp_server_session *ss, struct smtp_server_ticket t,
    struct str user, const struct account_credential **out)
{
	struct ip room;
	const struct ip *peer = guarded_peer(smtp_server_session_facts(ss), &room);
	int64_t until;

	*out = account_book_find(s->accounts, user);
	if (!account_guard_is_blocked(s->guard, peer, user, loop_now_us(s->opts.loop), &until))
		return true;
	REFUSED(AUTH);
	submit_answer(
	    ss, t, 454, SMTP_ENHANCED(4, 7, 0), STR("Too many wrong logins, try again later"));
	return false;
}

/* From a network that the credential is not for. Only who knows the secret may hear of it: else
 * anybody could ask which names exist. */
static bool
is_elsewhere(const struct smtp_server_facts *f, const struct account_credential *c)
{
	struct ip peer = submit_peer_of(f);

	return c != NULL && !account_credential_may_come_from(c, &peer);
}

static void
log_elsewhere(const struct smtp_server_facts *f, struct str user)
{
	struct ip ip = submit_peer_of(f);
	char text[IP_TEXT_MAX];
	struct log_ctx conn = LOG_NUM(NULL, "conn", f->id.v);
	struct log_ctx peer = LOG_STR(&conn, "peer", ip_format(&ip, text));
	struct log_ctx who = LOG_STR(&peer, "user", str_sub(user, 0, 128));

	REFUSED(AUTH);
	log_event(LOG_WARN, &who, "smtp.login_elsewhere",
	    "the credential is not for this network; 'posthouse credential edit --network' can allow it");
}

/* SCRAM, whose proof the server checks itself. Whether the secret is known shows too late to say
 * anything about networks. */
void
submit_lookup_credential(
    struct smtp_server_session *ss, struct smtp_server_ticket t, struct str user, void *arg)
{
	struct submit *s = submit_of(arg);
	const struct smtp_server_facts *f = smtp_server_session_facts(ss);
	const struct account_credential *c;

	if (!may_try(s, ss, t, user, &c))
		return;
	if (is_elsewhere(f, c)) {
		log_elsewhere(f, user);
		c = NULL;
	}
	smtp_server_answer_credential(
	    smtp_server_session_server(ss), t, c != NULL ? &c->verifier : NULL);
}

/* The secret is right. */
static void
admit(struct smtp_server *server, struct smtp_server_ticket t, bool is_elsewhere_, struct str user)
{
	struct smtp_server_session *ss = smtp_server_session_of(server, t);
	struct smtp_server_reply no = { 535, SMTP_ENHANCED(5, 7, 8),
		STR("This credential may not be used from your network") };

	if (ss == NULL)
		return;
	if (is_elsewhere_) {
		log_elsewhere(smtp_server_session_facts(ss), user);
		smtp_server_answer(server, t, &no);
	} else {
		smtp_server_answer_secret(server, t, true);
	}
}

static void
check_in_pool(struct pool_job *job)
{
	struct check_job *c = CONTAINER_OF(job, struct check_job, job);
	struct str secret = str_make(c->secret, c->secret_n);

	if (c->is_known)
		c->verdict = password_check(&c->verifier, secret);
	else
		password_check_nobody(secret);
}

static void
check_later(struct submit *s, const struct check_job *job, struct str user, struct str secret)
{
	struct check_job *j = MEM_NEW(struct check_job);

	*j = *job;
	j->job = (struct pool_job){ .run = check_in_pool, .reply = s->checked };
	j->verdict = RC_DENIED;
	j->user = str_dup0(user);
	j->user_n = user.n;
	j->secret = str_dup0(secret);
	j->secret_n = secret.n;
	s->waiting++;
	s->n_checks++;
	pool_post(s->opts.pool, &j->job);
}

/* PLAIN and LOGIN. A right secret that was generated, or was right a moment ago, is known at once.
 * Everything else takes the tenth of a second, in the pool, that a chosen one takes to check: so
 * that who does not exist takes as long as who does, of whatever kind. */
void
submit_verify_password(struct smtp_server_session *ss, struct smtp_server_ticket t, struct str user,
    struct str secret, void *arg)
{
	struct submit *s = submit_of(arg);
	struct smtp_server *server = smtp_server_session_server(ss);
	int64_t now = loop_now_us(s->opts.loop);
	const struct account_credential *c;

	if (!may_try(s, ss, t, user, &c))
		return;
	bool elsewhere = is_elsewhere(smtp_server_session_facts(ss), c);
	bool generated = c != NULL && c->verifier.kind == PASSWORD_GENERATED;
	bool right = generated ? password_check(&c->verifier, secret) == RC_OK
			       : c != NULL && password_cache_has(
						  s->passwords, user, &c->verifier, secret, now);
	if (right) {
		admit(server, t, elsewhere, user);
		return;
	}
	if (s->n_checks >= CHECKS_MAX) {
		REFUSED(AUTH);
		submit_answer(ss, t, 454, SMTP_ENHANCED(4, 7, 0),
		    STR("Too many logins are being checked, try again later"));
		return;
	}
	struct check_job job = { .server = server,
		.ticket = t,
		.is_known = c != NULL && !generated,
		.is_elsewhere = elsewhere };
	if (job.is_known)
		job.verifier = c->verifier;
	check_later(s, &job, user, secret);
}

static void
answer_checked(struct submit *s, struct check_job *j)
{
	struct smtp_server_reply later = { 454, SMTP_ENHANCED(4, 7, 0),
		STR("The login cannot be checked just now, try again later") };
	struct str user = str_make(j->user, j->user_n);

	if (j->verdict == RC_AGAIN) {
		smtp_server_answer(j->server, j->ticket, &later);
	} else if (j->verdict != RC_OK) {
		smtp_server_answer_secret(j->server, j->ticket, false);
	} else {
		password_cache_add(s->passwords, user, &j->verifier,
		    str_make(j->secret, j->secret_n), loop_now_us(s->opts.loop));
		admit(j->server, j->ticket, j->is_elsewhere, user);
	}
}

void
submit_on_checked(void *arg, struct mailbox_item *item)
{
	struct submit *s = submit_of(arg);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct check_job *j = CONTAINER_OF(pool_job_of(item), struct check_job, job);
		s->waiting--;
		s->n_checks--;
		answer_checked(s, j);
		mem_wipe(j->secret, j->secret_n);
		free(j->secret);
		free(j->user);
		free(j);
		item = next;
	}
	submit_tell_drained(s);
}

void
submit_on_login(struct smtp_server_session *ss, struct str user, bool right, void *arg)
{
	struct submit *s = submit_of(arg);
	const struct smtp_server_facts *f = smtp_server_session_facts(ss);
	struct ip ip;
	const struct ip *guarded = guarded_peer(f, &ip);
	char text[IP_TEXT_MAX];

	account_guard_note(s->guard, guarded, user, right, loop_now_us(s->opts.loop));
	if (right) {
		COUNT(logins);
		return;
	}
	COUNT(failed_logins);
	struct log_ctx conn = LOG_NUM(NULL, "conn", f->id.v);
	struct log_ctx peer = LOG_STR(&conn, "peer", ip_format(&ip, text));
	struct log_ctx who = LOG_STR(&peer, "user", str_sub(user, 0, 128));
	log_event(LOG_WARN, &who, "smtp.login_failed", "a login was refused");
}
