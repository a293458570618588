/* What the files of the book share: its structures, sorted for lookup.
 *
 * Every array of names is sorted by str_cmp and holds no duplicates, so membership is a binary
 * search. */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "relay/book.h"
#include "relay/sender.h"

struct book_names {
	struct str *v;
	size_t n;
	size_t cap;
};

struct book_rewrite {
	struct str from;  /* canonical: an address, "@domain" or "*" */
	struct str to;    /* canonical */
	struct str typed; /* `to` as it is sent */
};

struct book_version {
	struct relay_version_row row;
	struct book_names senders;     /* canonical; empty: carries all */
	struct book_rewrite *rewrites; /* sorted by `from` */
	size_t rewrite_count;
};

/* What a route matches, or what is known of a recipient; empty (0, -1) is "any" or "not told
 * apart". */
struct book_pattern {
	uint64_t account;
	int stream;
	struct str rcpt_domain;
	struct str sender; /* canonical */
};

struct book_route {
	struct relay_route_row row;
	struct book_pattern pattern;
	unsigned shape; /* which attributes it has; the larger the more specific */
	size_t relay;   /* index into relays */
};

/* Bits of a shape, the weightiest first; the two of the sender exclude each other. */
#define BOOK_BY_ADDRESS (1u << 4)
#define BOOK_BY_DOMAIN  (1u << 3)
#define BOOK_BY_RCPT    (1u << 2)
#define BOOK_BY_ACCOUNT (1u << 1)
#define BOOK_BY_STREAM  (1u << 0)
#define BOOK_SHAPES     32u

struct relay_book {
	atomic_int refs;
	struct arena arena; /* everything below lives here */
	bool had_relay;
	struct relay_row *relays; /* as given */
	size_t relay_count;
	size_t *relay_version;         /* index of each relay's current version */
	struct book_version *versions; /* as given */
	size_t version_count;
	/* the one for bounces first, then by shape descending and pattern */
	struct book_route *routes;
	size_t route_count;
	struct relay_move_row *moves;
	size_t move_count;
	const struct book_route *bounces;  /* or NULL */
	const struct book_route *fallback; /* the default; or NULL, then there are no routes */
	uint32_t shapes;                   /* bit s: some route has shape s */
	/* What some route or list tells apart, for group keys. */
	struct book_names sender_marks;
	struct book_names rcpt_marks;
	uint64_t *account_marks; /* sorted */
	size_t account_mark_count;
	bool stream_mark;
	bool null_mark;
};

bool relay_book_has_name(const struct book_names *names, struct str name);
bool relay_book_has_account(const struct relay_book *book, uint64_t account);
/* By shape descending, then by pattern; 0 only for equal patterns. */
int relay_book_cmp_routes(const struct book_route *a, const struct book_route *b);

/* book_move.c */
void relay_book_add_moves(struct relay_book *book, const struct relay_book_rows *rows);

/* book_key.c: patterns out of keys. RC_INVALID, *out untouched, when `key` is no key. */
enum rc relay_book_read_key(struct str key, struct book_pattern *out);

/* book_route.c: whether `v` carries a sender known as far as `sender` tells (empty: not told
 * apart); *rewrite_out is the rewrite it takes, or NULL. */
bool relay_book_carries_sender(
    const struct book_version *v, struct str sender, const struct book_rewrite **rewrite_out);
