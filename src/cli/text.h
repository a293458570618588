/* Text on a terminal: how wide it is, and what of it may be shown.
 *
 * Subjects, addresses and replies come from strangers: control characters in them could rewrite
 * the screen, and marks of writing direction could make one thing look like another. What is shown
 * goes through cli_text_clean first. Width is in columns: two for East Asian and emoji characters,
 * none for combining ones. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* `s` on one line: line ends and tabs become blanks, what could disturb the terminal or is not
 * UTF-8 becomes U+FFFD. Returns `s` itself where it is clean. */
struct str cli_text_clean(struct arena *a, struct str s);

/* Columns of a clean text. */
size_t cli_text_width(struct str s);
/* The longest front of `s` that is at most `width` columns. */
struct str cli_text_head(struct str s, size_t width);
/* Appends `s`, cut to `width` columns with "…" at its end where it is longer. */
void cli_text_add_cut(struct buf *b, struct str s, size_t width);
/* Appends `n` blanks. */
void cli_text_add_blanks(struct buf *b, size_t n);
/* Appends `s` broken at blanks into lines of at most `width` columns, `indent` blanks in front of
 * each, the first too, and LF at the end of each. A line feed in `s` breaks a line. A word that is
 * longer stands alone. */
void cli_text_add_wrapped(struct buf *b, struct str s, size_t indent, size_t width);
