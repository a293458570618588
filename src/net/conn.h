/* clang-format off */
/* One connection: a TCP or Unix stream socket, in plain text or TLS, on one loop.
 *
 * The owner gives callbacks, writes with conn_write and takes bytes from conn_input. Everything
 * written in a turn of the loop leaves in one go at its end. Nothing is called from inside the
 * owner's own calls; callbacks come from the loop.
 *
 *   conn_new ──▶ OPENING ──on_ready──▶ OPEN ──conn_close──▶ FLUSHING ──▶ LINGERING ──▶ CLOSED
 *                   │                 ▲    │  peer's end                                ▲
 *                   │        on_ready │    │ conn_start_tls                             │
 *                   └──────▶ HANDSHAKE ◀───┘                              any failure ──┘
 *
 * on_closed comes exactly once, as the last callback, unless conn_free came first; the owner then
 * (or at any time, also from inside a callback) calls conn_free, after which nothing is called any
 * more. Loop thread only. The process ignores SIGPIPE (loop_signal_block), since OpenSSL writes
 * without MSG_NOSIGNAL. */
/* clang-format on */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/fault.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/tls.h"

struct conn;

struct conn_ops {
	/* It can be talked on: once after conn_new (after the handshake, where TLS was started),
	 * and once more after each conn_start_tls. May be NULL. */
	void (*on_ready)(void *arg);
	/* There are new bytes in conn_input, or reading was resumed with bytes in it. Bytes left
	 * inside stay for the next call. */
	void (*on_data)(void *arg);
	/* Output fell below the low-water mark after conn_is_clogged had been true. May be NULL. */
	void (*on_drained)(void *arg);
	/* The end. RC_DONE after conn_close (everything written was handed over); RC_CLOSED when
	 * the peer ended it; RC_TIMEOUT at a deadline; RC_CANCELLED after conn_abort; RC_LIMIT when
	 * more was written than the output may hold; RC_IO, RC_TLS. `why` is valid during the call.
	 */
	void (*on_closed)(void *arg, const struct fault *why);
};

/* Zero stands for the default. */
struct conn_opts {
	size_t input_limit_bytes;  /* reading stops when conn_input holds so much; 65536 */
	size_t output_limit_bytes; /* the connection dies when more is written; 4 MB */
	size_t high_water_bytes;   /* output above it is clogged; 262144 */
	size_t low_water_bytes;    /* ... until it falls below this; 65536 */
};

/* Takes over `fd`, a connected stream socket. `opts` may be NULL; `ops` and `arg` outlive the
 * connection. */
struct conn *conn_new(
    struct loop *loop, int fd, const struct conn_ops *ops, void *arg, const struct conn_opts *opts);
/* An open connection is reset. No callback from now on. Takes NULL, nulls the pointer. */
void conn_free(struct conn **c);

/* ---- output ---- */

/* Copies `s` behind what is waiting; sent at the end of the turn. Dropped once the connection is
 * closing. */
void conn_write(struct conn *c, struct str s);
/* Hands what the kernel takes to it now. For measuring with conn_unsent_bytes, or to overlap waits.
 */
void conn_flush(struct conn *c);
/* More than the high-water mark is waiting: write no more before on_drained. */
bool conn_is_clogged(const struct conn *c);
/* How many of the bytes written have not been handed to the kernel. The peer cannot have those:
 * when the connection is aborted they never leave. In TLS a record counts as unsent until its last
 * byte is handed over, since part of one cannot be read. Stays answerable after on_closed. */
size_t conn_unsent_bytes(const struct conn *c);

/* ---- input ---- */

/* What has arrived and was not yet dropped (buf_drop). When it is full (conn_input_is_full) and
 * on_data cannot use any of it, nothing more will come: that is the owner's to notice. An owner
 * that wants to take bytes later, outside on_data, pauses and resumes. */
struct buf *conn_input(struct conn *c);
bool conn_input_is_full(const struct conn *c);
/* Reasons not to read are a set of bits of the owner's choosing; reading goes on when none is left.
 * While one is set on_data is not called and the peer's end is not noticed. Resuming with bytes in
 * the input brings on_data. */
void conn_pause(struct conn *c, unsigned reasons);
void conn_resume(struct conn *c, unsigned reasons);
unsigned conn_paused(const struct conn *c);

/* ---- TLS ---- */

/* Starts a handshake as the context's side; on_ready follows, or on_closed with RC_TLS. `peer`
 * tells a client whom to verify and is NULL for a server. Output is flushed first. RC_INVALID, and
 * the connection must be closed, when bytes from before TLS are still in the input (RFC 3207 §4.2:
 * they could be an attacker's commands) or output could not be flushed; also when TLS is already
 * on. A client that names no peer is refused likewise. */
enum rc conn_start_tls(
    struct conn *c, struct tls_ctx *ctx, const struct tls_peer *peer, struct fault *f);
bool conn_has_tls(const struct conn *c);
/* False while there is no TLS. After a failed handshake it tells what was refused. */
bool conn_tls_facts(const struct conn *c, struct tls_facts *out);

/* ---- time and end ---- */

/* At `at_us` (monotonic) the connection fails with RC_TIMEOUT, unless the deadline was moved
 * before; TIME_NEVER clears it. Stops counting with conn_close. */
void conn_set_deadline(struct conn *c, int64_t at_us);
/* Sends what is written, says goodbye (close_notify, FIN), reads and drops what still comes so that
 * the peer gets the last bytes, then on_closed. Takes at most 10 s. */
void conn_close(struct conn *c);
/* Resets the connection: unsent bytes never leave, what the kernel holds is discarded. on_closed
 * follows with RC_CANCELLED. */
void conn_abort(struct conn *c);
bool conn_is_closed(const struct conn *c);

/* The two ends of the socket; false once it is closed. */
bool conn_local_addr(const struct conn *c, struct net_addr *out);
bool conn_peer_addr(const struct conn *c, struct net_addr *out);
