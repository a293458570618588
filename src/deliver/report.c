/* Reports to senders (RFC 3464): failed, delayed, relayed.
 *
 * What is to be told is noted while outcomes are worked out, and written once at the end of the
 * turn, so that the recipients of one message share one report. Reports are accepted in the same
 * commit as the outcomes they speak of: a bounce is never lost and never sent for an outcome that
 * was not kept.
 *
 * No report is made about a report (the null sender), none that NOTIFY forbids (RFC 3461
 * section 4.1). Where no relay takes the null sender, the report is held: kept, counted and shown.
 */
#include "deliver/private.h"

#include "base/blob.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/smtp_param.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/scan.h"
#include "relay/book.h"
#include "store/store.h"

#define REPORT_LIMIT (4u << 20)

struct pending_report {
	struct list link;
	enum deliver_report what;
	struct msg_id about;
	struct account_id account;
	struct mail_addr sender;
	int64_t arrival_us;
	struct str envid;
	bool full;
	struct blob *content; /* one reference, or NULL */
	struct mail_dsn_rcpt *rcpts;
	size_t n, cap;
};

bool
deliver_is_told(enum deliver_report what, const struct deliver_rcpt *r)
{
	unsigned n = r->notify;

	if (r->msg->sender.n == 0 || r->msg->kind != STORE_SUBMITTED)
		return false;
	if (what == DELIVER_REPORT_RELAYED)
		return (n & SMTP_NOTIFY_SUCCESS) != 0;
	if (n == 0)
		return true; /* the sender did not say: failures and delays are told */
	return (n & (what == DELIVER_REPORT_FAILED ? (unsigned)SMTP_NOTIFY_FAILURE
						   : (unsigned)SMTP_NOTIFY_DELAY)) != 0;
}

static struct pending_report *
report_of(struct deliver_batch *b, enum deliver_report what, const struct deliver_msg *m)
{
	struct pending_report *p;

	LIST_FOREACH(p, &b->reports, struct pending_report, link) {
		if (p->what == what && ID_EQ(p->about, m->id))
			return p;
	}
	p = ARENA_NEW(&b->arena, struct pending_report);
	*p = (struct pending_report){
		.what = what,
		.about = m->id,
		.account = m->account,
		.arrival_us = m->created_us,
		.envid = arena_str(&b->arena, m->envid),
		.full = m->ret == (uint8_t)(SMTP_RET_FULL + 1),
		.content = m->content != NULL ? blob_ref(m->content) : NULL,
	};
	const char *why;
	if (mail_addr_parse(m->sender, MAIL_ADDR_UTF8, &b->arena, &p->sender, &why) != RC_OK)
		p->sender = (struct mail_addr){ .is_null = true };
	list_push_back(&b->reports, &p->link);
	b->n_reports++;
	return p;
}

void
deliver_tell(struct deliver *d, enum deliver_report what, const struct queue_item *item,
    const struct smtp_verdict *v, const struct deliver_link *l, int64_t retry_until_us)
{
	const struct deliver_rcpt *r = item->load;
	const char *why;

	if (!deliver_is_told(what, r))
		return;
	struct deliver_batch *b = deliver_batch_of(d);
	struct pending_report *p = report_of(b, what, r->msg);
	if (p->n == p->cap) {
		p->cap = p->cap != 0 ? p->cap * 2 : 4;
		struct mail_dsn_rcpt *more =
		    ARENA_NEW_ARRAY(&b->arena, struct mail_dsn_rcpt, p->cap);
		if (p->n != 0)
			memcpy(more, p->rcpts, p->n * sizeof(*more));
		p->rcpts = more;
	}
	size_t semicolon = str_find(r->orcpt, ';');
	struct mail_dsn_rcpt out = {
		.orcpt_type = arena_str(&b->arena, str_sub(r->orcpt, 0, semicolon)),
		.orcpt = arena_str(&b->arena, str_skip(r->orcpt, semicolon + 1)),
		.status = v->enhanced,
		.remote_mta =
		    l != NULL ? arena_str(&b->arena,
				    str_sub(str_from(l->peer), 0, str_find(str_from(l->peer), ' ')))
			      : (struct str){ 0 },
		.code = v->code,
		.last_attempt_us = d->now_us,
		.retry_until_us = retry_until_us,
	};
	if (v->code != 0)
		out.reply = arena_str(&b->arena, v->text);
	else
		out.reason = arena_str(&b->arena, v->text);
	if (mail_addr_parse(r->address, MAIL_ADDR_UTF8 | MAIL_ADDR_POSTMASTER, &b->arena, &out.addr,
		&why) != RC_OK)
		return;
	p->rcpts[p->n++] = out;
}

