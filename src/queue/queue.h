/* When, and who goes next: the recipients that wait to be sent, and the order in which they go.
 *
 * An *item* is one recipient. It belongs to a *group*, an opaque number that the caller opens while
 * its mail can go somewhere and closes while it cannot, and travels in a lane (mail/stream.h). The
 * queue holds a bounded *window* over all unfinished recipients; the rest stay on disk and are read
 * in when there is room: queue_wants says which, queue_set_more is told what the disk still has.
 *
 *              queue_add
 *                  │ due later                    due
 *                  ├───────────▶ WAITING ──────────────────┐
 *                  │ due now        ▲                      ▼
 *                  └────────────────┼──────────────────▶ READY ◀───────────────┐
 *                                   │                      │ queue_next        │ queue_put_back
 *                      queue_defer  │                      ▼                   │
 *                                   └───────────────────  OUT  ────────────────┘
 *                                                          │ queue_done, queue_let_go
 *                                                          ▼
 *                                                        gone
 *
 * An item that is OUT is the caller's to attempt; the queue keeps the memory, and every item handed
 * out comes back through exactly one of queue_done, queue_defer, queue_put_back and queue_let_go,
 * all of which take the caller's pointer and null it. WAITING and READY items can also end:
 * queue_overdue hands out those whose time is up. Such an item is never handed out by anything
 * else, and one that is OUT is never overdue.
 *
 * The order: an open group's lane serves its accounts in turn, each account its destinations in
 * turn, and inside one destination whoever was due first. A turn is one call of queue_next, that is
 * one transaction; the recipients of the same message that join it (queue_sibling) cost no turn.
 *
 * Two clocks end an item. Its *deadline* is a wall time and always counts. Its *life* is spent only
 * while its group is open: a relay that is down for a week expires nothing.
 *
 * Times are wall microseconds, passed in; nothing here reads a clock. A clock that steps back
 * delays, it does not break. One owner, no locks. Costs are those of a few hash look-ups and heap
 * steps for each call, however many groups, accounts and destinations there are. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/rc.h"
#include "mail/ids.h"
#include "mail/stream.h"

struct queue;
struct queue_line;

/* What the caller knows of a recipient when it enters the window. */
struct queue_spec {
	struct rcpt_id rcpt_id;
	struct msg_id msg_id;
	struct account_id account_id;
	struct group_id group_id;
	enum stream lane;
	uint64_t dest;       /* hash of the recipient's domain */
	int64_t due_us;      /* not before; in the past or 0: now */
	int64_t deadline_us; /* TIME_NEVER: none */
	int64_t lived_us; /* life spent by the time it is due, as queue_lived_us foretold it; fresh:
			     0 */
	int64_t expire_after_us; /* life granted in all; TIME_NEVER: any amount */
	uint16_t attempts;
	uint8_t doubts;
	void *load; /* the caller's, carried along */
};

/* One recipient in the window. Owned by the queue; the pointer is good until the item is gone. */
struct queue_item {
	/* Fixed from queue_add on. */
	struct rcpt_id rcpt_id;
	struct msg_id msg_id;
	struct account_id account_id;
	struct group_id group_id;
	uint64_t dest;
	int64_t due_us;
	int64_t deadline_us;
	int64_t expire_after_us;
	/* Life spent, as of the moment it was handed out. */
	int64_t lived_us;
	/* The caller's, to count and to set while the item is OUT. */
	void *load;
	enum stream lane;
	uint16_t attempts;
	uint8_t doubts;

	/* The queue's own. */
	uint8_t state;
	union {
		struct list in_line; /* READY: its place in `line`; overdue: in the list of those */
		struct heap_node wait; /* WAITING: by due_us */
	};
	struct list mates;         /* READY: ring of the READY items of its message and group */
	struct heap_node deadline; /* by deadline_us; may be missing while OUT */
	struct heap_node life; /* by the usable time of its group at which life ends; likewise */
	struct queue_line *line;
};
static_assert(sizeof(struct queue_item) <= 160, "a million items must fit a small machine");

/* Sizes of the window, in items; zero asks for the default. Items that are READY or OUT are
 * *active*; a quarter of the window is anybody's to be active in. Beyond that an account,
 * destination or group that already has its share gets no more, so that no slow domain and no big
 * sender can fill it. Each lane is counted by itself, and an eighth is kept for transactional mail.
 */
struct queue_limits {
	size_t capacity;      /* default 100,000 */
	size_t account_share; /* active items; default a sixteenth of the capacity */
	size_t dest_share;    /* likewise; default a sixteenth */
	size_t group_share;   /* likewise; default an eighth */
	size_t waiting_share; /* most that may wait for their due time; default a half */
	size_t low_water; /* a lane with fewer READY items is refilled; default 1024 or a 32nd */
	size_t page;      /* most items asked for at once; default twice low_water */
};

struct queue *queue_new(const struct queue_limits *limits);
/* Items still held are forgotten; what `load` points at is the caller's (queue_each finds it). */
void queue_free(struct queue **q);

/* Takes a recipient into the window: READY when due, else WAITING. A copy of the item's address
 * goes to *item_out unless that is NULL. RC_EXISTS: the id is already held, in whatever state.
 * RC_LIMIT: no room for this account, destination or group; the recipient stays on disk, and
 * queue_set_more should be told. */
enum rc queue_add(
    struct queue *q, const struct queue_spec *spec, int64_t now_us, struct queue_item **item_out);

/* Opens or closes a group; does nothing when it already is. A group that was never named is closed.
 */
