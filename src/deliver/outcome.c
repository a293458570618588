/* What came of a job, recipient by recipient: the one place where a verdict becomes a state.
 *
 *   SENT       -> sent
 *   REFUSED    -> whose fault? recipient or content, for good: bounced. Everything else: waits
 * (promise P3) BROKEN     -> certainly not sent: waits, the relay is blamed IN_DOUBT   -> in doubt;
 * its policy says repeat when, hold, or unknown (promise P2) NOT_TRIED  -> back to where it stood
 *
 * Results of a turn travel to the writer as one operation. */
#include "deliver/private.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/mem.h"
#include "relay/book.h"
#include "store/store.h"

#define COUNT(d, what) atomic_fetch_add_explicit(&(d)->metrics.what, 1, memory_order_relaxed)

/* ---- the batch of this turn ---- */

struct deliver_batch *
deliver_batch_of(struct deliver *d)
{
	if (d->batch == NULL) {
		d->batch = MEM_NEW(struct deliver_batch);
		d->batch->seq = ++d->batch_seq;
		d->batch->outcome.op.kind = STORE_OUTCOME;
		d->batch->outcome.op.reply = d->from_store;
		list_init(&d->batch->reports);
	}
	return d->batch;
}

/* Results live in the batch's arena as an array that doubles; pointers into it are good until the
 * next one. */
struct store_result *
deliver_result(struct deliver *d, const struct queue_item *item)
{
	struct deliver_batch *b = deliver_batch_of(d);
	struct store_outcome *o = &b->outcome;
	const struct deliver_rcpt *r = item->load;

	if (o->n == b->cap_results) {
		b->cap_results = b->cap_results != 0 ? b->cap_results * 2 : 16;
		struct store_result *more =
		    ARENA_NEW_ARRAY(&b->arena, struct store_result, b->cap_results);
		if (o->n != 0)
			memcpy(more, o->results, o->n * sizeof(*more));
		o->results = more;
	}
	struct store_result *res = &o->results[o->n++];
	*res = (struct store_result){
		.rcpt = item->rcpt_id,
		.msg = item->msg_id,
		.account = item->account_id,
		.lane = item->lane,
		.n_rcpts = r->msg->n_rcpts,
		.segment = r->msg->at.segment,
		.from = r->state,
		.at_us = d->now_us,
		.lived_us = item->lived_us,
		.attempts = item->attempts,
		.doubts = item->doubts,
	};
	map_put(&d->unacked, item->rcpt_id.v, b);
	return res;
}

void
deliver_flush(struct deliver *d)
{
	struct deliver_batch *b = TAKE(d->batch);

	if (b == NULL)
		return;
	deliver_write_reports(d, b);
	d->ops_out++;
	outbox_add(&d->outbox, store_mailbox(d->store), &b->outcome.op.item);
}

/* ---- judging ---- */

enum relay_stage
deliver_stage(enum smtp_stage s)
{
	switch (s) {
	case SMTP_STAGE_DNS:
	case SMTP_STAGE_CONNECT: return RELAY_STAGE_CONNECT;
	case SMTP_STAGE_GREETING: return RELAY_STAGE_GREETING;
	case SMTP_STAGE_EHLO: return RELAY_STAGE_EHLO;
	case SMTP_STAGE_TLS: return RELAY_STAGE_TLS;
	case SMTP_STAGE_AUTH: return RELAY_STAGE_AUTH;
	case SMTP_STAGE_MAIL: return RELAY_STAGE_MAIL;
	case SMTP_STAGE_RCPT: return RELAY_STAGE_RCPT;
	case SMTP_STAGE_DATA: return RELAY_STAGE_DATA;
	case SMTP_STAGE_DOT: return RELAY_STAGE_DOT;
	case SMTP_STAGE_COUNT: break;
	}
	UNREACHABLE();
}

