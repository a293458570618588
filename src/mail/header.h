/* The header of a message or of a MIME part, read in place.
 *
 * Content comes in as a view, fields go out as views into it; nothing is copied or allocated. Lines
 * end with CRLF or a bare LF. The header ends at the first empty line or, as receivers do it,
 * before the first line that is no field and continues none: then the separator is missing and the
 * body begins with that line. A leading "From " line of a mailbox file is skipped.
 *
 * `struct header_value` is the other direction: text that may become a field's body, because it
 * holds no CR, LF, NUL or other control character. Functions that write fields take only this type.
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

struct arena;
struct buf;

/* One field. `raw` is all its bytes with folds and the last line end; `value` what follows the
 * colon, folds included, without the last line end. */
struct mail_field {
	struct str raw;
	struct str name; /* as written, without space before the colon; never empty */
	struct str value;
};

struct mail_header_iter {
	struct str rest; /* from the first byte not yet looked at */
};

/* To the first field of `content`. */
struct mail_header_iter mail_header_start(struct str content);
/* The next field; false at the end of the header, after which `rest` begins with the separator or,
 * where that is missing, with the body. */
bool mail_header_next(struct mail_header_iter *it, struct mail_field *out);

/* Splits `content`: *header_out is everything before the separator, *body_out everything behind it.
 * False when there is no separator: the content is all header, or its body begins without one. */
bool mail_header_split(struct str content, struct str *header_out, struct str *body_out);

/* The first field of that name, in any case. */
bool mail_header_find(struct str content, struct str name, struct mail_field *out);
size_t mail_header_count(struct str content, struct str name);

/* Appends `value` on one line: line ends go, surrounding space is trimmed (RFC 5322 §2.2.3). */
void mail_header_unfold(struct buf *b, struct str value);
/* The same into an arena; returns `value` itself, trimmed, where it has no fold. */
struct str mail_header_unfolded(struct arena *a, struct str value);

/* The id in the value of a Message-ID field, without angle brackets (which are borne missing); a
 * view into `value`. False when there is none, or when it holds white space or control characters.
 */
bool mail_header_message_id(struct str value, struct str *out);

/* Whether `name` may name a field: printable ASCII without colon and space (RFC 5322 §2.2), at
 * most 64. */
bool mail_header_name_is_valid(struct str name);

struct header_value {
	struct str s; /* no byte below 0x20 but TAB, no 0x7f; well-formed UTF-8 or not */
};

/* RC_INVALID, *out untouched, when `s` holds a control character other than TAB. Borrows `s`. */
enum rc header_value_parse(struct str s, struct header_value *out);
/* Any text as a value: runs of control characters become one space, in a copy where there are any.
 */
struct header_value header_value_clean(struct arena *a, struct str s);