void queue_open(struct queue *q, struct group_id group, int64_t now_us);
void queue_close(struct queue *q, struct group_id group, int64_t now_us);
bool queue_is_open(const struct queue *q, struct group_id group);

/* The next READY item of this lane of `group`, now OUT; NULL when there is none or the group is
 * closed. To serve several groups in turn, and both lanes in their proper order, see
 * queue/outlet.h. */
struct queue_item *queue_next(
    struct queue *q, struct group_id group, enum stream lane, int64_t now_us);
/* Another READY item of the message and group of `item` (which is OUT), so that recipients of one
 * message can share a transaction; now OUT too. NULL when there is none. */
struct queue_item *queue_sibling(struct queue *q, const struct queue_item *item, int64_t now_us);
/* The item of this id, now OUT, whether its group is open or not: for a person who cancels, holds
 * or hurries it. NULL when it is not held or OUT already. */
struct queue_item *queue_take(struct queue *q, struct rcpt_id rcpt, int64_t now_us);
/* The next item whose deadline has passed or whose life is spent, now OUT; NULL when there is none.
 * Which of the two it was shows in the item: deadline_us <= now_us, or lived_us >= expire_after_us.
 */
struct queue_item *queue_overdue(struct queue *q, int64_t now_us);

/* It is finished, or no longer the queue's business (held, in doubt until somebody decides). */
void queue_done(struct queue *q, struct queue_item **item);
/* To be tried again at `due_us`. RC_LIMIT: too many wait already; the item is still OUT, and the
 * caller, having written due_us to disk, lets it go. */
enum rc queue_defer(struct queue *q, struct queue_item **item, int64_t due_us, int64_t now_us);
/* It was not attempted after all: back to where it stood, before everybody who is due later. Its
 * account's turn is not given back, so a caller that keeps putting back sees the others. */
void queue_put_back(struct queue *q, struct queue_item **item);
/* `us` (0 or more) of usable time to come do not count as life of `item`, which is OUT: it cannot
 * go through no fault of its own although its group is open. */
void queue_spare(struct queue *q, struct queue_item *item, int64_t us);
/* `item`, which is OUT, is of `group` from now on; it keeps its place in the window and the life
 * that it has spent. */
void queue_move(struct queue *q, struct queue_item *item, struct group_id group, int64_t now_us);
/* It leaves the window unfinished; its row on disk is due at `due_us`, and queue_wants will ask for
 * it. */
void queue_let_go(struct queue *q, struct queue_item **item, int64_t due_us, int64_t now_us);

/* The life that `item` will have spent at `at_us` if its group stays open or closed as it is: what
 * to write to disk beside a new due time. `at_us` in the past or TIME_NEVER: what it has spent now.
 */
int64_t queue_lived_us(
    const struct queue *q, const struct queue_item *item, int64_t now_us, int64_t at_us);

/* The first moment after now_us at which an item falls due in an open group, reaches its deadline
 * or the end of its life, or at which the disk has something for an open group; TIME_NEVER when
 * nothing is ahead. May be early (an item that was OUT meanwhile). Items that are overdue now must
 * have been taken first. */
int64_t queue_next_event_us(struct queue *q, int64_t now_us);

/* What the disk holds beyond the window for this lane of `group`: the earliest due time of such
 * rows, TIME_NEVER when there are none left. Rows that the window holds as well may be counted in.
 * Replaces what was said before, and ends the want that is being answered, if any. */
void queue_set_more(
    struct queue *q, struct group_id group, enum stream lane, int64_t due_us, int64_t now_us);
/* The same for rows that just came to lie on disk: keeps the earlier time and answers no want. What
 * is added while a want is open outlives its answer, so the order of the two does not matter. */
void queue_add_more(
    struct queue *q, struct group_id group, enum stream lane, int64_t due_us, int64_t now_us);

struct queue_want {
	struct group_id group_id;
	enum stream lane;
	size_t count; /* rows to read */
	/* Of one account at most, so that the page reaches the next one. Due rows that are passed
	 * over for it are still there: queue_set_more must count them. */
	size_t per_account;
};

/* Whether some lane of an open group runs low while the disk has due rows for it and the window has
 * room, and which: transactional lanes first, then in turn. Each is told once, until queue_set_more
 * answers; its room is kept for it meanwhile. */
bool queue_wants(struct queue *q, int64_t now_us, struct queue_want *want_out);

/* Hands out up to `max` items of a lane that need no place in the window: of a closed group any, of
 * an open one those that are WAITING; roughly latest first. They are OUT: once their due times are
 * on disk, the caller lets them go. Returns how many. */
size_t queue_evict(struct queue *q, struct group_id group, enum stream lane, size_t max,
    struct queue_item *out[], int64_t now_us);

struct queue_counts {
	size_t ready, waiting, out;
};

/* Of one lane of one group. */
struct queue_counts queue_count(const struct queue *q, struct group_id group, enum stream lane);
/* All items in the window. */
size_t queue_held(const struct queue *q);
/* Bytes of memory that the window takes at this moment, loads not included; counted up, so for
 * display only. */
size_t queue_memory_bytes(const struct queue *q);

/* The item of this id in whatever state, or NULL. */
struct queue_item *queue_find(const struct queue *q, struct rcpt_id rcpt);
/* Walks all items in no order: start with *at = 0; NULL at the end. The queue must not change
 * meanwhile. */
struct queue_item *queue_each(const struct queue *q, size_t *at);
bool queue_is_out(const struct queue_item *item);

/* Asserts every invariant of the whole structure; takes time in proportion to it. */
void queue_audit(const struct queue *q);