static enum relay_trouble
relay_trouble_of(const struct smtp_verdict *v, bool no_host)
{
	if (v->code != 0)
		return RELAY_TROUBLE_NONE;
	switch (v->trouble) {
	case SMTP_TROUBLE_TIMEOUT: return RELAY_TROUBLE_TIMEOUT;
	case SMTP_TROUBLE_TLS: return RELAY_TROUBLE_TLS;
	case SMTP_TROUBLE_CERTIFICATE: return RELAY_TROUBLE_CERTIFICATE;
	case SMTP_TROUBLE_NO_STARTTLS: return RELAY_TROUBLE_NO_STARTTLS;
	case SMTP_TROUBLE_NO_AUTH: return RELAY_TROUBLE_NO_AUTH;
	case SMTP_TROUBLE_NO_SMTPUTF8: return RELAY_TROUBLE_NO_SMTPUTF8;
	case SMTP_TROUBLE_TOO_BIG: return RELAY_TROUBLE_TOO_BIG;
	case SMTP_TROUBLE_PROTOCOL: return RELAY_TROUBLE_PROTOCOL;
	case SMTP_TROUBLE_NO_8BITMIME:
		return RELAY_TROUBLE_NO_SMTPUTF8; /* a need of the message likewise */
	case SMTP_TROUBLE_OURS: return RELAY_TROUBLE_OUR_SIDE;
	case SMTP_TROUBLE_NONE:
	case SMTP_TROUBLE_CLOSED: break;
	}
	if (v->stage == SMTP_STAGE_DNS)
		return no_host ? RELAY_TROUBLE_NO_HOST : RELAY_TROUBLE_DNS;
	return v->stage == SMTP_STAGE_CONNECT ? RELAY_TROUBLE_CONNECT : RELAY_TROUBLE_CLOSED;
}

static void
facts_of(struct deliver *d, const struct deliver_way *w, const struct smtp_verdict *v, bool no_host,
    struct relay_facts *out)
{
	*out = (struct relay_facts){
		.stage = deliver_stage(v->stage),
		.trouble = relay_trouble_of(v, no_host),
		.code = v->code,
		.enhanced = v->enhanced,
		.text = v->text,
		.provider = w->row != NULL ? w->row->provider : (struct str){ 0 },
		.worked_today = relay_desk_worked_today(d->desk, w->version, d->now_us),
	};
}

void
deliver_judge(struct deliver *d, const struct deliver_way *w, const struct smtp_verdict *v,
    bool no_host, struct relay_verdict *out)
{
	struct relay_facts facts;

	facts_of(d, w, v, no_host, &facts);
	relay_attribute(&facts, out);
}

enum relay_hard_stop
deliver_judge_stop(struct deliver *d, const struct deliver_way *w, const struct smtp_verdict *v,
    bool no_host, struct relay_verdict *out)
{
	struct relay_facts facts;

	facts_of(d, w, v, no_host, &facts);
	relay_attribute(&facts, out);
	return relay_hard_stop_of(&facts, out);
}

/* ---- one recipient ---- */

struct judged {
	struct deliver *d;
	struct deliver_way *way;
	struct deliver_link *link; /* NULL: gone meanwhile */
	struct deliver_job *job;
	const struct smtp_job_rcpt *rc;
	struct queue_item *item;
	struct relay_verdict verdict;
};

static struct store_attempt *
attempt_facts(const struct judged *j, uint8_t attribution)
{
	struct arena *a = &deliver_batch_of(j->d)->arena;
	struct store_attempt *f = ARENA_NEW(a, struct store_attempt);
	const struct smtp_verdict *v = &j->rc->verdict;
	const struct smtp_job *s = &j->job->smtp;

	*f = (struct store_attempt){
		.at_us = j->job->began_us,
		.duration_us = s->ended_us > s->started_us ? s->ended_us - s->started_us : 0,
		.version = j->job->version,
		.code = v->code,
		.stage = (uint8_t)v->stage,
		.attribution = attribution,
		.text = arena_str(a, str_sub(v->text, 0, STORE_TEXT_MAX)),
	};
	if (v->enhanced.cls != 0)
		f->enhanced = arena_strf(
		    a, "%u.%u.%u", v->enhanced.cls, v->enhanced.subject, v->enhanced.detail);
	if (j->link != NULL) {
		f->remote = arena_str(a, str_from(j->link->remote));
		f->tls = arena_str(a, str_from(j->link->tls));
		f->peer = arena_str(a, str_from(j->link->peer));
	}
	return f;
}

