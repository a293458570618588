/* A message as it comes from a file or a pipe, made fit to be handed in: CRLF line ends, and the
 * addresses of its header. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/str.h"

enum cli_raw_flags {
	CLI_RAW_DOT_ENDS =
	    1,               /* a line of a single dot ends the message, as `sendmail` without -i */
	CLI_RAW_NO_NULS = 2, /* NUL bytes are left out */
};

/* Appends `in` with CRLF for every line end (LF, CRLF, or a lone CR) and one at the end. */
void cli_raw_normalise(struct buf *out, struct str in, unsigned flags);

/* Appends `in`, which is normalised, with a header that a program need not have written: `from` as
 * From where that is missing, and the empty line behind the header. A line "From " of a mailbox
 * file goes. */
void cli_raw_complete(struct buf *out, struct str in, struct str from);

/* A list of addresses that grows in an arena. */
struct cli_raw_list {
	struct str *v;
	size_t n;
	size_t cap;
};
/* Adds `address` (copied), with "@" and `domain` behind it where it has no domain and `domain` is
 * not empty. One that is there already is not added again. */
void cli_raw_add(struct arena *a, struct cli_raw_list *list, struct str address, struct str domain);

/* Adds the recipients that the header names: of Resent-To, -Cc and -Bcc where there is one, else of
 * To, Cc and Bcc. RC_INVALID: a field cannot be read. */
enum rc cli_raw_recipients(struct str message, struct arena *a, struct cli_raw_list *list,
    struct str domain, struct fault *f);
/* The address of Sender, else the first one of From; empty where there is none. */
struct str cli_raw_sender(struct str message, struct arena *a);