/* The finished report as a message to the sender. */
static struct store_message *
as_message(struct deliver *d, struct pending_report *p, struct str text)
{
	struct store_message *m = store_message_new();
	struct mail_addr null = { .is_null = true };
	struct relay_decision dec;
	struct buf key;
	struct buf path;
	struct mail_scan scan;

	mail_scan(text, &scan);
	m->account = p->account;
	m->stream = STREAM_TRANSACTIONAL;
	m->kind = p->what == DELIVER_REPORT_DELAYED ? STORE_NOTICE : STORE_BOUNCE;
	m->about = p->about;
	m->created_us = d->now_us;
	m->content = blob_from(text);
	m->message_id = arena_str(&m->arena, str_trim(scan.message_id));
	m->subject = arena_str(&m->arena, str_trim(scan.subject));
	m->flags = (scan.body_8bit || scan.header_8bit ? STORE_8BITMIME : 0u) |
		   (scan.header_8bit || p->sender.needs_utf8 ? STORE_SMTPUTF8 : 0u);
	m->doubt_policy = (uint8_t)queue_doubt_default(STREAM_TRANSACTIONAL);
	store_message_add_rcpts(m, 1);
	buf_init(&path, 1024);
	mail_addr_format(&path, &p->sender);
	m->rcpts[0].address = arena_str(&m->arena, buf_str(&path));
	buf_done(&path);
	buf_init(&key, RELAY_KEY_MAX);
	relay_book_group_key(
	    d->book, p->account, &null, p->sender.domain_ascii, STREAM_TRANSACTIONAL, &key);
	m->rcpts[0].group_key = arena_str(&m->arena, buf_str(&key));
	buf_done(&key);
	m->rcpts[0].domain_hash = str_hash_nocase(p->sender.domain_ascii, 0);
	relay_book_route(
	    d->book, p->account, &null, p->sender.domain_ascii, STREAM_TRANSACTIONAL, &dec);
	m->rcpts[0].born = dec.refusal == RELAY_REFUSAL_NO_BOUNCES ? STORE_HELD
			   : dec.refusal == RELAY_REFUSAL_CAPTURE  ? STORE_CAPTURED
								   : STORE_QUEUED;
	return m;
}

static struct store_message *
write_report(struct deliver *d, struct pending_report *p)
{
	static const enum mail_dsn_kind kinds[] = {
		[DELIVER_REPORT_FAILED] = MAIL_DSN_FAILED,
		[DELIVER_REPORT_DELAYED] = MAIL_DSN_DELAYED,
		[DELIVER_REPORT_RELAYED] = MAIL_DSN_RELAYED,
	};
	struct store_message *m = NULL;
	struct buf b;
	char id[64];

	if (p->n == 0 || p->sender.is_null)
		return NULL;
	snprintf(id, sizeof(id), "r%llx-%llx-%x", (unsigned long long)p->about.v,
	    (unsigned long long)d->now_us, (unsigned)p->what);
	struct mail_dsn dsn = {
		.kind = kinds[p->what],
		.hostname = d->opts.hostname,
		.id = str_from(id),
		.sender = &p->sender,
		.wall_us = d->now_us,
		.arrival_us = p->arrival_us,
		.envid = p->envid,
		.rcpts = p->rcpts,
		.rcpt_count = p->n,
		.full = p->full,
		.content = p->content != NULL ? blob_str(p->content) : (struct str){ 0 },
	};
	buf_init(&b, REPORT_LIMIT);
	if (mail_dsn_compose(&b, &dsn) == RC_OK)
		m = as_message(d, p, buf_str(&b));
	buf_done(&b);
	return m;
}

void
deliver_write_reports(struct deliver *d, struct deliver_batch *b)
{
	struct pending_report *p;

	if (b->n_reports == 0)
		return;
	b->outcome.generated = ARENA_NEW_ARRAY(&b->arena, struct store_message *, b->n_reports);
	LIST_FOREACH(p, &b->reports, struct pending_report, link) {
		struct store_message *m = write_report(d, p);
		if (m != NULL)
			b->outcome.generated[b->outcome.n_generated++] = m;
		blob_unref(&p->content);
	}
}
