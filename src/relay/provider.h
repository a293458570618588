/* What is known about mail providers: the names they go by, their servers, how one logs in there,
 * what they refuse and how much they take.
 *
 * Rows come from data/providers.txt, whose head says what each field means. Every fact names how
 * sure it is, when it was looked at and where it comes from; what is not known is not there, and a
 * reader must be ready for that. Facts about providers age: they warn and suggest, and where they
 * refuse, the operator can insist. Static; nothing is owned. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "relay/settings.h"

/* VERIFIED: read in the provider's own page or in a maintained database of settings on that day.
 * DOCUMENTED: the provider's documentation says so, not read again on that day. REPORTED: users and
 * other people's pages say so. GUESS: custom and caution. */
enum relay_fact_certainty {
	RELAY_FACT_VERIFIED,
	RELAY_FACT_DOCUMENTED,
	RELAY_FACT_REPORTED,
	RELAY_FACT_GUESS,
};
#define RELAY_FACT_COUNT 4
/* "verified", "documented", "reported", "guess". */
const char *relay_fact_name(enum relay_fact_certainty certainty);

struct relay_fact {
	enum relay_fact_certainty certainty;
	const char *date;   /* "2026-11" or "2026-11-23" */
	const char *source; /* NULL: nothing is known, and the value it belongs to says so */
};

enum relay_server_use { RELAY_SERVER_SMTP, RELAY_SERVER_IMAP };

struct relay_provider_server {
	enum relay_server_use use;
	const char *host; /* may hold one "*" */
	uint16_t port;
	enum relay_tls tls;
	const char *domains; /* only for these mail domains; "": for all of the provider's */
	struct relay_fact fact;
};

/* Whom one logs in as. */
enum relay_login_form {
	RELAY_LOGIN_UNKNOWN,
	RELAY_LOGIN_ADDRESS,  /* the whole mail address */
	RELAY_LOGIN_LOCAL,    /* what stands before the @ */
	RELAY_LOGIN_CONSTANT, /* the same word for everybody */
	RELAY_LOGIN_ISSUED,   /* a name that the provider hands out */
	RELAY_LOGIN_SECRET,   /* the secret itself */
	RELAY_LOGIN_NONE,     /* told by network address */
};

enum relay_secret_kind {
	RELAY_SECRET_AUTHORIZATION_CODE,
	RELAY_SECRET_APP_PASSWORD,
	RELAY_SECRET_PASSWORD, /* the one of the web login */
	RELAY_SECRET_SMTP_PASSWORD,
	RELAY_SECRET_API_KEY,
	RELAY_SECRET_OAUTH,
};
#define RELAY_SECRET_COUNT 6
/* "authorization code", "app password" ... for sentences. */
const char *relay_secret_name(enum relay_secret_kind kind);

enum relay_secret_letters {
	RELAY_LETTERS_ANY,
	RELAY_LETTERS_LOWER,  /* a-z */
	RELAY_LETTERS_ALNUM,  /* letters and digits */
	RELAY_LETTERS_DASHED, /* letters, digits and hyphens */
	RELAY_LETTERS_HEX,    /* hexadecimal digits and hyphens */
	RELAY_LETTERS_BASE64,
};

struct relay_provider_secret {
	enum relay_secret_kind kind;
	uint16_t min, max; /* bytes; 0: not known */
	enum relay_secret_letters letters;
	const char *prefix; /* "SG."; "" without */
	const char *how;    /* where one gets it, an imperative sentence; "" where not known */
	const char *how_zh;
	struct relay_fact fact;
};

/* Which senders a login may use. */
enum relay_sender_rule {
	RELAY_SENDER_UNKNOWN,
	RELAY_SENDER_LOGIN,    /* the login's own address */
	RELAY_SENDER_VERIFIED, /* addresses or domains that were proven there */
	RELAY_SENDER_ANY,
};

/* Whether the provider does something. */
enum relay_known { RELAY_NOT_KNOWN, RELAY_YES, RELAY_NO, RELAY_BY_OPTION };

enum relay_limit_kind {
	RELAY_LIMIT_CONNECTIONS, /* at once */
	RELAY_LIMIT_RECIPIENTS,  /* of one transaction, or in per_s */
	RELAY_LIMIT_MESSAGES,    /* in per_s */
	RELAY_LIMIT_SIZE,        /* bytes of one message */
};

struct relay_provider_limit {
	enum relay_limit_kind kind;
	uint32_t count;
	uint32_t per_s; /* 0: of one transaction, or at once */
	struct relay_fact fact;
};

