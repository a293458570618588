/* From rows to books: the settings as the store keeps them become the immutable snapshots that
 * everybody reads.
 *
 * Used at start, when settings are published, and by whoever wants to know whether a change would
 * be valid before it is made: run it inside the change's transaction, on the writer's own reader,
 * and let its refusal undo the change. */
#pragma once

#include "base/fault.h"
#include "base/str.h"

struct account_book;
struct relay_book;
struct store_reader;

/* The settings that have been put, as `r` sees them. Either output may be NULL. RC_INVALID with a
 * fault that names row and remedy, or the reader's errors. */
enum rc api_books_read(struct store_reader *r, struct relay_book **relays_out,
    struct account_book **accounts_out, struct fault *f);

/* The options that a credential may use, such as "stream, tag", "all" or "none", as a set of enum
 * account_option. RC_INVALID with a fault that names the word. */
enum rc api_books_options(struct str text, unsigned *out, struct fault *f);
