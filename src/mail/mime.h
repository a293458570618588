/* The MIME structure of content, read in place (RFC 2045, 2046).
 *
 * An entity is a header and a body: a message or one part of a multipart. Nothing is decoded or
 * copied except a parameter's value. Reading is tolerant, as receivers are: what cannot be
 * understood is reported as such and left to the caller. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

struct arena;

/* Content nested deeper than this is not taken apart. */
#define MAIL_MIME_DEPTH_MAX 32

struct mail_mime_type {
	struct str type; /* as written; both are empty where the field cannot be read */
	struct str subtype;
	struct str params; /* what follows, from the first ';' */
};

enum mail_cte {
	MAIL_CTE_7BIT, /* also when there is no field */
	MAIL_CTE_8BIT,
	MAIL_CTE_BINARY,
	MAIL_CTE_QP,
	MAIL_CTE_BASE64,
	MAIL_CTE_UNKNOWN,
};

/* Parses the value of a Content-Type or Content-Disposition field; a disposition has no subtype.
 * False, with *out empty, when it does not begin with a token. */
bool mail_mime_type_parse(struct str value, struct mail_mime_type *out);
/* Compares without case; an empty `subtype` matches any. */
bool mail_mime_type_is(const struct mail_mime_type *t, struct str type, struct str subtype);
/* The value of parameter `name`, unquoted, in `a` or in the field itself; false when it is absent.
 * Extended and continued parameters (RFC 2231) are not decoded. */
bool mail_mime_param(
    const struct mail_mime_type *t, struct str name, struct arena *a, struct str *out);
/* The value of a Content-Transfer-Encoding field. */
enum mail_cte mail_mime_cte_parse(struct str value);
/* "7bit", "quoted-printable", ...; never NULL. */
const char *mail_mime_cte_name(enum mail_cte cte);

struct mail_mime_entity {
	struct str header; /* up to the separator */
	struct str body;
	struct mail_mime_type type;
	enum mail_cte cte;
	bool has_separator;
	/* there is a Content-Type field; else `type` is the default that was given */
	bool has_type;
	bool has_cte;
};

/* Takes `content` apart into header and body. Without a Content-Type it is text/plain, or
 * message/rfc822 where `in_digest` (RFC 2046 §5.1.5). */
void mail_mime_read(struct str content, bool in_digest, struct mail_mime_entity *out);

/* The pieces of a multipart body, in order; put together again they are the body, byte for byte. */
enum mail_mime_kind {
	MAIL_MIME_PREAMBLE,
	MAIL_MIME_DELIMITER, /* with the line end before it, which belongs to it, and its own */
	MAIL_MIME_PART,
	MAIL_MIME_CLOSE, /* the last delimiter */
	MAIL_MIME_EPILOGUE,
};

struct mail_mime_walk {
	struct str rest;
	struct str boundary;
	enum mail_mime_kind next;
};

/* `boundary` as the parameter has it, not empty; it must outlive the walk. */
struct mail_mime_walk mail_mime_walk_start(struct str body, struct str boundary);
/* The next piece, perhaps empty; false at the end. Without any delimiter there is a preamble only;
 * without the last one the final part reaches to the end. */
bool mail_mime_walk_next(
    struct mail_mime_walk *w, enum mail_mime_kind *kind_out, struct str *piece_out);
