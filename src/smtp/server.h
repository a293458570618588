/* Incoming SMTP connections: what a client says to us, from the greeting to QUIT (RFC 5321, 6409;
 * extensions 1870, 2034, 2920, 3030, 3207, 3461, 4865, 4954, 6152, 6531).
 *
 * Nouns. A *server* holds the incoming connections of one loop. A *session* is one of them; it
 * lives from smtp_server_accept to on_closed. A *message* is one transaction: envelope, parameters,
 * content. The *owner* decides everything that is policy, through `struct smtp_server_ops`; the
 * server decides everything that is protocol: grammar, order, limits, framing, login.
 *
 * Questions and answers. Most ops ask something and hand over a *ticket*. The owner answers each
 * ticket once, from inside the op or later, with one of the smtp_server_answer_* functions. Until
 * then the session is parked: it reads nothing more and answers nothing, so replies keep their
 * order. A ticket is a value and may travel between threads, but it is answered on the loop of its
 * server. When the session dies or the answer's deadline passes, the ticket is stale and answering
 * it does nothing. An op that is NULL answers yes.
 *
 * Ownership. Views and pointers given to an op live until it returns, except `struct
 * smtp_server_message` in on_message, which is handed over. Sessions are the server's; the owner
 * may hang one pointer on each (smtp_server_session_set_data) and lets go of it in on_closed.
 *
 * Threading: everything on the server's loop. Calling any function of this header from inside an op
 * is fine; no op but on_login is called from inside a call of the owner's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "codec/ip.h"
#include "codec/smtp_command.h"
#include "codec/smtp_reply.h"
#include "crypto/scram.h"
#include "mail/address.h"
#include "mail/ids.h"
#include "net/addr.h"

struct blob;
struct log_ctx;
struct loop;
struct password_verifier;
struct smtp_server;
struct smtp_server_session;
struct tls_ctx;

/* ---- Settings ---- */

/* What EHLO may announce; each can be left out. STARTTLS is announced only with a `tls` context and
 * outside TLS, AUTH only where a login is possible now. */
enum smtp_server_extension {
	SMTP_SERVER_SIZE = 1 << 0,
	SMTP_SERVER_PIPELINING = 1 << 1,
	SMTP_SERVER_8BITMIME = 1 << 2,
	SMTP_SERVER_SMTPUTF8 = 1 << 3,
	SMTP_SERVER_CHUNKING = 1 << 4,
	SMTP_SERVER_ENHANCEDSTATUSCODES = 1 << 5,
	SMTP_SERVER_DSN = 1 << 6,
	SMTP_SERVER_STARTTLS = 1 << 7,
	SMTP_SERVER_AUTH = 1 << 8,
	SMTP_SERVER_FUTURERELEASE = 1 << 9,
	SMTP_SERVER_EVERYTHING = (1 << 10) - 1,
};

/* Settings of a server. A plain value; smtp_server_new and smtp_server_publish copy it, and each
 * session keeps the copy it began with. A limit of 0 means none, unless it says otherwise. */
struct smtp_server_opts {
	struct str hostname; /* in the greeting and in EHLO */
	unsigned extensions; /* SMTP_SERVER_* bits */

	size_t max_line;       /* octets of a command line with its CRLF; not 0 */
	size_t max_auth_line;  /* octets of a line inside AUTH (RFC 4954 §4: 12288); not 0 */
	uint64_t max_size;     /* octets of content; announced as SIZE; not 0 */
	size_t max_header;     /* octets of content before its first empty line */
	size_t max_rcpts;      /* recipients a transaction; RFC 5321 §4.5.3.1.8 asks for 100 */
	unsigned max_errors;   /* protocol errors since the last accepted message */
	unsigned max_failures; /* failed logins */
	unsigned max_messages; /* accepted messages a connection */
	unsigned max_commands; /* commands a connection */
	uint64_t min_rate;   /* octets a second while content comes, judged once every `idle_us` */
	int64_t idle_us;     /* longest wait for a command, or for any byte of content; not 0 */
	int64_t session_us;  /* longest life of a session */
	int64_t answer_us;   /* longest wait for the owner; not 0 */
	int64_t failure_us;  /* the wait before a failed login is answered, doubled each time */
	int64_t max_hold_us; /* how far ahead FUTURERELEASE may put a message; not 0 with it */

