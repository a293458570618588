/* One request and its answer.
 *
 * Everything the owner may look at is copied out of the library's memory when the head is in, so
 * it outlives a connection that was answered for it. An answer is built at once and taken by the
 * library when it asks again, which it does after the connection is resumed. */
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/private.h"

#define OWN_TYPE "application/json"

static struct http_exchange *
exchange_of(struct http_request *r)
{
	struct http_exchange *x = CONTAINER_OF(r, struct http_exchange, r);

	ASSERT(x->magic == HTTP_EXCHANGE_MAGIC);
	return x;
}

static const struct http_exchange *
exchange_seen(const struct http_request *r)
{
	const void *p = (const char *)r - offsetof(struct http_exchange, r);
	const struct http_exchange *x = p;

	ASSERT(x->magic == HTTP_EXCHANGE_MAGIC);
	return x;
}

/* ---- what came in ---- */

struct collect {
	struct arena *arena;
	struct http_pair *pairs;
	size_t n;
};

static enum MHD_Result
collect_pair(void *arg, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value,
    size_t value_n)
{
	struct collect *c = arg;

	(void)kind;
	if (c->n == HTTP_PAIRS_MAX)
		return MHD_NO;
	c->pairs[c->n].name = arena_str(c->arena, str_make(key, key_n));
	c->pairs[c->n].value = arena_str(c->arena, str_make(value, value_n));
	c->n++;
	return MHD_YES;
}

static void
collect(struct http_exchange *x, enum MHD_ValueKind kind, struct http_pair **out, size_t *n_out)
{
	int n = MHD_get_connection_values_n(x->connection, kind, NULL, NULL);
	size_t room = n < 0 ? 0 : (size_t)n < HTTP_PAIRS_MAX ? (size_t)n : HTTP_PAIRS_MAX;
	struct collect c = { &x->arena, NULL, 0 };

	if (room != 0) {
		c.pairs = ARENA_NEW_ARRAY(&x->arena, struct http_pair, room);
		MHD_get_connection_values_n(x->connection, kind, collect_pair, &c);
	}
	*out = c.pairs;
	*n_out = c.n;
}

