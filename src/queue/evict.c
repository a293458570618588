/* Making room: items that are of no use in the window leave it.
 *
 * The latest should go first, since the others are wanted sooner; the last leaf of the heap and the
 * last item of a line are late enough, and cost nothing to find. */
#include "queue/private.h"

static struct queue_item *
least_useful(const struct queue_lane *lane)
{
	if (lane->waiting.count > 0)
		return CONTAINER_OF(
		    lane->waiting.nodes[lane->waiting.count], struct queue_item, wait);
	return lane->group->open ? NULL : queue_line_last(lane);
}

size_t
queue_evict(struct queue *q, struct group_id group, enum stream lane, size_t max,
    struct queue_item *out[], int64_t now_us)
{
	size_t n = 0;

	ASSERT((size_t)lane < STREAM_COUNT);
	queue_group_catch_up(q, now_us);
	struct queue_group *g = queue_group_find(q, group);
	while (g != NULL && n < max) {
		struct queue_item *item = least_useful(&g->lanes[lane]);
		if (item == NULL)
			break;
		out[n++] = queue_take(q, item->rcpt_id, now_us);
	}
	return n;
}
