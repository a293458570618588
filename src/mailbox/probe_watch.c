/* One mailbox that is watched while probes are on their way.
 *
 *	connect -> folders -> each folder once, for where it ends -> ready
 *	-> every few seconds: each folder -> search behind its end -> fetch what is new -> known?
 *
 * What is new is fetched and compared here, since servers differ in what their SEARCH can find;
 * other people's mail in it is looked at and forgotten. Inbox and junk are looked at in every
 * round, other folders in every fourth. A connection that ends is opened again, twice. */
#include "base/clock.h"
#include "codec/imap.h"
#include "mail/report.h"
#include "mailbox/probe_private.h"

#define ROUND_EVERY    SECONDS(4)
#define OTHERS_EVERY   4u
#define CONTENT_MAX    (96u << 10)
#define RECONNECTS_MAX 2u

static void next_folder(struct probe_watch *w);
static void fetch_next(struct probe_watch *w);

static struct loop *
loop_of(const struct probe_watch *w)
{
	return w->run->service->opts.loop;
}

bool
probe_watch_is_wanted(const struct probe_watch *w)
{
	const struct probe_run *r = w->run;
	size_t at = (size_t)(w - r->watches);

	for (size_t i = 0; i < r->n_items; i++)
		if (r->items[i].watch == at && !probe_outcome_is_final(r->items[i].outcome))
			return true;
	return false;
}

void
probe_watch_end(struct probe_watch *w)
{
	imap_free(&w->imap);
	buf_wipe(&w->secret);
	loop_timer_cancel(loop_of(w), &w->timer);
}

/* The mailbox cannot be read: what is looked for in it is not known. */
static void
die(struct probe_watch *w, struct str why)
{
	struct probe_run *r = w->run;
	size_t at = (size_t)(w - r->watches);

	probe_watch_end(w);
	w->is_dead = true;
	w->why = arena_str(&r->arena, why);
	for (size_t i = 0; i < r->n_items; i++) {
		struct probe_item *it = &r->items[i];
		if (it->watch == at && !probe_outcome_is_final(it->outcome) && i != r->sending)
			it->outcome = PROBE_UNREAD;
	}
	probe_run_step(r);
}

/* ---- what is found ---- */

static struct str
folder_words(struct probe_run *r, struct str raw)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 4096);
	imap_folder_decode(&b, str_sub(raw, 0, 500));
	return arena_str(&r->arena, buf_str(&b));
}

static enum probe_outcome
place_of(const struct imap_answer *a, enum imap_role role)
{
	if (a->labels_known && a->label_junk)
		return PROBE_JUNK;
	if (a->labels_known && a->label_inbox)
		return PROBE_INBOX;
	if (role == IMAP_ROLE_INBOX)
		return PROBE_INBOX;
	return role == IMAP_ROLE_JUNK ? PROBE_JUNK : PROBE_FOLDER;
}

static void
found_mail(struct probe_watch *w, struct probe_item *it, const struct imap_answer *a)
{
	struct probe_run *r = w->run;
	struct str own = arena_strf(&r->arena, "%.*s %.*s", STR_ARG(w->box->host),
	    STR_ARG(str_skip(w->box->address, str_find_last(w->box->address, '@') + 1)));
	struct str content = arena_str(&r->arena, a->content);

	it->outcome = place_of(a, w->folders[w->folder].role);
	it->folder = folder_words(r, w->folders[w->folder].name);
	it->found_us = clock_monotonic_us();
	probe_mail_judge(&it->mail, content, own, &r->arena, &it->facts);
}

static void
found_report(struct probe_watch *w, struct probe_item *it, const struct mail_report *report)
{
	struct arena *a = &w->run->arena;
	const struct mail_report_rcpt *e = &report->rcpts[0];

	if (e->action != MAIL_REPORT_FAILED)
		return;
	it->outcome = PROBE_BOUNCED;
	it->folder = folder_words(w->run, w->folders[w->folder].name);
	it->found_us = clock_monotonic_us();
	it->said = e->text.n != 0 ? arena_str(a, str_sub(e->text, 0, 300))
				  : arena_strf(a, "%u.%u.%u", e->status.cls, e->status.subject,
					e->status.detail);
}

