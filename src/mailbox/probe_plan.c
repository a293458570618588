/* What is proven: every sender that the version lists, in every mailbox for probes; the addresses
 * that a mailbox reads for us, by mail from another mailbox that some relay sends as; and the way
 * home of bounces. Over the cap the first ones stay: identities come before mailboxes, so that each
 * identity is seen at least once. */
#include "base/fault.h"
#include "mail/address.h"
#include "mailbox/probe_private.h"

static bool
next_word(struct str *rest, struct str *out)
{
	size_t from = 0, to;

	while (from < rest->n && (rest->p[from] <= ' ' || rest->p[from] == ','))
		from++;
	for (to = from; to < rest->n && rest->p[to] > ' ' && rest->p[to] != ',';)
		to++;
	*out = str_sub(*rest, from, to - from);
	*rest = str_skip(*rest, to);
	return out->n != 0;
}

static struct str
domain_of(struct str address)
{
	return str_skip(address, str_find_last(address, '@') + 1);
}

/* ---- who sends ---- */

static void
add_sender(struct probe_run *r, struct str address)
{
	for (size_t i = 0; i < r->n_senders; i++)
		if (str_eq_nocase(r->senders[i], address))
			return;
	if (r->n_senders < MAILBOX_PROBES_MAX)
		r->senders[r->n_senders++] = address;
}

/* Those that the version lists by address, else the login where that is one. */
static void
find_senders(struct probe_run *r, const struct relay_version_row *v)
{
	struct str rest = v->senders, word;

	while (next_word(&rest, &word))
		if (str_has_byte(word, '@') && word.p[0] != '@')
			add_sender(r, word);
	if (r->n_senders == 0 && str_has_byte(v->user, '@'))
		add_sender(r, v->user);
}

/* ---- where it is looked for ---- */

/* The watch of a mailbox; n_watches when there is no room. */
static size_t
watch_of(struct probe_run *r, const struct store_mailbox_row *box)
{
	for (size_t i = 0; i < r->n_watches; i++)
		if (r->watches[i].box == box)
			return i;
	if (r->n_watches == PROBE_WATCHES_MAX)
		return PROBE_WATCHES_MAX;
	r->watches[r->n_watches] = (struct probe_watch){ .run = r, .box = box };
	return r->n_watches++;
}

static const struct store_mailbox_row *
box_named(const struct probe_run *r, struct str name)
{
	for (uint32_t i = 0; i < r->n_boxes; i++)
		if (name.n != 0 && str_eq_nocase(r->boxes[i].name, name))
			return &r->boxes[i];
	return NULL;
}

/* ---- items ---- */

static void
refuse(struct probe_item *it, const char *stage, const char *text)
{
	it->outcome = PROBE_REFUSED;
	it->stage = str_from(stage);
	it->text = str_from(text);
}

/* Writes the message as it goes out: from the sender that the version carries, which may be
 * another one. */
static void
write_item(struct probe_run *r, struct probe_item *it, struct str relay)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_addr from;
	struct fault f = { 0 };
	struct str as = { 0 };
	const char *why = "";

	buf_init(&b, 65536);
	it->mail.relay = relay;
	it->mail.wall_us = r->at_us;
	it->sender = it->mail.from;
	if (mail_addr_parse(it->mail.from, MAIL_ADDR_ASCII, &r->arena, &from, &why) != RC_OK) {
		refuse(
		    it, "settings", arena_strf(&r->arena, "the sender is no address: %s", why).p);
		return;
	}
	if (!relay_book_carries(r->book, it->version, &from, &as)) {
		refuse(it, "settings", "the relay does not carry this sender; see its --from list");
		return;
	}
	if (as.n != 0) {
		it->sender = as;
		it->mail.from = as;
	}
	if (probe_mail_compose(&it->mail, &r->arena, &b, &f) != RC_OK)
		refuse(it, "settings", arena_str(&r->arena, str_from(f.text)).p);
	it->content = arena_str(&r->arena, buf_str(&b));
}

