/* An IMAP reader: one connection that looks into a mailbox and changes nothing in it (RFC 3501,
 * 9051; XOAUTH2, RFC 2971 ID, RFC 6154 special use, Gmail's labels).
 *
 * Folders are opened with EXAMINE and bodies are fetched with PEEK, so nothing is ever marked as
 * seen, moved or deleted. The connection dials, protects itself, logs in, says who we are (NetEase
 * refuses to open a folder before that) and is then *ready*; commands go one at a time, each
 * answered once, until it is logged out, freed, or ends by itself.
 *
 * Safety as in smtp/client.h: with TLS asked for nothing but CAPABILITY and STARTTLS is ever sent
 * in the clear, and there is exactly one try to log in. Without TLS the secret is sent only where
 * the settings say so.
 *
 * Everything a server can send is bounded: see the limits below, and the time limits in
 * imap_states.def. Loop thread only. Callbacks come from the loop; inside one anything may be
 * called, imap_free included. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fault.h"
#include "base/str.h"
#include "codec/imap.h"

struct dialer;
struct imap;
struct log_ctx;
struct loop;
struct tls_ctx;

#define IMAP_FOLDERS_MAX 500u       /* more of a mailbox are not seen */
#define IMAP_UIDS_MAX    10000u     /* of one search the highest so many are given */
#define IMAP_FETCH_MAX   (1u << 20) /* octets of one message */

/* Where in the conversation something was decided. */
#define IMAP_STAGES(X)                                                                             \
	X(DNS, "dns")                                                                              \
	X(CONNECT, "connect")                                                                      \
	X(GREETING, "greeting")                                                                    \
	X(TLS, "tls")                                                                              \
	X(AUTH, "auth")                                                                            \
	X(FOLDERS, "folders")                                                                      \
	X(OPEN, "open")                                                                            \
	X(SEARCH, "search")                                                                        \
	X(FETCH, "fetch")

enum imap_stage {
#define X(name, text) IMAP_STAGE_##name,
	IMAP_STAGES(X)
#undef X
	    IMAP_STAGE_COUNT
};
/* Lower-case name, such as "auth". */
const char *imap_stage_name(enum imap_stage s);

enum imap_tls { IMAP_TLS_IMPLICIT, IMAP_TLS_STARTTLS, IMAP_TLS_NONE };
enum imap_login { IMAP_LOGIN_PASSWORD, IMAP_LOGIN_XOAUTH2 };

/* Strings are copied but for `secret`, which is borrowed until on_ready or on_closed. */
struct imap_opts {
	struct str host;
	uint16_t port;
	enum imap_tls tls;
	struct tls_ctx *tls_ctx; /* borrowed for the connection's life; NULL with IMAP_TLS_NONE */
	struct str tls_name;     /* that the certificate must carry; empty: host */
	struct str user;
	struct str secret; /* with XOAUTH2 the access token */
	enum imap_login login;
	double patience;     /* scale of the time limits; 1 in production */
	struct log_ctx *log; /* borrowed; NULL allowed */
};

/* Why a connection ended. */
struct imap_end {
	enum imap_stage stage;
	enum rc rc; /* RC_DONE: logged out. RC_DENIED: the server said no, in `text`; RC_NOT_FOUND,
		       RC_DNS, RC_TIMEOUT, RC_CLOSED, RC_IO, RC_TLS; RC_INVALID: what came is no
		       IMAP; RC_LIMIT: too much of it */
	struct str text; /* one sentence; valid during the call */
};

struct imap_ops {
	/* Logged in; commands may be given. Once. */
	void (*on_ready)(struct imap *i, void *arg);
	/* The end: once, last, unless imap_free came first. The command under way is not answered.
	 * The owner frees. */
	void (*on_closed)(struct imap *i, const struct imap_end *why, void *arg);
};

struct imap *imap_new(struct loop *loop, struct dialer *dialer, const struct imap_opts *opts,
    const struct imap_ops *ops, void *arg);
/* No callback from now on; the connection is dropped. Takes NULL; nulls the pointer. */
void imap_free(struct imap **i);
/* Only while ready: says goodbye; on_closed follows. */
void imap_logout(struct imap *i);
bool imap_is_ready(const struct imap *i);
/* What the server announced after login. */
bool imap_has(const struct imap *i, struct str capability);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty. */
struct str imap_tls_text(const struct imap *i);
/* The greeting's words. */
struct str imap_greeting(const struct imap *i);

/* ---- commands: only while ready ---- */

struct imap_folder {
	struct str name; /* as the server writes it; for imap_open */
	enum imap_role role;
	char delimiter; /* '\0': none */
	bool selectable;
};

/* The answer to a command; valid during the call, but only until the next command is given. */
struct imap_answer {
	enum rc rc;      /* RC_OK; RC_DENIED: the server said no */
	struct str text; /* its words */
	/* imap_folders */
	const struct imap_folder *folders;
	size_t n_folders;
	/* imap_open */
	uint32_t uidvalidity; /* 0: not told */
	uint32_t uidnext;     /* 0: not told */
	uint64_t exists;
	/* imap_search; ascending */
	const uint32_t *uids;
	size_t n_uids;
	/* imap_fetch; uid 0: there is none of that number */
	uint32_t uid;
	uint64_t size;      /* of all of it, as the server counts */
	struct str content; /* at most as much as was asked for */
	bool labels_known;  /* the server has Gmail's labels ... */
	bool label_inbox;   /* ... and these are among them */
	bool label_junk;
};
/* Exactly once, unless the connection ends or is freed before. */
typedef void imap_answer_fn(struct imap *i, const struct imap_answer *answer, void *arg);

/* All folders. Where several have the same role, the first keeps it. */
void imap_folders(struct imap *i, imap_answer_fn *on_answer);
/* Opens a folder for reading only. */
void imap_open(struct imap *i, struct str folder, imap_answer_fn *on_answer);

/* What to look for; what is empty is not asked. */
struct imap_query {
	uint32_t from_uid; /* this and higher; 0: any */
	int64_t since_us;  /* the server took it in on that day or later; 0: any */
	struct str header; /* a field's name ... */
	struct str value;  /* ... that holds this text (ASCII) */
};
/* The UIDs of messages in the open folder. */
void imap_search(struct imap *i, const struct imap_query *query, imap_answer_fn *on_answer);
/* The first `max` octets (at most IMAP_FETCH_MAX) of one message. */
void imap_fetch(struct imap *i, uint32_t uid, size_t max, imap_answer_fn *on_answer);
