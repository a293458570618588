/* A run: plan, watch, send, wait, report.
 *
 * Sending begins when every mailbox has been opened, so that what is there already is not looked
 * through; a mailbox that cannot be read makes its probes unread, which proves nothing. Messages
 * leave one after another, and to one mailbox no more often than every ten seconds. After each
 * event the run takes a step: it marks what is overdue, sends the next one, or ends. */
#include "mailbox/probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/random.h"
#include "mailbox/probe_private.h"
#include "store/reader.h"

#define DEADLINE     MINUTES(5)
#define DEADLINE_MAX HOURS(1)
#define SEND_EVERY   SECONDS(10)

struct mailbox_probe *
mailbox_probe_new(void)
{
	struct mailbox_probe *p = MEM_NEW(struct mailbox_probe);

	p->ask.kind = MAILBOX_ASK_PROBE;
	return p;
}

void
mailbox_probe_free(struct mailbox_probe **pp)
{
	struct mailbox_probe *p = TAKE(*pp);

	if (p == NULL)
		return;
	relay_book_unref(&p->book);
	arena_done(&p->arena);
	free(p);
}

bool
probe_outcome_is_final(enum probe_outcome o)
{
	return o != PROBE_WAITING && o != PROBE_SENT;
}

/* ---- answers ---- */

static void
answer(struct probe_run *r, struct mailbox_probe *p, enum rc rc, const struct fault *f)
{
	p->is_over = r->is_over;
	p->passed = r->passed;
	p->summary = arena_str(&p->arena, r->summary);
	p->report = arena_str(&p->arena, r->report);
	mailbox_answer(&p->ask, rc, f);
}

static void
run_free(struct probe_run *r)
{
	loop_timer_cancel(r->service->opts.loop, &r->tick);
	for (size_t i = 0; i < r->n_watches; i++)
		probe_watch_end(&r->watches[i]);
	mailbox_sender_free(&r->sender);
	mailbox_work_end(r->service, &r->work);
	relay_book_unref(&r->book);
	arena_done(&r->report_arena);
	arena_done(&r->arena);
	free(r);
}

static void
give_up(struct probe_run *r, enum rc rc, const struct fault *f)
{
	if (r->ask != NULL)
		answer(r, TAKE(r->ask), rc, f);
	run_free(r);
}

/* ---- the end, kept ---- */

struct kept {
	struct mailbox_write write;
	struct probe_run *run;
	struct store_probe_row row;
};

static enum rc
write_kept(struct mailbox_write *w, struct store_tx *tx, struct fault *f)
{
	struct kept *k = CONTAINER_OF(w, struct kept, write);
	struct store_probe_row row = k->row;

	return store_config_probe_add(tx, &row, f);
}

static void
on_kept(struct mailbox_write *w)
{
	struct kept *k = CONTAINER_OF(w, struct kept, write);
	struct probe_run *r = k->run;

	if (w->call.op.rc != RC_OK)
		log_event(LOG_WARN, NULL, "probe.lost", "the result of a probe was not kept: %s",
		    w->call.op.fault.text);
	if (r->ask != NULL)
		answer(r, TAKE(r->ask), RC_OK, NULL);
	run_free(r);
	free(k);
}

static void
drop_kept(struct mailbox_write *w)
{
	struct kept *k = CONTAINER_OF(w, struct kept, write);
	struct fault f = { 0 };

	(void)fault_set(&f, RC_CANCELLED, "the service is ending");
	give_up(k->run, RC_CANCELLED, &f);
	free(k);
}

static void
finish(struct probe_run *r)
{
	struct kept *k = MEM_NEW(struct kept);

	r->is_over = true;
	loop_timer_cancel(r->service->opts.loop, &r->tick);
	for (size_t i = 0; i < r->n_watches; i++)
		probe_watch_end(&r->watches[i]);
	mailbox_sender_free(&r->sender);
	probe_report_make(r);
	log_event(
	    LOG_INFO, NULL, "probe.done", "%.*s: %.*s", STR_ARG(r->relay), STR_ARG(r->summary));
	k->run = r;
	k->row = (struct store_probe_row){ .version = r->version,
		.at_us = r->at_us,
		.passed = r->passed,
		.preserves_message_id = probe_report_kept(r, false),
		.preserves_date = probe_report_kept(r, true),
		.summary = r->summary,
		.report = r->report };
	k->write.run = write_kept;
	k->write.done = on_kept;
	k->write.drop = drop_kept;
	mailbox_write_post(&k->write, r->service);
}

/* ---- sending ---- */

