/* What submission puts right in a message before it is kept (RFC 6409 §8).
 *
 * Before the content go the Received field and, where they are missing, From, Date and Message-ID.
 * Out of it go Bcc and the X-Posthouse-* options. Lines over 998 octets are re-encoded or folded
 * (mail/recode.h), never cut. The usual message needs only the prefix: then the result is two views
 * and nothing is copied. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "mail/pieces.h"
#include "mail/scan.h"

struct mail_addr;

/* How the message came in: the "with" clause of Received (RFC 5321 §4.4, 3848, 6531 §4.3). */
enum mail_door {
	MAIL_DOOR_SMTP,  /* after HELO */
	MAIL_DOOR_ESMTP, /* after EHLO */
	MAIL_DOOR_HTTP,
	MAIL_DOOR_LOCAL, /* by a command on this machine: no "with" */
};

/* Texts come from peers and are made harmless here; empty ones are left out. */
struct mail_repair_facts {
	enum mail_door door;
	bool tls;
	bool authenticated;
	bool utf8;              /* SMTPUTF8 was asked for */
	struct str helo;        /* what the client called itself */
	struct str client_name; /* of its address, by a checked reverse look-up */
	struct str client_ip;   /* "192.0.2.1" or "2001:db8::1"; empty hides the client */
	struct str hostname;    /* ours */
	struct str queue_id;    /* unique for ever: also the left part of a new Message-ID */
	int64_t wall_us;
	const struct mail_addr *rcpt; /* the only recipient, or NULL */
	const struct mail_addr *from; /* for a missing From; NULL or the null address adds none */
};

/* Appends the repaired `content`, whose scan is `scan`, to `out`; it ends with CRLF. RC_INVALID or
 * RC_DENIED as mail_recode, with *why_out a sentence for the reply. Repairing twice changes nothing
 * more, but for the second Received. */
enum rc mail_repair(struct str content, const struct mail_scan *scan,
    const struct mail_repair_facts *facts, struct mail_pieces *out, const char **why_out);
