/* Contents that lie on disk only: read by a thread of their own, one at a time, before a job goes
 * out or a report is written about a message that is not in memory.
 *
 * What is waiting for its content is out of everybody's hands meanwhile: the items are OUT, a job's
 * connection is busy. Each read counts as a job, so that shutdown waits for it. */
#include <stdlib.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/mem.h"
#include "deliver/private.h"
#include "store/reader.h"
#include "store/store.h"

struct content_read {
	struct pool_job job;
	struct deliver *owner;
	struct deliver_msg *msg; /* one reference */
	struct msg_id id;
	struct store_content at;
	struct deliver_job *for_job;   /* either */
	struct queue_item *for_report; /* or: its time is up */
	struct blob *content;
	enum rc rc;
};

/* On the reading thread, which keeps its one connection to the store. */
static void
read_content(struct pool_job *p)
{
	struct content_read *r = CONTAINER_OF(p, struct content_read, job);
	struct deliver *d = r->owner;
	struct fault f = { 0 };

	r->rc = d->reader != NULL ? RC_OK : store_reader_new(d->store, &d->reader, &f);
	if (r->rc == RC_OK)
		r->rc = store_reader_content(d->reader, r->id, r->at, &r->content, &f);
	if (r->rc != RC_OK)
		log_event(LOG_ERROR, NULL, "deliver.content", "message %llu cannot be read: %s",
		    (unsigned long long)r->id.v, f.text);
}

static void
post(struct deliver *d, struct deliver_msg *m, struct deliver_job *job, struct queue_item *item)
{
	struct content_read *r = MEM_NEW(struct content_read);

	m->refs++;
	*r = (struct content_read){ .job = { .run = read_content, .reply = d->loaded },
		.owner = d,
		.msg = m,
		.id = m->id,
		.at = m->at,
		.for_job = job,
		.for_report = item };
	d->reads_out++;
	pool_post(d->readers, &r->job);
}

void
deliver_read_for_job(struct deliver *d, struct deliver_job *job)
{
	struct deliver_load *load = job->load;

	post(d, load->msg, job, NULL);
}

void
deliver_read_for_report(struct deliver *d, struct queue_item *item)
{
	struct deliver_rcpt *r = item->load;

	post(d, r->msg, NULL, item);
}

void
deliver_on_loaded(void *arg, struct mailbox_item *item)
{
	struct deliver *d = FROM_ARG(struct deliver, arg, DELIVER_MAGIC);

	d->now_us = clock_wall_us();
	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct content_read *r = CONTAINER_OF(pool_job_of(item), struct content_read, job);
		d->reads_out--;
		if (r->msg->content == NULL)
			r->msg->content = TAKE(r->content);
		if (r->for_job != NULL)
			deliver_job_loaded(d, r->for_job, r->rc);
		else
			deliver_expire(d, r->for_report);
		deliver_msg_unref(d, &r->msg);
		blob_unref(&r->content);
		free(r);
		item = next;
	}
}
