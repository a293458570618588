/* POST /routes/test: which way a message would go, and why. Nothing is sent. */
#include "api/private.h"

#include "account/book.h"
#include "mail/address.h"
#include "relay/book.h"
#include "store/config_account.h"

struct question {
	struct mail_addr from;
	struct mail_addr to;
	struct str account;
	enum stream stream;
};

static enum rc
get_address(struct api_call *c, const char *key, struct mail_addr *out, struct fault *f)
{
	struct str text = { 0 };
	const char *why;
	enum rc rc = api_need_str(c->body, key, &text, f);

	if (rc != RC_OK)
		return rc;
	if (mail_addr_parse(text, MAIL_ADDR_UTF8, &c->arena, out, &why) != RC_OK)
		return fault_set(f, RC_INVALID, "%s '%.*s' is no address: %s", key,
		    STR_ARG(str_sub(text, 0, 100)), why);
	return RC_OK;
}

static enum rc
read_question(struct api_call *c, struct question *q, struct fault *f)
{
	struct str stream = { 0 };
	enum rc rc = get_address(c, "from", &q->from, f);

	if (rc == RC_OK)
		rc = get_address(c, "to", &q->to, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "account", &q->account, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "stream", &stream, f);
	if (rc == RC_OK && stream.n != 0 && !mail_stream_parse(stream, &q->stream))
		rc = fault_set(f, RC_INVALID, "stream must be transactional or bulk");
	return rc;
}

static const char *
refusal_name(enum relay_refusal r)
{
	switch (r) {
	case RELAY_REFUSAL_NONE: break;
	case RELAY_REFUSAL_CAPTURE: return "capture";
	case RELAY_REFUSAL_NO_ROUTE: return "no_route";
	case RELAY_REFUSAL_NO_SENDER: return "no_sender";
	case RELAY_REFUSAL_NO_BOUNCES: return "no_bounces";
	}
	return "none";
}

static void
put_way(struct api_call *c, const struct relay_decision *d)
{
	const struct relay_row *relay = relay_book_relay(c->relays, d->relay);
	const struct relay_version_row *version = relay_book_version(c->relays, d->version);
	struct json_writer *w = &c->json;

	json_writer_object(w);
	if (d->refusal != RELAY_REFUSAL_NONE) {
		json_writer_put_str(w, "refusal", str_from(refusal_name(d->refusal)));
	} else {
		json_writer_put_str(w, "relay", relay->name);
		json_writer_put_uint(w, "version", version != NULL ? version->number : 0);
		json_writer_put_uint(w, "route", d->route.v);
		if (d->rewritten)
			json_writer_put_str(w, "sender", d->sender);
		else
			json_writer_put_null(w, "sender");
		json_writer_put_bool(w, "rewritten", d->rewritten);
	}
	json_writer_put_str(w, "why", str_from(d->why));
	json_writer_end(w);
}

static enum rc
answer(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct question q = { 0 };
	struct account_id account = ACCOUNT_LOCAL;
	struct store_account_row *rows = NULL;
	struct relay_decision d;
	uint32_t n = 0;
	enum rc rc = read_question(c, &q, f);

	if (rc == RC_OK)
		rc = store_config_account_list(r, &c->arena, &rows, &n, f);
	if (rc != RC_OK)
		return rc;
	bool found = q.account.n == 0 || str_eq_nocase(q.account, STR("local"));
	for (uint32_t i = 0; i < n && q.account.n != 0; i++) {
		if (str_eq_nocase(rows[i].name, q.account)) {
			account = rows[i].id;
			found = true;
		}
	}
	if (!found)
		return fault_set(f, RC_INVALID, "account '%.*s' is not there",
		    STR_ARG(str_sub(q.account, 0, 64)));
	relay_book_route(c->relays, account, &q.from, q.to.domain_ascii, q.stream, &d);
	put_way(c, &d);
	return RC_OK;
}

void
api_route_test(struct api_call *c)
{
	api_answer_from(c, answer);
}
