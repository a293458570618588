#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/rfc2047.h"
#include "mail/field.h"
#include "mail/recode.h"
#include "mail/scan.h"

static struct header_value
value(struct str s)
{
	struct header_value v = { 0 };

	assert_int_equal(header_value_parse(s, &v), RC_OK);
	return v;
}

static void
check_field(struct str name, struct str s, const char *want)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 10000);
	mail_field_add(&b, name, value(s));
	assert_string_equal(buf_cstr(&b), want);
}

static void
lines_are_folded_before_the_space_that_passes_the_column(void **state)
{
	(void)state;
	check_field(STR("To"), STR(" a@x "), "To: a@x\r\n");
	check_field(STR("To"), STR(""), "To:\r\n");
	check_field(STR("To"),
	    STR("1234567890 1234567890 1234567890 1234567890 1234567890 1234567890 123456  890 x"),
	    "To: 1234567890 1234567890 1234567890 1234567890 1234567890 1234567890 123456\r\n  890 x\r\n");
}

static void
unfolding_gives_the_value_back(void **state)
{
	AUTO(buf_done) struct buf b = { 0 }, text = { 0 }, back = { 0 };
	struct mail_field f;

	(void)state;
	buf_init(&b, 10000);
	buf_init(&text, 10000);
	buf_init(&back, 10000);
	for (int i = 0; i < 300; i++)
		buf_addf(&text, "%.*s%d", i % 4, " \t  ", i * i * i);
	mail_field_add(&b, STR("X-Y"), value(buf_str(&text)));
	assert_true(mail_header_find(buf_str(&b), STR("x-y"), &f));
	assert_int_equal(f.raw.n, buf_len(&b));
	mail_header_unfold(&back, f.value);
	assert_string_equal(buf_cstr(&back), buf_cstr(&text));
}

static void
no_line_passes_998_octets_whatever_the_words(void **state)
{
	AUTO(buf_done) struct buf b = { 0 }, text = { 0 };
	struct mail_scan scan;

	(void)state;
	buf_init(&b, 20000);
	buf_init(&text, 20000);
	for (int i = 0; i < 5000; i++)
		buf_add_byte(&text, 'x');
	for (int i = 0; i < 5000; i++)
		buf_add_byte(&text, ' ');
	buf_add(&text, STR("end"));
	mail_field_add(&b, STR("X"), value(buf_str(&text)));
	assert_true(str_ends(buf_str(&b), STR("x\r\n end\r\n")));
	mail_scan(buf_str(&b), &scan);
	assert_true(scan.longest_header_line <= MAIL_LINE_MAX);
	assert_int_equal(scan.header_size, buf_len(&b));
}

static void
text_beyond_ascii_is_encoded_within_76_columns_and_reads_back(void **state)
{
	AUTO(buf_done) struct buf b = { 0 }, text = { 0 }, flat = { 0 }, back = { 0 };
	struct mail_field f;
	struct mail_scan scan;

	(void)state;
	buf_init(&b, 10000);
	buf_init(&text, 10000);
	buf_init(&flat, 10000);
	buf_init(&back, 10000);
	for (int i = 0; i < 60; i++)
		buf_add(&text, i % 7 == 6 ? STR(" plain ") : STR("\xe4\xbd\xa0\xe5\xa5\xbd"));
	mail_field_add_text(&b, STR("Subject"), value(buf_str(&text)));
	mail_scan(buf_str(&b), &scan);
	assert_false(scan.header_8bit);
	assert_true(scan.longest_header_line <= 76);
	assert_true(mail_header_find(buf_str(&b), STR("Subject"), &f));
	mail_header_unfold(&flat, f.value);
	rfc2047_decode(&back, buf_str(&flat));
	assert_string_equal(buf_cstr(&back), buf_cstr(&text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_folded_before_the_space_that_passes_the_column),
		cmocka_unit_test(unfolding_gives_the_value_back),
		cmocka_unit_test(no_line_passes_998_octets_whatever_the_words),
		cmocka_unit_test(text_beyond_ascii_is_encoded_within_76_columns_and_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
