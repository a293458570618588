#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "mail/mime.h"

static void
types_and_parameters_are_read_through_quotes_comments_and_folds(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_mime_type t;
	struct str v;

	(void)state;
	assert_true(mail_mime_type_parse(
	    STR(" Multipart/Mixed (c) ; x=1;\r\n Boundary=\"a \\\"b\\\"\" (c); charset=utf-8;y=\"z"),
	    &t));
	assert_true(mail_mime_type_is(&t, STR("multipart"), STR("mixed")));
	assert_true(mail_mime_type_is(&t, STR("multipart"), STR("")));
	assert_false(mail_mime_type_is(&t, STR("multipart"), STR("signed")));
	assert_true(mail_mime_param(&t, STR("boundary"), &a, &v));
	assert_true(str_eq(v, STR("a \"b\"")));
	assert_true(mail_mime_param(&t, STR("CHARSET"), &a, &v));
	assert_true(str_eq(v, STR("utf-8")));
	assert_true(mail_mime_param(&t, STR("y"), &a, &v));
	assert_true(str_eq(v, STR("z")));
	assert_false(mail_mime_param(&t, STR("q"), &a, &v));
	assert_true(mail_mime_type_parse(STR("text/plain; junk; = ; boundary=a=b/c:d"), &t));
	assert_true(mail_mime_param(&t, STR("boundary"), &a, &v));
	assert_true(str_eq(v, STR("a=b/c:d")));
	assert_false(mail_mime_type_parse(STR("/plain"), &t));
	assert_false(mail_mime_type_parse(STR(""), &t));
	assert_true(mail_mime_type_parse(STR(" attachment; filename=x"), &t));
	assert_true(mail_mime_type_is(&t, STR("attachment"), STR("")));
	assert_true(mail_mime_param(&t, STR("filename"), &a, &v));
}

static void
encodings_are_known_by_name(void **state)
{
	(void)state;
	assert_int_equal(mail_mime_cte_parse(STR(" Base64 (c)")), MAIL_CTE_BASE64);
	assert_int_equal(mail_mime_cte_parse(STR("(c) quoted-printable")), MAIL_CTE_QP);
	assert_int_equal(mail_mime_cte_parse(STR("8BIT")), MAIL_CTE_8BIT);
	assert_int_equal(mail_mime_cte_parse(STR("")), MAIL_CTE_7BIT);
	assert_int_equal(mail_mime_cte_parse(STR("x-uue")), MAIL_CTE_UNKNOWN);
	assert_int_equal(mail_mime_cte_parse(STR("unknown")), MAIL_CTE_UNKNOWN);
	assert_string_equal(mail_mime_cte_name(MAIL_CTE_QP), "quoted-printable");
}

static void
an_entity_without_type_has_the_default_of_its_place(void **state)
{
	struct mail_mime_entity e;

	(void)state;
	mail_mime_read(STR("\r\nbody"), false, &e);
	assert_true(mail_mime_type_is(&e.type, STR("text"), STR("plain")));
	assert_false(e.has_type);
	assert_true(str_eq(e.body, STR("body")));
	mail_mime_read(STR("\r\nbody"), true, &e);
	assert_true(mail_mime_type_is(&e.type, STR("message"), STR("rfc822")));
	mail_mime_read(
	    STR("Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nx"), true, &e);
	assert_true(mail_mime_type_is(&e.type, STR("image"), STR("png")));
	assert_int_equal(e.cte, MAIL_CTE_BASE64);
	assert_true(e.has_type && e.has_cte && e.has_separator);
}

/* The pieces of `body` split at boundary "b", each as its kind's letter and its text in brackets.
 */
static void
check_walk(struct str body, const char *want)
{
	AUTO(buf_done) struct buf b = { 0 }, whole = { 0 };
	struct mail_mime_walk w = mail_mime_walk_start(body, STR("b"));
	enum mail_mime_kind kind;
	struct str piece;

	buf_init(&b, 1000);
	buf_init(&whole, 1000);
	while (mail_mime_walk_next(&w, &kind, &piece)) {
		buf_addf(&b, "%c[%.*s]", "pdPce"[kind], STR_ARG(piece));
		buf_add(&whole, piece);
	}
	assert_string_equal(buf_cstr(&b), want);
	assert_true(str_eq(buf_str(&whole), body));
}

static void
a_multipart_body_falls_into_its_pieces(void **state)
{
	(void)state;
	check_walk(STR("pre\r\n--b\r\none\r\n--b \t\r\n\r\ntwo\r\n--b--\r\nepi"),
	    "p[pre]d[\r\n--b\r\n]P[one]d[\r\n--b \t\r\n]P[\r\ntwo]c[\r\n--b--\r\n]e[epi]");
	check_walk(STR("--b\none\n--b--"), "p[]d[--b\n]P[one]c[\n--b--]e[]");
	check_walk(STR("--b\r\n--b--"), "p[]d[--b\r\n]P[]c[--b--]e[]");
	check_walk(STR("--b\r\none"), "p[]d[--b\r\n]P[one]");
	check_walk(STR("--bb\r\nx--b\r\n--b x\r\n"), "p[--bb\r\nx--b\r\n--b x\r\n]");
	check_walk(STR("--b--\r\n--b\r\n"), "p[]c[--b--\r\n]e[--b\r\n]");
	check_walk(STR("x\r\n--b"), "p[x]d[\r\n--b]P[]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_and_parameters_are_read_through_quotes_comments_and_folds),
		cmocka_unit_test(encodings_are_known_by_name),
		cmocka_unit_test(an_entity_without_type_has_the_default_of_its_place),
		cmocka_unit_test(a_multipart_body_falls_into_its_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
