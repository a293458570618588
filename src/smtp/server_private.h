/* What the files of the server side have in common. Included by smtp/server*.c only.
 *
 * A session is a machine (server_states.def) that is turned by `smtp_server_session_run`: it takes
 * command lines or content off the input until the client or the owner has to be waited for.
 *
 *   NEW ─▶ [HANDSHAKE] ─▶ CONNECT_ASKED ─▶ HELLO ◀─ HANDSHAKE ◀─ TLS_ASKED
 *                                           │ EHLO                  ▲
 *                                           ▼              STARTTLS │
 *         ┌──────────────────────────────▶ READY ───────────────────┤
 *         │ RSET, refusals, replies         │ MAIL             AUTH │
 *         │                                 ▼                       ▼
 *         ├───────────────────────── MAIL_ASKED ─▶ MAIL       AUTH_ASKED ◀─▶ AUTH
 *         │                                         │ RCPT          │
 *         │                                         ▼               ▼
 *         ├─────────────────────────────── RCPT_ASKED ◀─▶ RCPT    [AUTH_SLOWED] ─▶ READY
 *         │                                                │
 *         │                                     DATA, BDAT ▼
 *         ├────────────────────────────────────── CONTENT_ASKED ─▶ DATA ───────────┐
 *         │                                                └─▶ CHUNK ◀─▶ BETWEEN   │ lone dot
 *         │                                                      │ LAST            │
 *         └───────────────────────────────────── MESSAGE_ASKED ◀─┴─────────────────┘
 *
 * SKIP throws away a chunk that was refused and returns where it came from. Every state may end
 * in CLOSING. EHLO leads from any of the command states to HELLO_ASKED and on to READY.
 *
 * What holds in a state, beside its name:
 *   HELLO, HELLO_ASKED from there   nobody knows the client's name; no transaction
 *   READY, TLS_ASKED, AUTH*         no transaction: `message` is NULL
 *   AUTH, AUTH_ASKED                `sasl` is set; elsewhere it is NULL
 *   MAIL_ASKED                      `message` has a sender, not yet approved, and no recipients
 *   MAIL                            the sender is approved, n_rcpts == 0
 *   RCPT, CONTENT_ASKED             n_rcpts > 0
 *   RCPT_ASKED                      `rcpt` is the one asked about, its strings in `scratch`
 *   DATA, CHUNK, BETWEEN            `content` collects
 *   MESSAGE_ASKED                   `message` is NULL: it is the owner's
 *   *_ASKED                         exactly one ticket is good: { facts.id, serial }
 *   CLOSING                         no ticket is good, no message; the connection is closing */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "codec/smtp_data.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "smtp/sasl_server.h"
#include "smtp/server.h"

enum server_state {
#define X(name, wait, next) SERVER_##name,
#include "smtp/server_states.def"
#undef X
	SERVER_STATE_COUNT
};

/* The server's own replies, and "none". */
enum server_said {
	SERVER_SAID_NONE,
#define X(name, code, cls, sub, det, text) SERVER_SAID_##name,
#include "smtp/server_replies.def"
#undef X
	SERVER_SAID_COUNT
};

/* What a turn of the machine came to. */
enum server_step { SERVER_MORE, SERVER_PARKED };

/* Settings as sessions hold them: a copy that does not change, freed with its last session. Loop
 * thread only. */
struct server_settings {
	uint32_t refs;
	struct smtp_server_opts opts;
	struct arena arena;
};

struct smtp_server {
	struct loop *loop;
	struct server_settings *settings;
	const struct smtp_server_ops *ops;
	void *arg;
	struct map sessions; /* by id */
	struct buf text;     /* the reply being written */
	bool draining;
};

/* Content of one message on its way in. */
struct server_content {
	struct smtp_data_reader reader;
	struct blob *blob; /* n is its room; NULL before content begins and once it is given up */
	size_t used;       /* bytes of the blob, prefix included */
	size_t prefix;     /* bytes of the prefix */
	size_t header;     /* bytes of the header with its empty line; 0 until that is found */
	/* why the message is given up; it is read to its end all the same */
	enum server_said refusal;
};

/* A BDAT chunk on its way in. */
struct server_chunk {
	uint64_t left;  /* bytes still to come */
	uint64_t taken; /* bytes so far */
	bool last;      /* announced with LAST */
	/* Thrown away (SKIP): the state to return to; the reply there, or, if that is none, the
	 * owner's, whose text lives in `scratch`. */
	enum server_state then;
	enum server_said said;
	struct smtp_server_reply reply;
};

