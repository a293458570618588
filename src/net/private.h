/* Shared inside net/ only: socket calls in terms of struct net_addr, TLS over one socket, the
 * insides of a connection, and the reader of DNS answers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/list.h"
#include "base/map.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/conn.h"
#include "net/resolver.h"
#include "net/tls.h"

/* ---- addr.c: the only place that casts to sockaddr ---- */

struct sockaddr;

/* From what the system or c-ares gave; false for families we do not know. ::ffff:a.b.c.d becomes
 * IPv4. */
bool net_addr_from_sockaddr(const struct sockaddr *sa, size_t n, struct net_addr *out);
/* A non-blocking, close-on-exec stream socket of a's family; -1 and errno. */
int net_addr_socket(const struct net_addr *a);
/* bind(2), connect(2), accept4(2) (non-blocking, close-on-exec): -1 and errno. */
int net_addr_bind(int fd, const struct net_addr *a);
int net_addr_connect(int fd, const struct net_addr *a);
int net_addr_accept(int fd, struct net_addr *peer_out);
/* RC_CLOSED for the errors that say that the peer hung up, else RC_IO. */
enum rc net_addr_errno_rc(int sys_errno);
/* getsockname(2) and getpeername(2). */
bool net_addr_of_socket(int fd, struct net_addr *out);
bool net_addr_of_peer(int fd, struct net_addr *out);

/* ---- tls.c, tls_cache.c, tls_stream.c ---- */

struct ssl_ctx_st;
struct ssl_session_st;

struct tls_ctx {
	_Atomic int32_t refs;
	bool is_server;
	uint64_t id; /* unique in the process, never reused: sessions are filed under it */
	struct ssl_ctx_st *ssl;
};

/* What OpenSSL last complained about on this thread, in words; empties its queue. */
#define TLS_ERROR_SIZE 160
void tls_error_text(char out[static TLS_ERROR_SIZE]);

/* Files `session` (one reference moves in) under context, name and key. */
void tls_cache_put(struct tls_cache *cache, uint64_t ctx_id, struct str name, struct str key,
    struct ssl_session_st *session);
/* A session to resume, with a reference for the caller, or NULL. TLS 1.3 tickets are given once. */
struct ssl_session_st *tls_cache_take(
    struct tls_cache *cache, uint64_t ctx_id, struct str name, struct str key);

enum tls_io {
	TLS_IO_OK,
	TLS_IO_WANT_READ,  /* again when the socket is readable */
	TLS_IO_WANT_WRITE, /* again when it is writable */
	TLS_IO_END,        /* the peer ended the stream */
	TLS_IO_FAILED,     /* fault filled; nothing but free and facts may follow */
};

struct tls_stream;

/* Verification and sessions of a client's context. */
void tls_stream_prepare_client(struct tls_ctx *ctx);
/* TLS on `fd`, which stays the caller's. */
enum rc tls_stream_new(struct tls_ctx *ctx, int fd, const struct tls_peer *peer,
    struct tls_stream **out, struct fault *f);
void tls_stream_free(struct tls_stream **s);
enum tls_io tls_stream_handshake(struct tls_stream *s, struct fault *f);
/* At most one record. */
enum tls_io tls_stream_read(
    struct tls_stream *s, char *p, size_t n, size_t *got_out, struct fault *f);
/* At most one record; after WANT_* the next call must begin with the same bytes. */
enum tls_io tls_stream_write(
    struct tls_stream *s, struct str bytes, size_t *put_out, struct fault *f);
/* Sends close_notify if that is possible at once. */
void tls_stream_say_goodbye(struct tls_stream *s);
void tls_stream_facts(const struct tls_stream *s, struct tls_facts *out);

/* ---- fetch.c ---- */

struct curl_slist;
struct net_fetch_request;

/* One request in libcurl's hands; stays where it is until it is done. */
struct fetch_transfer {
	void *curl;
	struct curl_slist *headers;
	struct buf *answer;
	size_t left; /* bytes the answer may still grow */
	int64_t timeout_us;
	bool public_only;
	bool was_refused; /* an address was not public */
	char why[256];    /* CURL_ERROR_SIZE */
};

/* `r`, what it points at, and `answer` outlive the transfer. */
void fetch_transfer_init(
    struct fetch_transfer *t, const struct net_fetch_request *r, struct buf *answer);
/* `code` of libcurl, as an rc. */
enum rc fetch_transfer_end(
    const struct fetch_transfer *t, int code, unsigned *status_out, struct fault *f);
