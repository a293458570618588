/* The library, driven by our loop.
 *
 * Each listening socket has a daemon of its own without threads. Its epoll descriptor is watched;
 * when it becomes readable, or a timeout of the library is due, or an answer was given, the library
 * is run once. It keeps edge-triggered readiness in lists of its own, so its timeout (0: "run me
 * again") must be asked for after every run.
 *
 * A request that the owner thinks about is suspended: the library forgets the connection's timeouts
 * and does not even see that the client hung up, which is why each has a deadline here. Stopping a
 * daemon with suspended connections aborts inside the library, so all are answered and resumed
 * first. */
#include "http/server.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/private.h"

#define BODY_MAX        ((size_t)40 << 20)
#define BODIES_MAX      ((size_t)256 << 20)
#define HEAD_MAX        ((size_t)32 << 10)
#define CONNECTIONS_MAX 1000u
#define IDLE_S          60u
#define PATIENCE        SECONDS(30)
/* What a daemon may need to send the last answers before it is stopped. */
#define LAST_RUNS       8

/* ---- requests ---- */

static enum MHD_Result
give_answer(struct http_exchange *x)
{
	struct MHD_Response *response = TAKE(x->response);
	enum MHD_Result ok = MHD_queue_response(x->connection, x->status, response);

	MHD_destroy_response(response);
	return ok;
}

static enum MHD_Result
on_head(struct http_port *p, struct http_exchange *x)
{
	const struct http_server_opts *o = &p->server->opts;

	if (o->on_head != NULL && http_exchange_offer(x, o->on_head))
		return give_answer(x);
	if (o->on_head != NULL)
		http_exchange_take_back(x);
	if (http_exchange_announced(x) > o->body_max) {
		http_exchange_refuse(
		    x, 413, "validation_error", "the request body is too large; send less at once");
		return give_answer(x);
	}
	return MHD_YES;
}

static enum MHD_Result
on_whole(struct http_port *p, struct http_exchange *x)
{
	if (x->state == HTTP_READING && !http_exchange_offer(x, p->server->opts.on_request)) {
		x->suspended = true;
		MHD_suspend_connection(x->connection);
		return MHD_YES;
	}
	/* Asked again though nothing was answered: it happens while a connection is suspended. */
	return x->response != NULL ? give_answer(x) : MHD_YES;
}

static enum MHD_Result /* NOLINTNEXTLINE(readability-function-size): the library's signature */
on_access(void *arg, struct MHD_Connection *c, const char *url, const char *method,
    const char *version, const char *piece, size_t *piece_n, void **request)
{
	struct http_port *p = FROM_ARG(struct http_port, arg, HTTP_PORT_MAGIC);
	struct http_exchange *x = *request;

	(void)version;
	if (x == NULL) {
		x = http_exchange_new(p, c, url, method);
		*request = x;
		return on_head(p, x);
	}
	if (*piece_n != 0) {
		bool keep = http_exchange_add_body(x, str_make(piece, *piece_n));
		*piece_n = 0;
		return keep ? MHD_YES : MHD_NO;
	}
	return on_whole(p, x);
}

static void
on_completed(
    void *arg, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode why)
{
	struct http_exchange *x = *request;

	(void)arg;
	(void)c;
	(void)why;
	*request = NULL;
	if (x != NULL)
		http_exchange_release(x);
}

