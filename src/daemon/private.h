/* Shared by the files of daemon/. */
#pragma once

#include "crypto/token.h"
#include "daemon/config.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "loop/thread.h"
#include "net/listener.h"
#include "relay/changeover.h"
#include "smtp/server.h"
#include "submit/submit.h"

struct account_book;
struct api;
struct background;
struct http_server;
struct carrier;
struct preflight_service;
struct daemon;
struct deliver;
struct dialer;
struct loop_signal;
struct mailbox_service;
struct relay_book;
struct resolver;
struct seal_key;
struct store;
struct tls_ctx;

/* A closure on its way to a worker's loop, or back to the main loop. Freed by whoever runs it. */
struct daemon_note {
	struct mailbox_item item;
	void (*run)(struct daemon_note *n);
};

#define WORKER_MAGIC 0x3017ce12u

/* One loop thread with everything that lives on it. Built by the main thread before the thread
 * starts. */
struct worker {
	uint32_t magic;
	struct daemon *daemon;
	struct loop *loop;
	struct loop_thread *thread;
	struct mailbox *notes;
	struct resolver *resolver;
	struct dialer *dialer;
	struct carrier *carrier;
	struct submit *submit;
	struct smtp_server *server;
	struct listener **listeners;
	size_t n_listeners;
};

/* What a listener belongs to. */
struct door_port {
	struct worker *worker;
	bool implicit_tls;
};

struct daemon {
	struct daemon_config config;
	int argc; /* the words behind "serve" */
	char **argv;
	struct seal_key *seal;
	struct token_key scram_fake_key; /* makes up salts of users that do not exist */
	struct store *store;
	struct tls_ctx *tls; /* of the servers; replaced on reload */
	int64_t tls_stamp;   /* newest mtime of the files it was made from */
	struct relay_book *relays;
	struct account_book *accounts;
	struct pool *pool;
	struct pool *books_pool; /* one thread: publications keep their order */
	struct submit *door;     /* of the main loop, for the API; may be NULL */
	struct loop *loop;       /* the main thread's */
	struct mailbox *notes;   /* to the main thread */
	struct loop_signal *signals;
	struct loop_timer watch; /* certificate files; the end of patience at shutdown */
	struct loop *deliver_loop;
	struct loop_thread *deliver_thread;
	struct mailbox *deliver_notes;
	struct deliver *deliver;
	struct background *background;
	struct preflight_service *preflight; /* hosted there */
	struct mailbox_service *mailboxes;   /* likewise */
	struct worker *workers;
	size_t n_workers;
	struct api *api;
	struct http_server *http;
	bool is_first_start;
	/* shutdown */
	bool stopping;
	size_t drained;
	bool delivered;
	bool answered; /* every API call */
	int exit_status;
};

/* worker.c */
enum rc worker_init(struct worker *w, struct daemon *d, struct fault *f);
void worker_done(struct worker *w);
/* Opens the listening sockets of every worker, one each for every address. */
enum rc worker_listen_all(struct daemon *d, struct fault *f);
struct smtp_server_opts worker_server_opts(const struct daemon *d);
/* Sends the present server settings to every loop; sessions that begin from then on have them. */
void worker_publish_all(struct daemon *d);

/* services.c */
/* Makes the background thread, not yet started, and the services on it; after the dispatcher. */
enum rc services_make(struct daemon *d, struct fault *f);

/* serve.c */
/* submit_opts.on_drained of a worker. */
void daemon_worker_drained(void *arg);

/* books.c */
/* Reads the settings from the store into d->relays and d->accounts. Main thread, before the threads
 * run. */
enum rc books_load(struct daemon *d, struct fault *f);
/* Reads them again and hands them to everybody; `done` runs on the main loop. */
void books_publish(
    struct daemon *d, void (*done)(void *arg, enum rc rc, const struct fault *f), void *arg);

/* changeovers.c: for struct deliver_opts, with the daemon as arg. Dispatcher's thread. */
void changeovers_on_want(void *arg, uint64_t changeover, enum relay_want want, uint64_t since);
void changeovers_on_news(void *arg, uint64_t changeover, const struct relay_changeover_news *news);

/* web.c */
/* Makes the API and opens its doors; after store_start. */
enum rc web_start(struct daemon *d, struct fault *f);
/* The certificate files have changed. */
void web_refresh_tls(struct daemon *d);

/* reload.c */
/* Reads the configuration again and lets take effect what can without a restart. */
void reload_config(struct daemon *d);

/* tls_files.c */
enum rc tls_files_load(struct daemon *d, struct fault *f);
/* Loads them again when they changed on disk, and publishes. A file that cannot be used is logged;
 * the old certificate stays. */
void tls_files_refresh(struct daemon *d);

/* Posts `run` to a loop. */
void daemon_tell(struct mailbox *to, struct daemon_note *n);
