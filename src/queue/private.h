/* The parts of the queue, for the files of this folder only.
 *
 *   queue ── groups ── lane ×2 ── senders ── lines ── items
 *                       │          (one account) (one destination)
 *                       └─ heap of WAITING items
 *
 * A sender or line exists as long as it has items in whatever state; it is on its parent's ring
 * exactly while something under it is READY. A lane's rings therefore hold only what can be handed
 * out, and taking the next item touches three heads. A group exists while it is open or anything
 * refers to it. */
#pragma once

#include "base/check.h"
#include "base/map.h"
#include "queue/outlet.h"
#include "queue/queue.h"

enum item_state { ITEM_FREE, ITEM_READY, ITEM_WAITING, ITEM_OUT, ITEM_OVERDUE };

/* Longer than any life: what "never" becomes where times are added. */
#define CENTURY (DAYS(365) * 100)

/* What one account, or one destination, holds of the window, by lane. */
struct queue_share {
	uint64_t key;
	size_t held[STREAM_COUNT];
	size_t waiting[STREAM_COUNT]; /* of those */
};

/* The items of one destination of one account in one lane of one group. */
struct queue_line {
	struct queue_sender *sender;
	struct list in_sender; /* on sender->ready while items is not empty */
	struct list items;     /* READY, by due_us; equal ones in the order they came */
	size_t held;           /* items that point here, in any state */
	struct queue_share *dest;
};

/* One account in one lane of one group. */
struct queue_sender {
	struct queue_lane *lane;
	struct list in_lane; /* on lane->ready while ready is not empty */
	struct list ready;   /* lines with READY items; the first has the turn */
	struct map by_dest;  /* dest -> line */
	struct queue_share *account;
};

struct queue_lane {
	struct queue_group *group;
	enum stream stream;
	struct list ready;     /* senders; the first has the turn */
	struct map by_account; /* account id -> sender */
	struct heap waiting;   /* WAITING items by due_us */
	struct list hungry;    /* on queue->hungry while it should be refilled */
	int64_t more_us;       /* earliest due time of what is on disk; TIME_NEVER: nothing is */
	int64_t added_us;      /* the same, of what was added while a page is being read */
	size_t promised;       /* rows asked for and not yet answered; 0: none asked */
	bool placed;           /* one of them has come in */
	size_t n_ready, n_out, n_overdue;
};

struct queue_group {
	struct group_id id;
	bool open;
	int64_t usable_us;      /* time open, up to the last closing */
	int64_t opened_us;      /* queue->elapsed_us when it was opened */
	struct heap life;       /* items by the usable time at which their life ends */
	struct heap_node event; /* on queue->events while open and something is ahead */
	struct queue_lane lanes[STREAM_COUNT];
	struct list seats; /* of outlets */
	size_t held;
};

/* A group's place in an outlet. */
struct queue_seat {
	struct queue_outlet *outlet;
	struct queue_group *group;
	struct list in_group;
	/* on outlet->ready while the group is open and its lane READY */
	struct list ready[STREAM_COUNT];
};

struct queue_outlet {
	struct queue *queue;
	struct map seats; /* group id -> seat */
	struct list ready[STREAM_COUNT];
	unsigned bulk_passed; /* transactional items given while bulk waited */
};

#define SLAB_ITEMS 512

struct queue_slab {
	struct queue_slab *next;
	struct queue_item items[SLAB_ITEMS];
};

struct queue {
	struct queue_limits limits;
	struct map items;    /* rcpt id -> item */
	struct map groups;   /* group id -> group */
	struct map accounts; /* account id -> share */
	struct map dests;    /* dest -> share */
	struct map mates;    /* message and group, mixed -> a READY item of the ring of those */
	struct heap deadlines;
	struct heap events; /* open groups, by when something changes in them */
	struct list overdue;
	struct list hungry[STREAM_COUNT];
	size_t n_hungry[STREAM_COUNT];
	size_t held[STREAM_COUNT];
	size_t waiting[STREAM_COUNT]; /* of those */
	size_t promised[STREAM_COUNT];
	int64_t now_us;     /* of the last call */
	int64_t elapsed_us; /* sum of all steps forward of now_us: never goes back */
	struct queue_slab *slabs;
	size_t n_slabs;
	struct list unused; /* items, by in_line */
	size_t n_outlets;
};

/* group.c */

/* The group of this id, or NULL; queue_group_make makes it, closed, when there is none. */
struct queue_group *queue_group_find(const struct queue *q, struct group_id id);
struct queue_group *queue_group_make(struct queue *q, struct group_id id);
/* How long it has been open in all. */
int64_t queue_group_usable_us(const struct queue *q, const struct queue_group *g);
/* To be called when anything in the group has changed: brings up to date what is derived from it
 * (its next event, its seats, whether its lanes are hungry). Frees the group when nothing refers to
 * it any more. */
void queue_group_refresh(struct queue *q, struct queue_group *g);
/* Takes note of the time and of everything that it changes: what fell due is READY, what is overdue
 * lies in queue->overdue. After it every event is later than now_us. */
void queue_group_catch_up(struct queue *q, int64_t now_us);
void queue_group_free(struct queue_group *g);

/* line.c */

/* Counts `item` in: its line, sender and shares, made where missing. And out: freed where it was
 * the last. */
void queue_line_hold(struct queue *q, struct queue_lane *lane, struct queue_item *item);
void queue_line_drop(struct queue *q, struct queue_item *item);
/* Makes `item` READY. `before`: ahead of those due at the same moment. */
void queue_line_enter(struct queue *q, struct queue_item *item, bool before);
/* Takes a READY item out of its line, whose turn is not touched. */
void queue_line_leave(struct queue *q, struct queue_item *item);
/* The item whose turn it is, or NULL. queue_line_turn ends the turn, before or after the item has
 * left. */
struct queue_item *queue_line_first(const struct queue_lane *lane);
void queue_line_turn(struct queue_line *line);
/* The READY item that would come last, or nearly so; NULL when there is none. */
struct queue_item *queue_line_last(const struct queue_lane *lane);
/* A READY item of the message and group of `item`, or NULL. */
struct queue_item *queue_line_mate(const struct queue *q, const struct queue_item *item);
/* Frees a lane's senders and lines at the end of the queue; items are not looked at. */
void queue_line_free_all(struct queue_lane *lane);

/* wait.c */

/* Makes `item`, which is on no line, WAITING for its due time; and takes it off again. */
void queue_wait_enter(struct queue *q, struct queue_item *item);
void queue_wait_leave(struct queue *q, struct queue_item *item);

/* share.c */

/* Fills in the defaults. */
struct queue_limits queue_share_limits(const struct queue_limits *given);
/* Whether the window takes one more like this. */
bool queue_share_admits(const struct queue *q, const struct queue_spec *spec, bool due);
/* Whether one more may wait in memory. */
bool queue_share_may_wait(const struct queue *q);
/* Items that could still be asked for in this lane of any group. */
size_t queue_share_room(const struct queue *q, enum stream lane);
/* Whether more of this lane of `g` would be refused for the group's sake. */
bool queue_share_is_full(const struct queue *q, const struct queue_group *g, enum stream lane);
/* The share under `key`, made where missing; and one item more or less in it, freed at the last. */
struct queue_share *queue_share_take(struct map *shares, uint64_t key, enum stream lane);
void queue_share_give(struct map *shares, struct queue_share *share, enum stream lane);

static inline struct queue_lane *
lane_of(const struct queue_item *item)
{
	return item->line->sender->lane;
}

static inline int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}
