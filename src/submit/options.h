/* The X-Posthouse-* fields of a message, by which it chooses its options. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mail/scan.h"
#include "mail/stream.h"
#include "queue/doubt.h"

struct submit_options {
	bool has_stream;
	enum stream stream;
	struct str tag; /* a view of the content; may be empty */
	bool has_doubt;
	enum queue_doubt_policy doubt;
	int64_t deadline_us; /* wall; TIME_NEVER: none */
	int64_t send_at_us;  /* wall; 0: at once */
};

/* Reads the options that `permitted` (a set of enum account_option) allows. Times are RFC 3339, RFC
 * 5322 dates, or a wait from now such as "10m". False, with a sentence in `why`, for a bad value,
 * an unknown field, one given twice, or one that is not permitted: such a message is refused, never
 * sent with other options than it asked for. */
#define SUBMIT_WHY_SIZE 256
bool submit_options_read(const struct mail_scan *scan, unsigned permitted, int64_t now_us,
    struct submit_options *out, char why[static SUBMIT_WHY_SIZE]);
