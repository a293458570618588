/* Delivery status notifications: what became of a message, told to its sender (RFC 3464, 3461 §6,
 * 6533).
 *
 * A report has three parts: plain words for people, the same for machines, and the message it is
 * about, whole or its header. It goes to the envelope sender, from the null sender, and says that a
 * machine wrote it (RFC 3834). Where an address is not ASCII the parts take their UTF-8 forms
 * (message/global-*). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "codec/smtp_reply.h"
#include "mail/address.h"

struct buf;

enum mail_dsn_kind {
	MAIL_DSN_FAILED,  /* given up */
	MAIL_DSN_DELAYED, /* still being tried */
	MAIL_DSN_RELAYED, /* handed to a server that will not report success */
};

/* One recipient's fate. Texts may hold any bytes of a peer; they are made harmless here. */
struct mail_dsn_rcpt {
	struct mail_addr addr;
	struct str orcpt_type;       /* of ORCPT, such as "rfc822"; empty when there was none */
	struct str orcpt;            /* decoded */
	struct smtp_enhanced status; /* cls 0: the kind's own x.0.0 */
	struct str remote_mta;       /* name of the server that spoke; may be empty */
	uint16_t code;               /* of its reply; 0 when there was none */
	struct str reply;            /* its text, lines joined by LF, without codes */
	struct str reason;           /* in our words, a sentence; for when no server spoke */
	int64_t last_attempt_us;     /* wall time; 0 unknown */
	int64_t retry_until_us;      /* for DELAYED; 0 unknown */
};

struct mail_dsn {
	enum mail_dsn_kind kind;
	struct str hostname; /* ours: Reporting-MTA */
	struct str id;       /* of this report, unique for ever, of letters, digits and hyphens */
	const struct mail_addr *sender; /* whom it goes to; not the null address */
	int64_t wall_us;                /* now */
	int64_t arrival_us;             /* when the message came in */
	struct str envid;               /* decoded ENVID; may be empty */
	const struct mail_dsn_rcpt *rcpts;
	size_t rcpt_count;  /* at least 1 */
	bool full;          /* RET=FULL; means something for FAILED only (RFC 3461 §4.3) */
	struct str content; /* the message, as stored */
};

/* A message longer than this is returned as its header, and of a header no more than the first 64
 * KB of whole fields. */
#define MAIL_DSN_CONTENT_MAX (1u << 20)

/* Appends the report. RC_LIMIT when `b` has no room for it; then what it holds is to be thrown
 * away. Whether it needs 8BITMIME or SMTPUTF8 tells mail_scan. */
enum rc mail_dsn_compose(struct buf *b, const struct mail_dsn *d);
