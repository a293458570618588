/* Shared by the files of http/. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/list.h"
#include "http/server.h"
#include "loop/loop.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

#define HTTP_PORT_MAGIC     0x4779f0a7u
#define HTTP_EXCHANGE_MAGIC 0x477ecc4au

/* One listening socket with the library's daemon behind it. */
struct http_port {
	uint32_t magic;
	struct list link; /* of the server */
	struct http_server *server;
	enum http_door door;
	struct MHD_Daemon *daemon;
	int fd; /* the daemon's; -1 once it accepts no more */
	struct loop_watch watch;
	struct loop_timer timer;
	struct loop_task turn;
	bool retiring; /* freed with its last connection */
};

struct http_server {
	struct http_server_opts opts;
	struct list ports;
	struct list exchanges; /* that the owner holds */
	size_t body_bytes;     /* of all exchanges */
	bool running;          /* inside the library */
};

/* READING: the library brings the body. HELD: the owner thinks, the connection is suspended or
 * about to be. ANSWERED: `response` waits to be taken. */
enum http_state { HTTP_READING, HTTP_HELD, HTTP_ANSWERED };

struct http_pair {
	struct str name;
	struct str value;
};

#define HTTP_PAIRS_MAX   200
#define HTTP_HEADERS_OUT 8

/* A request and its answer. Freed when both sides have let go: the library (`connection` is NULL)
 * and the owner (`owned` is false). */
struct http_exchange {
	uint32_t magic;
	struct http_request r; /* what the owner sees */
	enum http_state state;
	struct http_server *server; /* NULL: it is gone */
	struct http_port *port;     /* these two NULL: the library has finished with it */
	struct MHD_Connection *connection;
	bool owned;
	bool suspended;
	struct arena arena;
	struct http_pair *query;
	size_t n_query;
	struct http_pair *headers;
	size_t n_headers;
	struct buf body;
	size_t body_dropped; /* bytes beyond the ceiling */
	struct http_pair out[HTTP_HEADERS_OUT];
	size_t n_out;
	unsigned status;
	struct MHD_Response *response;
	struct loop_timer patience;
	struct list link; /* of the server, while owned */
};

/* exchange.c */
struct http_exchange *http_exchange_new(
    struct http_port *port, struct MHD_Connection *c, const char *url, const char *method);
/* The library is done with it. */
void http_exchange_release(struct http_exchange *x);
/* Hands it to `fn` of the owner; true when it was answered before that returned. */
bool http_exchange_offer(struct http_exchange *x, http_request_fn *fn);
/* It was offered, not answered, and is to be read on. */
void http_exchange_take_back(struct http_exchange *x);
/* Answers in the server's own name, unless somebody has. */
void http_exchange_refuse(
    struct http_exchange *x, unsigned status, const char *name, const char *message);
/* Takes in a piece of the body; false when the connection is not worth keeping. */
bool http_exchange_add_body(struct http_exchange *x, struct str piece);
/* How long the body says it is; SIZE_MAX for a number that is none. */
size_t http_exchange_announced(const struct http_exchange *x);

/* server.c */
/* Lets the library look at the port's connections at the end of this turn. */
void http_port_wake(struct http_port *p);
