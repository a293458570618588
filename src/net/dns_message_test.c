#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/dns_test.h"

struct scene {
	struct buf msg;
	struct arena mem;
	struct dns_answer answer;
};

static int
setup(void **state)
{
	static struct scene s;

	buf_init(&s.msg, 4096);
	arena_init(&s.mem);
	*state = &s;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *s = *state;

	buf_done(&s->msg);
	arena_done(&s->mem);
	return 0;
}

/* Header and the question "example.com". */
static void
begin(struct scene *s, unsigned rcode, unsigned answers, unsigned authorities)
{
	dns_add_header(&s->msg, 1, rcode, answers, authorities);
	dns_add_name(&s->msg, "example.com");
	dns_add_u16(&s->msg, DNS_WIRE_MX);
	dns_add_u16(&s->msg, 1);
}

static const struct dns_answer *
parse(struct scene *s, enum dns_type type)
{
	dns_message_parse(buf_str(&s->msg), type, &s->mem, &s->answer);
	return &s->answer;
}

static void
mail_exchangers_are_sorted_by_preference_and_the_shortest_life_counts(void **state)
{
	struct scene *s = *state;
	const struct dns_row alias = { "", DNS_WIRE_CNAME, 60, "other.example" };
	const struct dns_row rows[] = {
		{ "", DNS_WIRE_MX, 300, "20 b.example" },
		{ "", DNS_WIRE_MX, 200, "10 a.example" },
		{ "", DNS_WIRE_MX, 300, "20 c.example" },
	};

	begin(s, 0, 4, 0);
	dns_add_row(&s->msg, &alias);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		dns_add_row(&s->msg, &rows[i]);
	const struct dns_answer *a = parse(s, DNS_MX);
	assert_int_equal(a->rc, RC_OK);
	assert_int_equal(a->count, 3);
	assert_string_equal(a->records[0].text.p, "a.example");
	assert_int_equal(a->records[0].preference, 10);
	assert_string_equal(a->records[1].text.p, "b.example");
	assert_string_equal(a->records[2].text.p, "c.example");
	assert_int_equal(a->ttl_us, SECONDS(60));
}

static void
the_null_exchanger_has_an_empty_name(void **state)
{
	struct scene *s = *state;
	const struct dns_row row = { "", DNS_WIRE_MX, 300, "0 " };

	begin(s, 0, 1, 0);
	dns_add_row(&s->msg, &row);
	const struct dns_answer *a = parse(s, DNS_MX);
	assert_int_equal(a->rc, RC_OK);
	assert_int_equal(a->records[0].text.n, 0);
}

static void
compressed_names_are_unfolded(void **state)
{
	struct scene *s = *state;

	begin(s, 0, 1, 0);
	/* "mx" and then the question's name. */
	dns_add_rr(&s->msg, DNS_WIRE_MX, 5, STR("\0\5\2mx\xc0\x0c"));
	const struct dns_answer *a = parse(s, DNS_MX);
	assert_int_equal(a->count, 1);
	assert_string_equal(a->records[0].text.p, "mx.example.com");
}

static void
a_name_that_points_at_itself_is_left_out(void **state)
{
	struct scene *s = *state;
	char loop[5] = { 0, 5, (char)0xc0, 0, 0 };

	begin(s, 0, 2, 0);
	/* Where the pointer will be: after ten bytes of record header and the preference. */
	size_t at = buf_len(&s->msg) + 12 + 2;
	loop[3] = (char)at;
	dns_add_rr(&s->msg, DNS_WIRE_MX, 5, str_make(loop, 4));
	const struct dns_row good = { "", DNS_WIRE_MX, 300, "10 a.example" };
	dns_add_row(&s->msg, &good);
	const struct dns_answer *a = parse(s, DNS_MX);
	assert_int_equal(a->count, 1);
	assert_string_equal(a->records[0].text.p, "a.example");
}

static void
names_with_bytes_no_host_has_are_left_out(void **state)
{
	struct scene *s = *state;

	begin(s, 0, 2, 0);
	dns_add_rr(&s->msg, DNS_WIRE_MX, 5, STR("\0\5\4a\r\nb\0"));
	dns_add_rr(&s->msg, DNS_WIRE_MX, 5, STR("\0\5\3a.b\0"));
	assert_int_equal(parse(s, DNS_MX)->rc, RC_NOT_FOUND);
}

static void
the_strings_of_a_text_are_joined(void **state)
{
	struct scene *s = *state;
	const struct dns_row row = { "", DNS_WIRE_TXT, 300, "v=spf1 |include:x| -all" };

	begin(s, 0, 2, 0);
	dns_add_row(&s->msg, &row);
	dns_add_rr(&s->msg, DNS_WIRE_TXT, 5, STR("\x09too short"));
	const struct dns_answer *a = parse(s, DNS_TXT);
	assert_int_equal(a->count, 2);
	assert_string_equal(a->records[0].text.p, "v=spf1 include:x -all");
	s->msg.end = s->msg.start;
	begin(s, 0, 1, 0);
	dns_add_rr(&s->msg, DNS_WIRE_TXT, 5, STR("\x0atoo short"));
	assert_int_equal(parse(s, DNS_TXT)->rc, RC_NOT_FOUND);
}