/* Whether a report speaks of this probe: by its Message-ID, its address, or the header in it. */
static bool
is_about(const struct mail_report *report, const struct probe_item *it)
{
	if (str_find_str(report->message_id, it->mail.token) < report->message_id.n ||
	    str_find_str(report->returned, it->mail.token) < report->returned.n)
		return true;
	for (size_t i = 0; i < report->n_rcpts; i++)
		if (str_eq_nocase(report->rcpts[i].address, it->mail.to) ||
		    str_eq_nocase(report->rcpts[i].original, it->mail.to))
			return true;
	return false;
}

static void
look_at(struct probe_watch *w, const struct imap_answer *a)
{
	struct probe_run *r = w->run;
	struct arena scratch = { 0 };
	struct mail_report report;
	bool is_report = mail_report_read(a->content, &scratch, &report) == RC_OK;

	for (size_t i = 0; i < r->n_items; i++) {
		struct probe_item *it = &r->items[i];
		if (it->watch != (size_t)(w - r->watches) || it->outcome != PROBE_SENT)
			continue;
		if (is_report && it->kind == PROBE_BOUNCE && is_about(&report, it))
			found_report(w, it, &report);
		else if (!is_report && it->kind != PROBE_BOUNCE &&
			 probe_mail_is(a->content, it->mail.token, &scratch))
			found_mail(w, it, a);
	}
	arena_done(&scratch);
}

/* ---- rounds ---- */

static void
on_fetched(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct probe_watch *w = arg;

	(void)i;
	if (a->rc == RC_OK && a->uid != 0)
		look_at(w, a);
	w->folders[w->folder].next_uid = w->uids[w->next_uid++] + 1;
	fetch_next(w);
}

static void
fetch_next(struct probe_watch *w)
{
	if (w->next_uid < w->n_uids) {
		imap_fetch(w->imap, w->uids[w->next_uid], CONTENT_MAX, on_fetched);
		return;
	}
	w->folder++;
	next_folder(w);
}

static void
on_found(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct probe_watch *w = arg;
	size_t room = COUNT_OF(w->uids), skip;

	(void)i;
	/* The newest ones, should there be too many. */
	w->n_uids = a->n_uids < room ? a->n_uids : room;
	skip = a->n_uids - w->n_uids;
	for (size_t k = 0; k < w->n_uids; k++)
		w->uids[k] = a->uids[skip + k];
	w->next_uid = 0;
	fetch_next(w);
}

static void
on_opened(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct probe_watch *w = arg;
	struct probe_folder *f = &w->folders[w->folder];
	struct imap_query q = { .from_uid = f->next_uid };

	if (a->rc != RC_OK && f->role == IMAP_ROLE_INBOX) {
		die(w, arena_strf(&w->run->arena, "open: %.*s", STR_ARG(a->text)));
		return;
	}
	bool is_new = f->uidvalidity != a->uidvalidity;
	f->uidvalidity = a->uidvalidity;
	if (a->rc != RC_OK || !w->is_ready) {
		f->next_uid = a->uidnext;
		w->folder++;
		next_folder(w);
		return;
	}
	if (q.from_uid == 0 || is_new) {
		q.from_uid = 0;
		q.since_us = w->run->at_us - DAYS(1);
	}
	imap_search(i, &q, on_found);
}

static bool
is_due(const struct probe_watch *w, const struct probe_folder *f)
{
	return !w->is_ready || f->role == IMAP_ROLE_INBOX || f->role == IMAP_ROLE_JUNK ||
	       w->round % OTHERS_EVERY == 0;
}

