/* c-ares on a loop, and a cache above it.
 *
 * A lookup either finds its answer kept, joins a query that is already under way for the same name
 * and type, or starts one. A query belongs to c-ares until that calls back, which it may do from
 * inside the call that starts it: so answers are handed to the waiting lookups' tasks and delivered
 * at the tail of the turn. c-ares cannot cancel one query alone; when everybody who waited has
 * gone, its answer still goes into the cache.
 *
 * Addresses come from ares_getaddrinfo, which knows /etc/hosts and CNAMEs; the rest
 * from queries of our own making, which ask whether the answer was validated, and our own reader
 * (dns_message.c). ARES_FLAG_NOCHECKRESP stays off: with it a
 * SERVFAIL would look like an answer.
 *
 * Answers are counted by reference: one in the cache may be displaced while lookups still wait for
 * their turn to be told. LIMITS: changes of resolv.conf are seen by a new resolver only. */
#include "net/resolver.h"

#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/private.h"

#define RESOLVER_MAGIC     0x2e501fe2u
#define LOOKUP_MAGIC       0x100c09d5u
#define SOCKET_MAGIC       0xd2550c4eu

#define ENTRIES_MAX        4096
#define NAME_MAX_BYTES     253
#define SERVER_TIMEOUT_MS  2000
#define SERVER_TRIES       3
#define CLASS_IN           1
#define TYPE_CNAME         5
#define TYPE_PTR           12
#define TYPE_MX            15
#define TYPE_TXT           16
#define TYPE_SRV           33
#define TYPE_TLSA          52
#define FLAG_AD            0x20 /* in the fourth byte of a message */
#define ADDRESS_TTL_MAX_US HOURS(1)
#define HOSTS_TTL_US       SECONDS(5) /* entries of /etc/hosts have none of their own */
#define NEGATIVE_TTL_US    SECONDS(60)
#define ADDRESSES_MAX      64

static const struct {
	const char *name;
	int wire; /* 0: asked through ares_getaddrinfo */
	int family;
} types[] = {
	[DNS_A] = { "A", 0, AF_INET },
	[DNS_AAAA] = { "AAAA", 0, AF_INET6 },
	[DNS_MX] = { "MX", TYPE_MX, 0 },
	[DNS_TXT] = { "TXT", TYPE_TXT, 0 },
	[DNS_PTR] = { "PTR", TYPE_PTR, 0 },
	[DNS_SRV] = { "SRV", TYPE_SRV, 0 },
	[DNS_CNAME] = { "CNAME", TYPE_CNAME, 0 },
	[DNS_TLSA] = { "TLSA", TYPE_TLSA, 0 },
};
static_assert(COUNT_OF(types) == DNS_TYPE_COUNT, "every type has a row");

/* One question that c-ares is working on. */
struct query {
	struct resolver *resolver;
	struct list link;
	struct list waiting; /* lookups; may be empty */
	uint64_t hash;
	enum dns_type type;
	char *name;
};

struct lookup {
	uint32_t magic;
	struct resolver *resolver;
	struct list link;           /* in resolver.told, or in query.waiting */
	struct resolver_kept *kept; /* the answer, once it is there */
	struct loop_task tell;
	struct loop_timer deadline;
	lookup_fn *on_answer;
	void *arg;
};

struct dns_socket {
	uint32_t magic;
	struct resolver *resolver;
	struct list link;
	struct loop_watch watch;
};

struct resolver {
	uint32_t magic;
	struct loop *loop;
	ares_channel channel;
	struct loop_timer retry; /* when c-ares wants to look at its own clocks */
	struct list sockets;
	struct list queries;
	struct list told; /* lookups whose answer is there */
	struct resolver_cache cache;
	uint64_t seed;
	bool is_local; /* all servers are on loopback: what they validated counts */
};

const char *
resolver_type_name(enum dns_type type)
{
	return types[type].name;
}

/* ---- answers ---- */

