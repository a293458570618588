/* Reading home: mailboxes are looked at in turn, and reports in them are tied to what was sent.
 *
 *	timer -> plan (pool: which mailboxes, how far) -> for each mailbox, for inbox and junk:
 *	    open -> search behind the cursor -> fetch and read each message
 *	    -> match (pool) -> write (writer: reports and cursor in one commit) -> tell
 *
 * The cursor moves in the commit of the reports, so a crash neither loses nor doubles one; where a
 * server has numbered its messages anew (UIDVALIDITY) the last days are read again, and a digest
 * of each report keeps it from counting twice. One mailbox at a time; a run over a folder takes at
 * most a hundred messages, and the rest comes with the next. Junk is read as well, since that is
 * where mail systems like to put each other's bounces. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "mailbox/match.h"
#include "mailbox/private.h"
#include "store/config_relay.h"
#include "store/config_system.h"
#include "store/reader.h"

#define MESSAGES_MAX 100u
#define CONTENT_MAX  (256u << 10)
#define FIRST_LOOK   DAYS(2) /* how far back where nothing was read yet */
#define RUN_LIMIT    MINUTES(5)
#define PRUNE_ROWS   5000u
#define FOLDERS_READ 2u

/* What a turn over all mailboxes works with; made in the pool. */
struct plan {
	struct mailbox_job job;
	struct mailbox_reader *reader;
	struct arena arena;
	struct store_mailbox_row *boxes;
	struct store_mailbox_cursor *cursors;
	struct store_relay_version_row *versions;
	uint32_t n_boxes, n_cursors, n_versions;
	uint32_t at; /* the mailbox that is being read */
};

struct found_report {
	struct mail_report report;
	uint8_t source[HASH_SHA256_SIZE];
	struct mailbox_match match;
};

/* The messages of one folder, from the last fetch to the commit. */
struct batch {
	struct mailbox_job job;
	struct mailbox_write write;
	struct mailbox_reader *reader;
	struct plan *plan;
	struct arena arena;
	struct store_mailbox_cursor cursor;
	struct str mailbox; /* name */
	struct found_report reports[MESSAGES_MAX];
	size_t n_reports;
	bool *is_new; /* by report and match, in that order; of the last run of the write */
	size_t n_is_new;
};

struct mailbox_reader {
	struct mailbox_service *service;
	struct loop_timer timer; /* the next turn */
	struct loop_timer limit; /* of one mailbox */
	struct plan *plan;       /* NULL between turns */
	struct batch *batch;     /* while a folder is read; then the pool's and the writer's */
	bool batch_is_out;
	struct imap *imap;
	struct buf secret;
	struct str folders[FOLDERS_READ]; /* in the plan's arena */
	size_t n_folders, folder;
	uint32_t uids[MESSAGES_MAX];
	size_t n_uids, next_uid;
	uint32_t seen_uid; /* all up to this one was there when the folder was opened */
	bool more;         /* the folder holds more than one run takes */
	bool now;          /* asked for while a turn was under way */
	bool stopped;
};

static void next_mailbox(struct mailbox_reader *r);
static void next_folder(struct mailbox_reader *r);

static const struct store_mailbox_row *
box_of(const struct mailbox_reader *r)
{
	return &r->plan->boxes[r->plan->at];
}

static void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	arena_done(&b->arena);
	free(b);
}

static void
plan_free(struct plan *p)
{
	if (p == NULL)
		return;
	arena_done(&p->arena);
	free(p);
}

/* ---- how a mailbox was ---- */

struct looked {
	struct mailbox_write write;
	uint64_t mailbox;
	int64_t at_us;
	int64_t prune_before_us;
	char trouble[300];
};

static enum rc
write_looked(struct mailbox_write *w, struct store_tx *tx, struct fault *f)
{
	struct looked *l = CONTAINER_OF(w, struct looked, write);
	enum rc rc = store_config_mailbox_looked(tx, l->mailbox, l->at_us, str_from(l->trouble), f);

	return rc == RC_OK ? store_report_prune(tx, l->prune_before_us, PRUNE_ROWS, f) : rc;
}

static void
free_looked(struct mailbox_write *w)
{
	free(CONTAINER_OF(w, struct looked, write));
}

