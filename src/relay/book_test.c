#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/prng.h"
#include "mail/address.h"
#include "relay/book.h"

/* Rows under construction. Relay n has version 10 n; ids are places plus one. */
struct rows {
	struct relay_row relays[8];
	struct relay_version_row versions[8];
	struct relay_route_row routes[16];
	size_t relay_count, route_count;
	bool had_relay;
};

static const char *const relay_names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };

static struct relay_version_row *
add_relay(struct rows *r, const char *senders, const char *rewrites)
{
	size_t i = r->relay_count++;

	r->relays[i] = (struct relay_row){
		.id = { i + 1 }, .name = str_from(relay_names[i]), .current = { 10 * (i + 1) }
	};
	r->versions[i] = (struct relay_version_row){
		.id = { 10 * (i + 1) },
		.relay = { i + 1 },
		.number = 1,
		.host = STR("smtp.example.com"),
		.port = 465,
		.tls = RELAY_TLS_IMPLICIT,
		.senders = str_from(senders),
		.rewrites = str_from(rewrites),
	};
	return &r->versions[i];
}

static struct relay_route_row *
add_route(struct rows *r, uint64_t relay)
{
	struct relay_route_row *route = &r->routes[r->route_count++];

	*route = (struct relay_route_row){ .id = { r->route_count }, .relay = { relay } };
	return route;
}

static struct relay_book *
build(const struct rows *r)
{
	const struct relay_book_rows rows = {
		.relays = r->relays,
		.relay_count = r->relay_count,
		.versions = r->versions,
		.version_count = r->relay_count,
		.routes = r->routes,
		.route_count = r->route_count,
		.had_relay = r->had_relay,
	};
	struct relay_book *book = NULL;
	struct fault f = { 0 };

	if (relay_book_new(&rows, &book, &f) != RC_OK)
		fail_msg("%s", f.text);
	return book;
}

/* The text of the fault with which these rows are refused. */
static const char *
refusal(const struct rows *r)
{
	static struct fault f;
	const struct relay_book_rows rows = {
		.relays = r->relays,
		.relay_count = r->relay_count,
		.versions = r->versions,
		.version_count = r->relay_count,
		.routes = r->routes,
		.route_count = r->route_count,
	};
	struct relay_book *book = NULL;

	f = (struct fault){ 0 };
	assert_int_equal(relay_book_new(&rows, &book, &f), RC_INVALID);
	assert_null(book);
	return f.text;
}

static struct mail_addr
address(struct arena *a, const char *text)
{
	struct mail_addr addr;
	const char *why;

	assert_int_equal(mail_addr_parse(str_from(text), MAIL_ADDR_UTF8, a, &addr, &why), RC_OK);
	return addr;
}

static struct relay_decision
route(const struct relay_book *book, uint64_t account, const char *sender, const char *rcpt_domain,
    enum stream stream)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_addr from = address(&a, sender);
	struct relay_decision d;

	relay_book_route(
	    book, (struct account_id){ account }, &from, str_from(rcpt_domain), stream, &d);
	return d;
}

static const char *
key_of(const struct relay_book *book, uint64_t account, const char *sender, const char *rcpt_domain,
    enum stream stream)
{
	static char text[RELAY_KEY_MAX + 1];
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_addr from = address(&a, sender);

	buf_init(&b, RELAY_KEY_MAX);
	relay_book_group_key(
	    book, (struct account_id){ account }, &from, str_from(rcpt_domain), stream, &b);
	assert_true(buf_is_ok(&b));
	(void)snprintf(text, sizeof(text), "%s", buf_cstr(&b));
	return text;
}

#define T STREAM_TRANSACTIONAL
#define B STREAM_BULK

static void
before_the_first_relay_mail_is_captured_and_after_it_mail_waits(void **state)
{
	struct rows r = { 0 };

	(void)state;
	AUTO(relay_book_unref) struct relay_book *never = build(&r);
	assert_int_equal(route(never, 1, "a@x.org", "y.org", T).refusal, RELAY_REFUSAL_CAPTURE);
	r.had_relay = true;
	AUTO(relay_book_unref) struct relay_book *gone = build(&r);
	struct relay_decision d = route(gone, 1, "a@x.org", "y.org", T);
	assert_int_equal(d.refusal, RELAY_REFUSAL_NO_ROUTE);
	assert_non_null(strstr(d.why, "posthouse relay add"));
}