/* One line for what did not simply go out; what did is told by the history, and here at debug
 * level. */
static void
log_attempt(const struct judged *j, const char *event, enum log_level level)
{
	const struct smtp_verdict *v = &j->rc->verdict;
	const struct deliver_rcpt *r = j->item->load;

	if (!log_is_on(level))
		return;
	struct log_ctx msg = LOG_NUM(NULL, "message", j->item->msg_id.v);
	struct log_ctx rcpt = LOG_NUM(&msg, "recipient", j->item->rcpt_id.v);
	struct log_ctx version = LOG_NUM(&rcpt, "relay_version", j->job->version.v);
	struct log_ctx conn = LOG_NUM(&version, "conn", j->job->note.conn.v);
	struct log_ctx to = LOG_STR(&conn, "to", r->address);
	log_event(level, &to, event, "%s %u %.*s", smtp_stage_name(v->stage), v->code,
	    STR_ARG(str_sub(v->text, 0, 300)));
}

static struct store_result *
tried(const struct judged *j, enum store_state to, uint8_t attribution)
{
	const struct store_attempt *facts = attempt_facts(j, attribution);
	struct store_result *res = deliver_result(j->d, j->item);

	res->attempt = j->rc->attempt;
	res->facts = facts;
	res->to = to;
	return res;
}

static void
finish(const struct judged *j, struct queue_item *item)
{
	deliver_drop_load(j->d, item);
	queue_done(j->d->queue, &item);
}

void
deliver_defer(struct deliver *d, struct queue_item *item, int64_t due_us)
{
	bool fits = deliver_item_fits(d, item);

	if (fits && queue_defer(d->queue, &item, due_us, d->now_us) == RC_OK)
		return;
	if (!fits)
		deliver_item_strays(d, item, due_us);
	deliver_drop_load(d, item);
	deliver_let_go(d, item, due_us);
}

/* It was not tried: back to where it stood. */
static void
put_back(struct deliver *d, struct queue_item *item)
{
	if (deliver_item_fits(d, item)) {
		queue_put_back(d->queue, &item);
		return;
	}
	deliver_batch_of(d);
	deliver_item_strays(d, item, item->due_us);
	deliver_put_down(d, item, item->due_us);
}

void
deliver_put_down(struct deliver *d, struct queue_item *item, int64_t due_us)
{
	const struct deliver_rcpt *r = item->load;
	struct store_result *res = deliver_result(d, item);

	res->to = r->state;
	res->due_us = due_us;
	deliver_drop_load(d, item);
	deliver_let_go(d, item, due_us);
}

void
deliver_postpone(struct deliver *d, struct queue_item *item, int64_t due_us)
{
	queue_spare(d->queue, item, due_us - d->now_us);
	if (queue_defer(d->queue, &item, due_us, d->now_us) != RC_OK)
		deliver_put_down(d, item, due_us);
}

static void
count_latency(struct deliver *d, const struct queue_item *item, const struct deliver_msg *m)
{
	int64_t took = d->now_us - m->created_us;
	unsigned bucket = 0;

	while (bucket < DELIVER_LATENCY_BUCKETS - 1 && took >= (int64_t)100 << bucket)
		bucket++;
	atomic_fetch_add_explicit(&d->metrics.latency[item->lane][bucket], 1, memory_order_relaxed);
}

