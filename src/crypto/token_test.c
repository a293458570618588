#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/token.h"

#include "crypto/random.h"

static struct token_key
key_for(struct str purpose)
{
	static const uint8_t master[32] = { 1, 2, 3 };

	return token_key_derive(master, purpose);
}

static void
secrets_are_eight_groups_without_look_alikes(void **state)
{
	char a[TOKEN_SECRET_SIZE], b[TOKEN_SECRET_SIZE];

	(void)state;
	for (int round = 0; round < 100; round++) {
		token_secret(a);
		token_secret(b);
		assert_string_not_equal(a, b);
		assert_int_equal(strlen(a), TOKEN_SECRET_SIZE - 1);
		for (size_t i = 0; i < strlen(a); i++) {
			if (i % 5 == 4)
				assert_int_equal(a[i], '-');
			else
				assert_true(
				    (ascii_is_digit(a[i]) || (a[i] >= 'a' && a[i] <= 'z')) &&
				    strchr("ilou", a[i]) == NULL);
		}
	}
}

static void
api_keys_are_recognised_and_nothing_else_is(void **state)
{
	char a[TOKEN_API_KEY_SIZE], b[TOKEN_API_KEY_SIZE];

	(void)state;
	token_api_key(a);
	token_api_key(b);
	assert_string_not_equal(a, b);
	assert_true(token_is_api_key(str_from(a)));
	assert_false(token_is_api_key(str_make(a, strlen(a) - 1)));
	assert_false(token_is_api_key(STR("")));
	a[20] = '-';
	assert_false(token_is_api_key(str_from(a)));
	b[1] = 'H';
	assert_false(token_is_api_key(str_from(b)));
}

static void
equality_is_of_bytes_and_length(void **state)
{
	(void)state;
	assert_true(token_equal(STR("same"), STR("same")));
	assert_false(token_equal(STR("same"), STR("samf")));
	assert_false(token_equal(STR("same"), STR("sam")));
	assert_true(token_equal((struct str){ 0 }, STR("")));
}

static void
public_ids_lead_back_to_their_rows(void **state)
{
	static const uint64_t edges[] = { 0, 1, 2, UINT32_MAX, INT64_MAX, UINT64_C(3) << 62,
		UINT64_MAX };
	struct token_key key = key_for(STR("message"));
	char id[TOKEN_PUBLIC_ID_SIZE];
	uint64_t row;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(edges) + 1000; i++) {
		uint64_t want = i < COUNT_OF(edges) ? edges[i] : random_u64();
		token_public_id(&key, want, id);
		assert_int_equal(token_public_id_parse(&key, str_from(id), &row), RC_OK);
		assert_true(row == want);
	}
}

static void
public_ids_are_uuids_of_version_8(void **state)
{
	struct token_key key = key_for(STR("message"));
	char id[TOKEN_PUBLIC_ID_SIZE];

	(void)state;
	for (uint64_t row = 0; row < 200; row++) {
		token_public_id(&key, row, id);
		assert_int_equal(strlen(id), 36);
		assert_int_equal(id[14], '8');
		assert_non_null(strchr("89ab", id[19]));
		for (size_t i = 0; i < 36; i++) {
			if (i == 8 || i == 13 || i == 18 || i == 23)
				assert_int_equal(id[i], '-');
			else
				assert_non_null(strchr("0123456789abcdef", id[i]));
		}
	}
}

static void
a_public_id_is_the_same_for_ever(void **state)
{
	struct token_key key = key_for(STR("message"));
	char id[TOKEN_PUBLIC_ID_SIZE];

	(void)state;
	/* Ids are in users' hands: a change of the computation would orphan them all. */
	token_public_id(&key, 42, id);
	assert_string_equal(id, "c9b26256-1f9d-8ced-a76c-7f89c06526d6");
}

static void
an_id_in_capitals_is_the_same_id(void **state)
{
	struct token_key key = key_for(STR("message"));
	char id[TOKEN_PUBLIC_ID_SIZE];
	uint64_t row;

	(void)state;
	token_public_id(&key, 77, id);
	for (char *p = id; *p != '\0'; p++)
		*p = *p >= 'a' && *p <= 'f' ? (char)(*p - 32) : *p;
	assert_int_equal(token_public_id_parse(&key, str_from(id), &row), RC_OK);
	assert_true(row == 77);
}

static void
an_id_changed_in_any_digit_is_refused(void **state)
{
	struct token_key key = key_for(STR("message"));
	char id[TOKEN_PUBLIC_ID_SIZE];

	(void)state;
	token_public_id(&key, 123456, id);
	for (size_t i = 0; i < 36; i++) {
		uint64_t row = 9;
		char was = id[i];
		id[i] = was == '0' ? '1' : '0';
		enum rc rc = token_public_id_parse(&key, str_from(id), &row);
		assert_int_equal(rc, was == '-' ? RC_INVALID : RC_NOT_FOUND);
		assert_true(row == 9);
		id[i] = was;
	}
}

static void
an_id_of_another_noun_is_refused(void **state)
{
	struct token_key message = key_for(STR("message")), domain = key_for(STR("domain"));
	char id[TOKEN_PUBLIC_ID_SIZE];
	uint64_t row;

	(void)state;
	token_public_id(&message, 5, id);
	assert_int_equal(token_public_id_parse(&domain, str_from(id), &row), RC_NOT_FOUND);
}

static void
what_is_no_uuid_is_invalid(void **state)
{
	static const char *const bad[] = {
		"",
		"5",
		"00000000-0000-8000-8000-00000000000",
		"00000000-0000-8000-8000-0000000000000",
		"00000000 0000-8000-8000-000000000000",
		"0000000g-0000-8000-8000-000000000000",
		"000000000000-8000-8000-000000000000-",
	};
	struct token_key key = key_for(STR("message"));
	uint64_t row;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(token_public_id_parse(&key, str_from(bad[i]), &row), RC_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_eight_groups_without_look_alikes),
		cmocka_unit_test(api_keys_are_recognised_and_nothing_else_is),
		cmocka_unit_test(equality_is_of_bytes_and_length),
		cmocka_unit_test(public_ids_lead_back_to_their_rows),
		cmocka_unit_test(public_ids_are_uuids_of_version_8),
		cmocka_unit_test(a_public_id_is_the_same_for_ever),
		cmocka_unit_test(an_id_in_capitals_is_the_same_id),
		cmocka_unit_test(an_id_changed_in_any_digit_is_refused),
		cmocka_unit_test(an_id_of_another_noun_is_refused),
		cmocka_unit_test(what_is_no_uuid_is_invalid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
