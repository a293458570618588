/* Through whom mail goes: one immutable snapshot of relays, versions and routes.
 *
 * A *book* is built from plain rows, checked as a whole, and never changes; a change of settings
 * makes a new one. It is counted by reference atomically, so any thread may hold and read it. All
 * strings it hands out live as long as the book.
 *
 * Routes are asked from the most to the least specific; one whose relay does not carry the sender
 * is passed over, so the next one may still do. The order, first difference decides:
 *   1. sender address, then sender domain, then no sender
 *   2. recipient domain, then none
 *   3. account, then none
 *   4. stream, then none
 *   5. the default route comes last.
 * The null sender (of bounces) takes the route for bounces if there is one, and no other; otherwise
 * it goes as any sender does, through relays that carry it.
 *
 * A version with a sender list carries what the list names, and what its rewrites turn into
 * something it names; an empty list carries every sender. A rewrite is looked up by address, then
 * domain, then "*", and only for a sender that the list does not name, except that an OLD named in
 * full is always rewritten. The null sender is never rewritten, and carried by a list only where
 * "<>" stands in it; the route for bounces states that its relay takes it, whatever the list says.
 *
 * Senders are compared without regard to case, domains as A-labels.
 *
 * A *group* is all recipients that every route and sender list of the book treats alike. Its key is
 * text of four words, "ACCOUNT STREAM RCPT-DOMAIN SENDER": what no route or list tells apart is
 * "*", a sender that is told apart by its domain only is "@domain". A recipient in the queue
 * carries its group and nothing of this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fault.h"
#include "base/str.h"
#include "mail/ids.h"
#include "mail/stream.h"
#include "relay/settings.h"

struct buf;
struct mail_addr;
struct relay_book;

struct relay_book_rows {
	const struct relay_row *relays;
	size_t relay_count;
	const struct relay_version_row *versions; /* those in use; retired ones may be left out */
	size_t version_count;
	const struct relay_route_row *routes;
	size_t route_count;
	const struct relay_move_row *moves; /* those of which a version is missing are left out */
	size_t move_count;
	bool had_relay; /* there has been a relay at some time: without a route mail waits */
};

/* Checks the rows and copies them. RC_INVALID, with a fault that names row and remedy, when: ids or
 * names are taken twice or point nowhere; host, port, a list entry or a rewrite is malformed, or a
 * rewrite's NEW is not carried; a version would send in clear to a host that is not loopback
 * without a reason given; there are routes but not exactly one default; two routes are for bounces,
 * or match the same. No relays, or relays without routes, is a valid book. */
enum rc relay_book_new(
    const struct relay_book_rows *rows, struct relay_book **out, struct fault *f);
struct relay_book *relay_book_ref(struct relay_book *book);
/* Drops one reference; the last one frees. Takes NULL; nulls the pointer. Serves with AUTO. */
void relay_book_unref(struct relay_book **bp);

enum relay_refusal {
	RELAY_REFUSAL_NONE,       /* there is a way */
	RELAY_REFUSAL_CAPTURE,    /* there has never been a relay: keep and show, do not send */
	RELAY_REFUSAL_NO_ROUTE,   /* mail waits until there is one */
	RELAY_REFUSAL_NO_SENDER,  /* no relay that a route names carries this sender */
	RELAY_REFUSAL_NO_BOUNCES, /* the null sender, and no relay takes it: keep, count, show */
};

#define RELAY_WHY_SIZE 320

struct relay_decision {
	enum relay_refusal refusal;
	struct route_id route; /* these three are zero on refusal */
	struct relay_id relay;
	struct version_id version; /* the relay's current one */
	bool rewritten;
	struct str sender;        /* if rewritten, the address it is sent from */
	char why[RELAY_WHY_SIZE]; /* one sentence; on refusal it names the remedy */
};

/* Decides for one recipient. `sender` may be the null address. `rcpt_domain` is in A-labels
 * (domain_ascii of its address), any case. *out is wholly written. */
void relay_book_route(const struct relay_book *book, struct account_id account,
    const struct mail_addr *sender, struct str rcpt_domain, enum stream stream,
    struct relay_decision *out);

/* Appends the key of the recipient's group; at most RELAY_KEY_MAX bytes. */
#define RELAY_KEY_MAX 640
void relay_book_group_key(const struct relay_book *book, struct account_id account,
    const struct mail_addr *sender, struct str rcpt_domain, enum stream stream, struct buf *key);

/* The same decision for every recipient of the group, from the key alone. RC_INVALID, *out
 * untouched, when `key` is no key. A key made by an earlier book serves as long as
 * relay_book_splits said no. */
enum rc relay_book_route_key(
    const struct relay_book *book, struct str key, struct relay_decision *out);

/* Whether `to` may treat recipients of the group `key`, made under `from`, differently, so that
 * their keys must be made again from the recipients themselves. True as well when `key` is no key.
 * Errs towards yes. `from` may be NULL: nothing is known about how the key was made. */
bool relay_book_splits(const struct relay_book *from, const struct relay_book *to, struct str key);

/* Whether `version` carries `sender`, and as whom. False, outputs untouched, when not or when there
 * is no such version. *rewritten_out is empty when it is sent as it is. */
bool relay_book_carries(const struct relay_book *book, struct version_id version,
    const struct mail_addr *sender, struct str *rewritten_out);

/* The same for the senders of group `key`: the answer holds for all of them. The null sender is
 * also carried where `route` is the one for bounces. */
bool relay_book_carries_key(const struct relay_book *book, struct version_id version,
    struct route_id route, struct str key, struct str *rewritten_out);

/* NULL when the book has none of that id or name. Names are found without regard to case. A version
 * row's provider, max_connections and max_recipients are filled in where the original left them to
 * the provider. */
const struct relay_row *relay_book_relay(const struct relay_book *book, struct relay_id id);
const struct relay_row *relay_book_relay_named(const struct relay_book *book, struct str name);
const struct relay_version_row *relay_book_version(
    const struct relay_book *book, struct version_id id);
const struct relay_route_row *relay_book_route_row(
    const struct relay_book *book, struct route_id id);
/* Walks: 0 .. count - 1; routes in the order they are asked, the one for bounces first. */
size_t relay_book_relay_count(const struct relay_book *book);
const struct relay_row *relay_book_relay_at(const struct relay_book *book, size_t i);
size_t relay_book_version_count(const struct relay_book *book);
const struct relay_version_row *relay_book_version_at(const struct relay_book *book, size_t i);
size_t relay_book_route_count(const struct relay_book *book);
const struct relay_route_row *relay_book_route_at(const struct relay_book *book, size_t i);

size_t relay_book_move_count(const struct relay_book *book);
const struct relay_move_row *relay_book_move_at(const struct relay_book *book, size_t i);
/* The changeover that `route` is part of, the newest one; NULL: none. */
const struct relay_move_row *relay_book_move_of(
    const struct relay_book *book, struct route_id route);

/* The default route's current version, or NULL where there is no default. */
const struct relay_version_row *relay_book_default(const struct relay_book *book);
/* The largest message the default route takes, as last announced; 0 when there is no limit or none
 * known. */
uint64_t relay_book_max_size(const struct relay_book *book);
/* Whether the default route was last seen to take non-ASCII addresses; true as well while nothing
 * is known, because such mail can wait. */
bool relay_book_has_smtputf8(const struct relay_book *book);
