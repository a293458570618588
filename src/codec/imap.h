/* IMAP responses, as a client reads them, and the few things a client has to write with care (RFC
 * 9051 and RFC 3501 §7, §9).
 *
 * A response is one line, or several where literals stand in it. It is read whole into a small tree
 * of values; what they mean is the caller's business. Reading is liberal: a response that is framed
 * well but breaks the grammar is handed over as `odd`, since servers say strange things of their
 * own accord, and only bytes whose end cannot be known are broken.
 *
 * Everything is bounded by what is passed in: a caller that shows at most N bytes gets a tree of
 * that size times a constant. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "codec/parse.h"

/* Lists nested deeper than that make a response odd. */
#define IMAP_DEPTH_MAX  24u
/* Values of one response; more make it odd. */
#define IMAP_VALUES_MAX 100000u
/* Octets of one line outside literals. */
#define IMAP_LINE_MAX   (1u << 20)
/* Octets of all a response; a literal that announces more is broken. */
#define IMAP_TOTAL_MAX  (8u << 20)

enum imap_kind { IMAP_NIL, IMAP_ATOM, IMAP_STRING, IMAP_LIST };

/* Lives in the arena; its text looks into the bytes that were read, except where a quoted string
 * had escapes. */
struct imap_value {
	enum imap_kind kind;
	struct str text;          /* ATOM ("BODY[HEADER]" is one), STRING */
	struct imap_value *first; /* LIST; NULL when empty */
	struct imap_value *next;  /* the next one in the same list, or NULL */
};

enum imap_status {
	IMAP_DATA, /* anything untagged that is no condition: EXISTS, LIST, FETCH ... */
	IMAP_OK,
	IMAP_NO,
	IMAP_BAD,
	IMAP_PREAUTH,
	IMAP_BYE,
	IMAP_CONTINUE, /* "+ text" */
};

struct imap_response {
	struct str tag; /* "*" untagged, "+" continue, else the command's */
	enum imap_status status;
	bool odd;        /* framed, not understood: the rest is empty */
	struct str code; /* of a condition: "UIDVALIDITY 17", without brackets; may be empty */
	struct str text; /* of a condition or "+": for people, or the server's challenge */
	struct str name; /* DATA: "FETCH", "LIST" ... */
	uint64_t number; /* DATA: of "* 12 FETCH"; else 0 */
	struct imap_value *values; /* DATA: what follows the name */
};

/* Takes one response off the front of `in`, which starts at a response's first byte.
 *
 * PARSE_ONE: *out is the response, *used_out the bytes it took. PARSE_MORE: nothing is written.
 * PARSE_BROKEN: *why_out says in a few words what is wrong; the connection must be closed. */
enum parse imap_response_parse(struct str in, struct arena *a, struct imap_response *out,
    size_t *used_out, const char **why_out);

/* The i-th value of a list's values, or NULL. */
const struct imap_value *imap_value_at(const struct imap_value *first, size_t i);
/* The value behind the atom `key` (any case) in a list of pairs, as in FETCH; NULL: not there. An
 * atom "BODY[...]<0>" is found as "BODY[...]". */
const struct imap_value *imap_value_of(const struct imap_value *first, struct str key);
/* The number that an atom stands for. */
bool imap_value_number(const struct imap_value *v, uint64_t *out);
/* Whether the list holds the word (any case). */
bool imap_value_has(const struct imap_value *first, struct str word);
/* What follows the word `key` and a space in a response code: "17" for UIDVALIDITY. False: another
 * code. */
bool imap_code_is(struct str code, struct str key, struct str *rest_out);

/* ---- writing ---- */

/* Appends `s` as a quoted string. RC_INVALID, nothing appended: it holds CR, LF, NUL or bytes above
 * 127, for which there is only a literal. */
enum rc imap_quote(struct buf *b, struct str s);
/* Appends the date of a moment in UTC as SEARCH takes it: 23-Nov-2026. */
void imap_date(struct buf *b, int64_t wall_us);

/* ---- mailboxes (folders) ---- */

/* Appends a folder's name in UTF-8: read from modified UTF-7 (RFC 3501 §5.1.3); what is none stays
 * as written. */
void imap_folder_decode(struct buf *b, struct str name);

/* What a folder is for: by its attributes (RFC 6154), or, where a server gives none, by the names
 * that are usual. */
enum imap_role {
	IMAP_ROLE_NONE,
	IMAP_ROLE_INBOX,
	IMAP_ROLE_JUNK,
	IMAP_ROLE_SENT,
	IMAP_ROLE_TRASH,
	IMAP_ROLE_DRAFTS,
	IMAP_ROLE_ALL, /* of Gmail: everything once more */
};
#define IMAP_ROLE_COUNT 7
/* "none", "inbox", "junk" ...; never NULL. */
const char *imap_role_name(enum imap_role role);
/* From LIST's attributes alone; NONE where they do not say. */
enum imap_role imap_role_of_attributes(const struct imap_value *first);
/* From the name as the server writes it, its hierarchy delimiter ('\0': none) taken into account.
 */
enum imap_role imap_role_of_name(struct str name, char delimiter);
