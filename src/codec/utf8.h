/* UTF-8 (RFC 3629): one code point at a time, and whole views.
 *
 * Valid means what the RFC says: shortest form, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* U+FFFD, which stands for what could not be read. */
#define UTF8_REPLACEMENT 0xfffdu

/* The bytes (1..4) of the code point that `s` begins with, which goes to *cp_out; 0, and nothing
 * written, if `s` is empty or begins with none. */
size_t utf8_step(struct str s, uint32_t *cp_out);

/* Whether all of `s` is UTF-8. The empty view is. */
bool utf8_is_valid(struct str s);
/* Whether no byte of `s` is above 127. */
bool utf8_is_ascii(struct str s);

/* Appends `cp`, which must be a code point (not a surrogate, at most U+10FFFF). */
void utf8_add(struct buf *b, uint32_t cp);

/* Appends `s` with each byte that begins no code point replaced by U+FFFD, so that the result is
 * valid. */
void utf8_add_repaired(struct buf *b, struct str s);

/* At most `n` bytes of the front of `s`, fewer where that would cut a code point. */
struct str utf8_head(struct str s, size_t n);
