/* Shared by the files of mailbox/: the service and its parts. All of it belongs to the background
 * loop, except what a pool job or the writer has in its hands. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/list.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "mailbox/keys.h"
#include "mailbox/service.h"
#include "store/op.h"
#include "store/store.h"

#define MAILBOX_SERVICE_MAGIC 0x3a17b0c5u
/* Of checks, or of probes, at a time. */
#define MAILBOX_ASKS_MAX      32u

struct mailbox_reader;

/* Something that is under way and can be broken off. */
struct mailbox_work {
	struct list link; /* of the service */
	/* Ends it now, answering what asked for it. */
	void (*cancel)(struct mailbox_work *w);
};

struct mailbox_service {
	uint32_t magic;
	struct mailbox_service_opts opts; /* hostname in `arena` */
	struct arena arena;
	struct mailbox *asks;
	struct mailbox *from_pool;   /* struct mailbox_job */
	struct mailbox *from_writer; /* struct mailbox_write */
	struct mailbox_keys keys;
	struct list work;
	size_t n_work;
	struct mailbox_reader *reader;
	bool drained;
};

/* A visit to the pool, with a reader of the store. `done` runs on the loop; it is not called, and
 * the job is freed by `drop`, when the service was drained meanwhile. */
struct mailbox_job {
	struct pool_job job;
	struct mailbox_service *service;
	void (*run)(struct mailbox_job *j, struct store_reader *r); /* sets rc */
	void (*done)(struct mailbox_job *j);
	void (*drop)(struct mailbox_job *j);
	enum rc rc;
	struct fault fault;
};
void mailbox_job_post(struct mailbox_job *j, struct mailbox_service *s);

/* A transaction; as above. `run` is on the writer's thread and may run more than once. */
struct mailbox_write {
	struct store_call call;
	struct mailbox_service *service;
	enum rc (*run)(struct mailbox_write *w, struct store_tx *tx, struct fault *f);
	void (*done)(struct mailbox_write *w); /* call.op.rc and .fault say how it went */
	void (*drop)(struct mailbox_write *w);
};
void mailbox_write_post(struct mailbox_write *w, struct mailbox_service *s);

/* The answer goes back to whoever asked. */
void mailbox_answer(struct mailbox_ask *ask, enum rc rc, const struct fault *f);
void mailbox_work_begin(
    struct mailbox_service *s, struct mailbox_work *w, void (*cancel)(struct mailbox_work *w));
void mailbox_work_end(struct mailbox_service *s, struct mailbox_work *w);

/* check.c */
void mailbox_check_run(struct mailbox_service *s, struct mailbox_check *c);

/* reader.c */
struct mailbox_reader *mailbox_reader_new(struct mailbox_service *s);
/* Looks at all mailboxes as soon as it can. */
void mailbox_reader_now(struct mailbox_reader *r);
/* Breaks off; nothing is begun any more. */
void mailbox_reader_stop(struct mailbox_reader *r);
void mailbox_reader_free(struct mailbox_reader **r);

/* probe.c */
struct mailbox_probe;
void mailbox_probe_run(struct mailbox_service *s, struct mailbox_probe *p);