static void
the_default_route_takes_what_no_other_does(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "", "");
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	struct relay_decision d = route(book, 7, "a@x.org", "y.org", B);
	assert_int_equal(d.refusal, RELAY_REFUSAL_NONE);
	assert_int_equal(d.route.v, 1);
	assert_int_equal(d.relay.v, 1);
	assert_int_equal(d.version.v, 10);
	assert_false(d.rewritten);
	assert_string_equal(d.why, "The default route leads to relay a@1.");
}

/* Relay b by stream, c by account, d by recipient, e by sender domain, f by sender. */
static void
fill_specific(struct rows *r)
{
	for (int i = 0; i < 6; i++)
		add_relay(r, "", "");
	add_route(r, 1)->is_default = true;
	struct relay_route_row *route = add_route(r, 2);
	route->by_stream = true;
	route->stream = B;
	add_route(r, 3)->account = (struct account_id){ 7 };
	add_route(r, 4)->rcpt_domain = STR("qq.com");
	add_route(r, 5)->sender = STR("@x.org");
	add_route(r, 6)->sender = STR("vip@x.org");
}

static void
the_more_specific_route_goes_first(void **state)
{
	struct rows r = { 0 };

	(void)state;
	fill_specific(&r);
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_int_equal(route(book, 1, "a@z.org", "y.org", T).relay.v, 1);
	assert_int_equal(route(book, 1, "a@z.org", "y.org", B).relay.v, 2);
	assert_int_equal(route(book, 7, "a@z.org", "y.org", B).relay.v, 3);
	assert_int_equal(route(book, 7, "a@z.org", "QQ.com", B).relay.v, 4);
	assert_int_equal(route(book, 7, "a@X.org", "qq.com", B).relay.v, 5);
	assert_int_equal(route(book, 7, "ViP@x.org", "qq.com", B).relay.v, 6);
}

static void
two_conditions_must_both_hold_and_beat_one(void **state)
{
	struct rows r = { 0 };
	struct relay_route_row *both;

	(void)state;
	fill_specific(&r);
	add_relay(&r, "", "");
	both = add_route(&r, 7);
	both->rcpt_domain = STR("qq.com");
	both->account = (struct account_id){ 7 };
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_int_equal(route(book, 7, "a@z.org", "qq.com", T).relay.v, 7);
	assert_int_equal(route(book, 8, "a@z.org", "qq.com", T).relay.v, 4);
	assert_int_equal(route(book, 7, "a@z.org", "y.org", T).relay.v, 3);
}

static void
a_route_whose_relay_does_not_carry_the_sender_is_passed_over(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "", "");
	add_relay(&r, "me@qq.com", "");
	add_route(&r, 1)->is_default = true;
	add_route(&r, 2)->rcpt_domain = STR("qq.com");
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_int_equal(route(book, 1, "ME@qq.com", "qq.com", T).relay.v, 2);
	struct relay_decision d = route(book, 1, "other@x.org", "qq.com", T);
	assert_int_equal(d.relay.v, 1);
	assert_non_null(strstr(d.why, "does not carry other@x.org"));
}

static void
a_sender_that_no_routed_relay_carries_is_refused_with_the_remedy(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "me@163.com @corp.org", "");
	add_relay(&r, "boss@other.org", "");
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_int_equal(route(book, 1, "x@corp.org", "y.org", T).refusal, RELAY_REFUSAL_NONE);
	assert_int_equal(
	    route(book, 1, "x@sub.corp.org", "y.org", T).refusal, RELAY_REFUSAL_NO_SENDER);
	struct relay_decision d = route(book, 1, "boss@other.org", "y.org", T);
	assert_int_equal(d.refusal, RELAY_REFUSAL_NO_SENDER);
	assert_int_equal(d.version.v, 0);
	assert_non_null(strstr(d.why, "posthouse route add --from boss@other.org --relay b"));
}

static void
a_rewritten_sender_is_sent_as_the_new_one(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "Me@163.com ok@163.com",
	    "old@x.org=Me@163.com @y.org=ok@163.com ok@163.com=Me@163.com");
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	struct relay_decision d = route(book, 1, "OLD@x.org", "z.org", T);
	assert_true(d.rewritten);
	assert_true(str_eq(d.sender, STR("Me@163.com")));
	d = route(book, 1, "any@y.org", "z.org", T);
	assert_true(d.rewritten && str_eq(d.sender, STR("ok@163.com")));
	/* Named in full, so rewritten although the list carries it. */
	assert_true(route(book, 1, "ok@163.com", "z.org", T).rewritten);
	assert_false(route(book, 1, "me@163.com", "z.org", T).rewritten);
	assert_int_equal(
	    route(book, 1, "other@x.org", "z.org", T).refusal, RELAY_REFUSAL_NO_SENDER);
}

