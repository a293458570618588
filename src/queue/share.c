/* Who may take how much of the window.
 *
 * Each lane is counted by itself, so that a newsletter cannot use up the share of its own account's
 * codes:
 *
 *   bulk            |======= anybody =======|==== below its share ====|  7/8
 *   transactional   |======= anybody =======|======= below its share =======|  1
 *
 * and both together never exceed the capacity; the last eighth is therefore always within reach of
 * a transactional item. WAITING items have a limit of their own, because they use room without
 * being of use. */
#include "queue/private.h"

#include <stdlib.h>

#include "base/mem.h"

static size_t
or_default(size_t given, size_t otherwise)
{
	if (given != 0)
		return given;
	return otherwise != 0 ? otherwise : 1;
}

struct queue_limits
queue_share_limits(const struct queue_limits *given)
{
	struct queue_limits l = *given;

	l.capacity = or_default(l.capacity, 100000);
	l.account_share = or_default(l.account_share, l.capacity / 8);
	l.dest_share = or_default(l.dest_share, l.capacity / 8);
	l.group_share = or_default(l.group_share, l.capacity / 4);
	l.waiting_share = or_default(l.waiting_share, l.capacity / 2);
	l.low_water = or_default(l.low_water, l.capacity / 32 < 1024 ? l.capacity / 32 : 1024);
	l.page = or_default(l.page, l.low_water * 2);
	return l;
}

/* Most that a lane may hold. */
static size_t
lane_capacity(const struct queue *q, enum stream lane)
{
	size_t kept = lane == STREAM_BULK ? q->limits.capacity / 8 : 0;

	return q->limits.capacity - kept;
}

static size_t
held_of(const struct map *shares, uint64_t key, enum stream lane)
{
	const struct queue_share *s = map_get(shares, key);

	return s != NULL ? s->held[lane] : 0;
}

static size_t
held_by_group(const struct queue_group *g, enum stream stream)
{
	const struct queue_lane *lane = &g->lanes[stream];

	return lane->n_ready + lane->n_out + lane->n_overdue + lane->waiting.count;
}

bool
queue_share_is_full(const struct queue *q, const struct queue_group *g, enum stream lane)
{
	return q->held[lane] >= q->limits.capacity / 2 &&
	       held_by_group(g, lane) >= q->limits.group_share;
}

bool
queue_share_admits(const struct queue *q, const struct queue_spec *spec, bool due)
{
	const struct queue_limits *l = &q->limits;
	enum stream lane = spec->lane;

	if (q->items.count >= l->capacity || q->held[lane] >= lane_capacity(q, lane))
		return false;
	if (!due && q->waiting >= l->waiting_share)
		return false;
	if (q->held[lane] < l->capacity / 2)
		return true;
	const struct queue_group *g = queue_group_find(q, spec->group_id);
	return held_of(&q->accounts, spec->account_id.v, lane) < l->account_share &&
	       held_of(&q->dests, spec->dest, lane) < l->dest_share &&
	       (g == NULL || !queue_share_is_full(q, g, lane));
}

size_t
queue_share_room(const struct queue *q, enum stream lane)
{
	size_t used = q->items.count + q->promised[STREAM_TRANSACTIONAL] + q->promised[STREAM_BULK];
	size_t used_lane = q->held[lane] + q->promised[lane];
	size_t most = lane_capacity(q, lane);

	if (used >= q->limits.capacity || used_lane >= most)
		return 0;
	size_t room = q->limits.capacity - used;
	return room < most - used_lane ? room : most - used_lane;
}

struct queue_share *
queue_share_take(struct map *shares, uint64_t key, enum stream lane)
{
	struct queue_share *s = map_get(shares, key);

	if (s == NULL) {
		s = MEM_NEW(struct queue_share);
		s->key = key;
		map_put(shares, key, s);
	}
	s->held[lane]++;
	return s;
}

void
queue_share_give(struct map *shares, struct queue_share *share, enum stream lane)
{
	ASSERT(share->held[lane] > 0);
	share->held[lane]--;
	if (share->held[STREAM_TRANSACTIONAL] + share->held[STREAM_BULK] > 0)
		return;
	map_remove(shares, share->key);
	free(share);
}
