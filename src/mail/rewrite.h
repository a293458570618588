/* Another sender in a message's From, for relays that carry one address only.
 *
 * The new address takes the place of the old one's bytes, so display name, comments and folds stay.
 * Where there is no Reply-To the old From becomes it, so that answers still find their way. Content
 * that is signed is not touched: the signature would break. */
#pragma once

#include "base/rc.h"
#include "base/str.h"
#include "mail/pieces.h"

/* Appends `content` with `sender` (a path without angle brackets) in From to `out`; views into
 * content and into `out`'s own memory. RC_NOT_FOUND: there is no From that can be read; RC_DENIED:
 * the content is signed. Both with *why_out, half a sentence. */
enum rc mail_rewrite_from(
    struct str content, struct str sender, struct mail_pieces *out, const char **why_out);
