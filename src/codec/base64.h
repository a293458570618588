/* Base64 (RFC 4648 §4, RFC 2045 §6.8). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

/* Characters that `n` bytes become, padding included, line ends not. */
static inline size_t
base64_size(size_t n)
{
	return (n + 2) / 3 * 4;
}

/* Appends `s` in one line, padded. */
void base64_encode(struct buf *b, struct str s);
/* Appends `s` in lines of 76 characters, each with its CRLF, the last one too; nothing for an empty
 * `s`. */
void base64_encode_lines(struct buf *b, struct str s);

/* Appends the bytes that the whole of `s` stands for. Strict: false, and nothing appended, unless
 * `s` is exactly what base64_encode writes (alphabet, padding, no stray bits). For AUTH, keys and
 * tokens. */
NODISCARD bool base64_decode(struct buf *b, struct str s);
/* The same for MIME bodies: line ends and foreign characters are skipped, missing padding is borne
 * with and nothing behind padding is read. False if something was lost: foreign characters other
 * than blanks and line ends, or a last group of one character. Whatever could be decoded is
 * appended either way. */
bool base64_decode_mime(struct buf *b, struct str s);
