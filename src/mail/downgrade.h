/* 8-bit content for a peer without 8BITMIME (RFC 6152 §3).
 *
 * Leaf parts with 8-bit bytes become quoted-printable (text) or base64 (all else), and labels that
 * said "8bit" or "binary" say "7bit". Content that is all ASCII comes back as it is. */
#pragma once

#include "base/str.h"
#include "mail/pieces.h"

/* Appends the 7-bit form of `content` to `out`. RC_DENIED when a signature or encryption covers it,
 * RC_INVALID when a header holds 8-bit bytes (that takes SMTPUTF8, which cannot be converted away)
 * or a part cannot be re-encoded; both with *why_out, a sentence for the bounce, and `out` to be
 * thrown away. */
enum rc mail_downgrade(struct str content, struct mail_pieces *out, const char **why_out);
