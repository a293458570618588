/* Racing addresses.
 *
 * Both families are looked up at the same time. IPv6 addresses, when they come first, are tried at
 * once; IPv4 addresses wait 50 ms for them (RFC 8305 §3). Then the families take turns: the next
 * address is tried when the stagger has passed, or as soon as a try fails. The first that connects
 * wins.
 *
 * A family that does not work here makes every connection wait a stagger. When a family lost
 * clearly (all its tries failed, or one hung much longer than the winner took), it goes last for
 * five minutes. LIMITS: the first eight addresses of each family. */
#include "net/dialer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/private.h"

#define DIAL_MAGIC          0xd1a1d1a1u
#define TRY_MAGIC           0x7247e570u

#define ADDRESS_TIMEOUT_US  SECONDS(30)
#define TOTAL_TIMEOUT_US    SECONDS(60)
#define STAGGER_US          MS(250)
#define RESOLUTION_DELAY_US MS(50)
#define DEAD_FOR_US         MINUTES(5)
#define PER_FAMILY_MAX      8
#define TRIES_MAX           (2 * PER_FAMILY_MAX)

/* Where a dial stands with one family. */
struct family {
	struct lookup *lookup; /* NULL: answered, or never asked */
	struct net_addr addrs[PER_FAMILY_MAX];
	size_t count;
	size_t next; /* first address not yet tried */
};

enum { SIX, FOUR, FAMILIES };

struct
try {
	uint32_t magic;
	struct dial *dial;
	int fd; /* -1: over */
	int64_t started_us;
	struct loop_watch watch;
	struct loop_timer timeout;
};

struct dial {
	uint32_t magic;
	struct dialer *dialer;
	struct list link;
	struct dial_opts opts; /* complete */
	char *host;
	uint16_t port;
	struct family families[FAMILIES];
	int turn;         /* family whose turn it is */
	bool has_started; /* the first address was tried */
	struct fault lookup_fault;
	struct try tries[TRIES_MAX];
	struct dial_try told[TRIES_MAX]; /* what the owner gets to see of each */
	size_t try_count;
	size_t running;
	struct loop_task begin;
	struct loop_timer next; /* stagger or resolution delay */
	struct loop_timer total;
	dial_fn *on_done;
	void *arg;
};

struct dialer {
	struct loop *loop;
	struct resolver *resolver;
	struct list dials;
	int64_t dead_until_us[FAMILIES];
};

static int
family_of(const struct net_addr *a)
{
	return a->family == NET_IP6 ? SIX : FOUR;
}

/* ---- the end ---- */

static void
end_try(struct dial *d, size_t i, int sys_errno)
{
	struct try *t = &d->tries[i];

	if (t->fd < 0)
		return;
	loop_watch_done(&t->watch);
	loop_timer_cancel(d->dialer->loop, &t->timeout);
	close(t->fd);
	t->fd = -1;
	d->running--;
	d->told[i].sys_errno = sys_errno;
	d->told[i].took_us = loop_now_us(d->dialer->loop) - t->started_us;
}

/* Nothing of it runs any more; the memory stays. */
static void
detach(struct dial *d)
{
	struct loop *loop = d->dialer->loop;

	for (size_t i = 0; i < d->try_count; i++)
		end_try(d, i, 0);
	for (int i = 0; i < FAMILIES; i++)
		resolver_cancel(&d->families[i].lookup);
	loop_task_cancel(&d->begin);
	loop_timer_cancel(loop, &d->next);
	loop_timer_cancel(loop, &d->total);
	list_remove(&d->link);
}

static void
destroy(struct dial *d)
{
	d->magic = 0;
	free(d->host);
	free(d);
}

static void
finish(struct dial *d, int fd, const struct net_addr *addr, const struct fault *why)
{
	struct dial_result result = {
		.fd = fd, .fault = why, .tries = d->told, .try_count = d->try_count
	};

	detach(d);
	if (addr != NULL)
		result.addr = *addr;
	d->on_done(d->arg, &result);
	destroy(d);
}

