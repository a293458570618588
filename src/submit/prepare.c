/* From a request to a message that the writer can keep: scan once, judge, read options, repair,
 * place.
 *
 * The usual message is copied once: the repaired pieces (prefix and content) are joined into the
 * blob in which it is kept, queued and sent. */
#include <stdatomic.h>

#include "account/book.h"
#include "base/blob.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "mail/scan.h"
#include "queue/doubt.h"
#include "relay/book.h"
#include "store/message.h"
#include "submit/options.h"
#include "submit/private.h"

#define HOPS_MAX                                                                                   \
	50 /* RFC 5321 section 6.3 asks for at least 100 to be refused; loops of relays show       \
	      earlier */

static bool refuse(struct submit_refusal *out, uint16_t code, struct smtp_enhanced e,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

static bool
refuse(struct submit_refusal *out, uint16_t code, struct smtp_enhanced e, const char *fmt, ...)
{
	va_list ap;

	out->code = code;
	out->enhanced = e;
	va_start(ap, fmt);
	vsnprintf(out->text, sizeof(out->text), fmt, ap);
	va_end(ap);
	return false;
}

static bool
content_is_fit(const struct mail_scan *scan, struct submit_refusal *refusal)
{
	if (scan->bare_eol || scan->has_nul)
		return refuse(refusal, 550, SMTP_ENHANCED(5, 6, 11),
		    "the message has a bare CR, bare LF or NUL; lines must end with CRLF");
	if (scan->received_count > HOPS_MAX)
		return refuse(refusal, 554, SMTP_ENHANCED(5, 4, 6),
		    "the message has passed %u servers: it is going round in a loop; check where the relay sends mail for us",
		    scan->received_count);
	return true;
}

static bool
read_options(const struct submit_request *r, const struct mail_scan *scan, struct submit_options *o,
    struct submit_refusal *refusal)
{
	unsigned permitted =
	    r->credential != NULL ? r->credential->options : (unsigned)ACCOUNT_OPTIONS_ALL;
	char why[SUBMIT_WHY_SIZE];

	if (!submit_options_read(scan, permitted, r->now_us, o, why))
		return refuse(refusal, 550, SMTP_ENHANCED(5, 7, 1), "%s", why);
	return true;
}

static enum stream
choose_stream(
    const struct submit_request *r, const struct mail_scan *scan, const struct submit_options *o)
{
	if (o->has_stream)
		return o->stream;
	if (r->credential != NULL && r->credential->has_stream)
		return r->credential->stream;
	return scan->is_bulk ? STREAM_BULK : STREAM_TRANSACTIONAL;
}

/* One submission made twice has the same key: who, from, to, the client's Message-ID and every byte
 * of the content. */
static void
make_key(const struct submit_request *r, const struct mail_scan *scan, struct store_message *m)
{
	struct hash_stream h = { 0 };

	hash_stream_init(&h);
	hash_stream_add(&h, str_make((const char *)&r->account, sizeof(r->account)));
	hash_stream_add(&h, m->sender);
	for (size_t i = 0; i < r->n_rcpts; i++) {
		hash_stream_add(&h, STR("\n"));
		hash_stream_add(&h, m->rcpts[i].address);
	}
	hash_stream_add(&h, STR("\n"));
	hash_stream_add(&h, scan->message_id);
	hash_stream_add(&h, STR("\n"));
	hash_stream_add(&h, r->content);
	hash_stream_end(&h, m->key);
	hash_stream_done(&h);
	m->has_key = true;
}

static struct str
path_of(struct arena *a, const struct mail_addr *addr)
{
	struct buf b;
	struct str s;

	buf_init(&b, 1024);
	mail_addr_format(&b, addr);
	s = arena_str(a, buf_str(&b));
	buf_done(&b);
	return s;
}

/* Refused now rather than kept for a relay that there is not: where routes go by stream, which one
 * it takes is known only here. */
static bool
is_carried(struct submit *s, const struct submit_request *r, const struct submit_rcpt *rcpt,
    enum stream stream, struct submit_refusal *refusal)
{
	struct relay_decision dec;

	relay_book_route(s->relays, r->account, &r->sender, rcpt->addr.domain_ascii, stream, &dec);
	if (dec.refusal != RELAY_REFUSAL_NO_SENDER)
		return true;
	return refuse(refusal, 550, SMTP_ENHANCED(5, 7, 1), "%s", dec.why);
}

/* Recipients with the group that their routes make of them. */
static bool
add_rcpts(struct submit *s, const struct submit_request *r, struct store_message *m,
    struct submit_refusal *refusal)
{
	struct relay_decision dec;
	struct buf key;
	bool capture = false;
	bool carried = true;

	if (relay_book_relay_count(s->relays) == 0) {
		relay_book_route(s->relays, r->account, &r->sender, r->rcpts[0].addr.domain_ascii,
		    m->stream, &dec);
		capture = dec.refusal == RELAY_REFUSAL_CAPTURE;
	}
	store_message_add_rcpts(m, (uint32_t)r->n_rcpts);
	buf_init(&key, RELAY_KEY_MAX);
	for (size_t i = 0; i < r->n_rcpts && carried; i++) {
		const struct submit_rcpt *in = &r->rcpts[i];
		struct store_recipient *to = &m->rcpts[i];
		buf_clear(&key);
		relay_book_group_key(
		    s->relays, r->account, &r->sender, in->addr.domain_ascii, m->stream, &key);
		bool same = i > 0 && str_eq(buf_str(&key), m->rcpts[i - 1].group_key);
		carried = same || is_carried(s, r, in, m->stream, refusal);
		to->group_key =
		    same ? m->rcpts[i - 1].group_key : arena_str(&m->arena, buf_str(&key));
		to->address = path_of(&m->arena, &in->addr);
		to->orcpt = arena_str(&m->arena, in->orcpt);
		to->domain_hash = str_hash_nocase(in->addr.domain_ascii, 0);
		to->notify = (uint8_t)in->notify;
		to->born = capture ? STORE_CAPTURED : STORE_QUEUED;
	}
	buf_done(&key);
	return carried;
}

static bool
repair(struct submit *s, const struct submit_request *r, const struct mail_scan *scan,
    struct store_message *m, struct submit_refusal *refusal)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_repair_facts facts = r->facts;
	struct mail_pieces pieces;
	const char *why = "";
	char id[48];

	snprintf(id, sizeof(id), "%llx.%llx", (unsigned long long)s->epoch,
	    (unsigned long long)++s->serial);
	facts.queue_id = str_from(id);
	facts.hostname = str_from(s->hostname);
	facts.wall_us = r->now_us;
	facts.utf8 = r->smtputf8;
	facts.rcpt = r->n_rcpts == 1 ? &r->rcpts[0].addr : NULL;
	facts.from = &r->sender;
	mail_pieces_init(&pieces, &a);
	if (mail_repair(r->content, scan, &facts, &pieces, &why) != RC_OK)
		return refuse(refusal, 550, SMTP_ENHANCED(5, 6, 0), "%s", why);
	m->content = blob_new(pieces.bytes);
	mail_pieces_join(&pieces, m->content->p);
	if (scan->message_id.p != NULL) {
		m->message_id = arena_str(&m->arena, str_sub(str_trim(scan->message_id), 0, 250));
	} else {
		m->message_id = arena_strf(&m->arena, "<%s@%s>", id, s->hostname);
	}
	return true;
}

