/* Any command line is taken or refused with a reply that fits on a line; what is taken can be
 * written again and reads the same. */
#include "codec/smtp_command.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_refusal(const struct smtp_refusal *r)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1024);
	smtp_param_format_refusal(&b, r);
	ASSERT(buf_is_ok(&b) && str_find(buf_str(&b), '\n') + 1 == buf_len(&b) && r->code >= 500);
}

static bool
has_bare_blank(struct str path)
{
	bool quoted = false;

	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '\t' || (!quoted && path.p[i] == ' '))
			return true;
		if (path.p[i] == '"')
			quoted = !quoted;
		else if (quoted && path.p[i] == '\\')
			i++;
	}
	return false;
}

static void
check_mail(struct str args, struct arena *a)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct smtp_refusal refusal;
	struct smtp_command c;
	struct smtp_mail m, again;

	if (!smtp_command_parse_mail(args, UINT32_MAX, a, &m, &refusal)) {
		check_refusal(&refusal);
		return;
	}
	if (has_bare_blank(m.path) || str_starts(m.path, STR("@")))
		return;
	buf_init(&b, 1 << 20);
	smtp_command_mail(&b, m.path, &m.params);
	ASSERT(smtp_command_parse(str_sub(buf_str(&b), 0, buf_len(&b) - 2), &c, &refusal));
	ASSERT(c.verb == SMTP_VERB_MAIL &&
	       smtp_command_parse_mail(c.args, UINT32_MAX, a, &again, &refusal));
	ASSERT(str_eq(again.path, m.path) && again.params.seen == m.params.seen &&
	       again.params.size == m.params.size);
	ASSERT(
	    str_eq(again.params.envid, m.params.envid) && str_eq(again.params.auth, m.params.auth));
	ASSERT(again.params.hold_until_s == m.params.hold_until_s &&
	       again.params.body == m.params.body);
}

static void
check_rcpt(struct str args, struct arena *a)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct smtp_refusal refusal;
	struct smtp_command c;
	struct smtp_rcpt r, again;

	if (!smtp_command_parse_rcpt(args, UINT32_MAX, a, &r, &refusal)) {
		check_refusal(&refusal);
		return;
	}
	if (has_bare_blank(r.path) || str_starts(r.path, STR("@")) || r.path.n == 0)
		return;
	buf_init(&b, 1 << 20);
	smtp_command_rcpt(&b, r.path, &r.params);
	ASSERT(smtp_command_parse(str_sub(buf_str(&b), 0, buf_len(&b) - 2), &c, &refusal));
	if (!smtp_command_parse_rcpt(c.args, UINT32_MAX, a, &again, &refusal)) {
		/* \x{..} is longer than the code point it stands for. */
		ASSERT(r.params.orcpt.n * 5 > 400);
		return;
	}
	ASSERT(str_eq(again.path, r.path) && again.params.seen == r.params.seen);
	ASSERT(
	    again.params.notify == r.params.notify && str_eq(again.params.orcpt, r.params.orcpt));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct str line = str_make((const char *)data, size);
	struct smtp_refusal refusal;
	struct smtp_command c;
	struct smtp_bdat bdat;
	struct smtp_auth auth;

	if (!smtp_command_parse(line, &c, &refusal)) {
		check_refusal(&refusal);
		return 0;
	}
	if (c.verb == SMTP_VERB_MAIL)
		check_mail(c.args, &a);
	else if (c.verb == SMTP_VERB_RCPT)
		check_rcpt(c.args, &a);
	else if (c.verb == SMTP_VERB_BDAT && !smtp_command_parse_bdat(c.args, &bdat, &refusal))
		check_refusal(&refusal);
	else if (c.verb == SMTP_VERB_AUTH && !smtp_command_parse_auth(c.args, &auth, &refusal))
		check_refusal(&refusal);
	return 0;
}