	bool auth_required;     /* MAIL only after a login, outside `trusted` */
	bool auth_requires_tls; /* AUTH, and so MAIL where a login is required, only in TLS, outside
				   `trusted` */
	bool normalize; /* in `trusted`: a bare CR or LF becomes CRLF; elsewhere it refuses the
			   message */
	const struct cidr *trusted;
	size_t n_trusted;

	struct tls_ctx *tls; /* NULL: no TLS. The server keeps a reference of its own */

	/* Secret, and the same for the life of an installation; see smtp/sasl_server.h. */
	uint8_t scram_fake_key[SCRAM_KEY_SIZE];
};

/* Sound settings: every extension, the limits of a careful submission server, no trusted network,
 * no TLS. */
struct smtp_server_opts smtp_server_opts_default(struct str hostname);

/* ---- Questions ---- */

/* Identifies one question to the owner. */
struct smtp_server_ticket {
	struct conn_id conn;
	uint64_t serial;
};

/* A reply in the owner's words. `text` may have several lines; it can inject nothing. The enhanced
 * code's class must be that of `code`. */
struct smtp_server_reply {
	uint16_t code; /* 200..599; 421 also closes the connection */
	struct smtp_enhanced enhanced;
	struct str text;
};

/* Commands that ask nothing specific but may still be refused. */
enum smtp_server_stage { SMTP_SERVER_AT_EHLO, SMTP_SERVER_AT_STARTTLS, SMTP_SERVER_AT_AUTH };

struct smtp_server_rcpt {
	struct mail_addr addr;
	struct smtp_rcpt_params params;
};

/* One transaction. Given to ops as it grows; on_message gets all of it, for good. Strings live in
 * `arena`. */
struct smtp_server_message {
	struct mail_addr sender;
	struct smtp_mail_params params;
	int64_t release_us; /* wall clock: not to be sent before (RFC 4865); 0: at once */
	struct smtp_server_rcpt *rcpts;
	size_t n_rcpts;

	/* Content; complete in on_message only. */
	struct blob *content;  /* `prefix_bytes` the owner put in front, then what the client sent;
				  one reference */
	size_t prefix_bytes;   /* see smtp_server_prefix */
	size_t header_bytes;   /* what the client sent up to and with its first empty line; all, if
				  there is none */
	uint64_t longest_line; /* octets without CRLF */
	bool eight_bit;        /* a byte above 127 */
	bool normalized;       /* a bare CR or LF was made CRLF */

	struct arena arena;
	size_t cap_rcpts; /* room in `rcpts` */
};
/* Frees the message and drops its content. Takes NULL; nulls the pointer. Serves with AUTO. May be
 * called on any thread. */
void smtp_server_message_free(struct smtp_server_message **m);

struct smtp_server_ops {
	/* A connection is there (TLS done, on implicit TLS ports). Refusing closes it: 554 or 421.
	 */
	void (*on_connect)(struct smtp_server_session *s, struct smtp_server_ticket t, void *arg);
	/* Just before EHLO or HELO, STARTTLS or AUTH, grammatically right and allowed now, is
	 * obeyed. */
	void (*on_stage)(struct smtp_server_session *s, struct smtp_server_ticket t,
	    enum smtp_server_stage stage, void *arg);
	/* SCRAM: who is `user`? Answer with smtp_server_answer_credential, or refuse (blocked, out
	 * of order: 454 4.7.0) with smtp_server_answer. NULL: SCRAM is not offered. */
	void (*lookup_credential)(
	    struct smtp_server_session *s, struct smtp_server_ticket t, struct str user, void *arg);
	/* PLAIN, LOGIN: is `secret` the secret of `user`? Answer with smtp_server_answer_secret, or
	 * refuse likewise. Who needs the secret after the op has returned takes a copy, and wipes
	 * it. NULL: neither is offered. */
	void (*verify_password)(struct smtp_server_session *s, struct smtp_server_ticket t,
	    struct str user, struct str secret, void *arg);
	/* A login is over; for counting and blocking. No question. */
	void (*on_login)(struct smtp_server_session *s, struct str user, bool right, void *arg);
	/* MAIL: may this sender, with these parameters, begin? `m` has no recipients yet. */
	void (*on_mail)(struct smtp_server_session *s, struct smtp_server_ticket t,
	    const struct smtp_server_message *m, void *arg);
	/* RCPT: one more recipient for `m`. When refused, the others stay. */
	void (*on_rcpt)(struct smtp_server_session *s, struct smtp_server_ticket t,
	    const struct smtp_server_message *m, const struct smtp_server_rcpt *rcpt, void *arg);
	/* DATA or the first BDAT. `size_hint` is what the client declared, 0 if nothing. The place
	 * for smtp_server_prefix. */
	void (*on_content_begin)(struct smtp_server_session *s, struct smtp_server_ticket t,
	    const struct smtp_server_message *m, uint64_t size_hint, void *arg);
	/* The message is complete and belongs to the owner now. Answer yes only when it is kept: a
	 * reply of 250 with an id, or NULL for a plain one; otherwise the refusal. NULL op:
	 * everything is thrown away. */
	void (*on_message)(struct smtp_server_session *s, struct smtp_server_ticket t,
	    struct smtp_server_message *m, void *arg);
	/* The client went on after the reply to a message (next command, QUIT included): it has
	 * seen it. */
	void (*on_progress)(struct smtp_server_session *s, void *arg);
	/* The session is gone, and with it its tickets. Once for each session, last. */
	void (*on_closed)(struct smtp_server_session *s, void *arg);
	/* While draining: the last session is gone. */
	void (*on_drained)(struct smtp_server *server, void *arg);
};

