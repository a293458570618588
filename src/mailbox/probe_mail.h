/* The message that a probe sends, and what is to be learnt from it when it is found again. Pure.
 *
 * It is a real message: text and HTML, a subject that is not all ASCII, one link, and a token in
 * Message-ID, subject, body and a field of its own, so that it is known again whatever a relay does
 * to it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/rc.h"
#include "base/str.h"

struct buf;
struct fault;

#define PROBE_MAIL_FIELD "X-Posthouse-Probe"

struct probe_mail {
	struct str token; /* letters, digits and hyphens; unique for ever */
	struct str from;  /* addresses */
	struct str to;
	struct str relay; /* "main@2", for people who find it */
	int64_t wall_us;
	/* made by probe_mail_compose, in the arena given */
	struct str message_id; /* without angle brackets */
	struct str link;
	struct str text; /* the body as it must arrive */
};

/* Fills in the last part and appends the message. RC_INVALID: an address is none. */
enum rc probe_mail_compose(struct probe_mail *m, struct arena *a, struct buf *out, struct fault *f);

/* What a copy that arrived says. */
struct probe_mail_facts {
	bool message_id_kept, date_kept, from_kept, field_kept;
	bool body_same;        /* the text is what was sent */
	bool links_rewritten;  /* the link is not there as it was written */
	struct str message_id; /* as it arrived */
	struct str from;       /* likewise */
	struct str return_path;
	struct str received_with; /* "ESMTPS": how the mailbox's side got it; may be empty */
	bool received_tls;
	/* RFC 8601, of the mailbox's own server only */
	struct str authserv;         /* who says so; empty: nobody that can be trusted */
	struct str spf, dkim, dmarc; /* "pass", "fail" ...; empty: not told */
};

/* Whether `content` (perhaps cut short) is the probe of this token: by its field, Message-ID or
 * subject. */
bool probe_mail_is(struct str content, struct str token, struct arena *a);
/* Judges a copy that was found. `own` are names of the mailbox's side, blank between: its IMAP host
 * and the domain of its address; only an Authentication-Results field of theirs is believed. */
void probe_mail_judge(const struct probe_mail *m, struct str content, struct str own,
    struct arena *a, struct probe_mail_facts *out);