/* The present mailbox is done with, well or not; on to the next. */
static void
box_done(struct mailbox_reader *r, const char *stage, struct str why)
{
	struct looked *l = MEM_NEW(struct looked);
	const struct store_mailbox_row *box = box_of(r);
	struct mailbox_service *s = r->service;

	loop_timer_cancel(s->opts.loop, &r->limit);
	imap_free(&r->imap);
	buf_wipe(&r->secret);
	if (!r->batch_is_out)
		batch_free(TAKE(r->batch));
	l->mailbox = box->id;
	l->at_us = clock_wall_us();
	l->prune_before_us = l->at_us - s->opts.retain_us;
	if (stage != NULL)
		snprintf(l->trouble, sizeof(l->trouble), "%s: %.*s", stage, STR_ARG(why));
	if (stage != NULL && !str_eq(box->trouble, str_from(l->trouble)))
		log_event(LOG_WARN, NULL, "mailbox.unread",
		    "mailbox %.*s cannot be read for reports: %s", STR_ARG(box->name), l->trouble);
	l->write.run = write_looked;
	l->write.done = free_looked;
	l->write.drop = free_looked;
	mailbox_write_post(&l->write, s);
	r->plan->at++;
	next_mailbox(r);
}

static void
too_late(void *arg)
{
	box_done(arg, "fetch", STR("reading takes too long; it goes on with the next turn"));
}

/* ---- what was found, to disk ---- */

static void
drop_batch_job(struct mailbox_job *j)
{
	batch_free(CONTAINER_OF(j, struct batch, job));
}

static void
drop_batch_write(struct mailbox_write *w)
{
	batch_free(CONTAINER_OF(w, struct batch, write));
}

static void
tell(struct batch *b)
{
	const struct mailbox_service *s = b->reader->service;
	size_t k = 0;

	for (size_t i = 0; i < b->n_reports; i++) {
		for (size_t n = 0; n < b->reports[i].match.n_found; n++) {
			const struct mailbox_matched *m = &b->reports[i].match.found[n];
			struct mailbox_told told = { .rcpt = m->row.rcpt,
				.version = m->row.version,
				.rcpt_domain = m->rcpt_domain,
				.lane = m->row.lane,
				.action = m->row.action,
				.matched = m->row.matched,
				.verdict = &m->verdict };
			if (!b->is_new[k++])
				continue;
			log_event(LOG_INFO, NULL, "mailbox.report",
			    "recipient %llu: %s, %.*s, says %.*s",
			    (unsigned long long)m->row.rcpt.v, store_report_name(m->row.action),
			    STR_ARG(m->row.status), STR_ARG(m->row.reporter));
			if (s->opts.on_report != NULL)
				s->opts.on_report(s->opts.arg, &told);
		}
	}
}

static void
on_written(struct mailbox_write *w)
{
	struct batch *b = CONTAINER_OF(w, struct batch, write);
	struct mailbox_reader *r = b->reader;

	ASSERT(r->batch == b);
	r->batch = NULL;
	r->batch_is_out = false;
	if (w->call.op.rc == RC_OK) {
		tell(b);
		next_folder(r);
	} else {
		box_done(r, "store", str_from(w->call.op.fault.text));
	}
	batch_free(b);
}

static enum rc
write_batch(struct mailbox_write *w, struct store_tx *tx, struct fault *f)
{
	struct batch *b = CONTAINER_OF(w, struct batch, write);
	size_t k = 0;
	enum rc rc = RC_OK;

	for (size_t i = 0; i < b->n_reports && rc == RC_OK; i++) {
		for (size_t n = 0; n < b->reports[i].match.n_found && rc == RC_OK; n++) {
			struct store_report_row row = b->reports[i].match.found[n].row;
			row.mailbox = b->mailbox;
			row.source = str_make((const char *)b->reports[i].source, HASH_SHA256_SIZE);
			rc = store_report_add(tx, &row, NULL);
			b->is_new[k++] = rc == RC_OK;
			if (rc == RC_EXISTS)
				rc = RC_OK;
		}
	}
	if (rc != RC_OK)
		return fault_set(f, rc, "reports could not be written");
	/* A server that numbers nothing, and a mailbox where nothing was found yet, have none. */
	if (b->cursor.uid == 0 || b->cursor.uidvalidity == 0)
		return RC_OK;
	return store_config_mailbox_cursor_put(tx, &b->cursor, f);
}

