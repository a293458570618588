#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "codec/imap.h"

struct bed {
	struct arena a;
	struct imap_response r;
	size_t used;
	const char *why;
};

static int
setup(void **state)
{
	static struct bed bed;

	bed = (struct bed){ 0 };
	*state = &bed;
	return 0;
}

static int
teardown(void **state)
{
	struct bed *b = *state;

	arena_done(&b->a);
	return 0;
}

static enum parse
parse(struct bed *b, const char *text)
{
	return imap_response_parse(str_from(text), &b->a, &b->r, &b->used, &b->why);
}

static void
one(struct bed *b, const char *text)
{
	assert_int_equal(parse(b, text), PARSE_ONE);
	assert_int_equal(b->used, strlen(text));
	assert_false(b->r.odd);
}

#define IS(s, lit) assert_true(str_eq((s), STR(lit)))

static void
conditions_have_status_code_and_text(void **state)
{
	struct bed *b = *state;
	struct str rest;

	one(b, "a1 OK [READ-ONLY] EXAMINE completed\r\n");
	IS(b->r.tag, "a1");
	assert_int_equal(b->r.status, IMAP_OK);
	IS(b->r.code, "READ-ONLY");
	IS(b->r.text, "EXAMINE completed");
	one(b, "* OK [UIDVALIDITY 3857529045] UIDs valid\r\n");
	assert_true(imap_code_is(b->r.code, STR("uidvalidity"), &rest));
	IS(rest, "3857529045");
	one(b, "* BYE going down {5}\r\n");
	assert_int_equal(b->r.status, IMAP_BYE);
	IS(b->r.text, "going down {5}");
	one(b, "a2 NO [ALERT \"a ] in it\"] Unsafe Login. Please contact kefu@188.com\r\n");
	assert_int_equal(b->r.status, IMAP_NO);
	IS(b->r.code, "ALERT \"a ] in it\"");
	one(b, "+ eyJ=\r\n");
	assert_int_equal(b->r.status, IMAP_CONTINUE);
	IS(b->r.text, "eyJ=");
	one(b, "+\r\n");
	assert_int_equal(b->r.status, IMAP_CONTINUE);
	one(b, "* preauth hello\n");
	assert_int_equal(b->r.status, IMAP_PREAUTH);
}

static void
data_is_a_tree_of_values(void **state)
{
	struct bed *b = *state;
	uint64_t n;

	one(b, "* LIST (\\HasNoChildren \\Junk) \"/\" \"a \\\"b\\\" \\\\c\"\r\n");
	IS(b->r.name, "LIST");
	const struct imap_value *v = b->r.values;
	assert_int_equal(v->kind, IMAP_LIST);
	assert_true(imap_value_has(v->first, STR("\\junk")));
	assert_false(imap_value_has(v->first, STR("\\Sent")));
	IS(imap_value_at(v, 1)->text, "/");
	IS(imap_value_at(v, 2)->text, "a \"b\" \\c");
	assert_null(imap_value_at(v, 3));
	one(b, "* 23 EXISTS\r\n");
	IS(b->r.name, "EXISTS");
	assert_int_equal(b->r.number, 23);
	one(b, "* SEARCH 2 84 882\r\n");
	assert_true(imap_value_number(imap_value_at(b->r.values, 2), &n));
	assert_int_equal(n, 882);
	one(b, "* LIST (\\Noselect) NIL \"\"\r\n");
	assert_int_equal(imap_value_at(b->r.values, 1)->kind, IMAP_NIL);
}

static void
a_fetch_with_literals_is_read_by_name(void **state)
{
	struct bed *b = *state;
	uint64_t uid;

	one(b, "* 12 FETCH (UID 7 X-GM-LABELS (\"\\\\Inbox\" foo) BODY[HEADER.FIELDS (DATE FROM)] "
	       "{9}\r\nDate: (\r\n BODY[]<0> {5}\r\na)\"b{ RFC822.SIZE 99)\r\n");
	assert_int_equal(b->r.number, 12);
	const struct imap_value *f = b->r.values->first;
	assert_true(imap_value_number(imap_value_of(f, STR("UID")), &uid));
	assert_int_equal(uid, 7);
	IS(imap_value_of(f, STR("BODY[HEADER.FIELDS (DATE FROM)]"))->text, "Date: (\r\n");
	IS(imap_value_of(f, STR("body[]"))->text, "a)\"b{");
	assert_true(imap_value_has(imap_value_of(f, STR("X-GM-LABELS"))->first, STR("\\Inbox")));
	assert_null(imap_value_of(f, STR("FLAGS")));
}

static void
a_response_in_pieces_waits_for_its_end(void **state)
{
	struct bed *b = *state;
	static const char text[] = "* 1 FETCH (BODY[] {10}\r\n12345\r\n890 UID 3)\r\n";

	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(
		    imap_response_parse(str_make(text, n), &b->a, &b->r, &b->used, &b->why),
		    PARSE_MORE);
	one(b, text);
	IS(imap_value_of(b->r.values->first, STR("BODY[]"))->text, "12345\r\n890");
}

static void
what_breaks_the_grammar_is_odd_and_can_be_stepped_over(void **state)
{
	struct bed *b = *state;
	static const char *const texts[] = { "* LIST (\"/\r\n", "* 3 FETCH (a))\r\n",
		"* LIST \"a\r\n", "\r\n", "x1 WHATEVER\r\n", "* \r\n",
		"* 1 FETCH ((((((((((((((((((((((((((((x\r\n", "* 1 FETCH (BODY[x)\r\n" };

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		assert_int_equal(parse(b, texts[i]), PARSE_ONE);
		assert_true(b->r.odd);
		assert_null(b->r.values);
		assert_int_equal(b->used, strlen(texts[i]));
	}
}

static void
a_literal_beyond_all_bounds_is_broken(void **state)
{
	struct bed *b = *state;

	assert_int_equal(parse(b, "* 1 FETCH (BODY[] {99999999}\r\n"), PARSE_BROKEN);
	assert_int_equal(parse(b, "* 1 FETCH (BODY[] {18446744073709551615}\r\n"), PARSE_BROKEN);
}

static void
quoting_refuses_what_only_a_literal_can_carry(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(imap_quote(&b, STR("a\"b\\c d")), RC_OK);
	IS(buf_str(&b), "\"a\\\"b\\\\c d\"");
	buf_clear(&b);
	assert_int_equal(imap_quote(&b, STR("x\r\na2 DELETE INBOX")), RC_INVALID);
	assert_int_equal(imap_quote(&b, STR("\xc3\xa4")), RC_INVALID);
	assert_int_equal(buf_len(&b), 0);
	buf_done(&b);
}

static void
a_date_is_written_as_search_takes_it(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	imap_date(&b, SECONDS(1795420113));
	IS(buf_str(&b), "23-Nov-2026");
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    conditions_have_status_code_and_text, setup, teardown),
		cmocka_unit_test_setup_teardown(data_is_a_tree_of_values, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_fetch_with_literals_is_read_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_response_in_pieces_waits_for_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_breaks_the_grammar_is_odd_and_can_be_stepped_over, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_literal_beyond_all_bounds_is_broken, setup, teardown),
		cmocka_unit_test(quoting_refuses_what_only_a_literal_can_carry),
		cmocka_unit_test(a_date_is_written_as_search_takes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
