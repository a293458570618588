/* Where a recipient stands and why, in one plain sentence. */
#pragma once

#include "api/private.h"
#include "relay/book.h"
#include "relay/desk.h"
#include "store/query_message.h"

struct api_way;

struct api_words {
	int64_t now_us;
	struct str id; /* of the recipient, for the commands that are named */
	const struct store_message_row *message;
	const struct store_recipient_row *rcpt;
	const struct store_attempt_row *last; /* NULL: none yet */
	struct str last_relay;                /* "main@1" of the last attempt; may be empty */
	const struct relay_decision *where;   /* of its group; NULL: unknown */
	struct str relay;                     /* name of where->relay */
	const struct api_way *way;            /* its state; NULL: unknown */
};

/* Appends the sentence. */
void api_words_add(struct buf *b, const struct api_words *w);
/* "12:03" on the day of `now_us`, else "2026-11-22 12:03"; UTC. */
void api_words_time(struct buf *b, int64_t at_us, int64_t now_us);
/* What a relay that is not well does, such as "is paused by hand" or "has used up its daily quota".
 */
const char *api_words_state(const struct relay_status *s);
