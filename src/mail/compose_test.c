#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "codec/base64.h"
#include "codec/qp.h"
#include "mail/compose.h"
#include "mail/mailbox.h"
#include "mail/mime.h"
#include "mail/recode.h"
#include "mail/scan.h"

static struct mail_compose_person
person(struct arena *a, const char *display, const char *text)
{
	struct mail_compose_person p = { .display = { str_from(display) } };
	const char *why = "";

	if (mail_addr_parse(str_from(text), MAIL_ADDR_UTF8, a, &p.addr, &why) != RC_OK)
		fail_msg("%s: %s", text, why);
	return p;
}

static struct str
compose(struct arena *a, const struct mail_compose *m)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_scan scan;
	const char *why = "";

	buf_init(&b, 8 << 20);
	if (mail_compose(&b, m, &why) != RC_OK)
		fail_msg("refused: %s", why);
	struct str made = arena_str(a, buf_str(&b));
	mail_scan(made, &scan);
	assert_false(scan.header_8bit || scan.body_8bit || scan.bare_eol || scan.has_nul);
	assert_true(scan.longest_header_line <= 78);
	assert_true(scan.longest_body_line <= MAIL_LINE_MAX);
	return made;
}

static void
check_refused(const struct mail_compose *m, const char *word)
{
	AUTO(buf_done) struct buf b = { 0 };
	const char *why = "";

	buf_init(&b, 1 << 20);
	assert_int_equal(mail_compose(&b, m, &why), RC_INVALID);
	if (strstr(why, word) == NULL)
		fail_msg("%s", why);
}

/* The shape of an entity as "mixed(alternative(plain,html),png)"; leaves are decoded into `leaves`.
 */
static void
shape(struct arena *a, struct str content, struct buf *out, struct buf *leaves)
{
	struct mail_mime_entity e;
	struct str boundary, piece;
	enum mail_mime_kind kind;

	mail_mime_read(content, false, &e);
	buf_add(out, e.type.subtype);
	if (!mail_mime_type_is(&e.type, STR("multipart"), STR(""))) {
		if (e.cte == MAIL_CTE_QP)
			qp_decode(leaves, e.body);
		else if (e.cte == MAIL_CTE_BASE64)
			assert_true(base64_decode_mime(leaves, e.body));
		else
			buf_add(leaves, e.body);
		buf_add(leaves, STR("|"));
		return;
	}
	assert_true(mail_mime_param(&e.type, STR("boundary"), a, &boundary));
	struct mail_mime_walk w = mail_mime_walk_start(e.body, boundary);
	const char *before = "(";
	while (mail_mime_walk_next(&w, &kind, &piece)) {
		if (kind != MAIL_MIME_PART)
			continue;
		buf_add(out, str_from(before));
		shape(a, piece, out, leaves);
		before = ",";
	}
	assert_int_equal(kind, MAIL_MIME_EPILOGUE);
	buf_add(out, STR(")"));
}

static void
check_shape(struct arena *a, const struct mail_compose *m, const char *want, const char *leaves)
{
	AUTO(buf_done) struct buf got = { 0 }, inside = { 0 };

	buf_init(&got, 1000);
	buf_init(&inside, 1 << 20);
	shape(a, compose(a, m), &got, &inside);
	assert_string_equal(buf_cstr(&got), want);
	assert_string_equal(buf_cstr(&inside), leaves);
}

static void
a_plain_message_is_plain(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_compose_person to[] = { person(&a, "", "b@y"), person(&a, "Lee, Ann", "c@z") };
	struct mail_compose m = {
		.from = person(&a, "Post House", "a@x"),
		.to = { to, 2 },
		.subject = { STR("hello") },
		.text = STR("one\ntwo"),
		.wall_us = SECONDS(1795420113),
		.message_id = STR("1@x"),
		.unique = STR("u"),
	};

	(void)state;
	assert_true(str_eq(compose(&a, &m),
	    STR("Date: Mon, 23 Nov 2026 07:48:33 +0000\r\nFrom: Post House <a@x>\r\n"
		"To: b@y, \"Lee, Ann\" <c@z>\r\nSubject: hello\r\nMessage-ID: <1@x>\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
		"one\r\ntwo\r\n")));
}