/* "cannot connect to H port N: 192.0.2.1: Connection refused; 2001:db8::1: timed out" */
static void
finish_failed(struct dial *d)
{
	struct fault why = { 0 };
	struct buf text;
	char ip[NET_ADDR_TEXT_SIZE];
	enum rc rc = RC_TIMEOUT;
	int last = ETIMEDOUT;

	if (d->try_count == 0) {
		if (d->lookup_fault.rc == RC_NOT_FOUND)
			(void)fault_set(&why, RC_NOT_FOUND,
			    "there is no host %.200s, or it has no address", d->host);
		else
			why = d->lookup_fault;
		finish(d, -1, NULL, &why);
		return;
	}
	buf_init(&text, 4096);
	for (size_t i = 0; i < d->try_count; i++) {
		int e = d->told[i].sys_errno;
		net_addr_format_ip(&d->told[i].addr, ip);
		buf_addf(&text, "%s%s: %s", i != 0 ? "; " : "", ip,
		    e == ETIMEDOUT ? "timed out" : strerrordesc_np(e));
		if (e != ETIMEDOUT) {
			rc = RC_IO;
			last = e;
		}
	}
	(void)fault_set(&why, rc, "cannot connect to %.100s port %u: %s", d->host,
	    (unsigned)d->port, buf_cstr(&text));
	why.sys_errno = last;
	buf_done(&text);
	finish(d, -1, NULL, &why);
}

/* Whether `family` tried and clearly lost against a winner that took `won_us`. */
static bool
has_lost(const struct dial *d, int family, int64_t won_us)
{
	int64_t now = loop_now_us(d->dialer->loop);
	bool tried = false;

	for (size_t i = 0; i < d->try_count; i++) {
		if (family_of(&d->told[i].addr) != family)
			continue;
		tried = true;
		if (d->tries[i].fd >= 0 &&
		    now - d->tries[i].started_us <= d->opts.stagger_us + 3 * won_us)
			return false;
	}
	return tried;
}

static void
win(struct dial *d, size_t i)
{
	struct try *t = &d->tries[i];
	struct net_addr addr = d->told[i].addr;
	int64_t now = loop_now_us(d->dialer->loop);
	int family = family_of(&addr), fd = t->fd;

	loop_watch_done(&t->watch);
	loop_timer_cancel(d->dialer->loop, &t->timeout);
	t->fd = -1;
	d->running--;
	d->told[i].took_us = now - t->started_us;
	d->dialer->dead_until_us[family] = 0;
	if (has_lost(d, 1 - family, d->told[i].took_us))
		d->dialer->dead_until_us[1 - family] = now + DEAD_FOR_US;
	finish(d, fd, &addr, NULL);
}

/* ---- trying ---- */

static bool
is_dead(const struct dial *d, int family)
{
	return d->dialer->dead_until_us[family] > loop_now_us(d->dialer->loop);
}

static int
preferred(const struct dial *d)
{
	return is_dead(d, SIX) ? FOUR : SIX;
}

/* The address to try next, or NULL. */
static const struct net_addr *
pick(struct dial *d)
{
	int first = is_dead(d, d->turn) ? 1 - d->turn : d->turn;
	int order[FAMILIES] = { first, 1 - first };
	for (int i = 0; i < FAMILIES; i++) {
		struct family *f = &d->families[order[i]];
		if (f->next < f->count) {
			d->turn = 1 - order[i];
			return &f->addrs[f->next++];
		}
	}
	return NULL;
}

static bool
has_more(const struct dial *d)
{
	for (int i = 0; i < FAMILIES; i++) {
		if (d->families[i].lookup != NULL || d->families[i].next < d->families[i].count)
			return true;
	}
	return false;
}

static void try_next(struct dial *d);

static void
on_try(void *arg, unsigned what)
{
	struct try *t = FROM_ARG(struct try, arg, TRY_MAGIC);
	struct dial *d = t->dial;
	size_t i = (size_t)(t - d->tries);
	int e = 0;
	socklen_t n = sizeof(e);

	(void)what;
	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0)
		e = errno;
	if (e == 0) {
		win(d, i);
		return;
	}
	end_try(d, i, e);
	try_next(d);
}