static void
a_star_rewrites_every_sender_but_those_carried(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "me@163.com two@163.com", "*=me@163.com");
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_true(route(book, 1, "x@y.org", "z.org", T).rewritten);
	assert_false(route(book, 1, "two@163.com", "z.org", T).rewritten);
	assert_false(route(book, 1, "me@163.com", "z.org", T).rewritten);
	assert_int_equal(route(book, 1, "", "z.org", T).refusal, RELAY_REFUSAL_NO_BOUNCES);
}

static void
the_null_sender_takes_the_route_for_bounces(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "me@163.com", "");
	add_relay(&r, "@corp.org", "");
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *without = build(&r);
	struct relay_decision d = route(without, 1, "", "y.org", T);
	assert_int_equal(d.refusal, RELAY_REFUSAL_NO_BOUNCES);
	add_route(&r, 2)->for_bounces = true;
	AUTO(relay_book_unref) struct relay_book *with = build(&r);
	d = route(with, 1, "", "y.org", T);
	assert_int_equal(d.refusal, RELAY_REFUSAL_NONE);
	assert_int_equal(d.relay.v, 2);
	assert_false(d.rewritten);
	assert_int_equal(route(with, 1, "x@corp.org", "y.org", T).refusal, RELAY_REFUSAL_NO_SENDER);
}

static void
a_list_with_the_null_sender_carries_it(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "me@163.com <>", "");
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_int_equal(route(book, 1, "", "y.org", T).refusal, RELAY_REFUSAL_NONE);
}

static void
a_key_keeps_only_what_is_told_apart(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "", "");
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *plain = build(&r);
	assert_string_equal(key_of(plain, 7, "a@x.org", "qq.com", B), "* * * *");
	assert_string_equal(key_of(plain, 7, "", "qq.com", B), "* * * *");
	r = (struct rows){ 0 };
	fill_specific(&r);
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_string_equal(key_of(book, 7, "Vip@x.org", "QQ.com", B), "7 bulk qq.com vip@x.org");
	assert_string_equal(key_of(book, 8, "a@x.org", "y.org", T), "* transactional * @x.org");
	assert_string_equal(key_of(book, 8, "a@z.org", "y.org", B), "* bulk * *");
}

static void
the_null_sender_has_a_key_of_its_own_where_it_matters(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "me@163.com", "");
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_string_equal(key_of(book, 1, "", "y.org", T), "* * * <>");
}

static void
nonsense_is_no_key(void **state)
{
	static const char *const bad[] = { "", "*", "* * *", "x * * *", "0 * * *", "* x * *",
		"* *  *", "* * * ", "* * * nobody", "-1 * * *" };
	struct rows r = { 0 };
	struct relay_decision d = { .route = { 99 } };

	(void)state;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(relay_book_route_key(book, str_from(bad[i]), &d), RC_INVALID);
		assert_true(relay_book_splits(book, book, str_from(bad[i])));
	}
	assert_int_equal(d.route.v, 99);
}

static void
a_group_splits_when_a_later_book_tells_its_members_apart(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "", "");
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *from = build(&r);
	add_route(&r, 1)->rcpt_domain = STR("qq.com");
	AUTO(relay_book_unref) struct relay_book *to = build(&r);
	assert_true(relay_book_splits(from, to, STR("* * * *")));
	assert_false(relay_book_splits(from, to, STR("* * qq.com *")));
	assert_false(relay_book_splits(to, to, STR("* * * *")));
	assert_false(relay_book_splits(to, from, STR("* * * *")));
	assert_true(relay_book_splits(NULL, to, STR("* * * *")));
	assert_false(relay_book_splits(NULL, from, STR("* * * *")));
}

static void
a_senders_domain_splits_only_by_an_address_within_it(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "", "");
	add_route(&r, 1)->is_default = true;
	add_route(&r, 1)->sender = STR("@x.org");
	AUTO(relay_book_unref) struct relay_book *from = build(&r);
	add_route(&r, 1)->sender = STR("a@x.org");
	AUTO(relay_book_unref) struct relay_book *to = build(&r);
	assert_true(relay_book_splits(from, to, STR("* * * @x.org")));
	assert_false(relay_book_splits(from, to, STR("* * * *")));
	assert_false(relay_book_splits(from, to, STR("* * * @y.org")));
	assert_false(relay_book_splits(from, to, STR("* * * b@x.org")));
}