static enum http_method
method_of(struct str verb)
{
	static const struct {
		struct str verb;
		enum http_method method;
	} rows[] = {
		{ STR_INIT("GET"), HTTP_GET },
		{ STR_INIT("HEAD"), HTTP_HEAD },
		{ STR_INIT("POST"), HTTP_POST },
		{ STR_INIT("PUT"), HTTP_PUT },
		{ STR_INIT("PATCH"), HTTP_PATCH },
		{ STR_INIT("DELETE"), HTTP_DELETE },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (str_eq(verb, rows[i].verb))
			return rows[i].method;
	return HTTP_OTHER;
}

static void
learn_uid(struct http_exchange *x)
{
	const union MHD_ConnectionInfo *fd =
	    MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (fd != NULL && getsockopt(fd->connect_fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0)
		x->r.peer.uid = cred.uid;
}

static void
learn_peer(struct http_exchange *x)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info != NULL ? info->client_addr : NULL;
	struct http_peer *peer = &x->r.peer;
	char text[NI_MAXHOST];

	*peer = (struct http_peer){ .door = x->port->door, .text = STR("unix"), .uid = UINT32_MAX };
	if (!ip_parse(STR("127.0.0.1"), &peer->ip))
		UNREACHABLE();
	if (peer->door == HTTP_DOOR_CONTROL)
		learn_uid(x);
	if (sa == NULL || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return;
	socklen_t n = sa->sa_family == AF_INET6 ? 28 : 16; /* of sockaddr_in6 and sockaddr_in */
	if (getnameinfo(sa, n, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
		return;
	struct str plain = str_from(text);
	plain.n = str_find(plain, '%'); /* a zone says nothing outside this machine */
	if (ip_parse(plain, &peer->ip)) {
		char shortest[IP_TEXT_MAX];
		peer->text = arena_str(&x->arena, ip_format(&peer->ip, shortest));
	}
}

/* ---- life ---- */

static void
on_patience(void *arg)
{
	struct http_exchange *x = FROM_ARG(struct http_exchange, arg, HTTP_EXCHANGE_MAGIC);

	http_exchange_refuse(x, 503, "service_unavailable",
	    "this takes longer than usual; what was asked may still be done, so look before you "
	    "ask again");
}

struct http_exchange *
http_exchange_new(
    struct http_port *port, struct MHD_Connection *c, const char *url, const char *method)
{
	struct http_exchange *x = MEM_NEW(struct http_exchange);

	x->magic = HTTP_EXCHANGE_MAGIC;
	x->server = port->server;
	x->port = port;
	x->connection = c;
	loop_timer_init(&x->patience, on_patience, x);
	buf_init(&x->body, port->server->opts.body_max);
	x->r.verb = arena_str(&x->arena, str_from(method));
	x->r.method = method_of(x->r.verb);
	x->r.path = arena_str(&x->arena, str_from(url));
	learn_peer(x);
	collect(x, MHD_GET_ARGUMENT_KIND, &x->query, &x->n_query);
	collect(x, MHD_HEADER_KIND, &x->headers, &x->n_headers);
	return x;
}

static void
maybe_free(struct http_exchange *x)
{
	if (x->connection != NULL || x->owned)
		return;
	if (x->response != NULL)
		MHD_destroy_response(x->response);
	/* Bodies and headers may hold secrets. */
	buf_wipe(&x->body);
	for (size_t i = 0; i < x->n_headers; i++) {
		union {
			const char *seen;
			char *own;
		} v = { .seen = x->headers[i].value.p };
		mem_wipe(v.own, x->headers[i].value.n);
	}
	arena_done(&x->arena);
	x->magic = 0;
	free(x);
}

static void
forget_body(struct http_exchange *x)
{
	if (x->server != NULL)
		x->server->body_bytes -= buf_len(&x->body);
	buf_wipe(&x->body);
	x->r.body = (struct str){ 0 };
}

void
http_exchange_release(struct http_exchange *x)
{
	x->connection = NULL;
	x->port = NULL;
	if (x->server != NULL)
		loop_timer_cancel(x->server->opts.loop, &x->patience);
	if (!x->owned)
		forget_body(x);
	maybe_free(x);
}

bool
http_exchange_offer(struct http_exchange *x, http_request_fn *fn)
{
	struct http_server *s = x->server;

	x->r.body = buf_str(&x->body);
	x->state = HTTP_HELD;
	x->owned = true;
	list_push_back(&s->exchanges, &x->link);
	loop_timer_set(s->opts.loop, &x->patience, loop_now_us(s->opts.loop) + s->opts.patience_us);
	fn(s->opts.arg, &x->r);
	return x->state == HTTP_ANSWERED;
}

void
http_exchange_take_back(struct http_exchange *x)
{
	loop_timer_cancel(x->server->opts.loop, &x->patience);
	list_remove(&x->link);
	x->owned = false;
	x->state = HTTP_READING;
}

/* ---- the body ---- */

size_t
http_exchange_announced(const struct http_exchange *x)
{
	struct str n = http_header(&x->r, "Content-Length");
	uint64_t v = 0;

	if (n.n != 0 && (str_to_u64(n, &v) != RC_OK || v > SIZE_MAX))
		return SIZE_MAX;
	return (size_t)v;
}

bool
http_exchange_add_body(struct http_exchange *x, struct str piece)
{
	struct http_server *s = x->server;
	bool full = s->body_bytes + piece.n > s->opts.bodies_max;

	if (!full && x->body_dropped == 0 && buf_len(&x->body) + piece.n <= s->opts.body_max) {
		buf_add(&x->body, piece);
		s->body_bytes += piece.n;
		return true;
	}
	/* Reading on a little lets the client see why; reading on for ever helps nobody. */
	x->body_dropped += piece.n;
	if (x->state == HTTP_READING && full)
		http_exchange_refuse(x, 503, "service_unavailable",
		    "too many large requests at once; try again in a moment");
	else
		http_exchange_refuse(
		    x, 413, "validation_error", "the request body is too large; send less at once");
	return x->body_dropped <= s->opts.body_max;
}

/* ---- the answer ---- */

static void
add_headers(struct http_exchange *x, struct MHD_Response *response, const char *type)
{
	if (type != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	for (size_t i = 0; i < x->n_out; i++)
		MHD_add_response_header(response, x->out[i].name.p, x->out[i].value.p);
}

static void
settle(struct http_exchange *x, unsigned status, const char *type, struct str body)
{
	union {
		const char *seen;
		void *given;
	} bytes = { .seen = body.n != 0 ? body.p : "" };

	x->status = status;
	x->response = MHD_create_response_from_buffer(body.n, bytes.given, MHD_RESPMEM_MUST_COPY);
	ASSERT(x->response != NULL);
	add_headers(x, x->response, type);
	x->state = HTTP_ANSWERED;
	loop_timer_cancel(x->server->opts.loop, &x->patience);
	if (x->suspended) {
		x->suspended = false;
		MHD_resume_connection(x->connection);
		http_port_wake(x->port);
	}
}

void
http_exchange_refuse(
    struct http_exchange *x, unsigned status, const char *name, const char *message)
{
	char text[512];

	if (x->state == HTTP_ANSWERED || x->connection == NULL)
		return;
	int n = snprintf(text, sizeof(text),
	    "{\"statusCode\":%u,\"name\":\"%s\",\"message\":\"%s\"}\n", status, name, message);
	ASSERT(n > 0 && (size_t)n < sizeof(text));
	settle(x, status, OWN_TYPE, str_make(text, (size_t)n));
}

void
http_set_header(struct http_request *r, const char *name, struct str value)
{
	struct http_exchange *x = exchange_of(r);

	ASSERT(x->n_out < HTTP_HEADERS_OUT);
	x->out[x->n_out].name = arena_str(&x->arena, str_from(name));
	x->out[x->n_out].value = arena_str(&x->arena, value);
	x->n_out++;
}

void
http_answer(struct http_request *r, unsigned status, const char *type, struct str body)
{
	struct http_exchange *x = exchange_of(r);

	ASSERT(x->owned);
	if (x->state != HTTP_ANSWERED && x->connection != NULL)
		settle(x, status, type, body);
	x->owned = false;
	list_remove(&x->link);
	forget_body(x);
	maybe_free(x);
}

/* ---- looking at a request ---- */

bool
http_query_next(const struct http_request *r, const char *name, size_t *at, struct str *value_out)
{
	const struct http_exchange *x = exchange_seen(r);

	while (*at < x->n_query) {
		const struct http_pair *p = &x->query[(*at)++];
		if (str_eq(p->name, str_from(name))) {
			*value_out = p->value;
			return true;
		}
	}
	return false;
}

bool
http_query_each(
    const struct http_request *r, size_t *at, struct str *name_out, struct str *value_out)
{
	const struct http_exchange *x = exchange_seen(r);

	if (*at >= x->n_query)
		return false;
	*name_out = x->query[*at].name;
	*value_out = x->query[*at].value;
	(*at)++;
	return true;
}

struct str
http_query(const struct http_request *r, const char *name)
{
	struct str value = { 0 };
	size_t at = 0;

	(void)http_query_next(r, name, &at, &value);
	return value;
}

struct str
http_header(const struct http_request *r, const char *name)
{
	const struct http_exchange *x = exchange_seen(r);

	for (size_t i = 0; i < x->n_headers; i++)
		if (str_eq_nocase(x->headers[i].name, str_from(name)))
			return x->headers[i].value;
	return (struct str){ 0 };
}