static void
on_try_timeout(void *arg)
{
	struct try *t = FROM_ARG(struct try, arg, TRY_MAGIC);
	struct dial *d = t->dial;

	end_try(d, (size_t)(t - d->tries), ETIMEDOUT);
	try_next(d);
}

enum started { CONNECTED, CONNECTING, FAILED };

static enum started
start_try(struct dial *d, const struct net_addr *addr)
{
	struct loop *loop = d->dialer->loop;
	size_t i = d->try_count++;
	struct try *t = &d->tries[i];

	*t = (struct try){ .magic = TRY_MAGIC, .dial = d, .fd = net_addr_socket(addr) };
	t->started_us = loop_now_us(loop);
	d->told[i] = (struct dial_try){ .addr = *addr };
	if (t->fd < 0) {
		d->told[i].sys_errno = errno;
		return FAILED;
	}
	d->running++;
	loop_watch_init(&t->watch, loop, t->fd, on_try, t);
	loop_timer_init(&t->timeout, on_try_timeout, t);
	if (net_addr_connect(t->fd, addr) == 0)
		return CONNECTED;
	if (errno != EINPROGRESS) {
		end_try(d, i, errno);
		return FAILED;
	}
	loop_watch_set(&t->watch, LOOP_WRITE);
	loop_timer_set(loop, &t->timeout, t->started_us + d->opts.address_timeout_us);
	return CONNECTING;
}

/* Starts the next try, if there is an address for one; ends the dial when nothing is left to hope
 * for. */
static void
try_next(struct dial *d)
{
	struct loop *loop = d->dialer->loop;

	d->has_started = true;
	loop_timer_cancel(loop, &d->next);
	for (const struct net_addr *a = pick(d); a != NULL; a = pick(d)) {
		switch (start_try(d, a)) {
		case CONNECTED: win(d, d->try_count - 1); return;
		case CONNECTING:
			loop_timer_set(loop, &d->next, loop_now_us(loop) + d->opts.stagger_us);
			return;
		case FAILED: break;
		}
	}
	if (d->running == 0 && !has_more(d))
		finish_failed(d);
}

static void
on_next(void *arg)
{
	try_next(FROM_ARG(struct dial, arg, DIAL_MAGIC));
}

static void
on_total(void *arg)
{
	struct dial *d = FROM_ARG(struct dial, arg, DIAL_MAGIC);

	for (size_t i = 0; i < d->try_count; i++)
		end_try(d, i, ETIMEDOUT);
	if (d->try_count == 0 && d->lookup_fault.rc == RC_OK)
		(void)fault_set(&d->lookup_fault, RC_TIMEOUT,
		    "looking up the addresses of %.150s took too long", d->host);
	finish_failed(d);
}

/* ---- addresses ---- */

static void
on_addresses(struct dial *d, int family, const struct dns_answer *answer)
{
	struct family *f = &d->families[family];

	f->lookup = NULL;
	for (size_t i = 0; i < answer->count && f->count < PER_FAMILY_MAX; i++) {
		f->addrs[f->count] = answer->records[i].addr;
		f->addrs[f->count++].port = d->port;
	}
	/* A failure to look up outranks "no such host", which is only true if both say so. */
	if (answer->rc != RC_OK &&
	    (d->lookup_fault.rc == RC_OK || d->lookup_fault.rc == RC_NOT_FOUND)) {
		d->lookup_fault = answer->fault;
		if (answer->rc == RC_TIMEOUT)
			d->lookup_fault.rc = RC_DNS;
	}
	bool other_pending = d->families[1 - family].lookup != NULL;
	bool is_first = family == preferred(d) && f->count != 0;
	/* Once started, the stagger goes on by itself unless it has run out of addresses. */
	if (d->has_started ? !loop_timer_is_set(&d->next) : is_first || !other_pending)
		try_next(d);
	else if (!d->has_started && f->count != 0)
		loop_timer_set(
		    d->dialer->loop, &d->next, loop_now_us(d->dialer->loop) + RESOLUTION_DELAY_US);
}