/* Something to know that has no field, from `date` on. */
struct relay_provider_note {
	const char *date;
	const char *text;
	const char *text_zh;
	struct relay_fact fact;
};

/* A name that people type although it is none of the provider's SMTP servers. */
struct relay_provider_wrong {
	const char *host; /* may hold one "*" */
	const char *right;
};

struct relay_provider {
	const char *name;     /* "netease" */
	const char *family;   /* another provider whose replies it shares; "" without */
	const char *title;    /* "NetEase Mail (163, 126, yeah.net)" */
	const char *title_zh; /* "网易邮箱" ... */
	const char *aliases;  /* blank between, as in the next three */
	const char *hosts;    /* patterns of host names, at most one "*" in each */
	const char *domains;  /* mail domains that are the provider's own */
	const char *mx;       /* patterns of MX hosts of domains that it hosts */
	/* What we keep to unless told otherwise: low where nothing is published. */
	uint32_t max_connections;
	uint32_t max_recipients;                     /* of one transaction */
	const struct relay_provider_server *servers; /* the recommended first, for each use */
	size_t server_count;
	enum relay_login_form login;
	const char *login_word; /* RELAY_LOGIN_CONSTANT: the word */
	struct relay_fact login_fact;
	const struct relay_provider_secret *secrets;
	size_t secret_count;
	enum relay_sender_rule sender;
	struct relay_fact sender_fact;
	enum relay_known null_sender; /* takes MAIL FROM:<> */
	struct relay_fact null_sender_fact;
	enum relay_known keeps_sent; /* puts a copy into the Sent folder */
	struct relay_fact keeps_sent_fact;
	enum relay_known keeps_message_id;
	struct relay_fact keeps_message_id_fact;
	enum relay_known keeps_date;
	struct relay_fact keeps_date_fact;
	const struct relay_provider_limit *limits;
	size_t limit_count;
	const struct relay_provider_note *notes; /* oldest first */
	size_t note_count;
	const struct relay_provider_wrong *wrong;
	size_t wrong_count;
};

/* Walks: 0 .. count - 1, in the order of the data. */
size_t relay_provider_count(void);
const struct relay_provider *relay_provider_at(size_t i);

/* The provider called `name` or one of its aliases, any case; NULL when unknown. */
const struct relay_provider *relay_provider_named(struct str name);
/* The provider that runs `host`, any case; NULL when unknown. A known wrong name counts as its
 * provider's. */
const struct relay_provider *relay_provider_of_host(struct str host);
/* The provider whose own mail domain this is, such as 163.com, any case; NULL when unknown. */
const struct relay_provider *relay_provider_of_domain(struct str domain);
/* The provider that hosts a domain with this MX host, any case; NULL when unknown. */
const struct relay_provider *relay_provider_of_mx(struct str mx);
/* Whether replies of `p` may be read by rules of `name`: its own, or its family's. `p` may be NULL.
 */
bool relay_provider_speaks(const struct relay_provider *p, const char *name);

/* The row to recommend for an address in `domain` (empty: any); NULL when there is none. */
const struct relay_provider_server *relay_provider_server_for(
    const struct relay_provider *p, enum relay_server_use use, struct str domain);
/* The first limit of that kind and time, or NULL. */
const struct relay_provider_limit *relay_provider_limit(
    const struct relay_provider *p, enum relay_limit_kind kind, uint32_t per_s);

/* How a server that somebody named compares with the data. */
enum relay_server_match {
	RELAY_SERVER_KNOWN,      /* a row says exactly this */
	RELAY_SERVER_UNKNOWN,    /* the host is none of the provider's: nothing can be said */
	RELAY_SERVER_UNLISTED,   /* in the provider's domain, but no server that is known */
	RELAY_SERVER_WRONG_NAME, /* a name known to be wrong */
	RELAY_SERVER_NOT_SMTP,   /* that host is for reading mail */
	RELAY_SERVER_OTHER_PORT, /* the host is right, this port is not known */
	RELAY_SERVER_OTHER_TLS,  /* host and port are right, the protection is another */
};
/* *right_out, where it is not NULL: the row that should be meant (the same host and port first,
 * then the same host), or NULL. */
enum relay_server_match relay_provider_known_server(const struct relay_provider *p, struct str host,
    uint16_t port, enum relay_tls tls, const struct relay_provider_server **right_out);
/* Whether the host pattern of a row or of data matches, any case. */
bool relay_provider_host_is(struct str host, const char *pattern);

/* For servers of no known provider. */
#define RELAY_DEFAULT_CONNECTIONS 20u
#define RELAY_DEFAULT_RECIPIENTS  100u
