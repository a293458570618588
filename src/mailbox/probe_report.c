/* What a run has shown, in one sentence, in one for each probe, and as JSON. */
#include "base/clock.h"
#include "codec/json_writer.h"
#include "mailbox/probe_private.h"

static const char *const kinds[] = {
	[PROBE_TO_MAILBOX] = "send",
	[PROBE_RECEIVE] = "receive",
	[PROBE_BOUNCE] = "bounce",
};

static const char *const outcomes[] = {
	[PROBE_WAITING] = "waiting",
	[PROBE_SENT] = "sent",
	[PROBE_INBOX] = "inbox",
	[PROBE_JUNK] = "junk",
	[PROBE_FOLDER] = "folder",
	[PROBE_BOUNCED] = "bounced",
	[PROBE_MISSING] = "missing",
	[PROBE_REFUSED] = "refused",
	[PROBE_UNREAD] = "unread",
};

static bool
is_failed_auth(struct str result)
{
	return str_eq_nocase(result, STR("fail")) || str_eq_nocase(result, STR("permerror"));
}

static bool
has_arrived(const struct probe_item *it)
{
	return it->outcome == PROBE_INBOX || it->outcome == PROBE_JUNK ||
	       it->outcome == PROBE_FOLDER;
}

static bool
is_good(const struct probe_item *it)
{
	switch (it->outcome) {
	case PROBE_INBOX:
	case PROBE_FOLDER: return !is_failed_auth(it->facts.dmarc);
	case PROBE_BOUNCED: return it->kind == PROBE_BOUNCE;
	case PROBE_WAITING:
	case PROBE_SENT:
	case PROBE_JUNK:
	case PROBE_MISSING:
	case PROBE_REFUSED:
	case PROBE_UNREAD: break;
	}
	return false;
}

/* ---- sentences ---- */

static struct str
span_text(struct arena *a, int64_t us)
{
	if (us < SECONDS(100))
		return arena_strf(a, "%lld.%lld s", (long long)(us / SECONDS(1)),
		    (long long)(us % SECONDS(1) / MS(100)));
	return arena_strf(a, "%lld min", (long long)(us / MINUTES(1)));
}

static struct str
arrived(const struct probe_run *r, const struct probe_item *it, struct arena *a)
{
	struct str took = span_text(a, it->found_us - it->sent_us);

	(void)r;
	if (is_failed_auth(it->facts.dmarc))
		return arena_strf(a,
		    "arrived in %.*s after %.*s, but DMARC fails for this sender: SPF or DKIM has to "
		    "name its domain",
		    STR_ARG(it->folder), STR_ARG(took));
	if (it->outcome == PROBE_JUNK)
		return arena_strf(a,
		    "arrived after %.*s, but in %.*s: readers will not see it; look at SPF, DKIM and "
		    "DMARC of the sender's domain",
		    STR_ARG(took), STR_ARG(it->folder));
	return arena_strf(a, "arrived in %.*s after %.*s", STR_ARG(it->folder), STR_ARG(took));
}

static struct str
missing(const struct probe_run *r, const struct probe_item *it, struct arena *a)
{
	struct str limit = span_text(a, r->deadline_us);

	if (it->kind == PROBE_BOUNCE)
		return arena_strf(a,
		    "no report about an address that does not exist came home within %.*s: bounces may "
		    "be lost",
		    STR_ARG(limit));
	return arena_strf(a,
	    "accepted, but not found within %.*s: that is how quarantine looks; accepted is not "
	    "delivered",
	    STR_ARG(limit));
}

static struct str
sentence(const struct probe_run *r, const struct probe_item *it, struct arena *a)
{
	switch (it->outcome) {
	case PROBE_WAITING: return STR("waits to be sent");
	case PROBE_SENT: return STR("accepted by the relay; looked for");
	case PROBE_INBOX:
	case PROBE_JUNK:
	case PROBE_FOLDER: return arrived(r, it, a);
	case PROBE_BOUNCED:
		if (it->found_us == 0)
			return arena_strf(a,
			    "the relay refuses an address that does not exist at once: %.*s",
			    STR_ARG(it->said));
		return arena_strf(a,
		    "the report about an address that does not exist came home after %.*s: %.*s",
		    STR_ARG(span_text(a, it->found_us - it->sent_us)), STR_ARG(it->said));
	case PROBE_MISSING: return missing(r, it, a);
	case PROBE_REFUSED:
		return arena_strf(a, "refused at %.*s: %.*s%.*s", STR_ARG(it->stage),
		    STR_ARG(it->code != 0 ? arena_strf(a, "%u ", it->code) : STR("")),
		    STR_ARG(it->text));
	case PROBE_UNREAD:
		return arena_strf(a, "the mailbox %.*s cannot be read, so nothing is proven: %.*s",
		    STR_ARG(r->watches[it->watch].box->name), STR_ARG(r->watches[it->watch].why));
	}
	return STR("");
}

/* ---- JSON ---- */

static void
put_text(struct json_writer *w, const char *key, struct str s)
{
	if (s.n != 0)
		json_writer_put_str(w, key, s);
	else
		json_writer_put_null(w, key);
}