static void
on_six(void *arg, const struct dns_answer *answer)
{
	on_addresses(FROM_ARG(struct dial, arg, DIAL_MAGIC), SIX, answer);
}

static void
on_four(void *arg, const struct dns_answer *answer)
{
	on_addresses(FROM_ARG(struct dial, arg, DIAL_MAGIC), FOUR, answer);
}

/* An address given as such; false when the host is a name. */
static bool
take_literal(struct dial *d)
{
	struct str host = str_from(d->host);
	struct net_addr addr;

	if (host.n != 0 && host.p[0] == '/') {
		if (net_addr_parse(host, &addr, NULL) != RC_OK)
			return false;
	} else {
		if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
			host = str_sub(host, 1, host.n - 2);
		if (!net_addr_from_ip(host, d->port, &addr))
			return false;
	}
	struct family *f = &d->families[family_of(&addr)];
	f->addrs[f->count++] = addr;
	return true;
}

static void
on_begin(void *arg)
{
	struct dial *d = FROM_ARG(struct dial, arg, DIAL_MAGIC);
	struct resolver *r = d->dialer->resolver;

	if (take_literal(d)) {
		try_next(d);
		return;
	}
	if (r == NULL) {
		(void)fault_set(
		    &d->lookup_fault, RC_INVALID, "\"%.150s\" is not an IP address", d->host);
		finish_failed(d);
		return;
	}
	d->families[SIX].lookup =
	    resolver_lookup(r, DNS_AAAA, str_from(d->host), d->opts.total_timeout_us, on_six, d);
	d->families[FOUR].lookup =
	    resolver_lookup(r, DNS_A, str_from(d->host), d->opts.total_timeout_us, on_four, d);
}

/* ---- making and cancelling ---- */

struct dialer *
dialer_new(struct loop *loop, struct resolver *resolver)
{
	struct dialer *dr = MEM_NEW(struct dialer);

	dr->loop = loop;
	dr->resolver = resolver;
	list_init(&dr->dials);
	return dr;
}

void
dialer_free(struct dialer **drp)
{
	struct dialer *dr = *drp;
	struct dial *d;

	if (dr == NULL)
		return;
	*drp = NULL;
	LIST_FOREACH(d, &dr->dials, struct dial, link) {
		detach(d);
		destroy(d);
	}
	free(dr);
}

struct dial *
dialer_dial(struct dialer *dr, struct str host, uint16_t port, const struct dial_opts *opts,
    dial_fn *on_done, void *arg)
{
	struct dial *d = MEM_NEW(struct dial);

	d->magic = DIAL_MAGIC;
	d->dialer = dr;
	d->opts = opts != NULL ? *opts : (struct dial_opts){ 0 };
	if (d->opts.address_timeout_us == 0)
		d->opts.address_timeout_us = ADDRESS_TIMEOUT_US;
	if (d->opts.total_timeout_us == 0)
		d->opts.total_timeout_us = TOTAL_TIMEOUT_US;
	if (d->opts.stagger_us == 0)
		d->opts.stagger_us = STAGGER_US;
	d->host = str_dup0(host);
	d->port = port;
	d->turn = SIX;
	d->on_done = on_done;
	d->arg = arg;
	list_push_back(&dr->dials, &d->link);
	loop_task_init(&d->begin, on_begin, d);
	loop_timer_init(&d->next, on_next, d);
	loop_timer_init(&d->total, on_total, d);
	loop_timer_set(dr->loop, &d->total, loop_now_us(dr->loop) + d->opts.total_timeout_us);
	loop_defer(dr->loop, &d->begin);
	return d;
}

void
dialer_cancel(struct dial **dp)
{
	struct dial *d = *dp;

	if (d == NULL)
		return;
	*dp = NULL;
	ASSERT(d->magic == DIAL_MAGIC);
	detach(d);
	destroy(d);
}
