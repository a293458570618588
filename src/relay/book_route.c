/* Decisions.
 *
 * What is known of a recipient is a pattern with every attribute filled in, or with those that its
 * key kept. A route of shape S can only match it as one exact pattern: the recipient's attributes
 * that S has, and nothing else. So for each shape that some route has, from the most specific down,
 * one binary search finds the route or shows that there is none. The default has shape 0 and is
 * simply the last. */
#include "base/buf.h"
#include "base/check.h"
#include "mail/address.h"
#include "relay/book.h"
#include "relay/private.h"

bool
relay_book_carries_sender(
    const struct book_version *v, struct str sender, const struct book_rewrite **rewrite_out)
{
	bool whole = str_starts(sender, STR("@"));
	/* Of a whole domain no member is named in full. */
	const struct str tries[] = { whole ? (struct str){ 0 } : sender,
		relay_sender_domain(sender), STR("*") };

	*rewrite_out = NULL;
	if (str_eq(sender, STR("<>")))
		return v->senders.n == 0 || relay_book_has_name(&v->senders, sender);
	for (size_t t = 0; t < COUNT_OF(tries); t++) {
		/* Named by the list: as it is, unless it was rewritten in full just before. */
		if (t == 1 && (relay_book_has_name(&v->senders, sender) ||
				  relay_book_has_name(&v->senders, tries[1])))
			return true;
		for (size_t i = 0; i < v->rewrite_count && tries[t].n != 0; i++) {
			const struct book_rewrite *r = &v->rewrites[i];
			if (!str_eq(r->from, tries[t]))
				continue;
			if (!str_eq(r->to, sender))
				*rewrite_out = r;
			return true;
		}
	}
	return v->senders.n == 0;
}

/* The part of `p` that a route of `shape` would match; false when `p` lacks an attribute of it. */
static bool
cut_to_shape(const struct book_pattern *p, unsigned shape, struct book_pattern *out)
{
	*out = (struct book_pattern){ .stream = -1 };
	if ((shape & (BOOK_BY_ADDRESS | BOOK_BY_DOMAIN)) != 0) {
		bool whole = str_starts(p->sender, STR("@"));
		if (p->sender.n == 0 || ((shape & BOOK_BY_ADDRESS) != 0 && whole))
			return false;
		out->sender =
		    (shape & BOOK_BY_ADDRESS) != 0 ? p->sender : relay_sender_domain(p->sender);
		if (out->sender.n == 0 || str_eq(out->sender, STR("<>")))
			return false;
	}
	if ((shape & BOOK_BY_RCPT) != 0 && (out->rcpt_domain = p->rcpt_domain).n == 0)
		return false;
	if ((shape & BOOK_BY_ACCOUNT) != 0 && (out->account = p->account) == 0)
		return false;
	if ((shape & BOOK_BY_STREAM) != 0 && (out->stream = p->stream) < 0)
		return false;
	return true;
}

