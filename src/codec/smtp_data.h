/* Message content on the wire: taking the dots out on the way in, putting them in on the way out
 * (RFC 5321 §4.5.2), and judging line ends, NUL and 8-bit bytes in the same look at each byte.
 *
 * Only CR LF "." CR LF ends content. A bare CR or LF ends nothing and begins no line on the way in,
 * whatever the peer believes, and never leaves on the way out: that is what keeps a message from
 * being smuggled inside another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "codec/parse.h"

/* How content is framed. */
enum smtp_data_mode {
	SMTP_DATA_DOTS,  /* DATA: doubled dots, ended by a lone dot */
	SMTP_DATA_CHUNK, /* BDAT (RFC 3030): counted chunks, content as it is */
};

/* Content coming in. Plain memory of the caller; read the fields above the line, touch none. */
struct smtp_data_reader {
	uint64_t size; /* content bytes so far, dots taken out, also those that were thrown away */
	uint64_t longest_line; /* octets without the CRLF */
	bool bare_cr;          /* seen: a CR without LF */
	bool bare_lf;          /* seen: an LF without CR */
	bool nul;              /* seen: a NUL byte */
	bool eight_bit;        /* seen: a byte above 127 */
	/* -- the reader's own -- */
	enum smtp_data_mode mode;
	bool normalize;
	unsigned state;
	uint64_t line; /* octets of the current line given out so far */
};

/* Starts a message. With `normalize` a bare CR or LF comes out as CRLF (and is still told in the
 * flags); without, every content byte comes out as it came. */
void smtp_data_reader_init(struct smtp_data_reader *r, enum smtp_data_mode mode, bool normalize);

/* Takes the next bytes from the peer, in pieces of any size, and appends content to `out`.
 *
 * PARSE_ONE: the lone dot was read (never in SMTP_DATA_CHUNK). *used_out bytes belong to this
 * message, the rest of `in` to the next command. The reader is finished.
 *
 * PARSE_MORE: all of `in` was used. Up to two bytes may be held back until what follows them is
 * known.
 *
 * Never PARSE_BROKEN: a message too bad or too large must be read to its end before it can be
 * refused. Once `out` is over its limit, or where it is NULL, content is counted and thrown away.
 */
enum parse smtp_data_reader_feed(
    struct smtp_data_reader *r, struct str in, struct buf *out, size_t *used_out);

/* Ends SMTP_DATA_CHUNK after its last chunk: gives out what was held back. */
void smtp_data_reader_finish(struct smtp_data_reader *r, struct buf *out);

/* Content going out. Plain memory of the caller, zeroed to start a message. */
struct smtp_data_writer {
	unsigned state;
};

/* Frames more content for DATA without copying it: fills at most `max` (> 0) `views` with what to
 * send, in order, and moves *content past what they cover. Views look into the content and into
 * constant memory. Returns how many were filled; call until content is empty, with each piece of it
 * in turn. 0 with empty content is possible: a CR at the end of a piece waits for the next one.
 *
 * A bare CR or LF goes out as CRLF. */
size_t smtp_data_writer_next(
    struct smtp_data_writer *w, struct str *content, struct str *views, size_t max);

/* What ends the content: CRLF where the last line has none, then the lone dot with its CRLF, which
 * is always the last three bytes: a connection that has sent none of those has not ended the
 * message. Constant memory. */
struct str smtp_data_writer_end(struct smtp_data_writer *w);