static void
add_item(struct probe_run *r, const struct probe_item *like, struct str relay)
{
	struct probe_item *it;

	if (r->n_items == MAILBOX_PROBES_MAX || like->watch == PROBE_WATCHES_MAX) {
		r->capped = true;
		return;
	}
	it = &r->items[r->n_items];
	*it = *like;
	it->mail.token = arena_strf(&r->arena, "%s-%zu", r->token, ++r->n_items);
	if (like->kind == PROBE_BOUNCE)
		it->mail.to = arena_strf(&r->arena, "no-such-user-%.*s@%.*s",
		    STR_ARG(it->mail.token), STR_ARG(domain_of(like->mail.to)));
	write_item(r, it, relay);
}

static bool
is_target(const struct probe_run *r, const struct store_mailbox_row *box)
{
	return r->only.n != 0 ? str_eq_nocase(box->name, r->only) : box->for_probe;
}

static void
add_to_mailboxes(struct probe_run *r)
{
	for (uint32_t b = 0; b < r->n_boxes; b++) {
		if (!is_target(r, &r->boxes[b]))
			continue;
		for (size_t s = 0; s < r->n_senders; s++) {
			struct probe_item it = { .kind = PROBE_TO_MAILBOX,
				.version = r->version,
				.watch = watch_of(r, &r->boxes[b]),
				.mail = { .from = r->senders[s], .to = r->boxes[b].address } };
			add_item(r, &it, r->relay);
		}
	}
}

/* From a mailbox that can send to every address that some mailbox reads for us. */
static void
add_receiving(struct probe_run *r)
{
	for (uint32_t m = 0; m < r->n_boxes; m++) {
		const struct relay_row *relay =
		    relay_book_relay_named(r->book, r->boxes[m].smtp_relay);
		if (relay == NULL || !is_target(r, &r->boxes[m]))
			continue;
		for (uint32_t b = 0; b < r->n_boxes; b++) {
			struct str rest = r->boxes[b].receive, word;
			while (next_word(&rest, &word)) {
				struct probe_item it = { .kind = PROBE_RECEIVE,
					.version = relay->current,
					.watch = watch_of(r, &r->boxes[b]),
					.mail = { .from = r->boxes[m].address, .to = word } };
				add_item(r, &it, relay->name);
			}
		}
	}
}

/* To somebody who does not exist, where mailboxes are that exist. */
static void
add_bounce(struct probe_run *r, const struct relay_version_row *v)
{
	const struct store_mailbox_row *home = box_named(r, v->bounces);

	if (home == NULL || r->n_senders == 0)
		return;
	for (uint32_t b = 0; b < r->n_boxes; b++) {
		if (!is_target(r, &r->boxes[b]))
			continue;
		struct probe_item it = { .kind = PROBE_BOUNCE,
			.version = r->version,
			.watch = watch_of(r, home),
			.mail = { .from = r->senders[0], .to = r->boxes[b].address } };
		add_item(r, &it, r->relay);
		return;
	}
}

enum rc
probe_plan(struct probe_run *r, struct fault *f)
{
	const struct relay_version_row *v = relay_book_version(r->book, r->version);
	bool any = false;

	for (uint32_t b = 0; b < r->n_boxes; b++)
		any |= is_target(r, &r->boxes[b]);
	if (!any && r->only.n != 0)
		return fault_set(f, RC_INVALID,
		    "there is no mailbox '%.*s'; 'posthouse mailbox list' shows them all",
		    STR_ARG(str_sub(r->only, 0, 64)));
	if (!any)
		return fault_set(f, RC_INVALID,
		    "there is no mailbox for probes; add one with 'posthouse mailbox add NAME --host H "
		    "--user U --for probe'");
	if (r->n_senders == 0)
		find_senders(r, v);
	if (r->n_senders == 0)
		return fault_set(f, RC_INVALID,
		    "the relay lists no sender address; say which to prove with --from ADDRESS");
	add_to_mailboxes(r);
	add_bounce(r, v);
	add_receiving(r);
	return RC_OK;
}