static void
on_matched(struct mailbox_job *j)
{
	struct batch *b = CONTAINER_OF(j, struct batch, job);
	struct mailbox_reader *r = b->reader;

	if (j->rc != RC_OK) {
		r->batch = NULL;
		r->batch_is_out = false;
		box_done(r, "store", str_from(j->fault.text));
		batch_free(b);
		return;
	}
	b->write.run = write_batch;
	b->write.done = on_written;
	b->write.drop = drop_batch_write;
	mailbox_write_post(&b->write, r->service);
}

/* On the pool. */
static void
match_batch(struct mailbox_job *j, struct store_reader *reader)
{
	struct batch *b = CONTAINER_OF(j, struct batch, job);

	for (size_t i = 0; i < b->n_reports; i++) {
		struct found_report *r = &b->reports[i];
		r->match = (struct mailbox_match){ .hostname = j->service->opts.hostname,
			.now_us = clock_wall_us(),
			.versions = b->plan->versions,
			.n_versions = b->plan->n_versions };
		enum rc rc =
		    mailbox_match_report(reader, &r->report, &r->match, &b->arena, &j->fault);
		if (rc != RC_OK)
			r->match.n_found = 0;
		if (rc != RC_OK && rc != RC_NOT_FOUND) {
			j->rc = rc;
			return;
		}
		b->n_is_new += r->match.n_found;
	}
	b->is_new = ARENA_NEW_ARRAY(&b->arena, bool, b->n_is_new + 1);
}

static void
folder_read(struct mailbox_reader *r, bool whole)
{
	struct batch *b = r->batch;

	if (whole && r->seen_uid > b->cursor.uid)
		b->cursor.uid = r->seen_uid;
	loop_timer_set(r->service->opts.loop, &r->limit, TIME_NEVER);
	r->batch_is_out = true;
	b->job.run = match_batch;
	b->job.done = on_matched;
	b->job.drop = drop_batch_job;
	mailbox_job_post(&b->job, r->service);
}

/* ---- a folder ---- */

static void fetch_next(struct mailbox_reader *r);

static void
on_fetched(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct mailbox_reader *r = arg;
	struct batch *b = r->batch;
	struct found_report *to = &b->reports[b->n_reports];

	(void)i;
	if (a->rc == RC_OK && a->uid != 0) {
		/* Copied only where it is a report: the parser looks into what it is shown. */
		struct arena look = { 0 };
		struct mail_report seen;
		if (mail_report_read(a->content, &look, &seen) == RC_OK) {
			struct str content = arena_str(&b->arena, a->content);
			if (mail_report_read(content, &b->arena, &to->report) == RC_OK) {
				hash_sha256(content, to->source);
				b->n_reports++;
			}
		}
		arena_done(&look);
	}
	b->cursor.uid = r->uids[r->next_uid++];
	fetch_next(r);
}

static void
fetch_next(struct mailbox_reader *r)
{
	if (r->next_uid < r->n_uids)
		imap_fetch(r->imap, r->uids[r->next_uid], CONTENT_MAX, on_fetched);
	else
		folder_read(r, r->n_uids < MESSAGES_MAX);
}

static void
on_found(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct mailbox_reader *r = arg;

	(void)i;
	if (a->rc != RC_OK) {
		box_done(r, "search", a->text);
		return;
	}
	r->n_uids = a->n_uids < MESSAGES_MAX ? a->n_uids : MESSAGES_MAX;
	r->more |= a->n_uids > MESSAGES_MAX;
	for (size_t n = 0; n < r->n_uids; n++)
		r->uids[n] = a->uids[n];
	r->next_uid = 0;
	fetch_next(r);
}

static const struct store_mailbox_cursor *
cursor_of(const struct plan *p, uint64_t mailbox, struct str folder)
{
	for (uint32_t i = 0; i < p->n_cursors; i++)
		if (p->cursors[i].mailbox == mailbox && str_eq(p->cursors[i].folder, folder))
			return &p->cursors[i];
	return NULL;
}