/* Random books: the decision for a recipient is the decision for its key; and a key made under one
 * book still gives the right decision under the next, unless the next splits it. */
static struct relay_book *
random_book(struct prng *p)
{
	static const char *const senders[] = { "", "", "a@x.org", "@x.org b@y.org",
		"a@x.org @y.org", "<> @x.org" };
	static const char *const routes[] = { "a@x.org", "@x.org", "b@y.org", "@y.org", "", "" };
	static const char *const domains[] = { "qq.com", "y.org", "", "" };
	struct rows r = { 0 };

	for (size_t i = 0; i < 3; i++) {
		size_t list = prng_below(p, COUNT_OF(senders));
		const char *rewrite = prng_below(p, 3) != 0 ? ""
				      : list == 2           ? "*=a@x.org"
				      : list == 3           ? "c@z.org=q@x.org @w.org=b@y.org"
							    : "@y.org=a@x.org";
		if (list == 5)
			rewrite = "";
		add_relay(&r, senders[list], rewrite);
	}
	add_route(&r, 1 + prng_below(p, 3))->is_default = true;
	if (prng_below(p, 2) != 0)
		add_route(&r, 1 + prng_below(p, 3))->for_bounces = true;
	for (size_t i = 0, n = prng_below(p, 5); i < n; i++) {
		struct relay_route_row *route = add_route(&r, 1 + prng_below(p, 3));
		route->sender = str_from(routes[prng_below(p, COUNT_OF(routes))]);
		route->rcpt_domain = str_from(domains[prng_below(p, COUNT_OF(domains))]);
		route->account.v = prng_below(p, 3);
		route->by_stream = prng_below(p, 3) == 0;
		route->stream = (enum stream)prng_below(p, 2);
	}
	const struct relay_book_rows rows = { r.relays, r.relay_count, r.versions, r.relay_count,
		r.routes, r.route_count, NULL, 0, false };
	struct relay_book *book = NULL;
	/* Some of these match the same or everything; another throw then. */
	return relay_book_new(&rows, &book, NULL) == RC_OK ? book : NULL;
}

static void
same_decision(const struct relay_decision *a, const struct relay_decision *b, const char *key)
{
	if (a->refusal != b->refusal || a->route.v != b->route.v || a->version.v != b->version.v ||
	    a->rewritten != b->rewritten || !str_eq(a->sender, b->sender))
		fail_msg("key \"%s\": \"%s\" but \"%s\"", key, a->why, b->why);
}

static void
a_key_decides_as_its_recipients_do_also_under_the_next_book(void **state)
{
	static const char *const senders[] = { "", "a@x.org", "A@X.org", "b@y.org", "c@z.org",
		"q@x.org", "d@w.org" };
	static const char *const domains[] = { "qq.com", "y.org", "z.org" };
	struct prng p = prng_make(11);
	struct relay_book *before = NULL;
	int books = 0, kept = 0, split = 0;

	(void)state;
	while (books < 2000) {
		struct relay_book *book = random_book(&p);
		if (book == NULL)
			continue;
		books++;
		for (int i = 0; i < 40; i++) {
			const char *sender = senders[prng_below(&p, COUNT_OF(senders))];
			const char *domain = domains[prng_below(&p, COUNT_OF(domains))];
			uint64_t account = 1 + prng_below(&p, 3);
			enum stream stream = (enum stream)prng_below(&p, 2);
			struct relay_decision real = route(book, account, sender, domain, stream),
					      d;
			const char *key = key_of(book, account, sender, domain, stream);
			assert_int_equal(relay_book_route_key(book, str_from(key), &d), RC_OK);
			same_decision(&real, &d, key);
			if (before == NULL)
				continue;
			key = key_of(before, account, sender, domain, stream);
			if (relay_book_splits(before, book, str_from(key))) {
				split++;
				continue;
			}
			kept++;
			assert_int_equal(relay_book_route_key(book, str_from(key), &d), RC_OK);
			same_decision(&real, &d, key);
		}
		relay_book_unref(&before);
		before = book;
	}
	relay_book_unref(&before);
	assert_true(kept > 1000 && split > 1000);
}

