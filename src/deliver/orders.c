/* What a person wants done with a recipient.
 *
 * The wish names a row as a reader saw it a moment ago. If the recipient is in the window, what the
 * window knows counts; if it is being sent this very moment the wish is refused with RC_AGAIN,
 * since nobody can say yet what will come of it. The writer has the last word: a row that became
 * final meanwhile stays so. */
#include "deliver/private.h"

#include "base/clock.h"
#include "base/fault.h"
#include "store/store.h"

static const struct {
	const char *name;
	unsigned from; /* bit set of states that allow it */
} wishes[] = {
#define IN(s) (1u << STORE_##s)
	[DELIVER_HOLD] = { "hold", IN(QUEUED) },
	[DELIVER_RELEASE] = { "release", IN(HELD) | IN(CAPTURED) },
	[DELIVER_RETRY] = { "retry", IN(QUEUED) },
	[DELIVER_CANCEL] = { "cancel", IN(QUEUED) | IN(HELD) | IN(CAPTURED) | IN(IN_DOUBT) },
	[DELIVER_SENT] = { "resolve as sent", IN(IN_DOUBT) },
	[DELIVER_AGAIN] = { "send again", IN(IN_DOUBT) },
	[DELIVER_UNKNOWN] = { "resolve as unknown", IN(IN_DOUBT) },
#undef IN
};

static enum store_state
wished_state(enum deliver_wish wish, enum store_state now)
{
	switch (wish) {
	case DELIVER_HOLD: return STORE_HELD;
	case DELIVER_RELEASE: return STORE_QUEUED;
	case DELIVER_RETRY: return STORE_QUEUED;
	case DELIVER_CANCEL: return STORE_CANCELLED;
	case DELIVER_SENT: return STORE_SENT;
	case DELIVER_AGAIN: return now;
	case DELIVER_UNKNOWN: return STORE_UNKNOWN;
	}
	UNREACHABLE();
}

/* Tells the writer, with `item` as the recipient's present facts. */
static void
tell(struct deliver *d, const struct queue_item *item, enum store_state to)
{
	struct store_result *res = deliver_result(d, item);

	res->to = to;
	res->due_us = store_state_is_final(to) || to == STORE_HELD ? TIME_NEVER : d->now_us;
}

enum rc
deliver_wish(
    struct deliver *d, enum deliver_wish wish, const struct store_row *row, struct fault *f)
{
	struct deliver_msg msg = { .id = row->msg,
		.n_rcpts = row->n_rcpts,
		.at = { row->segment, row->offset, row->bytes } };
	struct deliver_rcpt load = { .msg = &msg, .address = row->address, .state = row->state };
	struct queue_item ghost = { .rcpt_id = row->rcpt,
		.msg_id = row->msg,
		.account_id = row->account,
		.group_id = row->group,
		.lane = row->lane,
		.attempts = row->attempts,
		.doubts = (uint8_t)row->doubts,
		.lived_us = row->lived_us,
		.load = &load };
	struct queue_item *item = queue_find(d->queue, row->rcpt);

	if (item != NULL && queue_is_out(item))
		return fault_set(
		    f, RC_AGAIN, "it is being sent this very moment; try again in a few seconds");
	enum store_state now =
	    item != NULL ? ((struct deliver_rcpt *)item->load)->state : row->state;
	if ((wishes[wish].from & (1u << now)) == 0)
		return fault_set(f, RC_INVALID, "it is %s, so it is not possible to %s it",
		    store_state_name(now), wishes[wish].name);
	enum store_state to = wished_state(wish, now);
	if (item == NULL) {
		load.state = now;
		tell(d, &ghost, to);
		if (to == STORE_QUEUED || to == STORE_IN_DOUBT)
			deliver_add_more(d, deliver_group_of(d, row->group), row->lane, d->now_us);
		return RC_OK;
	}
	item = queue_take(d->queue, row->rcpt, d->now_us);
	tell(d, item, to);
	if (to == STORE_QUEUED || to == STORE_IN_DOUBT) {
		struct deliver_side *side = deliver_side_of(d, item->group_id);
		deliver_defer(d, item, d->now_us);
		if (side != NULL && side->way != NULL)
			deliver_touch(side->way);
		return RC_OK;
	}
	deliver_drop_load(d, item);
	queue_done(d->queue, &item);
	return RC_OK;
}