static const struct book_route *
find_route(const struct relay_book *book, unsigned shape, const struct book_pattern *p)
{
	struct book_route wanted = { .shape = shape };
	size_t lo = book->bounces != NULL ? 1 : 0, hi = book->route_count;

	if (!cut_to_shape(p, shape, &wanted.pattern))
		return NULL;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = relay_book_cmp_routes(&wanted, &book->routes[mid]);
		if (c == 0)
			return &book->routes[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static const struct book_version *
version_of(const struct relay_book *book, const struct book_route *route)
{
	return &book->versions[book->relay_version[route->relay]];
}

/* "the sender a@b" for people, also where only part of it is known. */
static struct str
sender_words(struct str sender)
{
	return sender.n == 0 ? STR("this sender") : sender;
}

static void
add_pattern(struct buf *b, const struct book_route *route)
{
	const struct relay_route_row *r = &route->row;
	const char *sep = " ";

	if (r->for_bounces) {
		buf_add(b, STR("The route for bounces"));
		return;
	}
	if (r->is_default) {
		buf_add(b, STR("The default route"));
		return;
	}
	buf_add(b, STR("The route for"));
	if (r->sender.n != 0) {
		buf_addf(b, "%ssender %.*s", sep, STR_ARG(r->sender));
		sep = ", ";
	}
	if (r->rcpt_domain.n != 0) {
		buf_addf(b, "%srecipients at %.*s", sep, STR_ARG(r->rcpt_domain));
		sep = ", ";
	}
	if (!ID_IS_NONE(r->account)) {
		buf_addf(b, "%saccount %llu", sep, (unsigned long long)r->account.v);
		sep = ", ";
	}
	if (r->by_stream)
		buf_addf(b, "%s%s mail", sep, mail_stream_name(r->stream));
}

/* What was said, cut to its room at the end of a UTF-8 sequence. */
static void
put_why(struct relay_decision *out, const struct buf *b)
{
	struct str s = buf_str(b);
	size_t n = s.n < RELAY_WHY_SIZE ? s.n : RELAY_WHY_SIZE - 1;

	while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	if (n != 0)
		memcpy(out->why, s.p, n);
	out->why[n] = '\0';
}

static void
say_yes(const struct relay_book *book, const struct book_route *route,
    const struct book_route *passed, struct str sender, struct relay_decision *out)
{
	const struct book_version *v = version_of(book, route);
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 4096);
	add_pattern(&b, route);
	buf_addf(
	    &b, " leads to relay %.*s@%u", STR_ARG(book->relays[route->relay].name), v->row.number);
	if (out->rewritten)
		buf_addf(&b, ", sent as %.*s", STR_ARG(out->sender));
	if (passed != NULL)
		buf_addf(&b, "; relay %.*s of a more specific route does not carry %.*s",
		    STR_ARG(book->relays[passed->relay].name), STR_ARG(sender_words(sender)));
	buf_add_byte(&b, '.');
	put_why(out, &b);
}

/* A relay whose current version carries `sender` by its list, though no route led there; or NULL.
 */
static const struct relay_row *
relay_that_lists(const struct relay_book *book, struct str sender)
{
	for (size_t i = 0; i < book->relay_count && sender.n != 0; i++) {
		const struct book_version *v = &book->versions[book->relay_version[i]];
		const struct book_rewrite *rewrite;
		if (v->senders.n != 0 && relay_book_carries_sender(v, sender, &rewrite))
			return &book->relays[i];
	}
	return NULL;
}

static void
say_no(const struct relay_book *book, const struct book_route *passed, struct str sender,
    struct relay_decision *out)
{
	AUTO(buf_done) struct buf b = { 0 };
	const struct relay_row *lists;

	buf_init(&b, 4096);
	switch (out->refusal) {
	case RELAY_REFUSAL_NONE: UNREACHABLE();
	case RELAY_REFUSAL_CAPTURE:
		buf_add(
		    &b, STR("No relay has ever been added, so mail is kept and not sent; add one "
			    "with posthouse relay add."));
		break;
	case RELAY_REFUSAL_NO_ROUTE:
		buf_addf(&b, "There is no route, so mail waits; add one with posthouse %s add.",
		    book->relay_count == 0 ? "relay" : "route");
		break;
	case RELAY_REFUSAL_NO_BOUNCES:
		buf_add(&b, STR("No relay takes mail from the null sender <>; name one for bounces "
				"with posthouse route add --bounces."));
		break;
	case RELAY_REFUSAL_NO_SENDER:
		buf_addf(&b, "No relay carries sender %.*s; ", STR_ARG(sender_words(sender)));
		lists = relay_that_lists(book, sender);
		if (lists != NULL)
			buf_addf(&b, "%.*s would: posthouse route add --from %.*s --relay %.*s.",
			    STR_ARG(lists->name), STR_ARG(sender), STR_ARG(lists->name));
		else
			buf_addf(&b,
			    "add it with --from, or --rewrite-from it, by posthouse relay edit "
			    "%.*s.",
			    STR_ARG(book->relays[passed->relay].name));
		break;
	}
	put_why(out, &b);
}

static void
refuse(const struct relay_book *book, enum relay_refusal refusal, const struct book_route *passed,
    struct str sender, struct relay_decision *out)
{
	out->refusal = refusal;
	say_no(book, passed, sender, out);
}

static void
take(const struct relay_book *book, const struct book_route *route,
    const struct book_rewrite *rewrite, struct relay_decision *out)
{
	out->route = route->row.id;
	out->relay = route->row.relay;
	out->version = version_of(book, route)->row.id;
	out->rewritten = rewrite != NULL;
	if (rewrite != NULL)
		out->sender = rewrite->typed;
}

static void
decide(const struct relay_book *book, const struct book_pattern *p, struct relay_decision *out)
{
	const struct book_route *passed = NULL;
	bool null_sender = str_eq(p->sender, STR("<>"));

	*out = (struct relay_decision){ .refusal = RELAY_REFUSAL_NONE };
	if (book->route_count == 0) {
		bool capture = book->relay_count == 0 && !book->had_relay;
		refuse(book, capture ? RELAY_REFUSAL_CAPTURE : RELAY_REFUSAL_NO_ROUTE, NULL,
		    p->sender, out);
		return;
	}
	if (null_sender && book->bounces != NULL) {
		take(book, book->bounces, NULL, out);
		say_yes(book, book->bounces, NULL, p->sender, out);
		return;
	}
	for (unsigned shape = BOOK_SHAPES; shape-- > 0;) {
		const struct book_rewrite *rewrite;
		const struct book_route *route;
		if ((book->shapes & 1u << shape) == 0 ||
		    (route = find_route(book, shape, p)) == NULL)
			continue;
		if (relay_book_carries_sender(version_of(book, route), p->sender, &rewrite)) {
			take(book, route, rewrite, out);
			say_yes(book, route, passed, p->sender, out);
			return;
		}
		if (passed == NULL)
			passed = route;
	}
	refuse(book, null_sender ? RELAY_REFUSAL_NO_BOUNCES : RELAY_REFUSAL_NO_SENDER, passed,
	    p->sender, out);
}

void
relay_book_route(const struct relay_book *book, struct account_id account,
    const struct mail_addr *sender, struct str rcpt_domain, enum stream stream,
    struct relay_decision *out)
{
	char room[RELAY_SENDER_TEXT_MAX], rcpt[MAIL_ADDR_DOMAIN_MAX];
	struct book_pattern p = {
		.account = account.v,
		.stream = (int)stream,
		.sender = relay_sender_of(sender, room),
	};

	if (rcpt_domain.n <= sizeof(rcpt)) {
		for (size_t i = 0; i < rcpt_domain.n; i++)
			rcpt[i] = ascii_lower(rcpt_domain.p[i]);
		p.rcpt_domain = str_make(rcpt, rcpt_domain.n);
	}
	decide(book, &p, out);
}

enum rc
relay_book_route_key(const struct relay_book *book, struct str key, struct relay_decision *out)
{
	struct book_pattern p;

	if (relay_book_read_key(key, &p) != RC_OK)
		return RC_INVALID;
	decide(book, &p, out);
	return RC_OK;
}
