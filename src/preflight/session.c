/* One connection to a server, through the dialer and the SMTP client that mail uses. It lives until
 * the client has told that it is closed; a preflight that goes away before that leaves it behind,
 * mute, to end by itself. */
#include <stdlib.h>

#include "base/mem.h"
#include "preflight/private.h"

#define SESSION_MAGIC 0x5e5510aau

struct session {
	uint32_t magic;
	struct session_opts o; /* o.p NULL: mute */
	struct loop *loop;
	struct dial *dial;
	struct smtp_client *client;
	struct tls_ctx *tls;
	struct loop_timer patience;
	struct loop_task over;
	struct arena arena; /* strings of the options, for a mute one */
	int64_t began_us;
	bool out_of_patience;
};

static struct session *
session_of(void *arg)
{
	return FROM_ARG(struct session, arg, SESSION_MAGIC);
}

static void
end(void *arg)
{
	struct session *s = session_of(arg);
	struct preflight *p = s->o.p;
	void (*on_over)(struct preflight *) = s->o.on_over;

	loop_timer_cancel(s->loop, &s->patience);
	loop_task_cancel(&s->over);
	dialer_cancel(&s->dial);
	tls_ctx_unref(&s->tls);
	arena_done(&s->arena);
	s->magic = 0;
	free(s);
	if (p != NULL)
		on_over(p);
}

static void
take_facts(struct session *s)
{
	struct session_facts *f = s->o.facts;
	struct arena *a = s->o.arena;

	f->smtp = *smtp_client_facts(s->client);
	f->smtp.tls = arena_str(a, f->smtp.tls);
	f->smtp.greeting = arena_str(a, f->smtp.greeting);
	f->has_tls = smtp_client_tls_facts(s->client, &f->tls);
}

static void
on_ready(struct smtp_client *c, void *arg)
{
	struct session *s = session_of(arg);

	loop_timer_cancel(s->loop, &s->patience);
	if (s->o.p == NULL) {
		smtp_client_quit(c);
		return;
	}
	take_facts(s);
	s->o.facts->is_ready = true;
	s->o.facts->ready_us = loop_now_us(s->loop) - s->began_us;
	if (s->o.on_ready == NULL || !s->o.on_ready(s->o.p, s))
		smtp_client_quit(c);
}

static void
on_about_to_finish(struct smtp_client *c, struct smtp_job *job, void *arg)
{
	(void)job;
	(void)arg;
	smtp_client_grant(c, false); /* nothing is sent here */
}

static void
on_job_done(struct smtp_client *c, struct smtp_job *job, void *arg)
{
	struct session *s = session_of(arg);

	if (s->o.p == NULL || !s->o.on_job(s->o.p, s, job) || !smtp_client_is_idle(c))
		smtp_client_quit(c);
}

static void
on_closed(struct smtp_client *c, const struct smtp_verdict *why, void *arg)
{
	struct session *s = session_of(arg);

	if (s->o.p != NULL && !s->o.facts->is_ready) {
		take_facts(s);
		s->o.facts->end = *why;
		s->o.facts->end.text = arena_str(s->o.arena, why->text);
		s->o.facts->was_silent = s->out_of_patience && why->stage == SMTP_STAGE_GREETING;
		if (s->out_of_patience)
			s->o.facts->end.trouble = SMTP_TROUBLE_TIMEOUT;
	}
	(void)c;
	s->client = NULL;
	end(s);
}

static const struct smtp_client_ops ops = { on_ready, on_about_to_finish, on_job_done, on_closed };

static void
fail(struct session *s, enum smtp_stage stage, enum smtp_trouble trouble, struct str text)
{
	if (s->o.p != NULL)
		s->o.facts->end = (struct smtp_verdict){ .outcome = SMTP_BROKEN,
			.stage = stage,
			.trouble = trouble,
			.text = arena_str(s->o.arena, text) };
	loop_defer(s->loop, &s->over);
}

