/* Times, spans, sizes and numbers as people say them; and which word somebody meant.
 *
 * All functions append to a buffer or return a value; none reads a clock. Wall time is in
 * microseconds since the epoch, as everywhere. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* RFC 3339 ("2026-11-23T07:48:33.123Z", also with an offset, a blank for the T, or the date alone,
 * which is midnight UTC). False, *us_out untouched, for anything else. */
bool cli_words_parse_time(struct str text, int64_t *us_out);

/* "just now", "40 s ago", "3 min ago", "2 h ago", "5 days ago"; "in 40 s" and so on for what is to
 * come. */
void cli_words_ago(struct buf *b, int64_t then_us, int64_t now_us);
/* "250 µs", "12 ms", "3.4 s", "40 s", "3 min", "2 h", "5 days". */
void cli_words_span(struct buf *b, int64_t us);
/* In the local time zone: "08:50:03" for today, "2026-11-23 08:50:03" for other days. */
void cli_words_clock(struct buf *b, int64_t us, int64_t now_us);
/* The day and time in full, in the local time zone, with its offset: "2026-11-23 08:50:03 +0100".
 */
void cli_words_date(struct buf *b, int64_t us);
/* "312 bytes", "4.1 KB", "25 MB": powers of 1,024. */
void cli_words_size(struct buf *b, uint64_t bytes);
/* "1,234,567". */
void cli_words_count(struct buf *b, uint64_t n);
/* "1 message", "2 messages". */
void cli_words_plural(struct buf *b, uint64_t n, const char *one, const char *many);

/* How many letters must be put in, left out, or changed, or swapped with their neighbour, to make
 * `b` of `a`. SIZE_MAX for words of 64 bytes and more. */
size_t cli_words_distance(struct str a, struct str b);
/* Remembers the nearest of the words offered; start with { .word = what was typed }. */
struct cli_words_guess {
	struct str word;
	const char *best; /* NULL: nothing is near enough to be meant */
	size_t distance;
};
void cli_words_offer(struct cli_words_guess *g, const char *candidate);