static void
put_facts(struct json_writer *w, const struct probe_mail_facts *f)
{
	put_text(w, "authserv_id", f->authserv);
	put_text(w, "spf", f->spf);
	put_text(w, "dkim", f->dkim);
	put_text(w, "dmarc", f->dmarc);
	put_text(w, "return_path", f->return_path);
	put_text(w, "received_with", f->received_with);
	json_writer_put_bool(w, "received_tls", f->received_tls);
	json_writer_put_bool(w, "message_id_preserved", f->message_id_kept);
	json_writer_put_bool(w, "date_preserved", f->date_kept);
	json_writer_put_bool(w, "from_preserved", f->from_kept);
	json_writer_put_bool(w, "header_preserved", f->field_kept);
	json_writer_put_bool(w, "body_unchanged", f->body_same);
	json_writer_put_bool(w, "links_rewritten", f->links_rewritten);
}

static void
put_item(
    const struct probe_run *r, const struct probe_item *it, struct arena *a, struct json_writer *w)
{
	json_writer_object(w);
	json_writer_put_str(w, "kind", str_from(kinds[it->kind]));
	json_writer_put_str(w, "from", it->mail.from);
	json_writer_put_str(w, "to", it->mail.to);
	json_writer_put_str(w, "relay", it->mail.relay);
	json_writer_put_str(w, "mailbox", r->watches[it->watch].box->name);
	json_writer_put_str(w, "outcome", str_from(outcomes[it->outcome]));
	json_writer_put_bool(w, "passed", is_good(it));
	json_writer_put_str(w, "sentence", sentence(r, it, a));
	put_text(w, "stage", it->outcome == PROBE_REFUSED ? it->stage : (struct str){ 0 });
	json_writer_put_uint(w, "code", it->code);
	put_text(w, "text", it->text);
	put_text(w, "folder", it->folder);
	if (it->found_us != 0)
		json_writer_put_int(w, "delay_ms", (it->found_us - it->sent_us) / 1000);
	else
		json_writer_put_null(w, "delay_ms");
	json_writer_put_str(w, "message_id", it->mail.message_id);
	if (has_arrived(it))
		put_facts(w, &it->facts);
	json_writer_end(w);
}

static void
put_seen(struct json_writer *w, const char *key, enum store_seen seen)
{
	if (seen == STORE_NOT_SEEN)
		json_writer_put_null(w, key);
	else
		json_writer_put_bool(w, key, seen == STORE_SEEN_YES);
}

enum store_seen
probe_report_kept(const struct probe_run *r, bool of_date)
{
	enum store_seen seen = STORE_NOT_SEEN;

	for (size_t i = 0; i < r->n_items; i++) {
		const struct probe_item *it = &r->items[i];
		if (!has_arrived(it) || it->kind != PROBE_TO_MAILBOX)
			continue;
		if (!(of_date ? it->facts.date_kept : it->facts.message_id_kept))
			return STORE_SEEN_NO;
		seen = STORE_SEEN_YES;
	}
	return seen;
}

static struct str
summary(struct probe_run *r, struct arena *a, size_t good, size_t open)
{
	const struct probe_item *bad = NULL;

	for (size_t i = 0; i < r->n_items && bad == NULL; i++)
		if (probe_outcome_is_final(r->items[i].outcome) && !is_good(&r->items[i]))
			bad = &r->items[i];
	if (bad != NULL)
		return arena_strf(a, "%zu of %zu probes passed; %.*s to %.*s: %.*s", good,
		    r->n_items, STR_ARG(bad->mail.from), STR_ARG(bad->mail.to),
		    STR_ARG(sentence(r, bad, a)));
	if (open != 0)
		return arena_strf(a, "%zu of %zu probes are still under way", open, r->n_items);
	if (good == 1)
		return STR("the probe arrived where it should");
	return arena_strf(a, "all %zu probes arrived where they should", good);
}

void
probe_report_make(struct probe_run *r)
{
	struct arena *a = &r->report_arena;
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;
	size_t good = 0, open = 0;
	char at[CLOCK_TEXT_SIZE];

	arena_clear(a);
	for (size_t i = 0; i < r->n_items; i++) {
		good += is_good(&r->items[i]);
		open += !probe_outcome_is_final(r->items[i].outcome);
	}
	r->passed = open == 0 && good == r->n_items && good != 0;
	r->summary = summary(r, a, good, open);
	clock_format(r->at_us, at);
	buf_init(&b, 1 << 20);
	json_writer_init(&w, &b);
	json_writer_object(&w);
	json_writer_put_str(&w, "object", STR("probe"));
	json_writer_put_str(&w, "relay", r->relay);
	json_writer_put_str(&w, "state", r->is_over ? STR("done") : STR("running"));
	json_writer_put_str(&w, "at", str_from(at));
	json_writer_put_bool(&w, "passed", r->passed);
	json_writer_put_str(&w, "summary", r->summary);
	json_writer_put_bool(&w, "capped", r->capped);
	put_seen(&w, "preserves_message_id", probe_report_kept(r, false));
	put_seen(&w, "preserves_date", probe_report_kept(r, true));
	json_writer_put_array(&w, "probes");
	for (size_t i = 0; i < r->n_items; i++)
		put_item(r, &r->items[i], a, &w);
	json_writer_end(&w);
	json_writer_end(&w);
	json_writer_done(&w);
	r->report = arena_str(a, buf_str(&b));
}
