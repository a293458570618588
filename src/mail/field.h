/* Writing header fields.
 *
 * A field comes from a name of ours and a struct header_value, so it cannot break out of its line.
 * Lines are folded at white space near 76 columns (RFC 5322 §2.1.1) and never pass 998 octets. */
#pragma once

#include "base/str.h"
#include "mail/header.h"

struct buf;

/* Appends "Name: value" as it stands, folded. The name is valid (mail_header_name_is_valid). A
 * single word over 900 octets, which nothing could fold, is split by a space; of more than 76
 * blanks in a row one stays. */
void mail_field_add(struct buf *b, struct str name, struct header_value value);

/* The same for text meant for people (Subject): what is not ASCII, or looks like an encoded word,
 * becomes encoded words (RFC 2047). */
void mail_field_add_text(struct buf *b, struct str name, struct header_value value);