static void
was_sent(const struct judged *j)
{
	const struct deliver_rcpt *r = j->item->load;

	if (r->state == STORE_IN_DOUBT)
		COUNT(j->d, repeated);
	else if (j->item->attempts == 1)
		count_latency(j->d, j->item, r->msg);
	log_attempt(j, "deliver.sent", LOG_DEBUG);
	tried(j, STORE_SENT, RELAY_BLAME_UNKNOWN);
	COUNT(j->d, sent);
	if (r->via < 0)
		deliver_moves_tell_alone(j->d, j->item);
	if ((r->notify & SMTP_NOTIFY_SUCCESS) != 0 && j->link != NULL && !j->link->has_dsn)
		deliver_tell(j->d, DELIVER_REPORT_RELAYED, j->item, &j->rc->verdict, j->link, 0);
	finish(j, j->item);
}

/* `held_until_us`: the sender is held until then, which is no life of this recipient's; 0: not. */
static void
wait_and_retry(const struct judged *j, enum queue_retry_kind kind, int64_t held_until_us)
{
	struct deliver *d = j->d;
	struct deliver_rcpt *r = j->item->load;
	struct queue_retry retry = { kind, j->item->attempts, j->verdict.wait_us };
	int64_t due = queue_retry_due_us(&d->opts.retry, &retry, d->now_us, &d->prng);

	if (due < held_until_us)
		due = held_until_us;
	int64_t lived =
	    queue_lived_us(d->queue, j->item, d->now_us, held_until_us != 0 ? d->now_us : due);
	if (held_until_us != 0)
		queue_spare(d->queue, j->item, due - d->now_us);
	log_attempt(j, "deliver.deferred", LOG_INFO);
	struct store_result *res = tried(j, r->state, (uint8_t)j->verdict.blame);
	res->due_us = due;
	res->lived_us = lived;
	COUNT(d, deferred);
	if (due - d->now_us > MINUTES(1))
		blob_unref(
		    &r->msg->content); /* it is on disk, and read again when its turn comes */
	bool late = d->opts.delay_notice_after_us > 0 &&
		    d->now_us - r->msg->created_us > d->opts.delay_notice_after_us;
	if (late && !r->msg->delay_told) {
		r->msg->delay_told = true;
		deliver_tell(d, DELIVER_REPORT_DELAYED, j->item, &j->rc->verdict, j->link,
		    d->now_us + j->item->expire_after_us - j->item->lived_us);
	}
	deliver_defer(d, j->item, due);
}

/* The new version of a changeover refused it for good, or could not: the old one shall try, at once
 * and once. Nothing was taken, so nothing can arrive twice. */
static void
go_back(const struct judged *j)
{
	struct deliver *d = j->d;
	struct deliver_rcpt *r = j->item->load;
	const struct smtp_verdict *v = &j->rc->verdict;
	struct relay_verdict judged;
	enum relay_hard_stop stop = deliver_judge_stop(d, j->way, v, false, &judged);

	log_attempt(j, "deliver.sent_back", LOG_INFO);
	struct store_result *res = tried(j, r->state, (uint8_t)j->verdict.blame);
	res->due_us = d->now_us;
	res->via = r->via = -(int64_t)j->job->version.v;
	r->refusal = (struct deliver_refusal){ v->code, (uint8_t)deliver_stage(v->stage),
		(uint8_t)judged.blame, (uint8_t)stop };
	COUNT(d, deferred);
	deliver_restand(d, j->item, DELIVER_OLD, d->now_us);
}

static void
bounce(const struct judged *j)
{
	log_attempt(j, "deliver.bounced", LOG_INFO);
	tried(j, STORE_BOUNCED, (uint8_t)j->verdict.blame);
	COUNT(j->d, bounced);
	deliver_tell(j->d, DELIVER_REPORT_FAILED, j->item, &j->rc->verdict, j->link, 0);
	finish(j, j->item);
}

