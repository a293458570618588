/* A backlog that no memory holds: every row is computed from its number, and only what has become
 * of it is remembered, one byte each. Half of the groups lead to a closed relay. The window must
 * stay as small as its capacity says, the closed half must take no place in it, and the open half
 * must all go out. */
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define FLOOD_GROUPS   100
#define FLOOD_CAPACITY 50000

struct flood {
	struct queue *q;
	struct queue_outlet *outlet;
	uint64_t per_group;
	uint64_t next[FLOOD_GROUPS]; /* rows of the group read so far */
	uint64_t sent, deferred, fresh;
	unsigned char *tried; /* by row: attempts */
	size_t peak_bytes, peak_held;
	int64_t now_us;
};

static bool
is_closed(uint64_t group)
{
	return group % 2 == 1;
}

/* Row `i` of `group`, as a page would bring it. */
static struct queue_spec
row_of(const struct flood *f, uint64_t group, uint64_t i)
{
	uint64_t n = group * f->per_group + i;
	struct prng mix = prng_make(n);

	return (struct queue_spec){
		.rcpt_id = { n + 1 },
		.msg_id = { n / 3 + 1 },
		.account_id = { i * 50 / f->per_group },
		.group_id = { group },
		.lane = STREAM_BULK,
		.dest = prng_below(&mix, 2000),
		.due_us = (int64_t)(n % 1000),
		.deadline_us = TIME_NEVER,
		.expire_after_us = DAYS(5),
	};
}

static void
add_row(struct flood *f, const struct queue_spec *spec)
{
	SIM_CHECK(!is_closed(spec->group_id.v), "a closed group was read");
	SIM_CHECK(queue_add(f->q, spec, f->now_us, NULL) == RC_OK,
	    "recipient %" PRIu64 " was refused", spec->rcpt_id.v);
}

static void
read_pages(struct flood *f)
{
	struct queue_want want;

	while (queue_wants(f->q, f->now_us, &want)) {
		uint64_t g = want.group_id.v;
		size_t n = 0;
		for (; n < want.count && f->next[g] < f->per_group; n++) {
			struct queue_spec spec = row_of(f, g, f->next[g]);
			/* A share that is used up ends the page; the rest comes later. */
			if (queue_add(f->q, &spec, f->now_us, NULL) == RC_LIMIT)
				break;
			f->next[g]++;
		}
		SIM_CHECK(!is_closed(g), "a closed group was asked for");
		queue_set_more(f->q, want.group_id, want.lane,
		    f->next[g] < f->per_group ? f->now_us : TIME_NEVER, f->now_us);
	}
}

static void
send_some(struct flood *f)
{
	for (int i = 0; i < 2000; i++) {
		struct queue_item *item = queue_outlet_next(f->outlet, QUEUE_LANES_ALL, f->now_us);
		if (item == NULL)
			return;
		SIM_CHECK(!is_closed(item->group_id.v), "a closed group handed something out");
		unsigned char *tried = &f->tried[item->rcpt_id.v - 1];
		/* One in eight is put off once. */
		if ((*tried)++ == 0 && item->rcpt_id.v % 8 == 0 &&
		    queue_defer(f->q, &item, f->now_us + MINUTES(2), f->now_us) == RC_OK) {
			f->deferred++;
			continue;
		}
		f->sent++;
		queue_done(f->q, &item);
	}
}

static void
add_code(struct flood *f, uint64_t rows)
{
	struct queue_spec spec = row_of(f, 0, 0);

	spec.rcpt_id.v = rows + ++f->fresh;
	spec.msg_id = (struct msg_id){ spec.rcpt_id.v };
	spec.lane = STREAM_TRANSACTIONAL;
	spec.due_us = 0;
	add_row(f, &spec);
	struct queue_item *item = queue_outlet_next(f->outlet, QUEUE_LANES_ALL, f->now_us);
	/* The floor of bulk lets one go before it at most. */
	if (item != NULL && item->lane == STREAM_BULK) {
		queue_put_back(f->q, &item);
		item = queue_outlet_next(f->outlet, QUEUE_LANES_ALL, f->now_us);
	}
	SIM_CHECK(item != NULL && ID_EQ(item->rcpt_id, spec.rcpt_id), "a code waited behind bulk");
	queue_done(f->q, &item);
}

void
flood_run(uint64_t rows, uint64_t seed)
{
	struct flood f = { .per_group = rows / FLOOD_GROUPS, .now_us = DAYS(20000) };
	int64_t start_us = clock_monotonic_us();
	uint64_t turns = 0, expected = 0;

	rows = f.per_group * FLOOD_GROUPS;
	(void)seed;
	f.tried = mem_zalloc(rows + 1);
	f.q = queue_new(&(struct queue_limits){ .capacity = FLOOD_CAPACITY });
	f.outlet = queue_outlet_new(f.q);
	for (uint64_t g = 0; g < FLOOD_GROUPS; g++) {
		queue_outlet_join(f.outlet, (struct group_id){ g });
		queue_set_more(f.q, (struct group_id){ g }, STREAM_BULK, 0, f.now_us);
		if (is_closed(g))
			continue;
		queue_open(f.q, (struct group_id){ g }, f.now_us);
		expected += f.per_group;
	}
	while (f.sent < expected) {
		SIM_CHECK(turns++ < 100 + rows / 10, "only %" PRIu64 " of %" PRIu64 " went out",
		    f.sent, expected);
		read_pages(&f);
		add_code(&f, rows);
		send_some(&f);
		size_t held = queue_held(f.q);
		f.peak_held = held > f.peak_held ? held : f.peak_held;
		if (turns % 50 == 0 || turns < 50) {
			size_t bytes = queue_memory_bytes(f.q);
			f.peak_bytes = bytes > f.peak_bytes ? bytes : f.peak_bytes;
		}
		f.now_us += SECONDS(1);
	}
	queue_audit(f.q);
	SIM_CHECK(f.peak_held <= FLOOD_CAPACITY, "the window held %zu", f.peak_held);
	SIM_CHECK(
	    f.peak_bytes < (size_t)FLOOD_CAPACITY * 512, "the window took %zu bytes", f.peak_bytes);
	(void)printf("%" PRIu64 " rows, half of them closed: %" PRIu64 " sent in %.1f s, %" PRIu64
		     " put off, %" PRIu64 " codes; window at most %zu items, %zu KB\n",
	    rows, f.sent, (double)(clock_monotonic_us() - start_us) / 1e6, f.deferred, f.fresh,
	    f.peak_held, f.peak_bytes / 1024);
	queue_outlet_free(&f.outlet);
	queue_free(&f.q);
	free(f.tried);
}
