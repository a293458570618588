/* Probes of a relay version: begun here, run by the service that reads mailboxes, asked about while
 * they run, and kept by the store when they are over. */
#include "mailbox/probe.h"

#include "api/private.h"
#include "relay/book.h"
#include "store/config_mailbox.h"

#define WITHIN_MAX 3600

struct probe_task {
	struct mailbox_probe *ask;
	struct version_id version;
};

/* NAME or NAME@N. */
static bool
find_version(struct api_call *c, struct version_id *out)
{
	size_t at = str_find_last(c->name, '@');
	struct str name = str_sub(c->name, 0, at), number = str_skip(c->name, at + 1);
	const struct relay_row *relay = relay_book_relay_named(c->relays, name);
	uint64_t n = 0;

	if (relay == NULL) {
		api_fail(c, RC_NOT_FOUND,
		    "there is no relay '%.*s'; 'posthouse relay list' shows them all",
		    STR_ARG(str_sub(name, 0, 64)));
		return false;
	}
	*out = relay->current;
	if (at == c->name.n)
		return true;
	for (size_t i = 0; i < relay_book_version_count(c->relays); i++) {
		const struct relay_version_row *v = relay_book_version_at(c->relays, i);
		*out = v->id;
		if (ID_EQ(v->relay, relay->id) && str_to_u64(number, &n) == RC_OK && v->number == n)
			return true;
	}
	api_fail(c, RC_NOT_FOUND,
	    "relay '%.*s' has no version %.*s; 'posthouse relay show %.*s' shows them all",
	    STR_ARG(name), STR_ARG(str_sub(number, 0, 20)), STR_ARG(name));
	return false;
}

static void
drop(struct mailbox_request *request)
{
	struct mailbox_ask *ask = CONTAINER_OF(request, struct mailbox_ask, base);
	struct mailbox_probe *p = CONTAINER_OF(ask, struct mailbox_probe, ask);

	mailbox_probe_free(&p);
}

static void
answer_raw(struct api_call *c, struct str report)
{
	json_writer_raw(&c->json, report);
	api_done(c);
}

/* ---- starting ---- */

static enum rc
write_audit(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	return api_audit(c, tx, "relay.probe", c->name, (struct str){ 0 }, f);
}

static void
show_started(struct api_call *c)
{
	struct probe_task *t = c->data;
	AUTO(mailbox_probe_free) struct mailbox_probe *p = TAKE(t->ask);

	c->status = 202;
	answer_raw(c, p->report);
}

static void
started(struct api_call *c)
{
	struct probe_task *t = c->data;

	if (t->ask->ask.rc != RC_OK) {
		struct fault f = t->ask->ask.fault;
		mailbox_probe_free(&t->ask);
		api_fail_with(c, &f);
		return;
	}
	api_write(c, write_audit, show_started);
}

static enum rc
read_body(struct api_call *c, struct mailbox_probe *p, struct fault *f)
{
	static const char *const fields[] = { "to", "from", "within_s" };
	struct str words = { 0 }, word, *list;
	int64_t within = 0;
	enum rc rc = json_only(c->body, fields, COUNT_OF(fields), f);

	if (rc == RC_OK)
		rc = json_opt_str(c->body, "to", &p->only, f);
	if (rc == RC_OK)
		rc = json_opt_int(c->body, "within_s", 5, WITHIN_MAX, &within, f);
	if (rc == RC_OK)
		rc = api_get_words(c->body, "from", &p->arena, &words, f);
	if (rc != RC_OK)
		return rc;
	p->only = arena_str(&p->arena, p->only);
	p->deadline_us = SECONDS(within);
	list = ARENA_NEW_ARRAY(&p->arena, struct str, MAILBOX_PROBES_MAX);
	p->senders = list;
	while (api_next_word(&words, &word)) {
		if (p->n_senders == MAILBOX_PROBES_MAX)
			return fault_set(
			    f, RC_INVALID, "from names more than %u senders", MAILBOX_PROBES_MAX);
		list[p->n_senders++] = word;
	}
	return RC_OK;
}

void
api_probe_start(struct api_call *c)
{
	struct probe_task *t = ARENA_NEW(&c->arena, struct probe_task);
	struct fault f = { 0 };

	c->data = t;
	if (!find_version(c, &t->version))
		return;
	t->ask = mailbox_probe_new();
	t->ask->want = MAILBOX_PROBE_START;
	t->ask->version = t->version;
	t->ask->book = relay_book_ref(c->relays);
	if (c->body != NULL && read_body(c, t->ask, &f) != RC_OK) {
		mailbox_probe_free(&t->ask);
		api_fail_with(c, &f);
		return;
	}
	api_ask(c, c->api->opts.mailboxes, &t->ask->ask.base, drop, started);
}

/* ---- looking ---- */

static enum rc
put_last(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct probe_task *t = c->data;
	struct store_probe_row row;
	enum rc rc = store_config_probe_last(r, t->version, &c->arena, &row, NULL);

	if (rc == RC_OK)
		json_writer_raw(&c->json, row.report);
	if (rc == RC_NOT_FOUND)
		return fault_set(f, rc,
		    "no probe has gone through it yet; begin one with 'posthouse relay probe %.*s'",
		    STR_ARG(c->name));
	return rc == RC_OK ? rc : fault_set(f, rc, "the store cannot be read");
}

static void
looked(struct api_call *c)
{
	struct probe_task *t = c->data;
	AUTO(mailbox_probe_free) struct mailbox_probe *p = TAKE(t->ask);

	if (p->ask.rc == RC_OK && p->report.n != 0)
		answer_raw(c, p->report);
	else if (p->ask.rc == RC_OK || p->ask.rc == RC_NOT_FOUND)
		api_answer_from(c, put_last);
	else
		api_fail_with(c, &p->ask.fault);
}

void
api_probe_show(struct api_call *c)
{
	struct probe_task *t = ARENA_NEW(&c->arena, struct probe_task);

	c->data = t;
	if (!find_version(c, &t->version))
		return;
	t->ask = mailbox_probe_new();
	t->ask->want = MAILBOX_PROBE_LOOK;
	t->ask->version = t->version;
	api_ask(c, c->api->opts.mailboxes, &t->ask->ask.base, drop, looked);
}