/* Explains an answer without records. */
static void
explain(struct resolver_kept *k, const char *detail)
{
	struct dns_answer *a = &k->answer;
	const char *type = types[k->type].name;

	switch (a->rc) {
	case RC_NOT_FOUND:
		if (a->name_exists)
			(void)fault_set(&a->fault, a->rc, "%.200s has no %s record", k->name, type);
		else
			(void)fault_set(
			    &a->fault, a->rc, "there is no such name as %.200s", k->name);
		break;
	case RC_INVALID:
		(void)fault_set(
		    &a->fault, a->rc, "\"%.200s\" cannot be looked up: %s", k->name, detail);
		break;
	default:
		(void)fault_set(
		    &a->fault, a->rc, "looking up %.150s (%s) failed: %s", k->name, type, detail);
		break;
	}
}

void
resolver_clear(struct resolver *r)
{
	resolver_cache_clear(&r->cache);
}

/* ---- lookups ---- */

static void
lookup_free(struct lookup *l)
{
	list_remove(&l->link);
	loop_task_cancel(&l->tell);
	loop_timer_cancel(l->resolver->loop, &l->deadline);
	resolver_kept_unref(&l->kept);
	l->magic = 0;
	free(l);
}

static void
tell(void *arg)
{
	struct lookup *l = FROM_ARG(struct lookup, arg, LOOKUP_MAGIC);
	struct resolver_kept *k = TAKE(l->kept);
	struct dns_answer answer = k->answer;
	lookup_fn *on_answer = l->on_answer;
	void *owner = l->arg;

	answer.ttl_us = k->until_us - loop_now_us(l->resolver->loop);
	if (answer.ttl_us < 0)
		answer.ttl_us = 0;
	lookup_free(l);
	on_answer(owner, &answer);
	resolver_kept_unref(&k);
}

static void
on_deadline(void *arg)
{
	struct lookup *l = FROM_ARG(struct lookup, arg, LOOKUP_MAGIC);
	struct dns_answer answer = { .rc = RC_TIMEOUT };
	lookup_fn *on_answer = l->on_answer;
	void *owner = l->arg;

	if (l->kept != NULL) {
		tell(l);
		return;
	}
	(void)fault_set(&answer.fault, RC_TIMEOUT, "the DNS servers did not answer in time");
	lookup_free(l);
	on_answer(owner, &answer);
}

static void
give(struct lookup *l, struct resolver_kept *k)
{
	k->refs++;
	l->kept = k;
	list_remove(&l->link);
	list_push_back(&l->resolver->told, &l->link);
	loop_defer(l->resolver->loop, &l->tell);
}

/* ---- queries ---- */

/* Hands `k` (taken over) to all who wait, and ends the query. */
static void
settle(struct query *q, struct resolver_kept *k)
{
	struct resolver *r = q->resolver;
	struct lookup *l;

	k->until_us = loop_now_us(r->loop) + k->answer.ttl_us;
	if (k->answer.rc == RC_OK || k->answer.rc == RC_NOT_FOUND)
		resolver_cache_put(&r->cache, k);
	LIST_FOREACH(l, &q->waiting, struct lookup, link)
		give(l, k);
	resolver_kept_unref(&k);
	list_remove(&q->link);
	free(q->name);
	free(q);
}

/* What c-ares says when there are no records. */
static void
set_status(struct resolver_kept *k, int status)
{
	bool is_final = status == ARES_ENOTFOUND || status == ARES_ENODATA;

	k->answer.rc = is_final ? RC_NOT_FOUND : status == ARES_EBADNAME ? RC_INVALID : RC_DNS;
	k->answer.name_exists = status == ARES_ENODATA;
	k->answer.ttl_us = is_final ? NEGATIVE_TTL_US : 0;
	explain(k, ares_strerror(status));
}

static void
on_message(void *arg, int status, int timeouts, unsigned char *msg, int n)
{
	struct query *q = arg;
	struct resolver_kept *k = resolver_kept_new(q->type, q->name, q->hash);

	(void)timeouts;
	/* Negative replies come with their message too, and with the zone's own idea of how long.
	 */
	if (msg != NULL && n > 0) {
		dns_message_parse(
		    str_make((const char *)msg, (size_t)n), q->type, &k->mem, &k->answer);
		k->answer.is_secure &= q->resolver->is_local;
		if (k->answer.rc != RC_OK)
			explain(k, status == ARES_SUCCESS ? "the answer makes no sense"
							  : ares_strerror(status));
	} else {
		set_status(k, status == ARES_SUCCESS ? ARES_EBADRESP : status);
	}
	settle(q, k);
}

