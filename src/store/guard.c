/* Disk space and health.
 *
 * New mail is refused below a low-water mark, so that outcomes, which cannot be refused, always
 * find room. Should the disk fill up all the same, a ballast file is given up for them, and made
 * again later. Every refusal is temporary: the next look, or the next write that works, lifts it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/disk.h"
#include "store/private.h"

#define LOOK_EVERY_US SECONDS(1)
#define RETRY_US      MS(200)

static void
ballast_path(const struct store *s, char *out, size_t n)
{
	snprintf(out, n, "%s/ballast", s->dir);
}

static void
make_ballast(struct store *s)
{
	char path[4096];
	struct fault ignored = { 0 };

	ballast_path(s, path, sizeof(path));
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	s->guard.ballast = store_disk_allocate(fd, s->opts.ballast_bytes, &ignored) == RC_OK;
	close(fd);
	if (!s->guard.ballast)
		unlink(path);
}

bool
store_guard_release(struct store *s)
{
	char path[4096];

	if (!s->guard.ballast)
		return false;
	ballast_path(s, path, sizeof(path));
	s->guard.ballast = false;
	log_event(LOG_WARN, NULL, "store.ballast_released",
	    "the disk is full: gave up %u bytes of ballast to write outcomes",
	    s->opts.ballast_bytes);
	return unlink(path) == 0;
}

static enum rc
say_state(struct store *s, struct fault *fault)
{
	const struct store_guard *g = &s->guard;

	if (g->broken.rc != RC_OK)
		return fault_set(fault, g->broken.rc, "%s", g->broken.text);
	if (g->low)
		return fault_set(fault, RC_LIMIT,
		    "the disk is nearly full: free some space on the file system of %s", s->dir);
	return RC_OK;
}

static void
publish(struct store *s, uint64_t free_bytes, bool know_free, size_t waiting)
{
	struct store_guard *g = &s->guard;
	struct fault why = { 0 };
	enum rc rc = say_state(s, &why);

	pthread_mutex_lock(&g->lock);
	struct store_health *h = &g->health;
	if (h->since_us == 0 || h->rc != rc)
		h->since_us = clock_wall_us();
	h->accepts = rc == RC_OK;
	h->rc = rc;
	memcpy(h->text, why.text, sizeof(h->text));
	if (know_free)
		h->free_bytes = free_bytes;
	h->waiting = waiting;
	pthread_mutex_unlock(&g->lock);
}

void
store_guard_look(struct store *s, int64_t now_us)
{
	struct store_guard *g = &s->guard;
	struct fault ignored = { 0 };
	uint64_t free_bytes = 0;

	if (g->looked_us != 0 && now_us < g->looked_us + LOOK_EVERY_US)
		return;
	g->looked_us = now_us;
	bool known = store_disk_free(s->dir, &free_bytes, &ignored) == RC_OK;
	if (known) {
		bool low = free_bytes < s->opts.low_water_bytes;
		if (low != g->low)
			log_event(low ? LOG_ERROR : LOG_INFO, NULL,
			    low ? "store.disk_low" : "store.disk_enough",
			    low ? "%llu bytes are free on the disk; new mail is refused"
				: "%llu bytes are free on the disk; mail is taken again",
			    (unsigned long long)free_bytes);
		g->low = low;
		if (!g->ballast &&
		    free_bytes > s->opts.low_water_bytes + 2 * (uint64_t)s->opts.ballast_bytes)
			make_ballast(s);
	}
	publish(s, free_bytes, known, g->health.waiting);
}

bool
store_guard_may_try(const struct store *s, int64_t now_us)
{
	return s->guard.broken.rc == RC_OK || now_us >= s->guard.retry_us;
}

enum rc
store_guard_check(struct store *s, struct fault *fault)
{
	if (!s->guard.low && store_guard_may_try(s, clock_monotonic_us()))
		return RC_OK;
	return say_state(s, fault);
}

void
store_guard_failed(struct store *s, const struct fault *fault, size_t waiting)
{
	if (s->guard.broken.rc == RC_OK)
		log_event(LOG_ERROR, NULL, "store.write_failed",
		    "%s; new mail is refused until it works", fault->text);
	s->guard.broken = *fault;
	s->guard.retry_us = clock_monotonic_us() + RETRY_US;
	store_count(&s->metrics.disk_errors, 1);
	publish(s, 0, false, waiting);
}

void
store_guard_worked(struct store *s)
{
	if (s->guard.broken.rc == RC_OK && s->guard.health.waiting == 0)
		return;
	log_event(LOG_INFO, NULL, "store.write_works", "writing works again; mail is taken");
	s->guard.broken = (struct fault){ 0 };
	publish(s, 0, false, 0);
}

void
store_guard_init(struct store *s)
{
	char path[4096];

	ballast_path(s, path, sizeof(path));
	s->guard.ballast = access(path, F_OK) == 0;
	store_guard_look(s, clock_monotonic_us());
}

void
store_guard_done(struct store *s)
{
	pthread_mutex_destroy(&s->guard.lock);
}

void
store_guard_health(struct store *s, struct store_health *out)
{
	pthread_mutex_lock(&s->guard.lock);
	*out = s->guard.health;
	pthread_mutex_unlock(&s->guard.lock);
	out->wal_bytes = atomic_load_explicit(&s->metrics.wal_bytes, memory_order_relaxed);
}
