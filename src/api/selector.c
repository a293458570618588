/* Selectors: words that must all hold. */
#include "api/change.h"

#include "store/state.h"

static enum rc
take_word(struct str key, struct str value, struct api_selector *out, struct fault *f)
{
	struct store_queue_filter *q = &out->filter;

	if (str_eq(key, STR("account")))
		out->account = value;
	else if (str_eq(key, STR("relay")))
		out->relay = value;
	else if (str_eq(key, STR("from")))
		q->sender = value;
	else if (str_eq(key, STR("to")))
		q->address = value;
	else if (str_eq(key, STR("tag")))
		q->tag = value;
	else if (str_eq(key, STR("stream"))) {
		q->by_lane = true;
		if (!mail_stream_parse(value, &q->lane))
			return fault_set(
			    f, RC_INVALID, "selector: stream must be transactional or bulk");
	} else if (str_eq(key, STR("state"))) {
		q->by_state = true;
		if (!store_state_parse(value, &q->state) || store_state_is_final(q->state))
			return fault_set(f, RC_INVALID,
			    "selector: state must be queued, held, captured or in_doubt");
	} else {
		return fault_set(f, RC_INVALID,
		    "selector: '%.*s' is unknown; there are account, from, to, stream, relay, state and tag",
		    STR_ARG(str_sub(key, 0, 40)));
	}
	return RC_OK;
}

static bool
looks_like_id(struct str word)
{
	return word.n >= 36 && word.p[8] == '-' && word.p[13] == '-';
}

enum rc
api_selector_parse(struct str text, struct api_selector *out, struct fault *f)
{
	struct str word;
	bool any = false;
	enum rc rc = RC_OK;

	*out = (struct api_selector){ 0 };
	while (rc == RC_OK && api_next_word(&text, &word)) {
		size_t eq = str_find(word, '=');
		any = true;
		if (str_eq(word, STR("all")))
			continue;
		if (looks_like_id(word))
			out->id = word;
		else if (eq == word.n || eq + 1 == word.n)
			rc = fault_set(f, RC_INVALID,
			    "selector: '%.*s' is not understood; say all, an id, or words such as account=A from=@D",
			    STR_ARG(str_sub(word, 0, 40)));
		else
			rc = take_word(str_sub(word, 0, eq), str_skip(word, eq + 1), out, f);
	}
	if (rc == RC_OK && !any)
		rc = fault_set(
		    f, RC_INVALID, "selector is empty; say all, an id, or words such as from=@D");
	return rc;
}
