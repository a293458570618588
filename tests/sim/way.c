/* Whether and how much may go through each relay: what the queue's user must bring, in its simplest
 * form. A fault of the relay closes it for a while that doubles, a capacity reply for a minute, a
 * refused sender holds that sender; of four connections one is kept for transactional mail. */
#include "sim.h"

#include <stdlib.h>

#include "base/mem.h"

#define CONNECTIONS 4

struct way_state {
	struct {
		bool usable;
		unsigned failures;
		int64_t closed_until_us;
		int64_t held_until_us[SIM_ACCOUNTS + 1];
	} relay[SIM_RELAYS];
};

void
way_start(struct sim *s)
{
	s->d.way = MEM_NEW(struct way_state);
}

void
way_stop(struct sim *s)
{
	free(s->d.way);
	s->d.way = NULL;
}

bool
way_is_usable(const struct sim *s, size_t relay)
{
	return s->d.way->relay[relay].usable;
}

unsigned
way_lanes(struct sim *s, size_t relay)
{
	size_t busy = s->d.busy[relay];

	if (!way_is_usable(s, relay) || busy >= CONNECTIONS)
		return 0;
	/* In some calm seeds codes have nothing but the order of the queue to help them. */
	if (s->world.calm && s->seed % 16 == 0)
		return QUEUE_LANES_ALL;
	return busy + 1 < CONNECTIONS ? QUEUE_LANES_ALL : QUEUE_LANE(STREAM_TRANSACTIONAL);
}

void
way_began(struct sim *s, size_t relay, enum stream lane)
{
	(void)lane;
	s->d.busy[relay]++;
}

void
way_ended(struct sim *s, size_t relay, enum stream lane, size_t accepted)
{
	(void)lane;
	s->d.busy[relay]--;
	if (accepted > 0)
		s->d.way->relay[relay].failures = 0;
}

enum said
way_told(struct sim *s, size_t relay, uint64_t account, const struct reply *reply)
{
	struct way_state *w = s->d.way;
	unsigned doublings = w->relay[relay].failures < 6 ? w->relay[relay].failures : 6;

	switch (reply->said) {
	case SAID_RELAY:
		w->relay[relay].failures++;
		w->relay[relay].closed_until_us = s->now_us + (SECONDS(5) << doublings);
		break;
	case SAID_CAPACITY: w->relay[relay].closed_until_us = s->now_us + MINUTES(1); break;
	case SAID_IDENTITY: w->relay[relay].held_until_us[account] = s->now_us + MINUTES(10); break;
	case SAID_OK:
	case SAID_TEMP:
	case SAID_PERM:
	case SAID_NOTHING: break;
	}
	way_tick(s);
	return reply->said;
}

bool
way_holds_sender(struct sim *s, size_t relay, uint64_t account, int64_t *until_out)
{
	*until_out = s->d.way->relay[relay].held_until_us[account];
	return *until_out > s->now_us;
}

void
way_pause(struct sim *s, size_t relay, bool pause)
{
	s->paused[relay] = pause;
	way_tick(s);
}

int64_t
way_next_us(const struct sim *s)
{
	int64_t next = TIME_NEVER;

	for (size_t i = 0; i < SIM_RELAYS; i++) {
		int64_t until_us = s->d.way->relay[i].closed_until_us;
		if (until_us > s->now_us && until_us < next)
			next = until_us;
	}
	return next;
}

void
way_tick(struct sim *s)
{
	for (size_t i = 0; i < SIM_RELAYS; i++) {
		bool usable = !s->paused[i] && s->d.way->relay[i].closed_until_us <= s->now_us;
		if (usable == s->d.way->relay[i].usable)
			continue;
		s->d.way->relay[i].usable = usable;
		dispatch_set_open(s, i, usable);
	}
}
