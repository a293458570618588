/* libcurl's multi interface on a loop.
 *
 *   LOOKING (our resolver) ──▶ RUNNING (libcurl) ──▶ on_done
 *
 * Names are looked up first and handed to libcurl as if they stood in its cache, so that it asks
 * nobody and no thread of its own is started. libcurl says which sockets and which moment it wants
 * to hear of; whatever it does happens inside curl_multi_socket_action, from a watch or the timer,
 * after which the requests that are over are collected. So nothing is called from inside the
 * owner's calls, and an owner may start and cancel from inside a callback.
 *
 * Requests and answers may hold tokens: both are wiped. */
#include "net/fetcher.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/private.h"

#define FETCHER_MAGIC 0xfe7c4e20u
#define FETCH_MAGIC   0xfe7c4e21u
#define WATCH_MAGIC   0xfe7c4e22u
#define ANSWER_LIMIT  ((size_t)64 << 20)
#define TIMEOUT       SECONDS(60)
#define LOOKUP_WAIT   SECONDS(10)

struct fetch {
	uint32_t magic;
	struct fetcher *owner;
	struct list link;
	struct arena mem;
	struct net_fetch_request request;
	int64_t until_us;
	fetch_fn *on_done;
	void *arg;
	struct loop_task fail; /* told at the tail of the turn */
	struct fault why;
	struct lookup *lookups[2]; /* A, AAAA */
	char *host;
	char *port;
	struct buf resolved; /* "host:port:address,address" for libcurl */
	size_t n_addresses;
	struct curl_slist *known;
	bool is_running; /* `transfer` is libcurl's */
	struct fetch_transfer transfer;
	struct buf answer;
};

struct fetch_watch {
	uint32_t magic;
	struct fetcher *owner;
	struct list link;
	struct loop_watch watch;
};

struct fetcher {
	uint32_t magic;
	struct loop *loop;
	struct resolver *resolver;
	CURLM *multi;
	struct loop_timer timer;
	struct list fetches;
	struct list watches;
};

static void
fetch_free(struct fetch *x)
{
	list_remove(&x->link);
	loop_task_cancel(&x->fail);
	resolver_cancel(&x->lookups[0]);
	resolver_cancel(&x->lookups[1]);
	if (x->is_running)
		curl_multi_remove_handle(x->owner->multi, x->transfer.curl);
	if (x->transfer.curl != NULL)
		fetch_transfer_done(&x->transfer);
	curl_slist_free_all(x->known);
	curl_free(x->host);
	curl_free(x->port);
	buf_done(&x->resolved);
	buf_wipe(&x->answer);
	if (x->request.body.n != 0)
		mem_wipe(mem_unconst(x->request.body.p), x->request.body.n);
	if (x->request.bearer != NULL)
		mem_wipe(mem_unconst(x->request.bearer), strlen(x->request.bearer));
	arena_done(&x->mem);
	x->magic = 0;
	free(x);
}

/* ---- the end of a request ---- */

static void
finish(struct fetch *x, enum rc rc, unsigned status)
{
	struct fetch_result result = { rc, status, buf_str(&x->answer), x->why };

	/* Out of reach of the owner's calls: the handle is not valid any more. */
	list_remove(&x->link);
	if (x->is_running)
		curl_multi_remove_handle(x->owner->multi, x->transfer.curl);
	x->is_running = false;
	x->on_done(x->arg, &result);
	fetch_free(x);
}

static void
on_fail(void *arg)
{
	struct fetch *x = FROM_ARG(struct fetch, arg, FETCH_MAGIC);

	finish(x, x->why.rc, 0);
}

static void
fail_later(struct fetch *x)
{
	loop_defer(x->owner->loop, &x->fail);
}

static void
collect(struct fetcher *f)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(f->multi, &left)) != NULL) {
		char *private = NULL;
		unsigned status = 0;
		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
		struct fetch *x = FROM_ARG(struct fetch, (void *)private, FETCH_MAGIC);
		enum rc rc =
		    fetch_transfer_end(&x->transfer, (int)msg->data.result, &status, &x->why);
		finish(x, rc, status);
	}
}

/* ---- libcurl on the loop ---- */

static void
on_time(void *arg)
{
	struct fetcher *f = FROM_ARG(struct fetcher, arg, FETCHER_MAGIC);
	int running;

	(void)curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(f);
}

