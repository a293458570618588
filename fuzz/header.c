/* Everything that reads a header, over the same bytes: the walk accounts for every byte, what is
 * written can be read back, and nothing steps outside. */
#include "mail/header.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "mail/date.h"
#include "mail/mailbox.h"
#include "mail/mime.h"
#include "mail/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_mailboxes(struct str value, struct arena *a)
{
	struct mail_mailbox_list list;
	const char *why = NULL;

	if (mail_mailbox_parse(value, a, &list, &why) != RC_OK) {
		ASSERT(why != NULL);
		return;
	}
	for (size_t i = 0; i < list.n; i++) {
		struct str span = list.v[i].span;
		ASSERT(span.n != 0 && span.p >= value.p && span.p + span.n <= value.p + value.n);
	}
}

static void
check_date(struct str value)
{
	char text[MAIL_DATE_SIZE];
	int64_t us, again;

	if (mail_date_parse(value, &us) != RC_OK || us < 0)
		return;
	mail_date_format(us, text);
	ASSERT(mail_date_parse(str_from(text), &again) == RC_OK && again == us);
}

static void
check_walk(struct str body, struct str boundary)
{
	struct mail_mime_walk w = mail_mime_walk_start(body, boundary);
	enum mail_mime_kind kind;
	struct str piece;
	size_t n = 0;

	while (mail_mime_walk_next(&w, &kind, &piece)) {
		ASSERT(piece.p == body.p + n);
		n += piece.n;
	}
	ASSERT(n == body.n);
}

static void
check_field(const struct mail_field *f, struct arena *a)
{
	struct mail_mime_type t;
	struct str v;

	ASSERT(f->name.n != 0);
	check_mailboxes(f->value, a);
	check_date(f->value);
	if (mail_mime_type_parse(f->value, &t))
		mail_mime_param(&t, STR("boundary"), a, &v);
	mail_mime_cte_parse(f->value);
	struct str flat = mail_header_unfolded(a, f->value);
	ASSERT(!str_has_byte(flat, '\n'));
	struct header_value clean = header_value_clean(a, f->value), again;
	ASSERT(header_value_parse(clean.s, &again) == RC_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct str content = { (const char *)data, size };
	struct mail_header_iter it = mail_header_start(content);
	struct mail_field f;
	struct mail_scan s;
	size_t fields = 0;

	while (mail_header_next(&it, &f) && fields++ < 64)
		check_field(&f, &a);
	mail_scan(content, &s);
	ASSERT(s.header_size <= s.body_at && s.body_at <= size);
	struct mail_mime_entity e;
	struct str boundary;
	mail_mime_read(content, false, &e);
	ASSERT(e.header.n == s.header_size &&
	       e.header.n + (s.body_at - s.header_size) + e.body.n == size);
	if (mail_mime_param(&e.type, STR("boundary"), &a, &boundary) && boundary.n != 0)
		check_walk(e.body, boundary);
	return 0;
}
