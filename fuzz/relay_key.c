/* Any text is a key or is refused; a key that some sender and recipient make decides as they do.
 * The input is the key itself, or behind a NUL a sender and a recipient domain divided by a blank.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "mail/address.h"
#include "relay/book.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct relay_book *
make_book(bool with_routes)
{
	const struct relay_row relays[] = {
		{ .id = { 1 }, .name = STR("one"), .current = { 1 } },
		{ .id = { 2 }, .name = STR("two"), .current = { 2 } },
	};
	const struct relay_version_row versions[] = {
		{ .id = { 1 },
		    .relay = { 1 },
		    .host = STR("a.example"),
		    .port = 25,
		    .senders = STR("a@x.org @y.org"),
		    .rewrites = STR("@z.org=a@x.org") },
		{ .id = { 2 }, .relay = { 2 }, .host = STR("b.example"), .port = 25 },
	};
	const struct relay_route_row routes[] = {
		{ .id = { 1 }, .relay = { 2 }, .is_default = true },
		{ .id = { 2 }, .relay = { 1 }, .sender = STR("@x.org") },
		{ .id = { 3 }, .relay = { 1 }, .rcpt_domain = STR("qq.com"), .account = { 7 } },
		{ .id = { 4 }, .relay = { 2 }, .for_bounces = true },
		{ .id = { 5 }, .relay = { 1 }, .by_stream = true, .stream = STREAM_BULK },
	};
	const struct relay_book_rows rows = { relays, 2, versions, 2, routes,
		with_routes ? COUNT_OF(routes) : 1, NULL, 0, false };
	struct relay_book *book = NULL;

	ASSERT(relay_book_new(&rows, &book, NULL) == RC_OK);
	return book;
}

static void
check_decision(const struct relay_decision *d)
{
	ASSERT((d->refusal == RELAY_REFUSAL_NONE) == (d->version.v != 0));
	ASSERT(d->why[0] != '\0' && memchr(d->why, '\0', sizeof(d->why)) != NULL);
	ASSERT(!d->rewritten || d->sender.n != 0);
}

static void
check_pair(const struct relay_book *book, struct str text, enum stream stream)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf key = { 0 };
	struct relay_decision real, by_key;
	struct mail_addr sender;
	struct str from;
	const char *why;

	buf_init(&key, RELAY_KEY_MAX);
	if (!str_cut(&text, ' ', &from) ||
	    mail_addr_parse(from, MAIL_ADDR_UTF8, &a, &sender, &why) != RC_OK)
		return;
	relay_book_group_key(book, (struct account_id){ 7 }, &sender, text, stream, &key);
	ASSERT(buf_is_ok(&key));
	relay_book_route(book, (struct account_id){ 7 }, &sender, text, stream, &real);
	check_decision(&real);
	ASSERT(relay_book_route_key(book, buf_str(&key), &by_key) == RC_OK);
	ASSERT(real.route.v == by_key.route.v && real.refusal == by_key.refusal);
	ASSERT(real.rewritten == by_key.rewritten && str_eq(real.sender, by_key.sender));
	ASSERT(!relay_book_splits(book, book, buf_str(&key)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct relay_book *plain, *book;
	struct str text = { (const char *)data, size };
	struct relay_decision d;

	if (book == NULL) {
		plain = make_book(false);
		book = make_book(true);
	}
	if (size != 0 && data[0] == '\0') {
		check_pair(book, str_skip(text, 1), STREAM_BULK);
		check_pair(book, str_skip(text, 1), STREAM_TRANSACTIONAL);
		return 0;
	}
	if (relay_book_route_key(book, text, &d) == RC_OK)
		check_decision(&d);
	else
		ASSERT(relay_book_splits(plain, book, text));
	(void)relay_book_splits(plain, book, text);
	return 0;
}
