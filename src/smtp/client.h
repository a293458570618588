/* One outgoing SMTP connection: greeting, EHLO, TLS, login, then one transaction after another (RFC
 * 5321, 3207, 4954, 2920, 1870, 6152, 6531, 3461).
 *
 * Nouns. A *client* is one connection to one address of a relay; it is born from a connected socket
 * and dies once. A *job* is one message for one or more recipients: one transaction. The owner
 * hands a job to an idle client and gets it back exactly once, with an outcome for each recipient.
 *
 * The promise at the final dot. While content is being sent the client asks its owner to record
 * that these recipients are about to be finished; the dot leaves only after `smtp_client_grant`.
 * Without the record there is no dot. Once the dot has been handed to the kernel and no reply
 * comes, the outcome is SMTP_IN_DOUBT; while it is still in our own buffer the connection is reset
 * and nothing is in doubt.
 *
 * What the peer decides is a value (struct smtp_verdict), not an error. The client never decides
 * whose fault a refusal is and never retries; its owner does.
 *
 * Safety. With `tls` set, no command but EHLO/STARTTLS/QUIT is ever sent in the clear; a peer that
 * does not offer STARTTLS, fails the handshake or its certificate check is left at once. A secret
 * is sent only inside TLS or by a mechanism that does not show it, unless the relay's settings
 * allow plain text.
 *
 * Threading: everything on the loop of its connection. Callbacks: never before the starting call
 * returns; none after on_closed. The client frees itself after on_closed; the pointer is dead when
 * that callback returns. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/rc.h"
#include "base/str.h"
#include "codec/smtp_caps.h"
#include "codec/smtp_param.h"
#include "codec/smtp_reply.h"
#include "mail/ids.h"

struct arena;
struct fault;
struct log_ctx;
struct loop;
struct smtp_client;
struct tls_ctx;
struct tls_facts;

/* Where in the conversation something was decided. The order is that of the conversation. */
#define SMTP_STAGES(X)                                                                             \
	X(DNS, "dns")                                                                              \
	X(CONNECT, "connect")                                                                      \
	X(GREETING, "greeting")                                                                    \
	X(EHLO, "ehlo")                                                                            \
	X(TLS, "tls")                                                                              \
	X(AUTH, "auth")                                                                            \
	X(MAIL, "mail")                                                                            \
	X(RCPT, "rcpt")                                                                            \
	X(DATA, "data")                                                                            \
	X(DOT, "dot")

enum smtp_stage {
#define X(name, text) SMTP_STAGE_##name,
	SMTP_STAGES(X)
#undef X
	    SMTP_STAGE_COUNT
};
/* Lower-case name, such as "rcpt". */
const char *smtp_stage_name(enum smtp_stage s);

enum smtp_outcome {
	SMTP_NOT_TRIED = 0, /* the peer never heard of this recipient, or of this message; also
			       where a kept connection turned out to be closed already */
	SMTP_SENT,          /* 2xx to the final dot */
	SMTP_REFUSED,       /* a 4xx or 5xx reply, or a need the peer cannot meet (code 0) */
	SMTP_BROKEN,        /* the connection failed before the dot left: certainly not sent */
	SMTP_IN_DOUBT,      /* the dot left and no reply came */
};

/* What went wrong where no reply stands behind a verdict. */
enum smtp_trouble {
	SMTP_TROUBLE_NONE = 0,
	SMTP_TROUBLE_TIMEOUT,
	SMTP_TROUBLE_CLOSED,      /* the peer closed or reset the connection */
	SMTP_TROUBLE_TLS,         /* the handshake failed */
	SMTP_TROUBLE_CERTIFICATE, /* it does not prove the name */
	SMTP_TROUBLE_NO_STARTTLS, /* required and not offered */
	SMTP_TROUBLE_NO_AUTH,     /* a login is required and no mechanism we may use is offered */
	SMTP_TROUBLE_NO_8BITMIME, /* 8-bit content that cannot be re-encoded, and the peer takes
				     only 7-bit */
	SMTP_TROUBLE_NO_SMTPUTF8,
	SMTP_TROUBLE_TOO_BIG,  /* larger than the SIZE announced */
	SMTP_TROUBLE_PROTOCOL, /* what came is no SMTP */
	SMTP_TROUBLE_OURS,     /* broken off by us */
};

/* What happened to one recipient, or to the connection. Text is a view into the job's arena. */
struct smtp_verdict {
	enum smtp_outcome outcome;
	enum smtp_stage stage;
	enum smtp_trouble trouble;
	uint16_t code;                 /* 0: no reply stands behind it */
	struct smtp_enhanced enhanced; /* cls 0: none given */
	struct str text;               /* the peer's words, or ours where code is 0 */
};

struct smtp_job_rcpt {
	struct rcpt_id id;
	struct str path;                /* without angle brackets */
	struct smtp_rcpt_params params; /* passed on where the peer offers DSN */
	uint64_t attempt;               /* id of its "about to finish" record; the owner's */
	struct smtp_verdict verdict;    /* filled by the client */
};

/* One transaction. A *probe* is one without content: MAIL, RCPT for each recipient, RSET; it asks
 * whether the peer would take them and sends nothing. Of a probe, `mail` is the reply to MAIL, and
 * what was taken has the verdict SMTP_NOT_TRIED with the reply's code. The owner fills the first
 * part and keeps every view valid until the job comes back. */