static void
on_sent(void *arg, const struct smtp_verdict *v)
{
	struct probe_run *r = arg;
	struct probe_item *it = &r->items[r->sending];

	r->sending = MAILBOX_PROBES_MAX;
	it->sent_us = clock_monotonic_us();
	r->watches[it->watch].last_sent_us = it->sent_us;
	it->code = v->code;
	it->stage = str_from(smtp_stage_name(v->stage));
	it->text = arena_str(&r->arena, str_sub(v->text, 0, 400));
	/* A reply to the dot that was lost proves nothing either way: it may still arrive. */
	if (v->outcome == SMTP_SENT || v->outcome == SMTP_IN_DOUBT)
		it->outcome = r->watches[it->watch].is_dead ? PROBE_UNREAD : PROBE_SENT;
	else
		it->outcome = PROBE_REFUSED;
	/* Where the relay itself says that the address does not exist, no report has to come. */
	if (it->kind == PROBE_BOUNCE && v->outcome == SMTP_REFUSED && v->code >= 500 &&
	    (v->stage == SMTP_STAGE_RCPT || v->stage == SMTP_STAGE_DOT)) {
		it->outcome = PROBE_BOUNCED;
		it->said = it->text;
	}
	probe_run_step(r);
}

static bool
watches_ready(const struct probe_run *r)
{
	for (size_t i = 0; i < r->n_watches; i++)
		if (!r->watches[i].is_ready && !r->watches[i].is_dead)
			return false;
	return true;
}

/* The next item that may go now; *wait_out is when the first of the others may. */
static struct probe_item *
pick(struct probe_run *r, int64_t now, int64_t *wait_out)
{
	int64_t every = (int64_t)((double)SEND_EVERY * r->service->opts.patience);

	for (size_t i = 0; i < r->n_items; i++) {
		const struct probe_watch *w = &r->watches[r->items[i].watch];
		int64_t at = w->last_sent_us != 0 ? w->last_sent_us + every : 0;
		if (r->items[i].outcome != PROBE_WAITING)
			continue;
		if (at <= now)
			return &r->items[i];
		if (at < *wait_out)
			*wait_out = at;
	}
	return NULL;
}

static void
send_item(struct probe_run *r, struct probe_item *it)
{
	if (r->sender != NULL && !ID_EQ(r->sender_version, it->version))
		mailbox_sender_free(&r->sender);
	if (r->sender == NULL) {
		r->sender = mailbox_sender_new(r->service, r->book, it->version);
		r->sender_version = it->version;
	}
	r->sending = (size_t)(it - r->items);
	mailbox_sender_send(r->sender, it->sender, it->mail.to, it->content, on_sent, r);
}

/* What is overdue is missing; *next_out is when the next one will be. */
static void
mark_missing(struct probe_run *r, int64_t now, int64_t *next_out)
{
	for (size_t i = 0; i < r->n_items; i++) {
		struct probe_item *it = &r->items[i];
		if (it->outcome != PROBE_SENT)
			continue;
		if (it->sent_us + r->deadline_us <= now)
			it->outcome = PROBE_MISSING;
		else if (it->sent_us + r->deadline_us < *next_out)
			*next_out = it->sent_us + r->deadline_us;
	}
}

void
probe_run_step(struct probe_run *r)
{
	int64_t now = clock_monotonic_us(), next = TIME_NEVER;
	bool open = false;

	if (r->is_over || !r->planned)
		return;
	mark_missing(r, now, &next);
	if (r->sending == MAILBOX_PROBES_MAX && watches_ready(r)) {
		struct probe_item *it = pick(r, now, &next);
		if (it != NULL)
			send_item(r, it);
	}
	for (size_t i = 0; i < r->n_items; i++)
		open |= !probe_outcome_is_final(r->items[i].outcome);
	if (!open)
		finish(r);
	else
		loop_timer_set(r->service->opts.loop, &r->tick, next);
}

static void
on_tick(void *arg)
{
	probe_run_step(arg);
}

/* ---- the beginning ---- */

struct load {
	struct mailbox_job job;
	struct probe_run *run;
};

static void
run_load(struct mailbox_job *j, struct store_reader *reader)
{
	struct probe_run *r = CONTAINER_OF(j, struct load, job)->run;

	j->rc = store_config_mailbox_list(reader, &r->arena, &r->boxes, &r->n_boxes, &j->fault);
}

static void
drop_load(struct mailbox_job *j)
{
	struct load *l = CONTAINER_OF(j, struct load, job);
	struct fault f = { 0 };

	(void)fault_set(&f, RC_CANCELLED, "the service is ending");
	give_up(l->run, RC_CANCELLED, &f);
	free(l);
}