bool
submit_prepare(struct submit *s, const struct submit_request *r, struct store_message **out,
    struct submit_refusal *refusal)
{
	struct mail_scan scan;
	struct submit_options o;

	ASSERT(r->n_rcpts > 0);
	mail_scan(r->content, &scan);
	if (!content_is_fit(&scan, refusal) || !read_options(r, &scan, &o, refusal))
		return false;
	int64_t send_at = r->send_at_us > o.send_at_us ? r->send_at_us : o.send_at_us;
	if (s->opts.max_hold_us > 0 && send_at > r->now_us + s->opts.max_hold_us)
		return refuse(refusal, 550, SMTP_ENHANCED(5, 7, 1),
		    "mail may be scheduled at most %lld days ahead",
		    (long long)(s->opts.max_hold_us / DAYS(1)));
	AUTO(store_message_free) struct store_message *m = store_message_new();
	if (!repair(s, r, &scan, m, refusal))
		return false;
	m->account = r->account;
	m->credential = r->credential != NULL ? r->credential->id : (struct credential_id){ 0 };
	m->stream = choose_stream(r, &scan, &o);
	m->kind = STORE_SUBMITTED;
	m->sender = path_of(&m->arena, &r->sender);
	m->created_us = r->now_us;
	m->deadline_us = o.deadline_us;
	m->send_at_us = send_at;
	m->subject = arena_str(&m->arena, str_sub(str_trim(scan.subject), 0, 200));
	m->tag = arena_str(&m->arena, o.tag);
	m->client = arena_str(&m->arena, r->facts.client_ip);
	m->envid = arena_str(&m->arena, r->envid);
	m->ret = r->ret;
	/* An address beyond ASCII among the recipients is that recipient's matter alone. */
	m->flags =
	    (scan.body_8bit || scan.header_8bit ? STORE_8BITMIME : 0u) |
	    (r->sender.needs_utf8 || (r->smtputf8 && scan.header_8bit) ? STORE_SMTPUTF8 : 0u);
	m->doubt_policy = (uint8_t)(o.has_doubt ? o.doubt : queue_doubt_default(m->stream));
	if (!add_rcpts(s, r, m, refusal))
		return false;
	if (scan.message_id.p != NULL)
		make_key(r, &scan, m);
	*out = TAKE(m);
	return true;
}
