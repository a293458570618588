/* A message made of its fields: from, to, subject, text, HTML, attachments.
 *
 * What comes out is correct MIME: CRLF, folded headers, encoded words for what is not ASCII, each
 * body in the shortest encoding that any server takes (7bit, quoted-printable or base64), so
 * neither 8BITMIME nor, unless an address needs it, SMTPUTF8 is asked of anybody. The structure is
 * the simplest that carries what is given:
 *
 *   mixed                        when there are attachments
 *     alternative                when there are both text and HTML
 *       text/plain
 *       related                  when there are inline parts for the HTML
 *         text/html, inline ...
 *     attachment ... */
#pragma once

#include <stdint.h>

#include "base/str.h"
#include "mail/address.h"
#include "mail/header.h"

struct buf;

struct mail_compose_person {
	struct header_value display; /* UTF-8; may be empty */
	struct mail_addr addr;
};

struct mail_compose_people {
	const struct mail_compose_person *v;
	size_t n;
};

struct mail_compose_part {
	struct str name; /* of the file, UTF-8; may be empty */
	struct str type; /* "image/png"; empty, multipart and message types become
			    application/octet-stream */
	/* without angle brackets: an inline part that the HTML names; else empty */
	struct str content_id;
	struct str content;
};

/* One more header field. */
struct mail_compose_field {
	struct str name;
	struct header_value value; /* UTF-8 */
};

struct mail_compose {
	struct mail_compose_person from;
	struct mail_compose_people to, cc, reply_to;
	struct header_value subject;
	struct str text; /* UTF-8, lines ended by LF or CRLF; p is NULL when there is none */
	struct str html; /* likewise */
	const struct mail_compose_part *parts;
	size_t part_count;
	const struct mail_compose_field *fields;
	size_t field_count;
	int64_t wall_us;       /* for Date; 0 leaves it to submission */
	struct str message_id; /* "left@right"; empty leaves it to submission */
	/* for boundaries: letters, digits and hyphens, another for each message */
	struct str unique;
};

/* Appends the message. RC_INVALID with *why_out when a text is no UTF-8, a field's name is invalid
 * or one that is made here, or a type or content id is malformed; RC_LIMIT when `b` has no room. In
 * both cases what was appended is to be thrown away. */
enum rc mail_compose(struct buf *b, const struct mail_compose *m, const char **why_out);
