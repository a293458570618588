/* Several groups served as one: whoever has a connection to spare asks its outlet, and gets the
 * item that goes next among all groups that have joined.
 *
 * Transactional mail first; bulk has a floor: while it waits, at least every
 * QUEUE_OUTLET_BULK_EVERY-th item is bulk. Inside a lane the groups with something READY are served
 * in turn, and in each the order is that of queue_next. A group may join several outlets (its mail
 * can leave by either), and an outlet has any number of groups: those that are closed or have
 * nothing cost nothing when asked.
 *
 * An outlet belongs to its queue's owner and must be freed before the queue. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mail/ids.h"
#include "mail/stream.h"

struct queue;
struct queue_item;
struct queue_outlet;

#define QUEUE_OUTLET_BULK_EVERY 16

/* Which lanes a call may take from; a connection that is kept for transactional mail asks for that
 * alone. */
#define QUEUE_LANE(s)           (1u << (s))
#define QUEUE_LANES_ALL         (QUEUE_LANE(STREAM_TRANSACTIONAL) | QUEUE_LANE(STREAM_BULK))

struct queue_outlet *queue_outlet_new(struct queue *q);
void queue_outlet_free(struct queue_outlet **o);

/* Both do nothing when it already is so. Joining neither opens nor closes the group. */
void queue_outlet_join(struct queue_outlet *o, struct group_id group);
void queue_outlet_leave(struct queue_outlet *o, struct group_id group);

/* The item that goes next, now OUT, exactly as from queue_next; NULL when nothing is READY in these
 * lanes. */
struct queue_item *queue_outlet_next(struct queue_outlet *o, unsigned lanes, int64_t now_us);
/* Whether queue_outlet_next would give something. */
bool queue_outlet_has(struct queue_outlet *o, unsigned lanes, int64_t now_us);