struct smtp_job {
	struct msg_id msg;
	struct str sender;    /* without angle brackets; empty: the null sender */
	struct blob *content; /* borrowed; CRLF lines, not dot-stuffed */
	struct smtp_job_rcpt *rcpts;
	size_t n_rcpts;
	struct smtp_mail_params params; /* RET and ENVID, passed on where the peer offers DSN; the
					   rest is the client's */
	bool is_probe;                  /* content is NULL, n_rcpts may be 0 */
	uint64_t probe_bytes;           /* size that a probe announces; 0: none */
	bool needs_8bit;                /* content has bytes >= 0x80 */
	bool needs_utf8;                /* an address or a header needs SMTPUTF8 */
	int64_t cut_after_us; /* > 0: give the transaction up when it takes longer before the dot */
	struct arena *arena;  /* the job's; the client copies reply texts into it */

	/* Filled by the client. */
	int64_t started_us;       /* monotonic: MAIL sent */
	int64_t ended_us;         /* monotonic: last verdict known */
	struct smtp_verdict mail; /* of a probe */
	size_t n_granted;         /* recipients that stand behind the dot: those the peer took */
};

struct smtp_client_ops {
	/* Greeting, TLS and login are done; the client is idle. Once. */
	void (*on_ready)(struct smtp_client *c, void *arg);
	/* Content is leaving; record "about to finish" for every recipient of `job` whose verdict
	 * is still SMTP_NOT_TRIED, then call smtp_client_grant. */
	void (*on_about_to_finish)(struct smtp_client *c, struct smtp_job *job, void *arg);
	/* The job is over and belongs to the owner again. The client is idle (take the next job
	 * from here) or about to close (smtp_client_is_idle tells). */
	void (*on_job_done)(struct smtp_client *c, struct smtp_job *job, void *arg);
	/* The connection is gone. `why` says at which stage and in whose words; outcome
	 * SMTP_NOT_TRIED means an orderly end that nobody is to blame for (our QUIT, the peer's 421
	 * or close while idle). Once, last. */
	void (*on_closed)(struct smtp_client *c, const struct smtp_verdict *why, void *arg);
};

enum smtp_tls { SMTP_TLS_NONE, SMTP_TLS_STARTTLS, SMTP_TLS_IMPLICIT };

struct smtp_client_opts {
	struct str hostname;  /* ours, for EHLO */
	struct str peer_name; /* the name that the certificate must carry, and SNI */
	enum smtp_tls tls;
	struct tls_ctx *tls_ctx;     /* borrowed for the client's life; NULL with SMTP_TLS_NONE */
	struct tls_cache *tls_cache; /* sessions to resume; borrowed likewise, NULL: none */
	struct str tls_key;   /* what sets sessions apart beside the name, such as "host:port" */
	struct str user;      /* empty: no login */
	struct str secret;    /* borrowed until on_ready or on_closed */
	struct str mechanism; /* "": the strongest that both sides have */
	bool plain_ok;        /* settings allow a secret to cross without TLS */
	/* scale of RFC 5321 §4.5.3.2 time limits; 1 in production, less in tests */
	double patience;
	struct log_ctx *log; /* borrowed; NULL allowed */
};

/* Facts about the connection, for history and display. Views live as long as the client. */
struct smtp_client_facts {
	struct smtp_caps caps;
	struct smtp_caps clear_caps; /* what STARTTLS made it forget; else zero */
	struct str tls;              /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
	struct str greeting;
	uint32_t jobs;       /* transactions so far */
	enum smtp_mech mech; /* logged in with, or being tried; SMTP_MECH_COUNT: none */
	bool spoke_early;    /* sent something between its word to STARTTLS and the handshake: what
				an attacker would slip in (RFC 3207 section 4.2) */
	/* How long each part took; 0: not come to. */
	int64_t greeting_us; /* from the start, or from TLS on where that comes first */
	int64_t tls_us;      /* the handshake */
	int64_t login_us;
};

/* Takes over the connected socket `fd` and starts the conversation. */
struct smtp_client *smtp_client_new(struct loop *loop, int fd, const struct smtp_client_opts *opts,
    const struct smtp_client_ops *ops, void *arg);

bool smtp_client_is_idle(const struct smtp_client *c);
const struct smtp_client_facts *smtp_client_facts(const struct smtp_client *c);
/* False while there was no handshake. In on_closed it tells what was refused. */
bool smtp_client_tls_facts(const struct smtp_client *c, struct tls_facts *out);

/* Gives an idle client its next job. The client checks what the message needs against what the peer
 * offers: recipients or messages that cannot go out here come back SMTP_REFUSED with code 0 and the
 * reason. */
void smtp_client_send(struct smtp_client *c, struct smtp_job *job);

/* The answer to on_about_to_finish: with `recorded` the dot may leave; without, the transaction is
 * broken off undotted and its recipients come back SMTP_BROKEN. */
void smtp_client_grant(struct smtp_client *c, bool recorded);

/* Says QUIT as soon as the client is idle and closes; a reply to a dot is waited for. */
void smtp_client_quit(struct smtp_client *c);

/* Breaks off now: before the dot nothing was sent; after it the job comes back in doubt. */
void smtp_client_abort(struct smtp_client *c, struct str why);