static void
on_loaded(struct mailbox_job *j)
{
	struct load *l = CONTAINER_OF(j, struct load, job);
	struct probe_run *r = l->run;
	struct fault f = j->fault;
	enum rc rc = j->rc;

	free(l);
	if (rc == RC_OK)
		rc = probe_plan(r, &f);
	if (rc != RC_OK) {
		give_up(r, rc, &f);
		return;
	}
	if (r->ask != NULL && r->ask->want == MAILBOX_PROBE_START) {
		probe_report_make(r);
		answer(r, TAKE(r->ask), RC_OK, NULL);
	}
	/* Only now: a mailbox that fails at once must not end the run while it is being begun. */
	for (size_t i = 0; i < r->n_watches; i++)
		probe_watch_begin(&r->watches[i]);
	r->planned = true;
	probe_run_step(r);
}

/* The program ends. A run whose job or write is out is freed when that comes back. */
static void
cancel(struct mailbox_work *w)
{
	struct probe_run *r = CONTAINER_OF(w, struct probe_run, work);
	struct fault f = { 0 };

	if (r->is_over || !r->planned) {
		mailbox_work_end(r->service, w);
		return;
	}
	(void)fault_set(&f, RC_CANCELLED, "the service is ending");
	give_up(r, RC_CANCELLED, &f);
}

/* ---- requests ---- */

static struct probe_run *
run_of(struct mailbox_service *s, struct version_id version)
{
	struct mailbox_work *w;

	LIST_FOREACH(w, &s->work, struct mailbox_work, link) {
		if (w->cancel != cancel)
			continue;
		struct probe_run *r = CONTAINER_OF(w, struct probe_run, work);
		if (ID_EQ(r->version, version))
			return r;
	}
	return NULL;
}

static struct probe_run *
run_new(struct mailbox_service *s, struct mailbox_probe *p)
{
	const struct relay_version_row *v = relay_book_version(p->book, p->version);
	const struct relay_row *relay = relay_book_relay(p->book, v->relay);
	struct probe_run *r = MEM_NEW(struct probe_run);

	*r = (struct probe_run){ .service = s,
		.ask = p,
		.book = relay_book_ref(p->book),
		.version = p->version,
		.at_us = clock_wall_us(),
		.deadline_us = p->deadline_us > 0 ? p->deadline_us : DEADLINE,
		.sending = MAILBOX_PROBES_MAX };
	if (r->deadline_us > DEADLINE_MAX)
		r->deadline_us = DEADLINE_MAX;
	snprintf(r->token, sizeof(r->token), "ph%016llx", (unsigned long long)random_u64());
	r->relay = arena_strf(
	    &r->arena, "%.*s@%u", STR_ARG(relay != NULL ? relay->name : STR("relay")), v->number);
	r->only = arena_str(&r->arena, p->only);
	r->senders = ARENA_NEW_ARRAY(&r->arena, struct str, MAILBOX_PROBES_MAX);
	for (size_t i = 0; i < p->n_senders && i < MAILBOX_PROBES_MAX; i++)
		r->senders[r->n_senders++] = arena_str(&r->arena, p->senders[i]);
	loop_timer_init(&r->tick, on_tick, r);
	mailbox_work_begin(s, &r->work, cancel);
	return r;
}

void
mailbox_probe_run(struct mailbox_service *s, struct mailbox_probe *p)
{
	struct probe_run *r = run_of(s, p->version);
	struct fault f = { 0 };
	struct load *l;

	if (p->want == MAILBOX_PROBE_LOOK && r == NULL) {
		mailbox_answer(&p->ask, fault_set(&f, RC_NOT_FOUND, "no probe is under way"), &f);
		return;
	}
	if (p->want == MAILBOX_PROBE_LOOK) {
		if (!r->is_over && r->planned) /* before that the pool has it */
			probe_report_make(r);
		answer(r, p, RC_OK, NULL);
		return;
	}
	if (r != NULL) {
		(void)fault_set(
		    &f, RC_EXISTS, "a probe of this relay version is under way already");
		mailbox_answer(&p->ask, RC_EXISTS, &f);
		return;
	}
	if (p->book == NULL || relay_book_version(p->book, p->version) == NULL) {
		mailbox_answer(
		    &p->ask, fault_set(&f, RC_NOT_FOUND, "there is no such relay version"), &f);
		return;
	}
	l = MEM_NEW(struct load);
	l->run = run_new(s, p);
	l->job.run = run_load;
	l->job.done = on_loaded;
	l->job.drop = drop_load;
	mailbox_job_post(&l->job, s);
}
