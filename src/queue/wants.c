/* Which lane to refill from disk next.
 *
 * queue->hungry holds, by lane, the groups that run low while the disk has due rows for them
 * (queue_group_refresh keeps it so). Transactional ones come first; among equals the one asked
 * longest ago. The room there is, is divided among the hungry, so that the first does not take all
 * of it. *
 * One account gets three quarters of a page at most, so that a page reaches the next account. It is
 * not less, because a page that starts anew meets the account's rows that are still held first:
 * with the defaults there may be half a page of those READY. */
#include "queue/private.h"

static struct queue_lane *
find_hungry(struct queue *q, enum stream stream)
{
	struct queue_lane *lane;

	LIST_FOREACH(lane, &q->hungry[stream], struct queue_lane, hungry) {
		if (!queue_share_is_full(q, lane->group, stream))
			return lane;
	}
	return NULL;
}

/* Rows to ask for: a page, or a fair part of the room, but something. */
static size_t
portion(const struct queue *q, size_t room, size_t hungry)
{
	size_t n = room / hungry;

	if (n > q->limits.page)
		n = q->limits.page;
	return n > 0 ? n : 1;
}

bool
queue_wants(struct queue *q, int64_t now_us, struct queue_want *want_out)
{
	queue_group_catch_up(q, now_us);
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		enum stream stream = (enum stream)i;
		size_t room = queue_share_room(q, stream);
		struct queue_lane *lane = room > 0 ? find_hungry(q, stream) : NULL;
		if (lane == NULL)
			continue;
		lane->promised = portion(q, room, q->n_hungry[i]);
		lane->placed = false;
		q->promised[i] += lane->promised;
		*want_out = (struct queue_want){
			.group_id = lane->group->id,
			.lane = stream,
			.count = lane->promised,
			.per_account = lane->promised - lane->promised / 4,
		};
		queue_group_refresh(q, lane->group);
		return true;
	}
	return false;
}