static void
the_structure_is_the_simplest_that_carries_what_is_given(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_compose_part parts[] = {
		{ STR("a.png"), STR("image/png"), STR("cid1"), STR("\x89PNG") },
		{ STR("b.eml"), STR("message/rfc822"), STR(""), STR("mail") },
	};
	struct mail_compose m = { .from = person(&a, "", "a@x"), .unique = STR("u") };

	(void)state;
	check_shape(&a, &m, "plain", "\r\n|");
	m.html = STR("<p>\xc3\xbc and enough plain text around it</p>");
	check_shape(&a, &m, "html", "<p>\xc3\xbc and enough plain text around it</p>\r\n|");
	m.text = STR("t");
	check_shape(&a, &m, "alternative(plain,html)",
	    "t\r\n|<p>\xc3\xbc and enough plain text around it</p>\r\n|");
	m.parts = parts;
	m.part_count = 1;
	m.html = STR("h");
	check_shape(&a, &m, "alternative(plain,related(html,png))", "t\r\n|h\r\n|\x89PNG|");
	m.part_count = 2;
	check_shape(&a, &m, "mixed(alternative(plain,related(html,png)),octet-stream)",
	    "t\r\n|h\r\n|\x89PNG|mail|");
	m.html = (struct str){ 0 };
	check_shape(&a, &m, "mixed(plain,png,octet-stream)", "t\r\n|\x89PNG|mail|");
}

