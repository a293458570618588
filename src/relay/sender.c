/* Senders in canonical form.
 *
 * An address whose local part is empty (`""@x`) has the canonical form of its whole domain; nobody
 * can list such an address by itself, so nothing is confused by it. */
#include "relay/sender.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "mail/address.h"

static_assert(RELAY_SENDER_TEXT_MAX >= MAIL_ADDR_MAX + MAIL_ADDR_LOCAL_MAX + 2,
    "room for a local part and a domain in its longer form");

struct str
relay_sender_of(const struct mail_addr *addr, char room[static RELAY_SENDER_TEXT_MAX])
{
	size_t n = 0;

	if (addr->is_null)
		return STR("<>");
	ASSERT(addr->local.n + addr->domain_ascii.n + 1 <= RELAY_SENDER_TEXT_MAX);
	for (size_t i = 0; i < addr->local.n; i++)
		room[n++] = ascii_lower(addr->local.p[i]);
	room[n++] = '@';
	for (size_t i = 0; i < addr->domain_ascii.n; i++)
		room[n++] = ascii_lower(addr->domain_ascii.p[i]);
	return str_make(room, n);
}

struct str
relay_sender_domain(struct str canonical)
{
	size_t at = str_find_last(canonical, '@');

	return at == canonical.n ? (struct str){ 0 } : str_skip(canonical, at);
}

enum rc
relay_sender_parse(struct str text, struct arena *a, struct str *canonical_out,
    struct str *typed_out, const char **why_out)
{
	char room[RELAY_SENDER_TEXT_MAX];
	struct mail_addr addr;
	bool whole_domain = str_starts(text, STR("@"));

	if (str_eq(text, STR("<>"))) {
		*canonical_out = STR("<>");
		if (typed_out != NULL)
			*typed_out = (struct str){ 0 };
		return RC_OK;
	}
	if (text.n == 0) {
		*why_out = "it is empty";
		return RC_INVALID;
	}
	if (text.n > MAIL_ADDR_MAX) {
		*why_out = "it is too long";
		return RC_INVALID;
	}
	if (whole_domain)
		text = arena_strf(a, "x%.*s", STR_ARG(text));
	if (mail_addr_parse(text, MAIL_ADDR_UTF8, a, &addr, why_out) != RC_OK)
		return RC_INVALID;
	if (addr.local.n == 0) {
		*why_out = "its local part is empty";
		return RC_INVALID;
	}
	struct str canonical = relay_sender_of(&addr, room);
	*canonical_out = arena_str(a, whole_domain ? relay_sender_domain(canonical) : canonical);
	if (typed_out != NULL) {
		AUTO(buf_done) struct buf typed = { 0 };
		buf_init(&typed, MAIL_ADDR_MAX);
		mail_addr_format(&typed, &addr);
		*typed_out = arena_str(a, buf_str(&typed));
	}
	return RC_OK;
}