static void
was_refused(const struct judged *j)
{
	int64_t until = 0;

	if (!j->verdict.unknown_user && deliver_has_way_back(j->d, j->way, j->item)) {
		go_back(j);
		return;
	}
	if (j->rc->verdict.trouble == SMTP_TROUBLE_NO_8BITMIME) {
		bounce(j); /* this content can never go out here, whatever the wait */
		return;
	}
	switch (j->verdict.action) {
	case RELAY_ACTION_BOUNCE: bounce(j); return;
	case RELAY_ACTION_DEFER:
		wait_and_retry(j,
		    j->verdict.blame == RELAY_BLAME_RELAY ? QUEUE_RETRY_RELAY
							  : QUEUE_RETRY_RECIPIENT,
		    0);
		return;
	case RELAY_ACTION_SLOW: wait_and_retry(j, QUEUE_RETRY_CAPACITY, 0); return;
	case RELAY_ACTION_HOLD_SENDER:
		if (!relay_desk_is_sender_held(
			j->d->desk, j->way->version, j->job->smtp.sender, j->d->now_us, &until) ||
		    until == TIME_NEVER)
			until = j->d->now_us + MINUTES(15);
		wait_and_retry(j, QUEUE_RETRY_RELAY, until);
		return;
	case RELAY_ACTION_PAUSE_RELAY:
	case RELAY_ACTION_PAUSE_LOGIN: wait_and_retry(j, QUEUE_RETRY_RELAY, 0); return;
	}
	UNREACHABLE();
}

/* The content is gone from our own disk: nobody can send it any more. */
static void
was_lost(const struct judged *j)
{
	log_attempt(j, "deliver.failed", LOG_ERROR);
	tried(j, STORE_FAILED, RELAY_BLAME_UNKNOWN);
	COUNT(j->d, failed);
	deliver_tell(j->d, DELIVER_REPORT_FAILED, j->item, &j->rc->verdict, NULL, 0);
	finish(j, j->item);
}

/* In doubt with the version it went through: it stands there from now on. */
static void
stay_with(struct deliver *d, struct queue_item *item)
{
	struct deliver_group *g = deliver_group_of(d, item->group_id);
	struct deliver_side *side =
	    g != NULL ? &g->sides[deliver_stand_of(d, g, item->load, item->deadline_us)] : NULL;

	if (side != NULL && side->id.v != item->group_id.v)
		queue_move(d->queue, item, side->id, d->now_us);
}

static void
is_in_doubt(const struct judged *j)
{
	struct deliver *d = j->d;
	struct deliver_rcpt *r = j->item->load;

	j->item->doubts++;
	struct queue_doubt q = { (enum queue_doubt_policy)r->msg->doubt_policy, j->item->doubts,
		d->now_us, j->item->deadline_us };
	struct queue_doubt_verdict v = queue_doubt_decide(&q, d->now_us);
	bool unknown = v.step == QUEUE_DOUBT_UNKNOWN;
	log_attempt(j, unknown ? "deliver.unknown" : "deliver.in_doubt", LOG_WARN);
	struct store_result *res =
	    tried(j, unknown ? STORE_UNKNOWN : STORE_IN_DOUBT, RELAY_BLAME_UNKNOWN);
	COUNT(d, in_doubt);
	if (unknown)
		COUNT(d, unknown);
	if (unknown || v.at_us == TIME_NEVER) {
		res->due_us = v.at_us;
		finish(j, j->item);
		return;
	}
	res->due_us = v.at_us;
	res->lived_us = queue_lived_us(d->queue, j->item, d->now_us, v.at_us);
	r->state = STORE_IN_DOUBT;
	/* The same server first: only it may know the message again. */
	res->via = r->via = (int64_t)j->job->version.v;
	stay_with(d, j->item);
	deliver_defer(d, j->item, v.at_us);
}

static void
one_recipient(struct judged *j)
{
	enum smtp_outcome outcome = j->rc->verdict.outcome;

	if (outcome == SMTP_NOT_TRIED) {
		put_back(j->d, j->item);
		return;
	}
	j->item->attempts++;
	if (((struct deliver_load *)j->job->load)->is_lost) {
		was_lost(j);
		return;
	}
	switch (outcome) {
	case SMTP_SENT: was_sent(j); return;
	case SMTP_IN_DOUBT: is_in_doubt(j); return;
	case SMTP_REFUSED: was_refused(j); return;
	case SMTP_BROKEN:
		if (deliver_has_way_back(j->d, j->way, j->item))
			go_back(j);
		else
			wait_and_retry(j, QUEUE_RETRY_RELAY, 0);
		return;
	case SMTP_NOT_TRIED: break;
	}
	UNREACHABLE();
}

