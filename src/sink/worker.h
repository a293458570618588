/* One loop of the sink: its sockets, its connections, and what it does to them. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "crypto/password.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "sink/options.h"
#include "sink/store.h"
#include "smtp/server.h"

/* What all workers see. Made before they start; only the atomics change. */
struct sink_world {
	struct sink_options opts;
	struct smtp_server_opts server_opts;
	struct password_verifier verifiers[SINK_USERS_MAX]; /* of opts.users */
	int count_fd;
	int keep_fd;
	_Atomic uint64_t numbered;    /* connections so far: the last number given */
	_Atomic uint64_t connections; /* open now */
};

struct sink_totals {
	uint64_t connections;
	uint64_t messages;
	uint64_t recipients;
	uint64_t bytes;
	/* replies of 4xx and 5xx that were asked for by options, and wrong logins */
	uint64_t refused;
	uint64_t dropped; /* connections closed where a reply was due */
};

struct sink_worker;

/* `fds`, one for each address of the options, become the worker's. `loop` is borrowed; all calls
 * below are on its thread, except sink_worker_stop. */
struct sink_worker *sink_worker_new(
    struct loop *loop, struct sink_world *world, unsigned number, const int *fds);
void sink_worker_free(struct sink_worker **w);
/* Stops accepting, ends the connections in an orderly way, within five seconds, and then the loop.
 * Any thread, once. */
void sink_worker_stop(struct sink_worker *w);
const struct sink_totals *sink_worker_totals(const struct sink_worker *w);
