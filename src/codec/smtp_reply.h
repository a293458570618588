/* SMTP replies: reading a peer's and writing our own (RFC 5321 §4.2, RFC 3463, RFC 2034).
 *
 * A reply is a three-digit code, perhaps an enhanced status code, and text of one or more lines.
 * What the peer decided is a value, `struct smtp_reply`, never an error of ours; only bytes that
 * are no reply at all are broken. Reading is liberal where servers in the field are sloppy and
 * strict where being liberal would let two replies be taken for one.
 *
 * The text of a reply never holds a control byte other than the LF between its lines, whoever wrote
 * it, so it can be logged, stored and quoted in a bounce as it is. It may hold bytes above 127 in
 * any charset. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "codec/parse.h"

/* Beyond these a peer is not talking SMTP. RFC 5321 §4.5.3.1.5 asks for 512 octets a line. */
#define SMTP_REPLY_LINE_MAX  4096u /* octets of one line, its end included */
#define SMTP_REPLY_LINES_MAX 256u
#define SMTP_REPLY_TOTAL_MAX 16384u /* octets of all lines */

/* class.subject.detail of RFC 3463; cls is 2, 4 or 5, and 0 where there is none. */
struct smtp_enhanced {
	uint16_t cls;
	uint16_t subject; /* 0..999 */
	uint16_t detail;  /* 0..999 */
};

/* In initialisers and arguments: SMTP_ENHANCED(5, 1, 1), SMTP_ENHANCED_NONE. */
#define SMTP_ENHANCED(c, s, d) ((struct smtp_enhanced){ (c), (s), (d) })
#define SMTP_ENHANCED_NONE     ((struct smtp_enhanced){ 0, 0, 0 })

struct smtp_reply {
	uint16_t code;                 /* 200..599 */
	uint16_t lines;                /* as the peer sent them, at least 1 */
	struct smtp_enhanced enhanced; /* cls is 0 or code / 100 */
	struct str text;               /* lines joined by '\n', codes removed; lives in the arena */
};

/* Takes one whole reply off the front of `in`, which starts at a reply's first byte.
 *
 * PARSE_ONE: *out is the reply, its text copied to `a`, and *used_out the bytes it took.
 *
 * PARSE_MORE: the reply has no end yet; nothing is written.
 *
 * PARSE_BROKEN: *why_out says in a few words what is wrong (static text), *used_out is the offset
 * of the line that shows it. Nothing after it can be trusted; close the connection.
 *
 * Borne with: lines that end in a bare LF, no space or a tab behind the code, blanks at the end of
 * a line, an enhanced code on some lines only. An enhanced code whose class contradicts the reply
 * code (RFC 2034 §4 forbids it) is left in the text. NUL and control bytes become '?', tabs become
 * spaces.
 *
 * Not borne with: a line that begins with no code of 200..599, a code that differs between lines,
 * more than the limits above. */
enum parse smtp_reply_parse(
    struct str in, struct arena *a, struct smtp_reply *out, size_t *used_out, const char **why_out);

/* Appends a reply of ours: `code` 200..599, `e` none or of the code's class, `text` of any lines.
 * Each line gets code and enhanced code; what would exceed 512 octets with its CRLF is split, at a
 * blank if there is one and never inside a UTF-8 sequence. CR, LF and CRLF in `text` are line
 * breaks, a final one is ignored, other control bytes become '?': no text can inject a reply. */
void smtp_reply_format(struct buf *b, uint16_t code, struct smtp_enhanced e, struct str text);

/* Reads the whole of `word` as an enhanced status code, such as "5.7.1". False, and nothing
 * written, if it is none: wrong class, leading zeros, more than three digits. */
bool smtp_reply_parse_enhanced(struct str word, struct smtp_enhanced *out);

/* Positive completion, positive intermediate, transient and permanent failure (RFC 5321 §4.2.1). */
static inline bool
smtp_reply_is_2xx(const struct smtp_reply *r)
{
	return r->code / 100 == 2;
}
static inline bool
smtp_reply_is_3xx(const struct smtp_reply *r)
{
	return r->code / 100 == 3;
}
static inline bool
smtp_reply_is_4xx(const struct smtp_reply *r)
{
	return r->code / 100 == 4;
}
static inline bool
smtp_reply_is_5xx(const struct smtp_reply *r)
{
	return r->code / 100 == 5;
}