static void on_complaint(void *arg, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void
on_complaint(void *arg, const char *fmt, va_list ap)
{
	char text[512];

	(void)arg;
	if (!log_is_on(LOG_DEBUG))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	log_event(LOG_DEBUG, NULL, "http.library", "%s", text);
}

/* ---- ports ---- */

static void
port_free(struct http_port **pp)
{
	struct http_port *p = TAKE(*pp);
	struct loop *loop = p->server->opts.loop;

	list_remove(&p->link);
	loop_watch_done(&p->watch);
	loop_timer_cancel(loop, &p->timer);
	loop_task_cancel(&p->turn);
	if (p->daemon != NULL) {
		p->server->running = true;
		MHD_stop_daemon(p->daemon);
		p->server->running = false;
	}
	p->magic = 0;
	free(p);
}

static bool
port_is_empty(const struct http_port *p)
{
	const union MHD_DaemonInfo *info =
	    MHD_get_daemon_info(p->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info != NULL && info->num_connections == 0;
}

static void
port_run(struct http_port *p)
{
	struct loop *loop = p->server->opts.loop;
	MHD_UNSIGNED_LONG_LONG ms;

	p->server->running = true;
	MHD_run(p->daemon);
	p->server->running = false;
	if (p->retiring && port_is_empty(p)) {
		port_free(&p);
		return;
	}
	if (MHD_get_timeout(p->daemon, &ms) == MHD_YES)
		loop_timer_set(
		    loop, &p->timer, loop_now_us(loop) + (int64_t)(ms > 60000 ? 60000 : ms) * 1000);
	else
		loop_timer_cancel(loop, &p->timer);
}

static void
on_ready(void *arg, unsigned what)
{
	(void)what;
	port_run(FROM_ARG(struct http_port, arg, HTTP_PORT_MAGIC));
}

static void
on_turn(void *arg)
{
	port_run(FROM_ARG(struct http_port, arg, HTTP_PORT_MAGIC));
}

void
http_port_wake(struct http_port *p)
{
	loop_defer(p->server->opts.loop, &p->turn);
}

static struct MHD_Daemon *
start_daemon(struct http_port *p, const char *cert, const char *key)
{
	const struct http_server_opts *o = &p->server->opts;
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, NULL },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	union {
		const char *seen;
		void *given;
	} pem[2] = { { .seen = cert }, { .seen = key } };

	if (p->door == HTTP_DOOR_TLS) {
		flags |= MHD_USE_TLS;
		tls[0].ptr_value = pem[0].given;
		tls[1].ptr_value = pem[1].given;
	} else {
		tls[0].option = MHD_OPTION_END;
	}
	return MHD_start_daemon(flags, 0, NULL, NULL, on_access, p, MHD_OPTION_EXTERNAL_LOGGER,
	    on_complaint, NULL, MHD_OPTION_LISTEN_SOCKET, p->fd, MHD_OPTION_NOTIFY_COMPLETED,
	    on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT, o->connections_max,
	    MHD_OPTION_CONNECTION_TIMEOUT, o->idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    o->head_max, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_STRICT_FOR_CLIENT, 1,
	    MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

enum rc
http_server_listen(struct http_server *s, int fd, enum http_door door, const char *cert,
    const char *key, struct fault *f)
{
	struct http_port *p = MEM_NEW(struct http_port);

	*p = (struct http_port){ .magic = HTTP_PORT_MAGIC, .server = s, .door = door, .fd = fd };
	loop_timer_init(&p->timer, on_turn, p);
	loop_task_init(&p->turn, on_turn, p);
	list_push_back(&s->ports, &p->link);
	p->daemon = start_daemon(p, cert, key);
	const union MHD_DaemonInfo *info =
	    p->daemon != NULL ? MHD_get_daemon_info(p->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (info == NULL) {
		if (p->daemon == NULL)
			close(fd);
		port_free(&p);
		return door == HTTP_DOOR_TLS
			   ? fault_set(f, RC_TLS,
				 "HTTPS cannot be served: certificate and key do not serve")
			   : fault_set(f, RC_IO,
				 "HTTP cannot be served: the system gives no more descriptors");
	}
	loop_watch_init(&p->watch, s->opts.loop, info->epoll_fd, on_ready, p);
	loop_watch_set(&p->watch, LOOP_READ);
	http_port_wake(p);
	return RC_OK;
}

static void
port_retire(struct http_port *p)
{
	if (p->fd < 0)
		return;
	int fd = MHD_quiesce_daemon(p->daemon);
	if (fd >= 0)
		close(fd);
	p->fd = -1;
	p->retiring = true;
	http_port_wake(p);
}

/* The new daemon listens on a copy of the socket before the old one lets go, so no connection is
 * refused in between. */
enum rc
http_server_set_tls(struct http_server *s, const char *cert, const char *key, struct fault *f)
{
	struct list old;
	struct http_port *p;
	enum rc rc = RC_OK;

	list_init(&old);
	LIST_FOREACH(p, &s->ports, struct http_port, link) {
		if (p->door == HTTP_DOOR_TLS && !p->retiring) {
			list_remove(&p->link);
			list_push_back(&old, &p->link);
		}
	}
	LIST_FOREACH(p, &old, struct http_port, link) {
		int fd = rc == RC_OK ? fcntl(p->fd, F_DUPFD_CLOEXEC, 0) : -1;
		if (rc == RC_OK && fd < 0)
			rc = fault_sys(f, RC_IO, "the new certificate is not used yet");
		if (rc == RC_OK)
			rc = http_server_listen(s, fd, HTTP_DOOR_TLS, cert, key, f);
		if (rc == RC_OK)
			port_retire(p);
	}
	list_splice_back(&s->ports, &old);
	return rc;
}

/* ---- the server ---- */

struct http_server *
http_server_new(const struct http_server_opts *opts)
{
	struct http_server *s = MEM_NEW(struct http_server);
	struct http_server_opts *o = &s->opts;

	*o = *opts;
	o->body_max = o->body_max != 0 ? o->body_max : BODY_MAX;
	o->bodies_max = o->bodies_max != 0 ? o->bodies_max : BODIES_MAX;
	o->head_max = o->head_max != 0 ? o->head_max : HEAD_MAX;
	o->connections_max = o->connections_max != 0 ? o->connections_max : CONNECTIONS_MAX;
	o->idle_s = o->idle_s != 0 ? o->idle_s : IDLE_S;
	o->patience_us = o->patience_us != 0 ? o->patience_us : PATIENCE;
	list_init(&s->ports);
	list_init(&s->exchanges);
	return s;
}

void
http_server_drain(struct http_server *s)
{
	struct http_port *p;

	LIST_FOREACH(p, &s->ports, struct http_port, link)
		port_retire(p);
}

void
http_server_free(struct http_server **sp)
{
	struct http_server *s = TAKE(*sp);
	struct http_exchange *x;
	struct http_port *p;

	if (s == NULL)
		return;
	ASSERT(!s->running);
	LIST_FOREACH(x, &s->exchanges, struct http_exchange, link)
		http_exchange_refuse(x, 503, "service_unavailable",
		    "the service is stopping; try again when it is back");
	LIST_FOREACH(p, &s->ports, struct http_port, link) {
		for (int i = 0; i < LAST_RUNS; i++)
			MHD_run(p->daemon);
		port_free(&p);
	}
	LIST_FOREACH(x, &s->exchanges, struct http_exchange, link) {
		loop_timer_cancel(s->opts.loop, &x->patience);
		x->server = NULL;
		list_remove(&x->link);
	}
	free(s);
}