static void
on_opened(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct mailbox_reader *r = arg;
	const struct store_mailbox_cursor *c =
	    cursor_of(r->plan, box_of(r)->id, r->folders[r->folder - 1]);
	struct imap_query q = { 0 };

	if (a->rc != RC_OK && r->folder == 1) {
		box_done(r, "open", a->text);
		return;
	}
	if (a->rc != RC_OK) { /* a junk folder that cannot be opened is not worth the inbox */
		next_folder(r);
		return;
	}
	r->batch->cursor.uidvalidity = a->uidvalidity;
	r->seen_uid = a->uidnext > 0 ? a->uidnext - 1 : 0;
	if (c != NULL && c->uidvalidity == a->uidvalidity) {
		r->batch->cursor.uid = c->uid;
		q.from_uid = c->uid + 1;
	} else {
		r->batch->cursor.uid = 0;
		q.since_us = clock_wall_us() - FIRST_LOOK;
	}
	if (q.from_uid == 0 && q.since_us == 0)
		next_folder(r); /* the numbers are used up: it cannot go on */
	else
		imap_search(i, &q, on_found);
}

static void
next_folder(struct mailbox_reader *r)
{
	struct batch *b;

	if (r->folder == r->n_folders) {
		box_done(r, NULL, (struct str){ 0 });
		return;
	}
	if (r->imap == NULL || !imap_is_ready(r->imap)) {
		box_done(r, "fetch", STR("the connection ended"));
		return;
	}
	loop_timer_set(
	    r->service->opts.loop, &r->limit, loop_now_us(r->service->opts.loop) + RUN_LIMIT);
	if (r->batch == NULL)
		r->batch = MEM_NEW(struct batch);
	b = r->batch;
	b->reader = r;
	b->plan = r->plan;
	b->cursor.mailbox = box_of(r)->id;
	b->cursor.folder = r->folders[r->folder++];
	b->mailbox = box_of(r)->name;
	imap_open(r->imap, b->cursor.folder, on_opened);
}

/* ---- a mailbox ---- */

static void
on_folders(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct mailbox_reader *r = arg;
	static const enum imap_role wanted[FOLDERS_READ] = { IMAP_ROLE_INBOX, IMAP_ROLE_JUNK };

	(void)i;
	r->n_folders = r->folder = 0;
	for (size_t k = 0; k < FOLDERS_READ && a->rc == RC_OK; k++)
		for (size_t n = 0; n < a->n_folders; n++)
			if (a->folders[n].role == wanted[k] && a->folders[n].selectable) {
				r->folders[r->n_folders++] =
				    arena_str(&r->plan->arena, a->folders[n].name);
				break;
			}
	if (r->n_folders == 0)
		box_done(r, "folders", a->rc == RC_OK ? STR("there is no INBOX") : a->text);
	else
		next_folder(r);
}

static void
on_ready(struct imap *i, void *arg)
{
	struct mailbox_reader *r = arg;

	buf_wipe(&r->secret);
	imap_folders(i, on_folders);
}

static void
on_closed(struct imap *i, const struct imap_end *why, void *arg)
{
	struct mailbox_reader *r = arg;

	(void)i;
	if (r->batch_is_out) /* what was read is being written; then it is noticed */
		imap_free(&r->imap);
	else
		box_done(r, imap_stage_name(why->stage), why->text);
}

static void
end_turn(struct mailbox_reader *r)
{
	int64_t wait_us = r->service->opts.poll_us;

	plan_free(TAKE(r->plan));
	if (r->now || r->more)
		wait_us = 0;
	r->now = r->more = false;
	loop_timer_set(
	    r->service->opts.loop, &r->timer, loop_now_us(r->service->opts.loop) + wait_us);
}