/* What AUTH_ASKED asks. */
enum server_question {
	SERVER_ASKS_STAGE,
	SERVER_ASKS_NOTHING, /* the stage is answered: the login starts with the next turn */
	SERVER_ASKS_CREDENTIAL,
	SERVER_ASKS_SECRET,
};

struct smtp_server_session {
	uint32_t magic;
#define SMTP_SERVER_SESSION_MAGIC 0x5e551045u
	enum server_state state;
	struct smtp_server *server;
	struct server_settings *settings;
	struct conn *conn;
	void *data; /* the owner's */
	struct smtp_server_facts facts;
	char *helo; /* what facts.helo, .user and .tls_text look at */
	char *user;
	char *tls_text;
	struct arena scratch;    /* of the command at hand */
	struct loop_task task;   /* runs the session after an answer */
	struct loop_timer timer; /* set at or before `due_us` */
	int64_t due_us;          /* when the wait of this state is over */
	int64_t end_us;          /* when the session's time is over */
	uint64_t serial;         /* of the one good ticket, or of the last */
	size_t scanned;          /* bytes of the input known to hold no LF */
	uint64_t window_bytes;   /* of content since the wait began */
	bool implicit_tls;
	bool running;     /* inside smtp_server_session_run */
	bool unconfirmed; /* a message was accepted and nothing was heard since */

	struct smtp_server_message *message;
	struct smtp_server_rcpt rcpt;
	struct server_content content;
	struct server_chunk chunk;

	struct sasl_server *sasl; /* a login going on */
	enum server_question question;
	/* what AUTH asked for, in `scratch`, while the owner is asked about that */
	struct str login;
};

static inline const struct smtp_server_opts *
server_opts(const struct smtp_server_session *s)
{
	return &s->settings->opts;
}
static inline bool
server_has(const struct smtp_server_session *s, enum smtp_server_extension extension)
{
	return (s->settings->opts.extensions & extension) != 0;
}

/* ---- server.c ---- */

struct server_settings *smtp_server_settings_ref(struct server_settings *set);
void smtp_server_settings_unref(struct server_settings **set);

/* ---- server_session.c ---- */

/* Takes over `fd`. */
void smtp_server_session_new(
    struct smtp_server *server, struct conn_id id, int fd, const struct smtp_server_peer *peer);
/* Tells the owner, unlinks and frees. */
void smtp_server_session_free(struct smtp_server_session **s);
/* The one setter: asserts that the step is legal and starts the wait of `to`. */
void smtp_server_session_set_state(struct smtp_server_session *s, enum server_state to);
/* Enters `to`, an *_ASKED state, with a fresh ticket. */
struct smtp_server_ticket smtp_server_session_ask(
    struct smtp_server_session *s, enum server_state to);
/* Starts the wait of the state anew: the client has said something whole. */
void smtp_server_session_touch(struct smtp_server_session *s);
/* Waits `us` in AUTH_SLOWED. */
void smtp_server_session_slow(struct smtp_server_session *s, int64_t us);
/* Ends the transaction, if there is one; the caller sets the state. */
void smtp_server_session_forget(struct smtp_server_session *s);
/* Enters CLOSING; what was replied still leaves. */
void smtp_server_session_close(struct smtp_server_session *s);
/* Turns the machine from the loop's tail, unless it is turning now. */
void smtp_server_session_wake(struct smtp_server_session *s);
void smtp_server_session_run(struct smtp_server_session *s);
/* The owner's answer to the ticket of `s`, which is good. */
void smtp_server_session_answered(
    struct smtp_server_session *s, const struct smtp_server_reply *reply);
/* Ends a session that has no content on its way; see smtp_server_drain. */
void smtp_server_session_drain(struct smtp_server_session *s);

/* ---- server_reply.c ---- The caller sets the next state first: a reply may close the connection.
 */

void smtp_server_reply_say(struct smtp_server_session *s, enum server_said said);
void smtp_server_reply_text(
    struct smtp_server_session *s, uint16_t code, struct smtp_enhanced e, struct str text);