static void
take_addresses(struct resolver_kept *k, const struct ares_addrinfo *info)
{
	int64_t ttl_us = ADDRESS_TTL_MAX_US;
	struct dns_record *records = ARENA_NEW_ARRAY(&k->mem, struct dns_record, ADDRESSES_MAX);
	size_t count = 0;

	for (const struct ares_addrinfo_cname *c = info->cnames; c != NULL; c = c->next) {
		if (SECONDS(c->ttl) < ttl_us)
			ttl_us = SECONDS(c->ttl);
		if (c->name != NULL && c->next == NULL)
			k->answer.canonical = arena_str(&k->mem, str_from(c->name));
	}
	for (const struct ares_addrinfo_node *n = info->nodes; n != NULL; n = n->ai_next) {
		if (count == ADDRESSES_MAX || n->ai_family != types[k->type].family ||
		    !net_addr_from_sockaddr(n->ai_addr, n->ai_addrlen, &records[count].addr))
			continue;
		records[count++].addr.port = 0;
		if (SECONDS(n->ai_ttl) < ttl_us)
			ttl_us = SECONDS(n->ai_ttl);
	}
	if (count == 0) {
		set_status(k, ARES_ENODATA);
		return;
	}
	k->answer.rc = RC_OK;
	k->answer.name_exists = true;
	k->answer.records = records;
	k->answer.count = count;
	k->answer.ttl_us = ttl_us > 0 ? ttl_us : HOSTS_TTL_US;
}

static void
on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct query *q = arg;
	struct resolver_kept *k = resolver_kept_new(q->type, q->name, q->hash);

	(void)timeouts;
	if (status == ARES_SUCCESS && info != NULL)
		take_addresses(k, info);
	else
		set_status(k, status == ARES_SUCCESS ? ARES_EBADRESP : status);
	if (info != NULL)
		ares_freeaddrinfo(info);
	settle(q, k);
}

/* in-addr.arpa or ip6.arpa for an address (RFC 1035 §3.5, RFC 3596 §2.5). */
static void
reverse_name(const struct net_addr *a, struct buf *out)
{
	if (a->family == NET_IP4) {
		for (size_t i = 16; i-- > 12;)
			buf_addf(out, "%u.", (unsigned)a->ip[i]);
		buf_add(out, STR("in-addr.arpa"));
		return;
	}
	for (size_t i = 16; i-- > 0;)
		buf_addf(out, "%x.%x.", a->ip[i] & 15u, (unsigned)a->ip[i] >> 4);
	buf_add(out, STR("ip6.arpa"));
}

static void rearm(struct resolver *r);

static struct query *
start_query(struct resolver *r, enum dns_type type, struct str name, uint64_t hash)
{
	struct query *q = MEM_NEW(struct query);

	q->resolver = r;
	q->type = type;
	q->hash = hash;
	q->name = str_dup0(name);
	list_init(&q->waiting);
	list_push_back(&r->queries, &q->link);
	return q;
}

/* By hand, because ares_query cannot ask whether the answer was validated (RFC 6840 §5.7). */
static void
send_query(struct resolver *r, struct query *q, const char *name)
{
	unsigned char *msg = NULL;
	int n = 0;
	int status = ares_create_query(name, CLASS_IN, types[q->type].wire, 0, 1, &msg, &n, 0);

	if (status != ARES_SUCCESS) {
		on_message(q, status, 0, NULL, 0);
		return;
	}
	msg[3] |= FLAG_AD;
	ares_send(r->channel, msg, n, on_message, q);
	ares_free_string(msg);
}

