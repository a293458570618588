/* Changes inside content: fields taken out, long lines and 8-bit bytes re-encoded, nothing cut.
 *
 * What cannot pass as it stands is encoded where it stands: the leaf part that holds it, as
 * quoted-printable when it is text and as base64 otherwise, with its Content-Transfer-Encoding;
 * header lines are folded. All else stays byte for byte. Readers see the same message as before.
 * Attached messages are entered. The text around the parts of a multipart, which no reader shows,
 * is dropped where it could not pass.
 *
 * Submission repair and the downgrade for 7-bit peers are both this, with different wishes. */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "mail/pieces.h"
#include "mail/scan.h"

/* RFC 5321 §4.5.3.1.6: octets of a line without its CRLF. */
#define MAIL_LINE_MAX 998

struct mail_recode_opts {
	bool seven_bit; /* no byte above 127 may remain */
	/* Whether the top header's field of this name is to go; NULL keeps all. */
	bool (*drops)(struct str name);
};

/* Appends the changed `content`, whose scan is `scan`, to `out`; it ends with CRLF. Content with
 * bare CR, bare LF or NUL is refused. RC_DENIED when a signature forbids the change that is needed,
 * RC_INVALID when a part cannot be re-encoded; both with *why_out, a sentence for the reply, and
 * `out` to be thrown away. */
enum rc mail_recode(struct str content, const struct mail_scan *scan,
    const struct mail_recode_opts *opts, struct mail_pieces *out, const char **why_out);