static void
start_client(struct session *s, int fd)
{
	static const enum smtp_tls modes[] = { [RELAY_TLS_IMPLICIT] = SMTP_TLS_IMPLICIT,
		[RELAY_TLS_STARTTLS] = SMTP_TLS_STARTTLS,
		[RELAY_TLS_NONE] = SMTP_TLS_NONE };
	const struct relay_version_row *v = s->o.target->row;
	struct smtp_client_opts opts = { .hostname = preflight_hostname(s->o.p),
		.peer_name = v->tls_name.n != 0 ? v->tls_name : v->host,
		.tls = modes[s->o.tls],
		.tls_ctx = s->tls,
		.user = s->o.logs_in ? v->user : (struct str){ 0 },
		.secret = s->o.logs_in ? s->o.target->secret : (struct str){ 0 },
		.mechanism = v->auth == RELAY_AUTH_ANY ? (struct str){ 0 }
						       : str_from(relay_auth_name(v->auth)),
		.plain_ok = s->o.tls == RELAY_TLS_NONE,
		.patience = 0.1 };

	s->client = smtp_client_new(s->loop, fd, &opts, &ops, s);
}

static void
on_dialled(void *arg, const struct dial_result *r)
{
	struct session *s = session_of(arg);

	s->dial = NULL;
	if (r->fd < 0) {
		bool dns = r->fault->rc == RC_NOT_FOUND || r->fault->rc == RC_DNS;
		s->o.facts->no_host = r->fault->rc == RC_NOT_FOUND;
		fail(s, dns ? SMTP_STAGE_DNS : SMTP_STAGE_CONNECT,
		    r->fault->rc == RC_TIMEOUT ? SMTP_TROUBLE_TIMEOUT : SMTP_TROUBLE_CLOSED,
		    str_from(r->fault->text));
		return;
	}
	s->o.facts->is_dialled = true;
	s->o.facts->addr = r->addr;
	s->o.facts->dial_us = loop_now_us(s->loop) - s->began_us;
	start_client(s, r->fd);
}

static void
on_patience(void *arg)
{
	struct session *s = session_of(arg);

	s->out_of_patience = true;
	if (s->client != NULL) {
		smtp_client_abort(s->client, STR("no answer came in time"));
		return;
	}
	dialer_cancel(&s->dial);
	fail(s, SMTP_STAGE_CONNECT, SMTP_TROUBLE_TIMEOUT, STR("no connection came about in time"));
}

struct session *
session_new(const struct session_opts *o)
{
	struct session *s = MEM_NEW(struct session);
	const struct relay_version_row *v = o->target->row;
	char text[NET_ADDR_TEXT_SIZE];
	AUTO(arena_done) struct arena a = { 0 };
	struct fault f = { 0 };

	*s = (struct session){ .magic = SESSION_MAGIC, .o = *o, .loop = preflight_loop(o->p) };
	s->began_us = loop_now_us(s->loop);
	*o->facts = (struct session_facts){ 0 };
	loop_task_init(&s->over, end, s);
	loop_timer_init(&s->patience, on_patience, s);
	loop_timer_set(s->loop, &s->patience, s->began_us + o->patience_us);
	if (o->tls != RELAY_TLS_NONE) {
		const char *ca =
		    v->ca_file.n != 0 ? arena_strf(&a, "%.*s%c", STR_ARG(v->ca_file), 0).p : NULL;
		if (tls_ctx_new_client(ca, &s->tls, &f) != RC_OK) {
			fail(s, SMTP_STAGE_TLS, SMTP_TROUBLE_TLS, str_from(f.text));
			return s;
		}
	}
	struct str host = v->host;
	if (o->addr != NULL) {
		net_addr_format_ip(o->addr, text);
		host = str_from(text);
	}
	s->dial = dialer_dial(preflight_dialer(o->p), host, v->port, NULL, on_dialled, s);
	return s;
}

void
session_ask(struct session *s, struct smtp_job *job)
{
	smtp_client_send(s->client, job);
}

void
session_drop(struct session **sp)
{
	struct session *s = TAKE(*sp);

	if (s == NULL)
		return;
	s->o.p = NULL;
	loop_timer_cancel(s->loop, &s->patience);
	if (s->client != NULL)
		smtp_client_abort(s->client, STR("broken off"));
	else
		end(s);
}