static void
on_ready(void *arg, unsigned what)
{
	struct fetch_watch *w = FROM_ARG(struct fetch_watch, arg, WATCH_MAGIC);
	struct fetcher *f = w->owner;
	int running;

	/* The watch may be gone when this returns. */
	(void)curl_multi_socket_action(f->multi, w->watch.fd,
	    what == LOOP_READ ? CURL_CSELECT_IN : CURL_CSELECT_OUT, &running);
	collect(f);
}

static int
on_timer_wanted(CURLM *multi, long ms, void *arg)
{
	struct fetcher *f = FROM_ARG(struct fetcher, arg, FETCHER_MAGIC);

	(void)multi;
	if (ms < 0)
		loop_timer_cancel(f->loop, &f->timer);
	else
		loop_timer_set(f->loop, &f->timer, loop_now_us(f->loop) + MS(ms));
	return 0;
}

static void
watch_free(struct fetch_watch *w)
{
	loop_watch_done(&w->watch);
	list_remove(&w->link);
	w->magic = 0;
	free(w);
}

static int
on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct fetcher *f = FROM_ARG(struct fetcher, arg, FETCHER_MAGIC);
	struct fetch_watch *w = known;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			watch_free(w);
		(void)curl_multi_assign(f->multi, fd, NULL);
		return 0;
	}
	if (w == NULL) {
		w = MEM_NEW(struct fetch_watch);
		w->magic = WATCH_MAGIC;
		w->owner = f;
		loop_watch_init(&w->watch, f->loop, fd, on_ready, w);
		list_push_back(&f->watches, &w->link);
		(void)curl_multi_assign(f->multi, fd, w);
	}
	loop_watch_set(&w->watch, ((what & CURL_POLL_IN) != 0 ? LOOP_READ : 0u) |
				      ((what & CURL_POLL_OUT) != 0 ? LOOP_WRITE : 0u));
	return 0;
}

/* ---- a request's way ---- */

static void
run(struct fetch *x)
{
	struct fetcher *f = x->owner;

	x->request.timeout_us = x->until_us - loop_now_us(f->loop);
	if (x->request.timeout_us < MS(1))
		x->request.timeout_us = MS(1);
	fetch_transfer_init(&x->transfer, &x->request, &x->answer);
	curl_easy_setopt(x->transfer.curl, CURLOPT_PRIVATE, (char *)x);
	if (buf_len(&x->resolved) != 0) {
		x->known = curl_slist_append(NULL, buf_cstr(&x->resolved));
		ASSERT(x->known != NULL);
		curl_easy_setopt(x->transfer.curl, CURLOPT_RESOLVE, x->known);
	}
	x->is_running = true;
	CURLMcode code = curl_multi_add_handle(f->multi, x->transfer.curl);
	ASSERT(code == CURLM_OK);
}

static void
on_addresses(struct fetch *x, const struct dns_answer *a)
{
	char text[NET_ADDR_TEXT_SIZE];

	for (size_t i = 0; i < a->count; i++) {
		bool six = a->records[i].addr.family == NET_IP6;
		net_addr_format_ip(&a->records[i].addr, text);
		buf_addf(&x->resolved, "%s%s%s%s", x->n_addresses++ != 0 ? "," : "", six ? "[" : "",
		    text, six ? "]" : "");
	}
	/* Of two families that fail, the first is told. */
	if (a->rc != RC_OK && x->why.text[0] == '\0') {
		x->why = a->fault;
		x->why.rc = a->rc == RC_NOT_FOUND ? RC_DNS : a->rc;
	}
	if (x->lookups[0] != NULL || x->lookups[1] != NULL)
		return;
	if (x->n_addresses == 0) {
		finish(x, x->why.rc, 0);
		return;
	}
	x->why = (struct fault){ 0 };
	run(x);
}

static void
on_a(void *arg, const struct dns_answer *a)
{
	struct fetch *x = FROM_ARG(struct fetch, arg, FETCH_MAGIC);

	x->lookups[0] = NULL;
	on_addresses(x, a);
}

static void
on_aaaa(void *arg, const struct dns_answer *a)
{
	struct fetch *x = FROM_ARG(struct fetch, arg, FETCH_MAGIC);

	x->lookups[1] = NULL;
	on_addresses(x, a);
}

