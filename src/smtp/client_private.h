/* Shared by the files of the SMTP client; nobody else includes it. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "codec/smtp_data.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "smtp/client.h"
#include "smtp/sasl_client.h"

enum client_state {
#define X(name, limit_s, next) CLIENT_##name,
#include "smtp/client_states.def"
#undef X
	CLIENT_STATE_COUNT
};

/* What the owner said to on_about_to_finish. */
enum client_grant { GRANT_NONE, GRANT_ASKED, GRANT_YES };

#define CLIENT_MAGIC 0x53c11e47u

struct smtp_client {
	uint32_t magic;
	enum client_state state; /* client_set_state alone writes it */
	struct loop *loop;
	struct conn *conn; /* NULL only while being freed */
	const struct smtp_client_ops *ops;
	void *arg;
	struct smtp_client_opts opts; /* its texts live in `life`, but for the secret */
	struct smtp_client_facts facts;
	struct arena life;
	struct arena scratch;     /* one reply */
	struct buf out;           /* commands being composed; empty between calls */
	struct sasl_client *sasl; /* AUTH only */
	struct smtp_verdict end;  /* why the connection ends; set once */
	bool end_set;
	bool quit_wanted;
	bool closed_by_peer; /* known when the connection has ended */
	int64_t since_us;    /* when what is being measured began */

	/* The transaction; valid while job != NULL. Commands are numbered: 0 MAIL, 1..n RCPT, n + 1
	 * DATA, where n is n_going. replied <= sent <= n + 2; without PIPELINING sent <= replied +
	 * 1. */
	struct smtp_job *job;
	size_t *going; /* indices of the recipients that the peer can take; in the job's arena */
	size_t n_going;
	struct blob *content; /* the job's, or its 7-bit form; one reference */
	size_t sent;
	size_t replied;
	size_t n_ok;     /* recipients the peer took */
	struct str rest; /* content not yet written to the connection */
	struct smtp_data_writer framing;
	enum client_grant grant;
	struct loop_timer cut;   /* the job's cut_after_us */
	struct loop_task settle; /* a job that ended inside smtp_client_send */
};

struct smtp_client *client_from_arg(void *arg);

/* The one writer of `state`: checks that the step is legal, traces it and arms the time limit. */
void client_set_state(struct smtp_client *c, enum client_state to);
/* Starts the time limit of the present state anew: the peer has shown that it is there. */
void client_touch(struct smtp_client *c);
/* How long since the last time it was asked, at least 1 us. */
int64_t client_lap(struct smtp_client *c);
/* Sends `out` and empties it. */
void client_flush(struct smtp_client *c);
/* Notes that the connection ends because of the peer's reply, at the present stage; the first note
 * stays. */
void client_note_reply(
    struct smtp_client *c, enum smtp_outcome outcome, const struct smtp_reply *r);
/* The same for an end without a reply. `text` is copied. */
void client_note_trouble(struct smtp_client *c, enum smtp_trouble trouble, struct str text);
/* Notes it and breaks off. */
void client_fail(struct smtp_client *c, enum smtp_trouble trouble, struct str text);
/* The stage that the present state belongs to. */
enum smtp_stage client_stage(const struct smtp_client *c);
/* Says QUIT, or just closes where that would be out of order. */
void client_leave(struct smtp_client *c);
/* Logged in: tell the owner. */
void client_ready(struct smtp_client *c);

/* client_hello.c: one reply in GREETING, EHLO, HELO, STARTTLS or AUTH; the handshake is done. */
void client_hello_begin(struct smtp_client *c);
void client_hello_reply(struct smtp_client *c, const struct smtp_reply *r);
void client_hello_tls_ready(struct smtp_client *c);

/* client_transaction.c: one reply in ENVELOPE, EMPTY, DOT or RSET; room in the output while in
 * CONTENT. */
void client_transaction_reply(struct smtp_client *c, const struct smtp_reply *r);
void client_transaction_pump(struct smtp_client *c);
/* Ends the job when the connection is gone: in doubt or broken, never lost. */
void client_transaction_cut_off(struct smtp_client *c);
/* A kept connection that the peer closed before it answered the next MAIL: it had left already and
 * never heard of the message. */
bool client_transaction_is_stale(const struct smtp_client *c);
/* The peer has had all it gets before the record is made, so what takes long is the record. */
bool client_transaction_waits_for_owner(const struct smtp_client *c);
void client_transaction_settle(void *arg);
void client_transaction_too_slow(void *arg);
