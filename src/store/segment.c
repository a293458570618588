/* Content files: append-only, of one size, reserved when they are made.
 *
 * One segment is current; records are appended to it in one write per group, and synced before the
 * rows that point at them commit. The row of a segment counts its live messages in the same
 * commits, so a segment with none is known without looking, and goes as a whole. What lies behind
 * `bytes` was never committed and is overwritten after a restart.
 *
 * A message that outlives its segment is moved to the current one (upkeep.c). Others may still know
 * the old place; `moved` says where it is, for as long as it is live. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/disk.h"
#include "store/private.h"

#define WRITE_MESSAGES 256 /* in one write */
/* A segment is emptied when at most one in SPARSE of its messages is live. */
#define SPARSE         20

static const char zeros[8];

void
store_segment_name(char out[static STORE_SEGMENT_NAME_SIZE], uint32_t id)
{
	snprintf(out, STORE_SEGMENT_NAME_SIZE, "%08u.seg", id);
}

static struct store_segment *
segment_of(const struct store *s, uint32_t id)
{
	return map_get(&s->segments.by_id, id);
}

static struct store_segment *
touch(struct store *s, uint32_t id)
{
	struct store_segment *g = segment_of(s, id);

	if (g == NULL || g->touched)
		return g;
	g->touched = true;
	g->d_messages = g->d_live = 0;
	g->t_first = g->first_msg;
	g->t_last = g->last_msg;
	g->t_done_us = g->last_done_us;
	store_ids_push(&s->segments.touched, id);
	return g;
}

/* ---- appending */