/* Yes (`reply` NULL: the server's own words) or the owner's reply. A 2xx reply means yes in other
 * words, a 4xx or 5xx refuses. */
void smtp_server_answer(
    struct smtp_server *server, struct smtp_server_ticket t, const struct smtp_server_reply *reply);
/* To lookup_credential: the verifier (copied as needed before this returns), or NULL for an unknown
 * user. */
void smtp_server_answer_credential(struct smtp_server *server, struct smtp_server_ticket t,
    const struct password_verifier *verifier);
/* To verify_password. */
void smtp_server_answer_secret(struct smtp_server *server, struct smtp_server_ticket t, bool right);

/* ---- Servers and sessions ---- */

/* A server without sessions on `loop`. `ops` and `arg` are borrowed for its life. */
struct smtp_server *smtp_server_new(struct loop *loop, const struct smtp_server_opts *opts,
    const struct smtp_server_ops *ops, void *arg);
/* Resets every session (each gets on_closed) and frees the server. Takes NULL; nulls the pointer.
 * Not from an op. */
void smtp_server_free(struct smtp_server **server);

/* How a connection came in. */
struct smtp_server_peer {
	struct net_addr addr;
	bool implicit_tls; /* TLS before the greeting */
	bool trusted;      /* counts as in a trusted network, whatever its address */
};
/* Takes over the connected socket `fd`. */
void smtp_server_accept(struct smtp_server *server, int fd, const struct smtp_server_peer *peer);

/* New settings for sessions that begin from now on. */
void smtp_server_publish(struct smtp_server *server, const struct smtp_server_opts *opts);
/* Ends sessions in an orderly way: at once with 421 where no content is on its way, else after the
 * reply to that message. New ones are refused likewise. on_drained follows, perhaps before this
 * returns to the loop. */
void smtp_server_drain(struct smtp_server *server);
size_t smtp_server_count(const struct smtp_server *server);

/* What is known about a session. Views live as long as the session. */
struct smtp_server_facts {
	struct conn_id id; /* unique in the process */
	struct net_addr peer;
	bool trusted;
	bool esmtp; /* the client said EHLO */
	bool tls;
	struct str tls_text; /* protocol and cipher, or empty */
	struct str helo;     /* as the client calls itself; empty before EHLO */
	struct str user;     /* logged in as; empty: not */
	uint32_t messages;   /* accepted so far */
	uint32_t commands;
	uint32_t errors;
	uint32_t failures; /* failed logins */
};
/* The session that a ticket was given for; NULL when the ticket is stale. */
struct smtp_server_session *smtp_server_session_of(
    struct smtp_server *server, struct smtp_server_ticket t);
const struct smtp_server_facts *smtp_server_session_facts(const struct smtp_server_session *s);
struct smtp_server *smtp_server_session_server(const struct smtp_server_session *s);
void smtp_server_session_set_data(struct smtp_server_session *s, void *data);
void *smtp_server_session_data(const struct smtp_server_session *s);

/* From on_content_begin, at most once: bytes that stand in front of the content in its blob (the
 * Received field), so that nobody has to move the content later. Whole lines with CRLF. */
void smtp_server_prefix(struct smtp_server_session *s, struct str lines);

/* Closes without another word; what was replied before still leaves, if the peer takes it. The
 * session's tickets become stale; on_closed follows. */
void smtp_server_drop(struct smtp_server_session *s);