static void
bad_rows_are_refused_with_the_remedy(void **state)
{
	struct rows good = { 0 }, r;

	(void)state;
	add_relay(&good, "", "");
	add_relay(&good, "", "");
	add_route(&good, 1)->is_default = true;

	r = good;
	r.relays[1].name = STR("A");
	assert_non_null(strstr(refusal(&r), "rename"));
	r = good;
	r.relays[0].name = STR("a b");
	assert_non_null(strstr(refusal(&r), "relay name"));
	r = good;
	r.versions[0].host = STR("smtp.example.com\r\nX");
	assert_non_null(strstr(refusal(&r), "host"));
	r = good;
	r.versions[0].port = 0;
	assert_non_null(strstr(refusal(&r), "465"));
	r = good;
	r.versions[0].senders = STR("me@163.com nonsense");
	assert_non_null(strstr(refusal(&r), "nonsense"));
	r = good;
	r.versions[0].rewrites = STR("a@b.org");
	assert_non_null(strstr(refusal(&r), "OLD=NEW"));
	r = good;
	r.versions[0].rewrites = STR("a@b.org=@c.org");
	assert_non_null(strstr(refusal(&r), "NEW"));
	r = good;
	r.versions[0].senders = STR("me@163.com");
	r.versions[0].rewrites = STR("*=you@163.com");
	assert_non_null(strstr(refusal(&r), "--from you@163.com"));
	r = good;
	r.relays[1].current = (struct version_id){ 10 };
	assert_non_null(strstr(refusal(&r), "no current version"));
	r = good;
	r.routes[0].relay = (struct relay_id){ 9 };
	assert_non_null(strstr(refusal(&r), "does not exist"));
}

static void
bad_routes_are_refused_with_the_remedy(void **state)
{
	struct rows good = { 0 }, r;

	(void)state;
	add_relay(&good, "", "");
	add_route(&good, 1)->is_default = true;
	r = good;
	r.routes[0].is_default = false;
	r.routes[0].rcpt_domain = STR("qq.com");
	assert_non_null(strstr(refusal(&r), "--default"));
	r = good;
	r.routes[0].rcpt_domain = STR("qq.com");
	assert_non_null(strstr(refusal(&r), "conditions"));
	r = good;
	add_route(&r, 1)->is_default = true;
	assert_non_null(strstr(refusal(&r), "match the same"));
	r = good;
	add_route(&r, 1);
	assert_non_null(strstr(refusal(&r), "no condition"));
	r = good;
	add_route(&r, 1)->sender = STR("a@X.org");
	add_route(&r, 1)->sender = STR("A@x.org");
	assert_non_null(strstr(refusal(&r), "match the same"));
	r = good;
	add_route(&r, 1)->rcpt_domain = STR("a@qq.com");
	assert_non_null(strstr(refusal(&r), "no domain"));
}

static void
nothing_is_sent_in_clear_without_a_reason(void **state)
{
	static const char *const near[] = { "localhost", "127.0.0.1", "127.1.2.3", "::1" };
	static const char *const far[] = { "smtp.example.com", "127.0.0.1.example.com",
		"127.example.com", "128.0.0.1", "127.0.0.999", "localhost.example.com" };
	struct rows r = { 0 };
	struct relay_version_row *v = add_relay(&r, "", "");

	(void)state;
	v->tls = RELAY_TLS_NONE;
	for (size_t i = 0; i < COUNT_OF(near); i++) {
		v->host = str_from(near[i]);
		AUTO(relay_book_unref) struct relay_book *book = build(&r);
		assert_non_null(book);
	}
	for (size_t i = 0; i < COUNT_OF(far); i++) {
		v->host = str_from(far[i]);
		assert_non_null(strstr(refusal(&r), "--allow-plaintext"));
	}
	v->allow_plaintext = STR("a private line");
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_non_null(book);
}

static void
what_a_version_leaves_open_is_filled_in_from_its_provider(void **state)
{
	struct rows r = { 0 };

	(void)state;
	add_relay(&r, "", "")->host = STR("smtp.163.com");
	add_relay(&r, "", "");
	add_relay(&r, "", "")->provider = STR("Google");
	add_relay(&r, "", "")->max_connections = 7;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	const struct relay_version_row *v = relay_book_version(book, (struct version_id){ 10 });
	assert_true(str_eq(v->provider, STR("netease")));
	assert_int_equal(v->max_connections, 3);
	v = relay_book_version(book, (struct version_id){ 20 });
	assert_int_equal(v->provider.n, 0);
	assert_true(v->max_connections > 3 && v->max_recipients > 0);
	v = relay_book_version(book, (struct version_id){ 30 });
	assert_true(str_eq(v->provider, STR("gmail")));
	v = relay_book_version(book, (struct version_id){ 40 });
	assert_int_equal(v->max_connections, 7);
}