static enum rc
create_file(struct store *s, uint32_t id, uint64_t size, int *fd_out, struct fault *fault)
{
	char name[STORE_SEGMENT_NAME_SIZE];

	store_segment_name(name, id);
	int fd = openat(s->segments.dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return fault_sys(fault, errno == ENOSPC ? RC_LIMIT : RC_IO, "creating %s", name);
	enum rc rc = store_disk_allocate(fd, size, fault);
	if (rc != RC_OK) {
		close(fd);
		unlinkat(s->segments.dir_fd, name, 0);
		return rc;
	}
	store_disk_sync_dir(s->segments.dir_fd);
	*fd_out = fd;
	return RC_OK;
}

/* Makes a new segment current, large enough for `need` bytes. */
static enum rc
roll(struct store *s, uint64_t need, struct fault *fault)
{
	struct store_segments *gs = &s->segments;
	uint64_t size = need > s->opts.segment_bytes ? need : s->opts.segment_bytes;
	int fd = -1;

	enum rc rc = create_file(s, gs->next_id, size, &fd, fault);
	if (rc != RC_OK)
		return rc;
	store_segment_sync(s);
	if (gs->fd >= 0)
		close(gs->fd);
	struct store_segment *g = MEM_NEW(struct store_segment);
	g->id = gs->next_id++;
	map_put(&gs->by_id, g->id, g);
	gs->current = g;
	gs->fd = fd;
	gs->size = size;
	gs->end = 0;
	store_count(&s->metrics.segments, 1);
	return RC_OK;
}

struct batch {
	struct store_record heads[WRITE_MESSAGES];
	struct iovec iov[WRITE_MESSAGES * 3];
	struct store_message *msgs[WRITE_MESSAGES];
	int n, n_iov;
	uint64_t bytes;
};

static uint64_t
record_bytes(const struct store_message *m)
{
	return sizeof(struct store_record) + (m->content->n + 7) / 8 * 8;
}

static void
batch_add(struct batch *b, struct store_message *m, uint64_t at)
{
	struct str content = blob_str(m->content);
	struct store_record *head = &b->heads[b->n];

	*head = (struct store_record){ .magic = STORE_RECORD_MAGIC,
		.msg = m->id.v,
		.bytes = content.n,
		.sum = store_content_sum(content, m->id.v) };
	b->iov[b->n_iov++] = (struct iovec){ head, sizeof(*head) };
	if (content.n > 0)
		b->iov[b->n_iov++] = (struct iovec){ m->content->p, content.n };
	if (content.n % 8 != 0)
		b->iov[b->n_iov++] = (struct iovec){ mem_unconst(zeros), 8 - content.n % 8 };
	m->at.offset = (uint32_t)at;
	m->at.bytes = (uint32_t)content.n;
	b->msgs[b->n++] = m;
	b->bytes += record_bytes(m);
}

/* Only what was really written gets a place, so that a failed write is tried again. */
static enum rc
batch_write(struct store *s, struct batch *b, struct fault *fault)
{
	struct store_segments *gs = &s->segments;

	if (b->n == 0)
		return RC_OK;
	enum rc rc = store_disk_write(gs->fd, b->iov, b->n_iov, gs->end, fault);
	if (rc == RC_OK) {
		gs->dirty = true;
		gs->end += b->bytes;
		gs->current->bytes = gs->end;
		for (int i = 0; i < b->n; i++)
			b->msgs[i]->at.segment = gs->current->id;
	}
	b->n = b->n_iov = 0;
	b->bytes = 0;
	return rc;
}

enum rc
store_segment_append(struct store *s, struct store_message **msgs, size_t n, struct fault *fault)
{
	struct store_segments *gs = &s->segments;
	struct batch b;
	enum rc rc = RC_OK;

	b.n = b.n_iov = 0;
	b.bytes = 0;
	for (size_t i = 0; i < n && rc == RC_OK; i++) {
		struct store_message *m = msgs[i];
		if (m->at.segment != 0)
			continue;
		if (m->id.v == 0)
			m->id.v = s->next_msg++;
		uint64_t need = record_bytes(m);
		if (gs->current == NULL || gs->end + b.bytes + need > gs->size) {
			rc = batch_write(s, &b, fault);
			if (rc == RC_OK)
				rc = roll(s, need, fault);
		} else if (b.n == WRITE_MESSAGES) {
			rc = batch_write(s, &b, fault);
		}
		if (rc == RC_OK)
			batch_add(&b, m, gs->end + b.bytes);
	}
	return rc == RC_OK ? batch_write(s, &b, fault) : rc;
}

void
store_segment_sync(struct store *s)
{
	if (!s->segments.dirty)
		return;
	int64_t from = clock_monotonic_us();
	store_disk_sync(s->segments.fd);
	s->segments.dirty = false;
	store_metrics_note(&s->metrics.content_us, (uint64_t)(clock_monotonic_us() - from));
}

/* ---- counting */

void
store_segment_add(struct store *s, uint32_t segment, uint64_t msg, bool live)
{
	struct store_segment *g = touch(s, segment);

	ASSERT(g != NULL);
	g->d_messages++;
	g->d_live += live;
	if (g->t_first == 0 || msg < g->t_first)
		g->t_first = msg;
	if (msg > g->t_last)
		g->t_last = msg;
	if (!live && s->now_us > g->t_done_us)
		g->t_done_us = s->now_us;
}

void
store_segment_release(struct store *s, uint32_t segment, uint64_t msg, int64_t at_us)
{
	size_t moved = map_get_number(&s->segments.moved, msg);

	if (moved != 0) {
		segment = (uint32_t)moved;
		store_ids_push(&s->segments.forgotten, msg);
	}
	struct store_segment *g = touch(s, segment);
	if (g == NULL)
		return;
	g->d_live--;
	if (at_us > g->t_done_us)
		g->t_done_us = at_us;
}

enum rc
store_segment_move(
    struct store *s, uint64_t msg, uint32_t from, struct store_content to, struct fault *fault)
{
	struct store_segment *old = touch(s, from), *new = touch(s, to.segment);

	ASSERT(old != NULL && new != NULL);
	old->d_live--;
	new->d_live++;
	new->d_messages++;
	store_ids_push(&s->segments.moving, msg);
	store_ids_push(&s->segments.moving, to.segment);
	sqlite3_stmt *st =
	    store_db_stmt(&s->db, "UPDATE message SET segment = ?2, offset = ?3 WHERE id = ?1");
	store_db_id(st, 1, msg);
	store_db_int(st, 2, to.segment);
	store_db_int(st, 3, to.offset);
	enum rc rc = store_db_run(&s->db, st, fault);
	if (rc != RC_OK)
		return rc;
	st = store_db_stmt(&s->db, "INSERT OR REPLACE INTO moved (msg, segment) VALUES (?1, ?2)");
	store_db_id(st, 1, msg);
	store_db_int(st, 2, to.segment);
	return store_db_run(&s->db, st, fault);
}

static enum rc
flush_one(struct store *s, const struct store_segment *g, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "INSERT INTO segment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE"
	    " SET bytes = ?2, messages = ?3, live = ?4, first_msg = ?5, last_msg = ?6,"
	    " last_done_us = ?7");

	store_db_id(st, 1, g->id);
	store_db_id(st, 2, g->bytes);
	store_db_int(st, 3, (int64_t)g->messages + g->d_messages);
	store_db_int(st, 4, (int64_t)g->live + g->d_live);
	store_db_id(st, 5, g->t_first);
	store_db_id(st, 6, g->t_last);
	store_db_int(st, 7, g->t_done_us);
	return store_db_run(&s->db, st, fault);
}