/* May settle the query before it returns. */
static void
ask(struct resolver *r, struct query *q)
{
	if (types[q->type].wire == 0) {
		const struct ares_addrinfo_hints hints = {
			.ai_family = types[q->type].family,
			.ai_socktype = SOCK_STREAM,
			.ai_flags = ARES_AI_NOSORT,
		};
		ares_getaddrinfo(r->channel, q->name, NULL, &hints, on_addresses, q);
	} else if (q->type == DNS_PTR) {
		struct net_addr ip = { 0 };
		struct buf name;
		bool ok = net_addr_from_ip(str_from(q->name), 0, &ip);
		ASSERT(ok); /* why_invalid saw to it */
		buf_init(&name, NAME_MAX_BYTES);
		reverse_name(&ip, &name);
		send_query(r, q, buf_cstr(&name));
		buf_done(&name);
	} else {
		send_query(r, q, q->name);
	}
	rearm(r);
}

/* NULL when `name` may be asked for. A backslash would begin an escape in c-ares. */
static const char *
why_invalid(enum dns_type type, struct str name)
{
	struct net_addr ip;

	if (name.n == 0)
		return "it is empty";
	if (name.n > NAME_MAX_BYTES)
		return "it is too long";
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == '\\')
			return "it holds characters that no name has";
	}
	if (type == DNS_PTR && !net_addr_from_ip(name, 0, &ip))
		return "it is not an IP address";
	return NULL;
}

static struct query *
find_query(struct resolver *r, enum dns_type type, struct str name, uint64_t hash)
{
	struct query *q;

	LIST_FOREACH(q, &r->queries, struct query, link) {
		if (q->hash == hash && q->type == type && str_eq_nocase(str_from(q->name), name))
			return q;
	}
	return NULL;
}

struct lookup *
resolver_lookup(struct resolver *r, enum dns_type type, struct str name, int64_t timeout_us,
    lookup_fn *on_answer, void *arg)
{
	struct lookup *l = MEM_NEW(struct lookup);

	l->magic = LOOKUP_MAGIC;
	l->resolver = r;
	l->on_answer = on_answer;
	l->arg = arg;
	loop_task_init(&l->tell, tell, l);
	loop_timer_init(&l->deadline, on_deadline, l);
	loop_timer_set(r->loop, &l->deadline, loop_now_us(r->loop) + timeout_us);
	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	const char *invalid = why_invalid(type, name);
	uint64_t hash = str_hash_nocase(name, r->seed + (uint64_t)type);
	struct resolver_kept *k =
	    invalid == NULL ? resolver_cache_get(&r->cache, hash, type, name, loop_now_us(r->loop))
			    : NULL;
	if (invalid != NULL) {
		char *z = str_dup0(str_sub(name, 0, NAME_MAX_BYTES));
		k = resolver_kept_new(type, z, hash);
		free(z);
		k->answer.rc = RC_INVALID;
		explain(k, invalid);
		give(l, k);
		resolver_kept_unref(&k);
		return l;
	}
	if (k != NULL) {
		give(l, k);
		return l;
	}
	struct query *q = find_query(r, type, name, hash), *fresh = NULL;
	if (q == NULL)
		q = fresh = start_query(r, type, name, hash);
	list_push_back(&q->waiting, &l->link);
	if (fresh != NULL)
		ask(r, fresh);
	return l;
}

void
resolver_cancel(struct lookup **lp)
{
	struct lookup *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	ASSERT(l->magic == LOOKUP_MAGIC);
	lookup_free(l);
}

/* ---- c-ares on the loop ---- */

static void
rearm(struct resolver *r)
{
	struct timeval tv;
	const struct timeval *t = ares_timeout(r->channel, NULL, &tv);

	if (t == NULL)
		loop_timer_cancel(r->loop, &r->retry);
	else
		loop_timer_set(
		    r->loop, &r->retry, loop_now_us(r->loop) + SECONDS(t->tv_sec) + t->tv_usec);
}

static void
on_retry(void *arg)
{
	struct resolver *r = FROM_ARG(struct resolver, arg, RESOLVER_MAGIC);

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(r);
}

/* The socket may be gone when c-ares returns. */
static void
on_socket(void *arg, unsigned what)
{
	struct dns_socket *s = FROM_ARG(struct dns_socket, arg, SOCKET_MAGIC);
	struct resolver *r = s->resolver;
	int fd = s->watch.fd;

	ares_process_fd(r->channel, what == LOOP_READ ? fd : ARES_SOCKET_BAD,
	    what == LOOP_WRITE ? fd : ARES_SOCKET_BAD);
	rearm(r);
}

