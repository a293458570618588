/* What a person wants done with recipients: hold, release, retry, cancel, resolve. */
#pragma once

#include "api/private.h"
#include "deliver/deliver.h"
#include "store/query_message.h"
#include "store/query_queue.h"

/* The message of a public id, with or without "/N" behind it. RC_NOT_FOUND with a fault. */
enum rc api_message_find(struct api_call *c, struct store_reader *r, struct str id,
    struct store_message_row *out, struct fault *f);
/* "UUID/N", in the call's arena. */
struct str api_rcpt_id(struct api_call *c, const struct store_message_row *m, struct rcpt_id rcpt);

/* Which recipients: SELECTOR of the command line. */
struct api_selector {
	struct str id; /* of a message, or of one recipient; empty: by the filter */
	struct store_queue_filter filter;
	struct str account;
	struct str relay; /* only those that go through it at present */
};

/* "all", an id, or words such as "account=a from=@x.com stream=bulk", which must all hold. */
enum rc api_selector_parse(struct str text, struct api_selector *out, struct fault *f);

/* Carries `wanted` out for all that `selector` names, `only` (a state) of them if by_state is set
 * in the filter, and answers with {"matched","done","busy"}. `what` goes to the audit. */
void api_change_run(struct api_call *c, const struct api_selector *selector,
    enum deliver_wish wanted, const char *what);