static void
each_text_takes_the_shortest_encoding(void **state)
{
	static const struct {
		struct str text;
		const char *cte;
	} rows[] = {
		{ STR_INIT("plain"), "7bit" },
		{ STR_INIT("mostly plain, one \xc3\xbc"), "quoted-printable" },
		{ STR_INIT("\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd"), "base64" },
		{ STR_INIT("--=_u-0\n"), "quoted-printable" },
		{ STR_INIT("a\rb"), "quoted-printable" },
		{ STR_INIT("a\r"), "quoted-printable" },
		{ STR_INIT("a\0b"), "quoted-printable" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AUTO(arena_done) struct arena a = { 0 };
		struct mail_compose m = {
			.from = person(&a, "", "a@x"), .text = rows[i].text, .unique = STR("u")
		};
		struct mail_mime_entity e;
		mail_mime_read(compose(&a, &m), false, &e);
		assert_string_equal(mail_mime_cte_name(e.cte), rows[i].cte);
	}
}

static void
names_and_subjects_in_any_script_stay_within_ascii(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_compose_person to = person(&a, "\xe6\x9d\x8e\xe9\x9b\xb7", "b@y");
	struct mail_compose_field extra = { STR("X-Note"), { STR("gr\xc3\xbc\xc3\x9f") } };
	struct mail_compose_part file = { STR("\xe6\x8a\xa5\xe5\x91\x8a a.pdf"),
		STR("application/pdf"), STR(""), STR("x") };
	struct mail_compose m = {
		.from = person(&a, "M\xc3\xbcller", "a@x"),
		.to = { &to, 1 },
		.subject = { STR("\xe4\xbd\xa0\xe5\xa5\xbd") },
		.text = STR("t"),
		.parts = &file,
		.part_count = 1,
		.fields = &extra,
		.field_count = 1,
		.unique = STR("u"),
	};

	(void)state;
	struct str made = compose(&a, &m);
	assert_true(
	    str_find_str(made, STR("filename*=utf-8''%E6%8A%A5%E5%91%8A%20a.pdf\r\n")) < made.n);
	assert_true(str_find_str(made, STR("Subject: =?")) < made.n);
	assert_true(str_find_str(made, STR("X-Note: =?")) < made.n);
	struct mail_field f;
	struct mail_mailbox_list list;
	const char *why = "";
	assert_true(mail_header_find(made, STR("To"), &f));
	assert_int_equal(mail_mailbox_parse(f.value, &a, &list, &why), RC_OK);
	assert_true(str_starts(list.v[0].display, STR("=?")));
	assert_true(mail_addr_eq(&list.v[0].addr, &to.addr));
}

static void
a_long_file_name_is_continued_between_characters(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf name = { 0 }, back = { 0 };
	struct mail_compose_part file = { .content = STR("x") };
	struct mail_compose m = { .from = person(&a, "", "a@x"),
		.text = STR("t"),
		.parts = &file,
		.part_count = 1,
		.unique = STR("u") };

	(void)state;
	buf_init(&name, 1000);
	buf_init(&back, 4000);
	for (int i = 0; i < 30; i++)
		buf_add(&name, STR("a\xe4\xbd\xa0"));
	file.name = buf_str(&name);
	struct str rest = compose(&a, &m);
	for (unsigned i = 0;; i++) {
		struct str key = arena_strf(&a, "filename*%u*=", i);
		size_t at = str_find_str(rest, key);
		if (at == rest.n)
			break;
		rest = str_skip(rest, at + key.n);
		struct str segment = str_sub(rest, 0, str_find(rest, '\r'));
		segment = str_sub(segment, 0, str_find(segment, ';'));
		assert_true(str_ends(segment, STR("a")) || str_ends(segment, STR("%E4%BD%A0")));
		buf_add(&back, segment);
	}
	assert_true(str_starts(buf_str(&back), STR("utf-8''a%E4%BD%A0a%E4%BD%A0")));
	assert_int_equal(buf_len(&back), 7 + 30 * 10);
}

static void
what_cannot_be_written_is_refused(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	const struct mail_compose good = {
		.from = person(&a, "", "a@x"), .text = STR("t"), .unique = STR("u")
	};
	struct mail_compose_part part = { .content = STR("x") };
	struct mail_compose_field field = { STR("X"), { STR("y") } };
	struct mail_compose m = good;

	(void)state;
	m.text = STR("\xff");
	check_refused(&m, "UTF-8");
	m = good;
	m.subject.s = STR("\xff");
	check_refused(&m, "subject");
	m = good;
	m.message_id = STR("a\r\nb");
	check_refused(&m, "message id");
	m = good;
	m.from.display.s = STR("\xff");
	check_refused(&m, "name");
	m = good;
	m.fields = &field;
	m.field_count = 1;
	field.name = STR("content-type");
	check_refused(&m, "header");
	field.name = STR("X Y");
	check_refused(&m, "header");
	m = good;
	m.parts = &part;
	m.part_count = 1;
	part.type = STR("image");
	check_refused(&m, "type");
	part.type = STR("image/png\r\nX: y");
	check_refused(&m, "type");
	part.type = STR("");
	part.content_id = STR("a b");
	check_refused(&m, "content id");
	part.content_id = STR("");
	part.name = STR("\xff");
	check_refused(&m, "name");
}

static void
a_message_that_does_not_fit_says_so(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_compose m = {
		.from = person(&a, "", "a@x"), .text = STR("t"), .unique = STR("u")
	};
	const char *why = NULL;

	(void)state;
	buf_init(&b, 20);
	assert_int_equal(mail_compose(&b, &m, &why), RC_LIMIT);
	assert_non_null(why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_message_is_plain),
		cmocka_unit_test(the_structure_is_the_simplest_that_carries_what_is_given),
		cmocka_unit_test(each_text_takes_the_shortest_encoding),
		cmocka_unit_test(names_and_subjects_in_any_script_stay_within_ascii),
		cmocka_unit_test(a_long_file_name_is_continued_between_characters),
		cmocka_unit_test(what_cannot_be_written_is_refused),
		cmocka_unit_test(a_message_that_does_not_fit_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