/* c-ares wants `fd` watched so; neither: it is about to close it. */
static void
on_interest(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = FROM_ARG(struct resolver, arg, RESOLVER_MAGIC);
	struct dns_socket *s, *found = NULL;

	LIST_FOREACH(s, &r->sockets, struct dns_socket, link) {
		if (s->watch.fd == fd)
			found = s;
	}
	if (!readable && !writable) {
		if (found == NULL)
			return;
		loop_watch_done(&found->watch);
		list_remove(&found->link);
		found->magic = 0;
		free(found);
		return;
	}
	if (found == NULL) {
		found = MEM_NEW(struct dns_socket);
		found->magic = SOCKET_MAGIC;
		found->resolver = r;
		loop_watch_init(&found->watch, r->loop, fd, on_socket, found);
		list_push_back(&r->sockets, &found->link);
	}
	loop_watch_set(&found->watch, (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u));
}

static bool
servers_are_local(const struct resolver *r)
{
	struct ares_addr_port_node *servers = NULL;
	bool local =
	    ares_get_servers_ports(r->channel, &servers) == ARES_SUCCESS && servers != NULL;

	for (const struct ares_addr_port_node *s = servers; s != NULL && local; s = s->next) {
		const uint8_t *ip = (const uint8_t *)&s->addr;
		static const uint8_t six[16] = { [15] = 1 };
		local = s->family == AF_INET ? ip[0] == 127 : memcmp(ip, six, sizeof(six)) == 0;
	}
	ares_free_data(servers);
	return local;
}

enum rc
resolver_new(
    struct loop *loop, const struct resolver_opts *opts, struct resolver **out, struct fault *f)
{
	AUTO(resolver_free) struct resolver *r = MEM_NEW(struct resolver);
	char lookups[] = "fb"; /* files before DNS */
	struct ares_options o = {
		.timeout = SERVER_TIMEOUT_MS,
		.tries = SERVER_TRIES,
		.lookups = lookups,
		.ndomains = 0, /* a name means itself: no search domains */
		.sock_state_cb = on_interest,
		.sock_state_cb_data = r,
	};

	r->magic = RESOLVER_MAGIC;
	r->loop = loop;
	r->seed = (uint64_t)clock_wall_us() ^ (uint64_t)(uintptr_t)r;
	list_init(&r->sockets);
	list_init(&r->queries);
	list_init(&r->told);
	resolver_cache_init(
	    &r->cache, opts != NULL && opts->max_entries != 0 ? opts->max_entries : ENTRIES_MAX);
	loop_timer_init(&r->retry, on_retry, r);
	int status = ares_init_options(&r->channel, &o,
	    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS |
		ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS) {
		r->channel = NULL;
		return fault_set(
		    f, RC_DNS, "cannot read the DNS configuration: %s", ares_strerror(status));
	}
	if (opts != NULL && opts->servers != NULL) {
		status = ares_set_servers_ports_csv(r->channel, opts->servers);
		if (status != ARES_SUCCESS)
			return fault_set(f, RC_DNS, "\"%s\" is no list of DNS servers: %s",
			    opts->servers, ares_strerror(status));
	}
	r->is_local = servers_are_local(r);
	*out = TAKE(r);
	return RC_OK;
}

void
resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;
	struct query *q;
	struct lookup *l;

	if (r == NULL)
		return;
	*rp = NULL;
	LIST_FOREACH(q, &r->queries, struct query, link) {
		LIST_FOREACH(l, &q->waiting, struct lookup, link)
			lookup_free(l);
	}
	LIST_FOREACH(l, &r->told, struct lookup, link)
		lookup_free(l);
	if (r->channel != NULL)
		ares_destroy(r->channel); /* settles every query */
	ASSERT(list_is_empty(&r->queries) && list_is_empty(&r->sockets));
	loop_timer_cancel(r->loop, &r->retry);
	resolver_cache_done(&r->cache);
	r->magic = 0;
	free(r);
}
