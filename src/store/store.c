/* Opening, starting and closing.
 *
 * The lock is an flock on DATA/lock, held for life: whatever else looks at the database, two
 * writers never do. The writer thread starts only in store_start, so recovery has the connection to
 * itself. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/disk.h"
#include "store/migrate.h"
#include "store/private.h"

#define DEFAULT_LOW_WATER (128ull << 20)
#define DEFAULT_SEGMENT   (64u << 20)
#define DEFAULT_BALLAST   (16u << 20)
#define DEFAULT_HISTORY   DAYS(30)

static void
store_free(struct store **sp)
{
	struct store *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	outbox_done(&s->outbox);
	store_db_close(&s->db);
	store_segment_done(s);
	store_floor_done(&s->finishing);
	store_floor_done(&s->births);
	store_tally_done(&s->tally);
	store_intern_done(&s->groups);
	store_intern_done(&s->peers);
	store_window_done(&s->window);
	store_guard_done(s);
	map_done(&s->disabled);
	arena_done(&s->recovery_arena);
	mailbox_free(&s->inbox);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s->dir);
	free(s->path);
	s->magic = 0;
	free(s);
}

static enum rc
take_lock(struct store *s, struct fault *fault)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/lock", s->dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return fault_sys(fault, RC_IO, "opening %s", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return RC_OK;
	if (errno == EWOULDBLOCK)
		return fault_set(fault, RC_EXISTS,
		    "%s is in use by another process: stop that one first", s->dir);
	return fault_sys(fault, RC_IO, "locking %s", path);
}

/* The database holds addresses: nobody else may read it, whatever the umask. SQLite gives its other
 * files the mode of this one. */
static enum rc
make_private(struct store *s, struct fault *fault)
{
	int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return fault_sys(fault, RC_IO, "opening %s", s->path);
	close(fd);
	return RC_OK;
}

/* What was made in DATA itself must have its name after a power cut. */
static enum rc
sync_names(struct store *s, struct fault *fault)
{
	int fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fault_sys(fault, RC_IO, "opening %s", s->dir);
	store_disk_sync_dir(fd);
	close(fd);
	return RC_OK;
}

static void
fill_defaults(struct store_opts *o)
{
	if (o->low_water_bytes == 0)
		o->low_water_bytes = DEFAULT_LOW_WATER;
	if (o->segment_bytes == 0)
		o->segment_bytes = DEFAULT_SEGMENT;
	if (o->ballast_bytes == 0)
		o->ballast_bytes = DEFAULT_BALLAST;
	if (o->retain_history_us == 0)
		o->retain_history_us = DEFAULT_HISTORY;
}

static struct store *
store_make(const struct store_opts *opts)
{
	struct store *s = MEM_NEW(struct store);
	char path[4096];

	s->magic = STORE_MAGIC;
	s->opts = *opts;
	fill_defaults(&s->opts);
	s->dir = str_dup0(str_from(opts->dir));
	s->opts.dir = s->dir;
	snprintf(path, sizeof(path), "%s/mail.db", s->dir);
	s->path = str_dup0(str_from(path));
	s->lock_fd = -1;
	s->segments.fd = s->segments.dir_fd = -1;
	s->inbox = mailbox_new();
	store_window_init(&s->window);
	outbox_init(&s->outbox);
	arena_init(&s->recovery_arena);
	pthread_mutex_init(&s->guard.lock, NULL);
	return s;
}

/* Statistics of SQLite's allocator cost a lock at every allocation and tell us nothing. */
static void
set_up_sqlite(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_initialize();
	if (sqlite3_libversion_number() < 3051003)
		log_event(LOG_DEBUG, NULL, "store.sqlite",
		    "SQLite %s: safe here, since one connection alone writes; leave %s to this process",
		    sqlite3_libversion(), "mail.db");
}

enum rc
store_open(const struct store_opts *opts, struct store **out, struct fault *fault)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	AUTO(store_free) struct store *s = store_make(opts);

	pthread_once(&once, set_up_sqlite);
	enum rc rc = take_lock(s, fault);
	if (rc == RC_OK)
		rc = make_private(s, fault);
	if (rc == RC_OK)
		rc = store_db_open(&s->db, s->path, STORE_DB_WRITER, fault);
	if (rc == RC_OK)
		rc =
		    store_migrate(&s->db, s->path, store_migrations, store_migrations_count, fault);
	if (rc == RC_OK)
		rc = store_recover(s, fault);
	if (rc == RC_OK)
		rc = sync_names(s, fault);
	if (rc != RC_OK)
		return rc;
	store_guard_init(s);
	*out = TAKE(s);
	return RC_OK;
}

const struct store_recovery *
store_recovery(const struct store *s)
{
	return &s->recovery;
}

void
store_start(struct store *s, struct mailbox *dispatcher)
{
	ASSERT(!s->started);
	s->dispatcher = dispatcher;
	s->recovery = (struct store_recovery){ 0 };
	arena_done(&s->recovery_arena);
	s->started = true;
	int failed = pthread_create(&s->thread, NULL, store_writer_main, s);
	ASSERT(failed == 0);
}

void
store_post(struct store *s, struct store_op *op)
{
	mailbox_post(s->inbox, &op->item);
}

struct mailbox *
store_mailbox(struct store *s)
{
	return s->inbox;
}

void
store_health(struct store *s, struct store_health *out)
{
	store_guard_health(s, out);
}

const struct store_metrics *
store_metrics(const struct store *s)
{
	return &s->metrics;
}

void
store_metrics_note(struct store_histogram *h, uint64_t v)
{
	unsigned i = v == 0 ? 0 : 64u - (unsigned)__builtin_clzll(v);

	if (i >= STORE_BUCKETS)
		i = STORE_BUCKETS - 1;
	store_count(&h->bucket[i], 1);
	store_count(&h->sum, v);
	store_count(&h->count, 1);
}

void
store_close(struct store **sp)
{
	struct store *s = *sp;
	struct store_call last = { .op = { .kind = STORE_CALL } };

	if (s == NULL)
		return;
	*sp = NULL;
	if (s->started) {
		/* A CALL without a function is the writer's last word (writer.c). */
		store_post(s, &last.op);
		pthread_join(s->thread, NULL);
		store_checkpoint_final(s);
	}
	store_free(&s);
}