enum rc
store_segment_flush(struct store *s, struct fault *fault)
{
	struct store_segments *gs = &s->segments;
	enum rc rc = RC_OK;

	for (size_t i = 0; i < gs->touched.n && rc == RC_OK; i++) {
		const struct store_segment *g = segment_of(s, (uint32_t)gs->touched.v[i]);
		if (g != NULL)
			rc = flush_one(s, g, fault);
	}
	for (size_t i = 0; i < gs->forgotten.n && rc == RC_OK; i++) {
		sqlite3_stmt *st = store_db_stmt(&s->db, "DELETE FROM moved WHERE msg = ?1");
		store_db_id(st, 1, gs->forgotten.v[i]);
		rc = store_db_run(&s->db, st, fault);
	}
	return rc;
}

static void
forget_touched(struct store_segments *gs)
{
	for (size_t i = 0; i < gs->touched.n; i++) {
		struct store_segment *g = map_get(&gs->by_id, gs->touched.v[i]);
		if (g != NULL)
			g->touched = false;
	}
	gs->touched.n = gs->moving.n = gs->forgotten.n = 0;
}

void
store_segment_commit(struct store *s)
{
	struct store_segments *gs = &s->segments;

	for (size_t i = 0; i < gs->touched.n; i++) {
		struct store_segment *g = segment_of(s, (uint32_t)gs->touched.v[i]);
		if (g == NULL)
			continue;
		g->messages = (uint64_t)((int64_t)g->messages + g->d_messages);
		g->live = (uint64_t)((int64_t)g->live + g->d_live);
		g->first_msg = g->t_first;
		g->last_msg = g->t_last;
		g->last_done_us = g->t_done_us;
	}
	for (size_t i = 0; i < gs->moving.n; i += 2)
		map_put_number(&gs->moved, gs->moving.v[i], gs->moving.v[i + 1]);
	for (size_t i = 0; i < gs->forgotten.n; i++)
		map_remove(&gs->moved, gs->forgotten.v[i]);
	forget_touched(gs);
}

void
store_segment_rollback(struct store *s)
{
	forget_touched(&s->segments);
}

/* ---- leaving */

static bool
is_settled(const struct store *s, const struct store_segment *g, int64_t now_us)
{
	return g != s->segments.current && g->last_done_us + s->opts.retain_content_us <= now_us;
}

struct store_segment *
store_segment_idle(struct store *s, int64_t now_us)
{
	size_t at = 0;
	struct store_segment *g;

	while ((g = map_next(&s->segments.by_id, &at, NULL)) != NULL) {
		if (g->live == 0 && is_settled(s, g, now_us))
			return g;
	}
	return NULL;
}

struct store_segment *
store_segment_sparse(struct store *s, int64_t now_us)
{
	size_t at = 0;
	struct store_segment *g;

	while ((g = map_next(&s->segments.by_id, &at, NULL)) != NULL) {
		if (g->live > 0 && g->live * SPARSE <= g->messages && is_settled(s, g, now_us))
			return g;
	}
	return NULL;
}

