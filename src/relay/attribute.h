/* Whose fault a refusal is, what to do about it, and what to tell a person.
 *
 * The facts of one refused or failed step go in, a verdict comes out. Rules come from
 * data/replies.txt, most specific first: those of the relay's provider, those of other providers
 * whose words are unmistakable, those that many servers share; then what RFC 3463's enhanced code
 * says at this stage, then stage and code alone.
 *
 * Holds for every input (promise P3): a verdict that blames the relay, the identity or capacity
 * never bounces; nothing bounces on a 4xx; and without a reply only what the server announced it
 * cannot take (size, non-ASCII addresses) does. Pure; no allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"
#include "codec/smtp_reply.h"

/* Where in the conversation it happened. UNKNOWN: a reply without its story, as a person pastes it.
 */
enum relay_stage {
	RELAY_STAGE_CONNECT, /* name lookup and TCP */
	RELAY_STAGE_TLS,
	RELAY_STAGE_GREETING,
	RELAY_STAGE_EHLO, /* STARTTLS included */
	RELAY_STAGE_AUTH,
	RELAY_STAGE_MAIL,
	RELAY_STAGE_RCPT,
	RELAY_STAGE_DATA,
	RELAY_STAGE_DOT,
	RELAY_STAGE_UNKNOWN,
};
#define RELAY_STAGE_COUNT 10
/* "connect", "tls", "greeting", "ehlo", "auth", "mail", "rcpt", "data", "dot", "unknown". */
const char *relay_stage_name(enum relay_stage stage);
bool relay_stage_parse(struct str name, enum relay_stage *out);

/* What went wrong where no reply came. A lost reply after the dot is no refusal but a doubt, and
 * does not come here. */
enum relay_trouble {
	RELAY_TROUBLE_NONE,     /* there was a reply */
	RELAY_TROUBLE_OUR_SIDE, /* no network, no resolver, out of descriptors */
	RELAY_TROUBLE_DNS,      /* the name does not resolve now */
	RELAY_TROUBLE_NO_HOST,  /* the name does not exist */
	RELAY_TROUBLE_CONNECT,  /* refused, unreachable */
	RELAY_TROUBLE_TIMEOUT,
	RELAY_TROUBLE_CLOSED,      /* the peer hung up in mid conversation */
	RELAY_TROUBLE_TLS,         /* the handshake failed */
	RELAY_TROUBLE_CERTIFICATE, /* it does not prove the name */
	RELAY_TROUBLE_NO_STARTTLS, /* required, not offered */
	RELAY_TROUBLE_NO_AUTH,     /* no mechanism that we may use is offered */
	RELAY_TROUBLE_NO_SMTPUTF8, /* the address or header needs it, not offered */
	RELAY_TROUBLE_TOO_BIG,     /* larger than the SIZE announced */
	RELAY_TROUBLE_PROTOCOL,    /* what came is no SMTP */
};
#define RELAY_TROUBLE_COUNT 14

struct relay_facts {
	enum relay_stage stage;
	enum relay_trouble trouble;
	uint16_t code;                 /* 400..599; 0 where there was no reply */
	struct smtp_enhanced enhanced; /* cls 0: none */
	struct str text;               /* the reply's text, or the fault's where there was none */
	struct str provider;           /* of the relay version; may be empty */
	bool worked_today;             /* the secret was accepted today: relay_desk_worked_today */
};

enum relay_blame {
	RELAY_BLAME_RELAY,     /* the next server, or our login or address there */
	RELAY_BLAME_IDENTITY,  /* the sender is not allowed or not proven */
	RELAY_BLAME_RECIPIENT, /* this address: unknown, full, disabled */
	RELAY_BLAME_CONTENT,   /* this message */
	RELAY_BLAME_CAPACITY,  /* later or slower, whatever the first digit says */
	RELAY_BLAME_UNKNOWN,
};
#define RELAY_BLAME_COUNT 6
/* "relay", "identity", "recipient", "content", "capacity", "unknown". */
const char *relay_blame_name(enum relay_blame blame);

enum relay_action {
	RELAY_ACTION_BOUNCE, /* final for this recipient */
	RELAY_ACTION_DEFER,  /* later, this recipient only; counts as a soft fault where the relay's
			      */
	RELAY_ACTION_SLOW,   /* later, and less through this login */
	RELAY_ACTION_PAUSE_RELAY, /* stop the relay at once */
	RELAY_ACTION_PAUSE_LOGIN, /* stop the login at once */
	RELAY_ACTION_HOLD_SENDER, /* stop this sender on this login */
};
#define RELAY_ACTION_COUNT 6
/* "bounce", "defer", "slow", "pause-relay", "pause-login", "hold-sender". */
const char *relay_action_name(enum relay_action action);

/* CERTAIN: these very words are documented. LIKELY: an enhanced code or common words. GUESS: stage
 * and code. */
enum relay_certainty { RELAY_CERTAIN, RELAY_LIKELY, RELAY_GUESS };
#define RELAY_CERTAINTY_COUNT 3
/* "certain", "likely", "guess". */
const char *relay_certainty_name(enum relay_certainty certainty);

#define RELAY_TAG_SIZE 8

struct relay_verdict {
	enum relay_blame blame;
	enum relay_action action;
	enum relay_certainty certainty;
	bool unknown_user;    /* the address does not exist: no other relay would take it */
	int64_t wait_us;      /* do not try again before; 0: nothing named. At most 24 h */
	const char *provider; /* whose words were recognised; "" when nobody's in particular */
	const char *cause;    /* one sentence for a postmaster; static */
	const char *remedy;   /* what to do, an imperative sentence; static; "" when nothing is */
	const char *cause_zh; /* the same two in Chinese (UTF-8); static */
	const char *remedy_zh;
	char tag[RELAY_TAG_SIZE]; /* a provider's tag such as "MI:SFQ"; "" without */
};

/* *out is wholly written. */
void relay_attribute(const struct relay_facts *facts, struct relay_verdict *out);

/* Reads "550 5.1.1 text", as it stands in a log or a bounce, into facts of unknown stage: code and
 * enhanced code where they are found, all of it as text otherwise. `facts->text` looks into `line`.
 */
void relay_facts_read(struct str line, struct str provider, struct relay_facts *out);