static void
services_come_by_priority_and_the_heaviest_first(void **state)
{
	struct scene *s = *state;
	const struct dns_row rows[] = {
		{ "", DNS_WIRE_SRV, 300, "20 0 587 c.example" },
		{ "", DNS_WIRE_SRV, 300, "10 1 465 b.example" },
		{ "", DNS_WIRE_SRV, 300, "10 9 465 a.example" },
	};

	begin(s, 0, COUNT_OF(rows), 0);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		dns_add_row(&s->msg, &rows[i]);
	const struct dns_answer *a = parse(s, DNS_SRV);
	assert_int_equal(a->count, 3);
	assert_string_equal(a->records[0].text.p, "a.example");
	assert_int_equal(a->records[0].weight, 9);
	assert_string_equal(a->records[1].text.p, "b.example");
	assert_string_equal(a->records[2].text.p, "c.example");
	assert_int_equal(a->records[2].port, 587);
	assert_int_equal(a->records[2].preference, 20);
}

static void
a_service_that_is_not_there_has_an_empty_name(void **state)
{
	struct scene *s = *state;
	const struct dns_row row = { "", DNS_WIRE_SRV, 300, "0 0 0 " };

	begin(s, 0, 1, 0);
	dns_add_row(&s->msg, &row);
	const struct dns_answer *a = parse(s, DNS_SRV);
	assert_int_equal(a->count, 1);
	assert_int_equal(a->records[0].text.n, 0);
}

static void
an_alias_names_what_it_stands_for(void **state)
{
	struct scene *s = *state;
	const struct dns_row row = { "", DNS_WIRE_CNAME, 300, "real.example" };

	begin(s, 0, 1, 0);
	dns_add_row(&s->msg, &row);
	assert_string_equal(parse(s, DNS_CNAME)->records[0].text.p, "real.example");
}

static void
a_certificate_association_has_three_numbers_and_data(void **state)
{
	struct scene *s = *state;
	const struct dns_row row = { "", DNS_WIRE_TLSA, 300, "3 1 2 data" };

	begin(s, 0, 2, 0);
	dns_add_row(&s->msg, &row);
	dns_add_rr(&s->msg, DNS_WIRE_TLSA, 5, STR("\3\1\1"));
	const struct dns_answer *a = parse(s, DNS_TLSA);
	assert_int_equal(a->count, 1);
	assert_int_equal(a->records[0].tlsa[0], 3);
	assert_int_equal(a->records[0].tlsa[1], 1);
	assert_int_equal(a->records[0].tlsa[2], 2);
	assert_true(str_eq(a->records[0].text, STR("data")));
	assert_false(a->is_secure);
}

static void
what_the_server_validated_is_told(void **state)
{
	struct scene *s = *state;
	const struct dns_row row = { "", DNS_WIRE_MX, 300, "10 a.example" };

	begin(s, 0x20, 1, 0);
	dns_add_row(&s->msg, &row);
	assert_true(parse(s, DNS_MX)->is_secure);
}

static void
a_missing_name_lives_as_long_as_its_zone_says(void **state)
{
	struct scene *s = *state;

	begin(s, 3, 0, 1);
	dns_add_soa(&s->msg, 17);
	const struct dns_answer *a = parse(s, DNS_MX);
	assert_int_equal(a->rc, RC_NOT_FOUND);
	assert_false(a->name_exists);
	assert_int_equal(a->ttl_us, SECONDS(17));
	s->msg.end = s->msg.start;
	begin(s, 0, 0, 1);
	dns_add_soa(&s->msg, 86400);
	a = parse(s, DNS_MX);
	assert_int_equal(a->rc, RC_NOT_FOUND);
	assert_true(a->name_exists);
	assert_int_equal(a->ttl_us, MINUTES(5));
}

static void
a_failure_of_the_server_is_no_statement_about_the_name(void **state)
{
	struct scene *s = *state;

	begin(s, 2, 0, 0);
	assert_int_equal(parse(s, DNS_MX)->rc, RC_DNS);
}

static void
a_message_cut_anywhere_in_its_answers_is_no_answer(void **state)
{
	struct scene *s = *state;
	const struct dns_row row = { "", DNS_WIRE_MX, 300, "10 a.example" };

	begin(s, 0, 1, 0);
	dns_add_row(&s->msg, &row);
	for (size_t n = 0; n < buf_len(&s->msg); n++) {
		dns_message_parse(str_sub(buf_str(&s->msg), 0, n), DNS_MX, &s->mem, &s->answer);
		assert_int_equal(s->answer.rc, RC_DNS);
	}
}

#define IN_SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(mail_exchangers_are_sorted_by_preference_and_the_shortest_life_counts),
		IN_SCENE(the_null_exchanger_has_an_empty_name),
		IN_SCENE(compressed_names_are_unfolded),
		IN_SCENE(a_name_that_points_at_itself_is_left_out),
		IN_SCENE(names_with_bytes_no_host_has_are_left_out),
		IN_SCENE(the_strings_of_a_text_are_joined),
		IN_SCENE(services_come_by_priority_and_the_heaviest_first),
		IN_SCENE(a_service_that_is_not_there_has_an_empty_name),
		IN_SCENE(an_alias_names_what_it_stands_for),
		IN_SCENE(a_certificate_association_has_three_numbers_and_data),
		IN_SCENE(what_the_server_validated_is_told),
		IN_SCENE(a_missing_name_lives_as_long_as_its_zone_says),
		IN_SCENE(a_failure_of_the_server_is_no_statement_about_the_name),
		IN_SCENE(a_message_cut_anywhere_in_its_answers_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
