/* The HTTP API: what operators, the command line and programs ask of the service.
 *
 * It sits on the main thread's loop between http/ (requests in) and the parts that own things:
 * reads are done by the pool on readers of the store, changes by the writer in one transaction with
 * their audit entry, looks at what is going on by the dispatcher in between its work. No part is
 * locked for another; a request walks from thread to thread and is answered at the end of its walk.
 *
 * Shapes: JSON, UTF-8. Lists are {"object":"list","has_more":bool,"data":[...]}. Errors are
 * {"statusCode":int,"name":str,"message":str}, sometimes with "hint", a command that would do; the
 * message says what to change. Times are RFC 3339 in UTC. Everything but /healthz wants the admin
 * key, or comes over the control socket, where the file's permissions have said who may. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/str.h"
#include "relay/changeover.h"

struct account_book;
struct api;
struct deliver;
struct http_request;
struct loop;
struct mailbox;
struct pool;
struct relay_book;
struct seal_key;
struct store;
struct submit;

struct api_listener {
	struct str address; /* "127.0.0.1:2525" */
	struct str kind;    /* "smtp", "smtps", "http", "https", "control" */
};

typedef void api_published_fn(void *arg, enum rc rc, const struct fault *f);

struct api_opts {
	struct loop *loop; /* the main thread's */
	struct store *store;
	struct deliver *deliver;
	struct pool *pool;
	struct submit *submit;     /* a door on the main thread's loop */
	struct mailbox *mailboxes; /* of the service that reads mailboxes (mailbox/service.h) */
	struct mailbox *preflight; /* of the preflight service (preflight/service.h) */
	const struct seal_key *seal;
	struct str admin_key;                 /* copied */
	struct str hostname;                  /* copied */
	int64_t started_us;                   /* wall */
	const struct api_listener *listeners; /* copied */
	size_t n_listeners;
	uint64_t max_message_bytes;
	uint32_t max_recipients;
	/* The books in force; borrowed. */
	struct relay_book *(*relays)(void *arg);
	struct account_book *(*accounts)(void *arg);
	/* Reads the settings from the store again and hands them to everybody; `done` runs on the
	 * main loop, later. */
	void (*publish)(void *arg, api_published_fn *done, void *done_arg);
	void *arg;
};

/* The store must have been started. */
struct api *api_new(const struct api_opts *opts);
/* From now on requests are refused with 503; `on_idle` is called once those under way are answered,
 * perhaps at once: what was committed is said to be. */
void api_drain(struct api *a, void (*on_idle)(void *arg), void *arg);
/* Begins the end: timers and readers go, calls under way end without an answer. After the HTTP
 * server and the pool are freed, before store_close. */
void api_stop(struct api *a);
/* After store_close. Takes NULL; nulls the pointer. */
void api_free(struct api **a);

/* For struct http_server_opts, with the api as arg. */
void api_on_head(void *arg, struct http_request *r);
void api_on_request(void *arg, struct http_request *r);

/* A changeover wants something looked at; the answer goes to the dispatcher by itself. Main thread.
 */
void api_changeover_wants(struct api *a, uint64_t id, enum relay_want want, uint64_t since);
/* Something to tell people about a changeover: to the alarms, where it matters. Main thread. */
void api_changeover_news(struct api *a, uint64_t id, const struct relay_changeover_news *news);