void fetch_transfer_done(struct fetch_transfer *t);

/* ---- dns_message.c ---- */

/* Reads the reply `msg` to a question for `type` (any but A and AAAA): fills rc, name_exists,
 * is_secure (as the message says), records (in `a`), count and ttl_us; a bad message is RC_DNS.
 * Pure; the bytes may be anything. */
void dns_message_parse(struct str msg, enum dns_type type, struct arena *a, struct dns_answer *out);

/* ---- resolver_cache.c ---- */

/* An answer with everything it points at. */
struct resolver_kept {
	unsigned refs;
	struct arena mem;
	struct dns_answer answer;
	int64_t until_us; /* monotonic */
	uint64_t hash;    /* of name and type */
	enum dns_type type;
	char *name;
	struct list recent; /* in the cache: its place in `recent` */
};

struct resolver_cache {
	struct map by_hash; /* -> struct resolver_kept */
	struct list recent; /* most recently used first */
	size_t max;
};

/* One reference; the answer is empty. */
struct resolver_kept *resolver_kept_new(enum dns_type type, const char *name, uint64_t hash);
void resolver_kept_unref(struct resolver_kept **k);

void resolver_cache_init(struct resolver_cache *c, size_t max);
void resolver_cache_done(struct resolver_cache *c);
void resolver_cache_clear(struct resolver_cache *c);
/* Takes a reference of its own. */
void resolver_cache_put(struct resolver_cache *c, struct resolver_kept *k);
/* Borrowed, or NULL when there is none that still lives. */
struct resolver_kept *resolver_cache_get(
    struct resolver_cache *c, uint64_t hash, enum dns_type type, struct str name, int64_t now_us);

/* ---- conn.c, conn_io.c ---- */

#define CONN_IN(name) (1u << CONN_##name)
enum conn_state {
#define X(name, longest_us, next) CONN_##name,
#include "net/conn_states.def"
#undef X
	CONN_STATE_COUNT
};

/* What the tail of the turn has to do beside flushing. */
#define CONN_OWES_READY   1u
#define CONN_OWES_DATA    2u /* on_data: reading was resumed with bytes in the input */
#define CONN_OWES_READ    4u /* TLS may hold bytes that the socket will not announce */
#define CONN_OWES_DRAINED 8u
#define CONN_OWES_FAILURE 16u /* writing failed with `why`; what arrived before is read first */
#define CONN_OWES_CLOSED  32u

struct conn {
	uint32_t magic;
	enum conn_state state;
	struct loop *loop;
	const struct conn_ops *ops; /* NULL: freed by its owner, memory goes at the tail */
	void *arg;
	int fd;          /* -1 exactly in CLOSED */
	unsigned owed;   /* CONN_OWES_*; not empty: tail is queued */
	unsigned paused; /* the owner's reasons */
	bool is_clogged;
	bool is_blocked; /* the kernel took no more output: wait for LOOP_WRITE */
	struct loop_watch watch;
	struct loop_timer timer; /* the earlier of the next two */
	int64_t deadline_us;     /* the owner's */
	int64_t state_until_us;
	struct loop_task tail;
	struct buf in;
	struct buf out; /* kept in CLOSED, for conn_unsent_bytes */
	size_t high_water_bytes;
	size_t low_water_bytes;
	struct tls_stream *tls; /* not NULL: in HANDSHAKE and ever after */
	unsigned tls_wants;     /* LOOP_WRITE: reading waits for it; LOOP_READ: writing does */
	struct fault why;       /* of the end, once known */
};

/* conn.c */
void conn_set_state(struct conn *c, enum conn_state to);
void conn_owe(struct conn *c, unsigned what);
/* Watches for what the state, the buffers and the owner want now. */
void conn_update_watch(struct conn *c);
/* The end for reason `why`: closes, and on_closed follows at the tail. Unsent bytes make it a
 * reset. */
void conn_fail(struct conn *c, const struct fault *why);

/* conn_io.c */
void conn_step_handshake(struct conn *c);
/* Reads once and brings on_data; notices the peer's end. */
void conn_read_input(struct conn *c);
/* on_data, unless paused; false when the connection is not open any more afterwards. */
bool conn_deliver(struct conn *c);
/* Writes until everything is out or the kernel takes no more. Calls nobody. */
void conn_flush_output(struct conn *c);
/* Reads and drops; RC_AGAIN: more may come, RC_DONE: the peer ended it. */
enum rc conn_discard_input(struct conn *c);
/* The peer ended its side. */
void conn_end_by_peer(struct conn *c);
