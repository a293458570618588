/* What submission has to know about incoming content, found in one pass.
 *
 * All views point into the content. Counts and flags are of the message's own header; attached
 * messages are body. Line lengths are in octets without the line end. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

/* The fields by which a message chooses its options, X-Posthouse-NAME. */
enum mail_option {
	MAIL_OPTION_STREAM,
	MAIL_OPTION_TAG,
	MAIL_OPTION_DOUBT,
	MAIL_OPTION_DEADLINE,
	MAIL_OPTION_SEND_AT,
};
#define MAIL_OPTION_COUNT 5

/* Why content must not be changed inside: a signature or encryption covers its bytes. */
enum mail_seal {
	MAIL_SEAL_NONE,
	MAIL_SEAL_DKIM,      /* has a DKIM-Signature */
	MAIL_SEAL_SIGNED,    /* multipart/signed */
	MAIL_SEAL_ENCRYPTED, /* multipart/encrypted */
	MAIL_SEAL_SMIME,     /* application/pkcs7-mime */
	MAIL_SEAL_PGP,       /* PGP armour in the body */
};

struct mail_scan {
	size_t header_size; /* octets before the separator */
	size_t body_at;     /* offset of the body */
	bool has_separator; /* an empty line stands between them */

	bool has_date;
	bool has_message_id;
	bool has_bcc;       /* Bcc or Resent-Bcc */
	bool has_mbox_line; /* begins with "From " as mailbox files do */
	bool is_bulk;       /* List-Unsubscribe, List-Id or Precedence: bulk */
	bool header_8bit;
	bool body_8bit;
	bool bare_eol; /* a CR or LF that is not part of CRLF */
	bool has_nul;
	unsigned from_count;
	unsigned received_count; /* hops so far */

	/* Values as they stand, folds included; p is NULL when the field is absent. The first of
	 * several. */
	struct str from;
	struct str sender;
	struct str reply_to;
	struct str subject;
	struct str date;
	struct str message_id;
	struct str options[MAIL_OPTION_COUNT];
	bool has_options;      /* any X-Posthouse-* field at all, for removal */
	struct str bad_option; /* name of an X-Posthouse-* field that is unknown or given twice */

	enum mail_seal seal;
	size_t longest_header_line;
	size_t longest_body_line;
};

void mail_scan(struct str content, struct mail_scan *out);

/* "Stream", "Tag", ... as in the field's name; never NULL. */
const char *mail_scan_option_name(enum mail_option o);
/* "it is DKIM-signed", ... for a reply; never NULL, "" for none. */
const char *mail_scan_seal_text(enum mail_seal s);
