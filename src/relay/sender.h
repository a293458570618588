/* Senders as the book compares them.
 *
 * A canonical sender is text: "local@domain" with ASCII letters in lower case and the domain in
 * A-labels,
 * "@domain" for a whole domain, "<>" for the null sender. Used inside relay/ only. */
#pragma once

#include <stdbool.h>

#include "base/rc.h"
#include "base/str.h"

struct arena;
struct mail_addr;

/* Bytes of the longest canonical sender. */
#define RELAY_SENDER_TEXT_MAX 324

/* Writes the canonical form of `addr` to `room`, which the result looks into. */
struct str relay_sender_of(const struct mail_addr *addr, char room[static RELAY_SENDER_TEXT_MAX]);

/* The "@domain" of a canonical sender; empty for "<>". */
struct str relay_sender_domain(struct str canonical);

/* Reads an address, "@domain" or "<>" as a person typed it. *canonical_out and *typed_out (the
 * address as it is written into MAIL FROM; may be NULL) live in `a`. RC_INVALID, outputs untouched,
 * when it is none; *why_out then says why. */
enum rc relay_sender_parse(struct str text, struct arena *a, struct str *canonical_out,
    struct str *typed_out, const char **why_out);