static void
next_mailbox(struct mailbox_reader *r)
{
	static const struct imap_ops ops = { on_ready, on_closed };
	struct mailbox_service *s = r->service;
	struct imap_opts opts = { 0 };
	struct fault f = { 0 };

	if (r->plan->at == r->plan->n_boxes) {
		end_turn(r);
		return;
	}
	if (mailbox_keys_imap(&s->keys, box_of(r), &r->secret, &opts, &f) != RC_OK) {
		box_done(r, f.rc == RC_TLS ? "tls" : "auth", str_from(f.text));
		return;
	}
	opts.patience = s->opts.patience;
	loop_timer_set(s->opts.loop, &r->limit, loop_now_us(s->opts.loop) + RUN_LIMIT);
	r->imap = imap_new(s->opts.loop, s->opts.dialer, &opts, &ops, r);
}

/* ---- turns ---- */

/* Mailboxes that are there for bounces, or that a relay names. On the pool. */
static void
keep_wanted(struct plan *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n_boxes; i++) {
		bool wanted = p->boxes[i].for_bounces;
		for (uint32_t k = 0; k < p->n_versions && !wanted; k++)
			wanted = str_eq_nocase(p->versions[k].bounces, p->boxes[i].name);
		if (wanted)
			p->boxes[n++] = p->boxes[i];
	}
	p->n_boxes = n;
}

static void
run_plan(struct mailbox_job *j, struct store_reader *reader)
{
	struct plan *p = CONTAINER_OF(j, struct plan, job);
	struct relay_id all = { 0 };

	j->rc = store_config_mailbox_list(reader, &p->arena, &p->boxes, &p->n_boxes, &j->fault);
	if (j->rc == RC_OK && p->n_boxes != 0)
		j->rc = store_config_mailbox_cursor_list(
		    reader, &p->arena, &p->cursors, &p->n_cursors, &j->fault);
	if (j->rc == RC_OK && p->n_boxes != 0)
		j->rc = store_config_relay_version_list(
		    reader, all, &p->arena, &p->versions, &p->n_versions, &j->fault);
	keep_wanted(p);
}

static void
on_planned(struct mailbox_job *j)
{
	struct plan *p = CONTAINER_OF(j, struct plan, job);
	struct mailbox_reader *r = p->reader;

	r->plan = p;
	if (j->rc != RC_OK) {
		log_event(
		    LOG_WARN, NULL, "mailbox.plan", "mailboxes cannot be read: %s", j->fault.text);
		p->n_boxes = 0;
	}
	next_mailbox(r);
}

static void
drop_plan(struct mailbox_job *j)
{
	plan_free(CONTAINER_OF(j, struct plan, job));
}

static void
begin_turn(void *arg)
{
	struct mailbox_reader *r = arg;
	struct plan *p = MEM_NEW(struct plan);

	p->reader = r;
	p->job.run = run_plan;
	p->job.done = on_planned;
	p->job.drop = drop_plan;
	mailbox_job_post(&p->job, r->service);
}

/* ---- life ---- */

struct mailbox_reader *
mailbox_reader_new(struct mailbox_service *s)
{
	struct mailbox_reader *r = MEM_NEW(struct mailbox_reader);

	r->service = s;
	buf_init(&r->secret, 65536);
	loop_timer_init(&r->timer, begin_turn, r);
	loop_timer_init(&r->limit, too_late, r);
	loop_timer_set(s->opts.loop, &r->timer, loop_now_us(s->opts.loop) + SECONDS(1));
	return r;
}

void
mailbox_reader_now(struct mailbox_reader *r)
{
	if (r->stopped)
		return;
	if (loop_timer_is_set(&r->timer))
		loop_timer_set(
		    r->service->opts.loop, &r->timer, loop_now_us(r->service->opts.loop));
	else
		r->now = true;
}

void
mailbox_reader_stop(struct mailbox_reader *r)
{
	r->stopped = true;
	loop_timer_cancel(r->service->opts.loop, &r->timer);
	loop_timer_cancel(r->service->opts.loop, &r->limit);
	imap_free(&r->imap);
	buf_wipe(&r->secret);
	/* A batch that is out looks into the plan until it has come back. */
	if (!r->batch_is_out)
		batch_free(TAKE(r->batch));
}

void
mailbox_reader_free(struct mailbox_reader **rp)
{
	struct mailbox_reader *r = TAKE(*rp);

	if (r == NULL)
		return;
	plan_free(r->plan);
	free(r);
}
