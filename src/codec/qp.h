/* Quoted-printable (RFC 2045 §6.7). */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Appends `s` in lines of at most 76 characters. With `text`, CRLF in `s` is a line end and stays
 * one; without, every byte stands for itself and CR and LF are coded too. A bare CR or LF is coded
 * in both. Nothing is added behind the last line. Blanks at the end of a line, and "From " and "."
 * at the start of one, are coded, since gateways change them (RFC 2049 §3). The result is ASCII. */
void qp_encode(struct buf *b, struct str s, bool text);

/* Appends what `s` stands for: lower-case digits and bare LFs are borne with, blanks at the end of
 * a line are dropped, as the RFC asks. False if some "=" was no code: it and what follows are taken
 * as they stand. */
bool qp_decode(struct buf *b, struct str s);