static void
the_default_route_tells_what_can_be_taken_in(void **state)
{
	struct rows r = { 0 };

	(void)state;
	AUTO(relay_book_unref) struct relay_book *none = build(&r);
	assert_int_equal(relay_book_max_size(none), 0);
	assert_true(relay_book_has_smtputf8(none));
	add_relay(&r, "", "")->caps =
	    (struct relay_caps){ .seen = true, .size_bytes = 1000, .smtputf8 = false };
	add_route(&r, 1)->is_default = true;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_int_equal(relay_book_max_size(book), 1000);
	assert_false(relay_book_has_smtputf8(book));
}

static void
a_book_is_walked_and_looked_up(void **state)
{
	struct rows r = { 0 };

	(void)state;
	fill_specific(&r);
	add_route(&r, 1)->for_bounces = true;
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	AUTO(relay_book_unref) struct relay_book *again = relay_book_ref(book);
	assert_ptr_equal(book, again);
	assert_int_equal(relay_book_relay_named(book, STR("C"))->id.v, 3);
	assert_null(relay_book_relay_named(book, STR("z")));
	assert_null(relay_book_version(book, (struct version_id){ 11 }));
	assert_true(relay_book_route_at(book, 0)->for_bounces);
	assert_true(str_eq(relay_book_route_at(book, 1)->sender, STR("vip@x.org")));
	assert_true(relay_book_route_at(book, relay_book_route_count(book) - 1)->is_default);
	assert_int_equal(relay_book_version_count(book), relay_book_relay_count(book));
}

static void
whether_another_version_would_carry_a_sender_can_be_asked(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_addr sender = address(&a, "x@corp.org");
	struct rows r = { 0 };
	struct str as = STR("unset");

	(void)state;
	add_relay(&r, "me@163.com", "@corp.org=me@163.com");
	add_relay(&r, "me@163.com", "");
	AUTO(relay_book_unref) struct relay_book *book = build(&r);
	assert_false(relay_book_carries(book, (struct version_id){ 20 }, &sender, &as));
	assert_false(relay_book_carries(book, (struct version_id){ 99 }, &sender, &as));
	assert_true(str_eq(as, STR("unset")));
	assert_true(relay_book_carries(book, (struct version_id){ 10 }, &sender, &as));
	assert_true(str_eq(as, STR("me@163.com")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_first_relay_mail_is_captured_and_after_it_mail_waits),
		cmocka_unit_test(the_default_route_takes_what_no_other_does),
		cmocka_unit_test(the_more_specific_route_goes_first),
		cmocka_unit_test(two_conditions_must_both_hold_and_beat_one),
		cmocka_unit_test(a_route_whose_relay_does_not_carry_the_sender_is_passed_over),
		cmocka_unit_test(a_sender_that_no_routed_relay_carries_is_refused_with_the_remedy),
		cmocka_unit_test(a_rewritten_sender_is_sent_as_the_new_one),
		cmocka_unit_test(a_star_rewrites_every_sender_but_those_carried),
		cmocka_unit_test(the_null_sender_takes_the_route_for_bounces),
		cmocka_unit_test(a_list_with_the_null_sender_carries_it),
		cmocka_unit_test(a_key_keeps_only_what_is_told_apart),
		cmocka_unit_test(the_null_sender_has_a_key_of_its_own_where_it_matters),
		cmocka_unit_test(nonsense_is_no_key),
		cmocka_unit_test(a_group_splits_when_a_later_book_tells_its_members_apart),
		cmocka_unit_test(a_senders_domain_splits_only_by_an_address_within_it),
		cmocka_unit_test(a_key_decides_as_its_recipients_do_also_under_the_next_book),
		cmocka_unit_test(bad_rows_are_refused_with_the_remedy),
		cmocka_unit_test(bad_routes_are_refused_with_the_remedy),
		cmocka_unit_test(nothing_is_sent_in_clear_without_a_reason),
		cmocka_unit_test(what_a_version_leaves_open_is_filled_in_from_its_provider),
		cmocka_unit_test(the_default_route_tells_what_can_be_taken_in),
		cmocka_unit_test(a_book_is_walked_and_looked_up),
		cmocka_unit_test(whether_another_version_would_carry_a_sender_can_be_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