static void
next_folder(struct probe_watch *w)
{
	struct probe_run *r = w->run;

	while (w->folder < w->n_folders && !is_due(w, &w->folders[w->folder]))
		w->folder++;
	if (w->folder < w->n_folders) {
		imap_open(w->imap, w->folders[w->folder].name, on_opened);
		return;
	}
	w->is_ready = true;
	w->round++;
	if (probe_watch_is_wanted(w))
		loop_timer_set(loop_of(w), &w->timer,
		    loop_now_us(loop_of(w)) +
			(int64_t)((double)ROUND_EVERY * r->service->opts.patience));
	else
		probe_watch_end(w);
	probe_run_step(r);
}

static void
on_round(void *arg)
{
	struct probe_watch *w = arg;

	if (w->imap == NULL || !imap_is_ready(w->imap))
		return;
	w->folder = 0;
	next_folder(w);
}

/* ---- connecting ---- */

static void
add_folder(struct probe_watch *w, const struct imap_folder *f, struct probe_folder *was, size_t n)
{
	struct probe_folder *to = &w->folders[w->n_folders];

	if (w->n_folders == COUNT_OF(w->folders))
		return;
	*to = (struct probe_folder){ .name = arena_str(&w->run->arena, f->name), .role = f->role };
	/* After a reconnection we go on where we were. */
	for (size_t i = 0; i < n; i++) {
		if (!str_eq(was[i].name, to->name))
			continue;
		to->uidvalidity = was[i].uidvalidity;
		to->next_uid = was[i].next_uid;
	}
	w->n_folders++;
}

static bool
is_watched(enum imap_role role)
{
	return role != IMAP_ROLE_SENT && role != IMAP_ROLE_DRAFTS && role != IMAP_ROLE_ALL;
}

static void
on_folders(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct probe_watch *w = arg;
	struct probe_folder was[COUNT_OF(w->folders)];
	size_t n = w->n_folders;

	(void)i;
	for (size_t k = 0; k < n; k++)
		was[k] = w->folders[k];
	w->n_folders = w->folder = 0;
	/* Inbox and junk first, so that they have their place. */
	for (int first = 1; first >= 0; first--)
		for (size_t k = 0; k < a->n_folders && a->rc == RC_OK; k++) {
			enum imap_role role = a->folders[k].role;
			bool usual = role == IMAP_ROLE_INBOX || role == IMAP_ROLE_JUNK;
			if (a->folders[k].selectable && usual == (first == 1) && is_watched(role))
				add_folder(w, &a->folders[k], was, n);
		}
	if (w->n_folders == 0)
		die(w, a->rc == RC_OK ? STR("folders: there is no INBOX") : a->text);
	else
		next_folder(w);
}

static void
on_ready(struct imap *i, void *arg)
{
	struct probe_watch *w = arg;

	buf_wipe(&w->secret);
	imap_folders(i, on_folders);
}

static void
on_closed(struct imap *i, const struct imap_end *why, void *arg)
{
	struct probe_watch *w = arg;

	(void)i;
	if (w->is_ready && w->reconnects < RECONNECTS_MAX) {
		w->reconnects++;
		probe_watch_end(w);
		probe_watch_begin(w);
		return;
	}
	die(w, arena_strf(
		   &w->run->arena, "%s: %.*s", imap_stage_name(why->stage), STR_ARG(why->text)));
}

void
probe_watch_begin(struct probe_watch *w)
{
	static const struct imap_ops ops = { on_ready, on_closed };
	struct mailbox_service *s = w->run->service;
	struct imap_opts opts = { 0 };
	struct fault f = { 0 };

	buf_init(&w->secret, 65536);
	loop_timer_init(&w->timer, on_round, w);
	if (mailbox_keys_imap(&s->keys, w->box, &w->secret, &opts, &f) != RC_OK) {
		die(w, str_from(f.text));
		return;
	}
	opts.patience = s->opts.patience;
	w->imap = imap_new(s->opts.loop, s->opts.dialer, &opts, &ops, w);
}
