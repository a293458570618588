/* Text beyond ASCII in message headers, as encoded words (RFC 2047).
 *
 * Encoders take UTF-8 (what is not is repaired) and give ASCII on one line, with single blanks
 * where it may be folded: encoded words are at most 75 characters, each whole in itself, cut
 * between code points. Control bytes, CR and LF among them, become blanks, so that no value can
 * begin a header of its own. Decoders are for showing text to people; their result must not go back
 * into a header unencoded. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Appends unstructured text (Subject, Comments). Plain words stay as they are. */
void rfc2047_encode_text(struct buf *b, struct str text);
/* Appends a phrase, such as the display name before an address: atoms, else a quoted string, else
 * encoded. Nothing for an empty one. */
void rfc2047_encode_phrase(struct buf *b, struct str text);
/* Appends all of `text` as encoded words, whether it needs it or not. */
void rfc2047_encode_words(struct buf *b, struct str text);

/* Appends `s`, an unfolded header value, with its encoded words read: valid UTF-8 without control
 * bytes. Blanks between two encoded words vanish (§6.2). What cannot be decoded (a charset not
 * known, a broken word) stays as written. Known: UTF-8, US-ASCII, and what iconv offers of the
 * common mail charsets. */
void rfc2047_decode(struct buf *b, struct str s);
