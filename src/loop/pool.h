/* A few threads for work that blocks: password hashing, read-only queries, exports.
 *
 * A job is a struct of the caller's that begins its life here: it is run on one of the pool's
 * threads, in the order posted, and then posted to the mailbox it names. There is no ceiling on
 * waiting jobs: callers bound what they have outstanding. */
#pragma once

#include <stddef.h>

#include "loop/mailbox.h"

struct pool;
struct pool_job;

typedef void pool_job_fn(struct pool_job *job);

struct pool_job {
	struct mailbox_item item; /* links the job while it waits, and then into `reply` */
	pool_job_fn *run;         /* on a pool thread; the job is its own while it runs */
	struct mailbox *reply; /* gets &job->item when run returned; NULL: run has disposed of it */
};

/* The job behind an item that came to its reply mailbox. */
static inline struct pool_job *
pool_job_of(struct mailbox_item *item)
{
	return CONTAINER_OF(item, struct pool_job, item);
}

/* `threads` > 0 threads, named `name`. */
struct pool *pool_new(const char *name, unsigned threads);
/* Runs what still waits, then ends the threads. Reply mailboxes must still be there. */
void pool_free(struct pool **pp);
/* Hands `job` (run and reply set) over. Any thread. */
void pool_post(struct pool *pool, struct pool_job *job);