enum rc
store_segment_forget(struct store *s, struct store_segment *g, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db, "DELETE FROM segment WHERE id = ?1");

	store_db_id(st, 1, g->id);
	return store_db_run(&s->db, st, fault);
}

void
store_segment_unlink(struct store *s, struct store_segment *g)
{
	char name[STORE_SEGMENT_NAME_SIZE];

	ASSERT(g != s->segments.current);
	store_segment_name(name, g->id);
	/* One that stays behind is found and removed at the next start. */
	unlinkat(s->segments.dir_fd, name, 0);
	map_remove(&s->segments.by_id, g->id);
	atomic_fetch_sub_explicit(&s->metrics.segments, 1, memory_order_relaxed);
	free(g);
}

/* ---- opening */

/* Goes on in the newest segment where its file is whole; else the first message makes a new one. */
static void
resume(struct store *s)
{
	struct store_segments *gs = &s->segments;
	char name[STORE_SEGMENT_NAME_SIZE];
	struct stat st;

	if (gs->next_id <= 1)
		return;
	struct store_segment *g = segment_of(s, gs->next_id - 1);
	if (g == NULL)
		return;
	store_segment_name(name, g->id);
	int fd = openat(gs->dir_fd, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size < g->bytes) {
		close(fd);
		return;
	}
	gs->fd = fd;
	gs->current = g;
	gs->size = (uint64_t)st.st_size;
	gs->end = g->bytes;
}

static enum rc
load_rows(struct store *s, struct fault *fault)
{
	struct store_segments *gs = &s->segments;
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "SELECT id, bytes, messages, live, first_msg, last_msg, last_done_us FROM segment");

	while ((rc = store_db_step(&s->db, st, fault)) == RC_OK) {
		struct store_segment *g = MEM_NEW(struct store_segment);
		g->id = (uint32_t)store_db_col_id(st, 0);
		g->bytes = store_db_col_id(st, 1);
		g->messages = store_db_col_id(st, 2);
		g->live = store_db_col_id(st, 3);
		g->first_msg = store_db_col_id(st, 4);
		g->last_msg = store_db_col_id(st, 5);
		g->last_done_us = store_db_col_int(st, 6);
		map_put(&gs->by_id, g->id, g);
		if (g->id >= gs->next_id)
			gs->next_id = g->id + 1;
	}
	if (rc != RC_DONE)
		return rc;
	st = store_db_stmt(&s->db, "SELECT msg, segment FROM moved");
	while ((rc = store_db_step(&s->db, st, fault)) == RC_OK)
		map_put_number(&gs->moved, store_db_col_id(st, 0), store_db_col_id(st, 1));
	atomic_store(&s->metrics.segments, gs->by_id.count);
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_segment_open(struct store *s, struct fault *fault)
{
	struct store_segments *gs = &s->segments;
	char dir[4096];

	*gs = (struct store_segments){ .fd = -1, .dir_fd = -1, .next_id = 1 };
	snprintf(dir, sizeof(dir), "%s/content", s->dir);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return fault_sys(fault, RC_IO, "creating %s", dir);
	gs->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (gs->dir_fd < 0)
		return fault_sys(fault, RC_IO, "opening %s", dir);
	enum rc rc = load_rows(s, fault);
	if (rc == RC_OK)
		resume(s);
	return rc;
}

void
store_segment_done(struct store *s)
{
	struct store_segments *gs = &s->segments;
	size_t at = 0;
	struct store_segment *g;

	while ((g = map_next(&gs->by_id, &at, NULL)) != NULL)
		free(g);
	map_done(&gs->by_id);
	map_done(&gs->moved);
	free(gs->touched.v);
	free(gs->moving.v);
	free(gs->forgotten.v);
	if (gs->fd >= 0)
		close(gs->fd);
	if (gs->dir_fd >= 0)
		close(gs->dir_fd);
	*gs = (struct store_segments){ .fd = -1, .dir_fd = -1 };
}
