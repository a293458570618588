/* A queue under one lock, and threads that take from its front.
 *
 * The lock covers the links only; jobs run and replies are posted outside it. pool_free lets the
 * threads finish the queue: a thread leaves when it finds the queue empty and the pool ending. */
#include "loop/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "loop/thread.h"

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t has_work;
	struct mailbox_item *first; /* under lock, as is what follows */
	struct mailbox_item *last;
	bool is_ending;
	unsigned thread_count; /* constant */
	struct loop_thread **threads;
};

/* Waits for a job; NULL when the pool ends and nothing is left. */
static struct pool_job *
take(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->first == NULL && !pool->is_ending)
		pthread_cond_wait(&pool->has_work, &pool->lock);
	struct mailbox_item *item = pool->first;
	if (item != NULL) {
		pool->first = item->next;
		if (pool->first == NULL)
			pool->last = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	return item != NULL ? pool_job_of(item) : NULL;
}

static void
worker(void *arg)
{
	struct pool *pool = arg;
	struct pool_job *job;

	while ((job = take(pool)) != NULL) {
		/* Read before: a job without a reply may be gone when run returns. */
		struct mailbox *reply = job->reply;
		job->run(job);
		if (reply != NULL)
			mailbox_post(reply, &job->item);
	}
}

struct pool *
pool_new(const char *name, unsigned threads)
{
	struct pool *pool = MEM_NEW(struct pool);

	ASSERT(threads > 0);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->has_work, NULL);
	pool->thread_count = threads;
	pool->threads = MEM_NEW_ARRAY(struct loop_thread *, threads);
	for (unsigned i = 0; i < threads; i++)
		pool->threads[i] = loop_thread_start(name, worker, pool);
	return pool;
}

void
pool_free(struct pool **pp)
{
	struct pool *pool = *pp;

	if (pool == NULL)
		return;
	*pp = NULL;
	pthread_mutex_lock(&pool->lock);
	pool->is_ending = true;
	pthread_cond_broadcast(&pool->has_work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->thread_count; i++)
		loop_thread_join(&pool->threads[i]);
	pthread_cond_destroy(&pool->has_work);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
}

void
pool_post(struct pool *pool, struct pool_job *job)
{
	ASSERT(job->run != NULL);
	job->item.next = NULL;
	pthread_mutex_lock(&pool->lock);
	if (pool->last != NULL)
		pool->last->next = &job->item;
	else
		pool->first = &job->item;
	pool->last = &job->item;
	pthread_cond_signal(&pool->has_work);
	pthread_mutex_unlock(&pool->lock);
}
