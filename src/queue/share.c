/* Who may take how much of the window.
 *
 * Two kinds of items are told apart. WAITING ones use room without being of use for a while; there
 * is a limit for all of them, beyond which they wait on disk. The others are *active*: what goes
 * out now or next. Of those, a quarter of the window is anybody's; beyond that whoever already has
 * its share gets no more. Retries that wait therefore never keep the same sender's fresh mail out.
 *
 * Each lane is counted by itself, so that a newsletter cannot use up the share of its own account's
 * codes, and the last eighth of the window is out of reach for bulk, waiting or not. */
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
	l.account_share = or_default(l.account_share, l.capacity / 16);
	l.dest_share = or_default(l.dest_share, l.capacity / 16);
	l.group_share = or_default(l.group_share, l.capacity / 8);
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
active_of(const struct map *shares, uint64_t key, enum stream lane)
{
	const struct queue_share *s = map_get(shares, key);

	return s != NULL ? s->held[lane] - s->waiting[lane] : 0;
}

/* Whether those that have their share must stand back. */
static bool
is_scarce(const struct queue *q, enum stream lane)
{
	return q->held[lane] - q->waiting[lane] >= q->limits.capacity / 4;
}

bool
queue_share_is_full(const struct queue *q, const struct queue_group *g, enum stream stream)
{
	const struct queue_lane *lane = &g->lanes[stream];

	return is_scarce(q, stream) &&
	       lane->n_ready + lane->n_out + lane->n_overdue >= q->limits.group_share;
}

bool
queue_share_may_wait(const struct queue *q)
{
	return q->waiting[STREAM_TRANSACTIONAL] + q->waiting[STREAM_BULK] < q->limits.waiting_share;
}

bool
queue_share_admits(const struct queue *q, const struct queue_spec *spec, bool due)
{
	const struct queue_limits *l = &q->limits;
	enum stream lane = spec->lane;

	if (q->items.count >= l->capacity || q->held[lane] >= lane_capacity(q, lane))
		return false;
	if (!due)
		return queue_share_may_wait(q);
	if (!is_scarce(q, lane))
		return true;
	const struct queue_group *g = queue_group_find(q, spec->group_id);
	return active_of(&q->accounts, spec->account_id.v, lane) < l->account_share &&
	       active_of(&q->dests, spec->dest, lane) < l->dest_share &&
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
