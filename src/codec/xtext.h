/* xtext (RFC 3461 §4): how ENVID, ORCPT and AUTH carry any text inside an SMTP parameter, and its
 * sister for addresses in UTF-8 (RFC 6533 §3), which names code points as \x{HEX}. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* Appends `s` as xtext: every byte but the printable ones other than '+' and '=' becomes +XX. The
 * result holds nothing that could end a parameter or a line. */
void xtext_encode(struct buf *b, struct str s);

/* Decodes the whole of `s` into the arena. False, and nothing written to *out, if it is no xtext.
 * Hexadecimal digits may be in lower case. The result may hold any byte: check it for what it is
 * meant to be. */
bool xtext_decode(struct arena *a, struct str s, struct str *out);

/* The same for an address of type "utf-8". `s` to encode must be valid UTF-8; the result is ASCII,
 * fit for peers without SMTPUTF8. Decoding also takes code points in plain UTF-8, and +XX below 128
 * as older software sends it. */
void xtext_encode_utf8(struct buf *b, struct str s);
bool xtext_decode_utf8(struct arena *a, struct str s, struct str *out);