void smtp_server_reply_textf(struct smtp_server_session *s, uint16_t code, struct smtp_enhanced e,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The client broke the protocol: counts, and closes when that was once too often. */
void smtp_server_reply_error(struct smtp_server_session *s, enum server_said said);
void smtp_server_reply_errorf(struct smtp_server_session *s, uint16_t code, struct smtp_enhanced e,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The owner's words; 421 closes. */
void smtp_server_reply_owner(struct smtp_server_session *s, const struct smtp_server_reply *reply);
/* The owner's yes: its own words, or `said`. */
void smtp_server_reply_yes(
    struct smtp_server_session *s, const struct smtp_server_reply *reply, enum server_said said);
/* Says it and closes. */
void smtp_server_reply_bye(struct smtp_server_session *s, enum server_said said);
/* One of the server's own replies as a value. */
struct smtp_server_reply smtp_server_reply_of(enum server_said said);
/* Whether the owner said no. */
static inline bool
server_refused(const struct smtp_server_reply *reply)
{
	return reply != NULL && reply->code >= 400;
}

/* ---- one file each ---- A _begin function obeys a command; an _answered function goes on after
 * the owner. */

/* The command line at the front of the input. */
enum server_step smtp_server_command_step(struct smtp_server_session *s);

/* Takes a line of at most `limit` octets off the input. PARSE_ONE: *line_out is it, without its
 * end, valid until the connection next reads. PARSE_MORE: it is not whole yet. PARSE_BROKEN: it was
 * no good; *why_out is the reply to give, unless the session had to be closed. */
enum parse smtp_server_command_line(
    struct smtp_server_session *s, size_t limit, struct str *line_out, enum server_said *why_out);
/* A refusal of the parser as the reply to a protocol error. */
void smtp_server_reply_refusal(struct smtp_server_session *s, const struct smtp_refusal *refusal);

void smtp_server_helo_begin(struct smtp_server_session *s, const struct smtp_command *cmd);
void smtp_server_helo_answered(
    struct smtp_server_session *s, const struct smtp_server_reply *reply);

/* Whether EHLO lists STARTTLS. */
bool smtp_server_tls_is_offered(const struct smtp_server_session *s);
void smtp_server_tls_begin(struct smtp_server_session *s);
void smtp_server_tls_answered(struct smtp_server_session *s, const struct smtp_server_reply *reply);
/* The handshake is done. */
void smtp_server_tls_ready(struct smtp_server_session *s);

/* The mechanisms to announce, such as "PLAIN LOGIN"; empty where no login is possible now. */
struct str smtp_server_auth_mechanisms(const struct smtp_server_session *s);
void smtp_server_auth_begin(struct smtp_server_session *s, const struct smtp_command *cmd);
/* AUTH_ASKED, AUTH: starts the login once it may, or takes the client's next line. */
enum server_step smtp_server_auth_step(struct smtp_server_session *s);
void smtp_server_auth_answered(
    struct smtp_server_session *s, const struct smtp_server_reply *reply);
void smtp_server_auth_answered_credential(
    struct smtp_server_session *s, const struct password_verifier *verifier);
void smtp_server_auth_answered_secret(struct smtp_server_session *s, bool right);
/* AUTH_SLOWED is over. */
void smtp_server_auth_slowed(struct smtp_server_session *s);

void smtp_server_mail_begin(struct smtp_server_session *s, const struct smtp_command *cmd);
void smtp_server_mail_answered(
    struct smtp_server_session *s, const struct smtp_server_reply *reply);

void smtp_server_rcpt_begin(struct smtp_server_session *s, const struct smtp_command *cmd);
void smtp_server_rcpt_answered(
    struct smtp_server_session *s, const struct smtp_server_reply *reply);

void smtp_server_data_begin(struct smtp_server_session *s);
void smtp_server_data_bdat(struct smtp_server_session *s, const struct smtp_command *cmd);
void smtp_server_data_answered(
    struct smtp_server_session *s, const struct smtp_server_reply *reply);
/* DATA, CHUNK, SKIP: what is there of the content. */
enum server_step smtp_server_data_step(struct smtp_server_session *s);
void smtp_server_data_message_answered(
    struct smtp_server_session *s, const struct smtp_server_reply *reply);

/* server_content.c: the bytes of a message. Room for `hint` octets, more or less; SERVER_SAID_NONE,
 * or why not. */
enum server_said smtp_server_content_begin(
    struct smtp_server_session *s, enum smtp_data_mode mode, uint64_t hint);
/* Takes content off the front of `in`; as smtp_data_reader_feed. */
enum parse smtp_server_content_feed(struct smtp_server_session *s, struct str in, size_t *used_out);
/* The end. SERVER_SAID_NONE: the content and its facts are in s->message; else why it is refused.
 */
enum server_said smtp_server_content_finish(struct smtp_server_session *s);
void smtp_server_content_drop(struct smtp_server_session *s);