/* Host and port of the URL; RC_INVALID where it has none. */
static enum rc
take_apart(struct fetch *x)
{
	CURLU *u = curl_url();
	enum rc rc = RC_OK;

	ASSERT(u != NULL);
	if (curl_url_set(u, CURLUPART_URL, x->request.url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &x->host, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PORT, &x->port, CURLU_DEFAULT_PORT) != CURLUE_OK)
		rc = fault_set(&x->why, RC_INVALID, "\"%.150s\" is no URL", x->request.url);
	curl_url_cleanup(u);
	return rc;
}

static void
look_up(struct fetch *x)
{
	struct fetcher *f = x->owner;
	int64_t wait = x->until_us - loop_now_us(f->loop);
	struct str host = str_from(x->host);

	if (wait > LOOKUP_WAIT)
		wait = LOOKUP_WAIT;
	buf_addf(&x->resolved, "%s:%s:", x->host, x->port);
	x->lookups[0] = resolver_lookup(f->resolver, DNS_A, host, wait, on_a, x);
	x->lookups[1] = resolver_lookup(f->resolver, DNS_AAAA, host, wait, on_aaaa, x);
}

static const char *
copy_z(struct arena *a, const char *z)
{
	return z != NULL ? arena_str(a, str_from(z)).p : NULL;
}

static void
copy_request(struct fetch *x, const struct net_fetch_request *r)
{
	struct net_fetch_request *to = &x->request;
	struct net_fetch_header *headers =
	    ARENA_NEW_ARRAY(&x->mem, struct net_fetch_header, r->n_headers);

	*to = *r;
	to->method = copy_z(&x->mem, r->method);
	to->url = copy_z(&x->mem, r->url);
	to->bearer = copy_z(&x->mem, r->bearer);
	to->ca_file = copy_z(&x->mem, r->ca_file);
	to->type = arena_str(&x->mem, r->type);
	if (r->body.p != NULL)
		to->body = arena_str(&x->mem, r->body);
	for (size_t i = 0; i < r->n_headers; i++)
		headers[i] = (struct net_fetch_header){ copy_z(&x->mem, r->headers[i].name),
			arena_str(&x->mem, r->headers[i].value) };
	to->headers = headers;
}

struct fetch *
fetcher_start(struct fetcher *f, const struct net_fetch_request *r, fetch_fn *on_done, void *arg)
{
	struct fetch *x = MEM_NEW(struct fetch);
	struct net_addr literal;

	ASSERT(r->unix_socket == NULL);
	x->magic = FETCH_MAGIC;
	x->owner = f;
	x->on_done = on_done;
	x->arg = arg;
	x->until_us = loop_now_us(f->loop) + (r->timeout_us > 0 ? r->timeout_us : TIMEOUT);
	loop_task_init(&x->fail, on_fail, x);
	buf_init(&x->resolved, 8192);
	buf_init(&x->answer, r->answer_max != 0 ? r->answer_max : ANSWER_LIMIT);
	copy_request(x, r);
	list_push_back(&f->fetches, &x->link);
	if (take_apart(x) != RC_OK)
		fail_later(x);
	else if (x->host[0] == '[' || net_addr_from_ip(str_from(x->host), 0, &literal))
		run(x);
	else
		look_up(x);
	return x;
}

void
fetcher_cancel(struct fetch **xp)
{
	struct fetch *x = TAKE(*xp);

	if (x == NULL)
		return;
	ASSERT(x->magic == FETCH_MAGIC);
	fetch_free(x);
}

/* ---- life ---- */

struct fetcher *
fetcher_new(struct loop *loop, struct resolver *resolver)
{
	struct fetcher *f = MEM_NEW(struct fetcher);

	f->magic = FETCHER_MAGIC;
	f->loop = loop;
	f->resolver = resolver;
	list_init(&f->fetches);
	list_init(&f->watches);
	loop_timer_init(&f->timer, on_time, f);
	f->multi = curl_multi_init();
	ASSERT(f->multi != NULL);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	return f;
}

void
fetcher_free(struct fetcher **fp)
{
	struct fetcher *f = TAKE(*fp);
	struct fetch *x;
	struct fetch_watch *w;

	if (f == NULL)
		return;
	LIST_FOREACH(x, &f->fetches, struct fetch, link)
		fetch_free(x);
	curl_multi_cleanup(f->multi);
	LIST_FOREACH(w, &f->watches, struct fetch_watch, link)
		watch_free(w);
	loop_timer_cancel(f->loop, &f->timer);
	f->magic = 0;
	free(f);
}
