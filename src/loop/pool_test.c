#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/pool.h"

#define JOBS 1000u

struct square {
	struct pool_job job;
	uint64_t n;
	uint64_t result;
};

static void
run_square(struct pool_job *job)
{
	struct square *s = CONTAINER_OF(job, struct square, job);

	s->result = s->n * s->n;
}

static void
every_job_comes_back_done(void **state)
{
	struct pool *pool = pool_new("pool", 3);
	struct mailbox *reply = mailbox_new();
	struct square *jobs = MEM_NEW_ARRAY(struct square, JOBS);
	unsigned done = 0;

	(void)state;
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i].job = (struct pool_job){ .run = run_square, .reply = reply };
		jobs[i].n = i;
		pool_post(pool, &jobs[i].job);
	}
	while (done < JOBS) {
		struct mailbox_item *it = mailbox_wait(reply, SECONDS(20));
		assert_non_null(it);
		for (; it != NULL; it = it->next, done++) {
			struct square *s = CONTAINER_OF(pool_job_of(it), struct square, job);
			assert_int_equal(s->result, s->n * s->n);
		}
	}
	pool_free(&pool);
	assert_null(pool);
	mailbox_free(&reply);
	free(jobs);
}

struct counted {
	struct pool_job job;
	atomic_uint *count;
};

static void
run_counted(struct pool_job *job)
{
	struct counted *c = CONTAINER_OF(job, struct counted, job);

	atomic_fetch_add(c->count, 1);
	free(c);
}

static void
ending_runs_what_still_waits(void **state)
{
	struct pool *pool = pool_new("pool", 1);
	atomic_uint count = 0;

	(void)state;
	for (unsigned i = 0; i < JOBS; i++) {
		struct counted *c = MEM_NEW(struct counted);
		c->job.run = run_counted;
		c->count = &count;
		pool_post(pool, &c->job);
	}
	pool_free(&pool);
	assert_int_equal(atomic_load(&count), JOBS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_comes_back_done),
		cmocka_unit_test(ending_runs_what_still_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