/* ---- one job ---- */

/* Tells the desk each refusal of a stage once, not once for each recipient it befell. */
static bool
same_refusal(const struct smtp_verdict *a, const struct smtp_verdict *b)
{
	return a->outcome == b->outcome && a->stage == b->stage && a->code == b->code &&
	       str_eq(a->text, b->text);
}

static void
tell_desk(struct deliver *d, struct deliver_way *w, const struct deliver_job *job)
{
	const struct smtp_job *s = &job->smtp;
	uint32_t accepted = 0;

	for (size_t i = 0; i < s->n_rcpts; i++) {
		const struct smtp_verdict *v = &s->rcpts[i].verdict;
		bool blamable = v->outcome == SMTP_REFUSED ||
				(v->outcome == SMTP_BROKEN && v->trouble != SMTP_TROUBLE_OURS);
		accepted += v->outcome == SMTP_SENT;
		if (blamable && (i == 0 || !same_refusal(v, &s->rcpts[i - 1].verdict))) {
			struct relay_verdict verdict;
			deliver_judge(d, w, v, false, &verdict);
			relay_desk_refused(d->desk, job->version, s->sender, &verdict, d->now_us);
		}
	}
	relay_desk_ended(
	    d->desk, job->version, job->lane, accepted, s->ended_us - s->started_us, d->now_us);
}

void
deliver_job_back(struct deliver *d, struct deliver_link *l, struct deliver_job *job)
{
	struct deliver_load *load = job->load;
	struct deliver_way *w = deliver_way_of(d, job->version);

	d->jobs_out--;
	w->n_jobs--;
	tell_desk(d, w, job);
	deliver_moves_tell_job(d, w, job);
	for (size_t i = 0; i < job->smtp.n_rcpts; i++) {
		struct judged j = { .d = d,
			.way = w,
			.link = l,
			.job = job,
			.rc = &job->smtp.rcpts[i],
			.item = load->items[i] };
		if (j.rc->verdict.outcome == SMTP_REFUSED || j.rc->verdict.outcome == SMTP_BROKEN)
			deliver_judge(d, w, &j.rc->verdict, false, &j.verdict);
		one_recipient(&j);
	}
	blob_unref(&job->smtp.content);
	deliver_msg_unref(d, &load->msg);
	arena_done(&job->arena);
	free(job);
}

/* ---- time is up ---- */

void
deliver_expire(struct deliver *d, struct queue_item *item)
{
	struct deliver_rcpt *r = item->load;
	bool doubt = r->state == STORE_IN_DOUBT;
	struct store_result *res = deliver_result(d, item);

	res->to = doubt ? STORE_UNKNOWN : STORE_EXPIRED;
	if (doubt)
		COUNT(d, unknown);
	else
		COUNT(d, expired);
	if (!doubt) {
		struct smtp_verdict v = {
			.outcome = SMTP_REFUSED,
			.enhanced = SMTP_ENHANCED(5, 4, 7),
			.text =
			    item->deadline_us <= d->now_us
				? STR("the deadline that the message carries has passed")
				: STR("the message could not be sent within the time allowed for it"),
		};
		deliver_tell(d, DELIVER_REPORT_FAILED, item, &v, NULL, 0);
	}
	deliver_drop_load(d, item);
	queue_done(d->queue, &item);
}

void
deliver_overdue(struct deliver *d)
{
	struct queue_item *item;

	while ((item = queue_overdue(d->queue, d->now_us)) != NULL) {
		struct deliver_rcpt *r = item->load;
		/* The report returns the header, so that its reader knows the message again. */
		if (r->state != STORE_IN_DOUBT && r->msg->content == NULL &&
		    deliver_is_told(DELIVER_REPORT_FAILED, r))
			deliver_read_for_report(d, item);
		else
			deliver_expire(d, item);
	}
}
