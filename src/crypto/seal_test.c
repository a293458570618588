#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/seal.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "crypto/crypto.h"
#include "crypto/keyfile.h"
#include "crypto/random.h"

static char dir[] = "/tmp/posthouse-seal-XXXXXX";
static char path[64];

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL || crypto_start(NULL) != RC_OK)
		return -1;
	snprintf(path, sizeof(path), "%s/key", dir);
	return 0;
}

static int
clear(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return rmdir(dir); /* fails when a temporary file was left behind */
}

static struct seal_key
random_key(void)
{
	struct seal_key key;

	random_bytes(key.k, sizeof(key.k));
	return key;
}

static void
a_sealed_secret_opens_again(void **state)
{
	static const struct str secrets[] = { STR_INIT("hunter2"), STR_INIT(""),
		STR_INIT("\0\xff\n") };
	struct seal_key key = random_key();

	(void)state;
	for (size_t i = 0; i < COUNT_OF(secrets); i++) {
		AUTO(buf_done) struct buf sealed = { 0 }, opened = { 0 };
		buf_init(&sealed, 1000);
		buf_init(&opened, 1000);
		assert_int_equal(seal_close(&key, secrets[i], STR("relay 7"), &sealed), RC_OK);
		assert_int_equal(buf_len(&sealed), secrets[i].n + SEAL_OVERHEAD);
		assert_int_equal(
		    seal_open(&key, buf_str(&sealed), STR("relay 7"), &opened, NULL), RC_OK);
		assert_true(str_eq(buf_str(&opened), secrets[i]));
	}
}

static void
the_same_secret_never_seals_the_same(void **state)
{
	AUTO(buf_done) struct buf a = { 0 }, b = { 0 };
	struct seal_key key = random_key();

	(void)state;
	buf_init(&a, 1000);
	buf_init(&b, 1000);
	assert_int_equal(seal_close(&key, STR("s"), STR("x"), &a), RC_OK);
	assert_int_equal(seal_close(&key, STR("s"), STR("x"), &b), RC_OK);
	assert_false(str_eq(buf_str(&a), buf_str(&b)));
}

static void
a_change_of_any_byte_is_noticed(void **state)
{
	AUTO(buf_done) struct buf sealed = { 0 }, opened = { 0 };
	struct seal_key key = random_key();

	(void)state;
	buf_init(&sealed, 1000);
	buf_init(&opened, 1000);
	assert_int_equal(seal_close(&key, STR("secret"), STR("x"), &sealed), RC_OK);
	for (size_t i = 0; i < buf_len(&sealed); i++) {
		sealed.p[i] ^= 1;
		enum rc rc = seal_open(&key, buf_str(&sealed), STR("x"), &opened, NULL);
		assert_int_equal(rc, i >= 1 && i < 5 ? RC_NOT_FOUND : RC_INVALID);
		assert_int_equal(buf_len(&opened), 0);
		sealed.p[i] ^= 1;
	}
	for (size_t n = 0; n < buf_len(&sealed); n++)
		assert_int_not_equal(
		    seal_open(&key, str_sub(buf_str(&sealed), 0, n), STR("x"), &opened, NULL),
		    RC_OK);
}

static void
a_secret_moved_elsewhere_does_not_open(void **state)
{
	AUTO(buf_done) struct buf sealed = { 0 }, opened = { 0 };
	struct seal_key key = random_key();

	(void)state;
	buf_init(&sealed, 1000);
	buf_init(&opened, 1000);
	assert_int_equal(seal_close(&key, STR("secret"), STR("relay 7"), &sealed), RC_OK);
	assert_int_equal(
	    seal_open(&key, buf_str(&sealed), STR("relay 8"), &opened, NULL), RC_INVALID);
}

static void
another_key_is_told_from_damage(void **state)
{
	AUTO(buf_done) struct buf sealed = { 0 }, opened = { 0 };
	struct seal_key key = random_key(), other = random_key();
	struct fault f = { 0 };

	(void)state;
	buf_init(&sealed, 1000);
	buf_init(&opened, 1000);
	assert_int_equal(seal_close(&key, STR("secret"), STR("x"), &sealed), RC_OK);
	assert_int_equal(seal_open(&other, buf_str(&sealed), STR("x"), &opened, &f), RC_NOT_FOUND);
	assert_non_null(strstr(f.text, "another key"));
}

static void
what_does_not_fit_is_refused(void **state)
{
	AUTO(buf_done) struct buf small = { 0 }, big = { 0 }, opened = { 0 };
	static const char zeros[SEAL_SECRET_MAX + 1];
	struct seal_key key = random_key();

	(void)state;
	buf_init(&small, SEAL_OVERHEAD + 2);
	buf_init(&big, sizeof(zeros) + SEAL_OVERHEAD);
	buf_init(&opened, 2);
	assert_int_equal(seal_close(&key, STR("abc"), STR("x"), &small), RC_LIMIT);
	assert_int_equal(
	    seal_close(&key, str_make(zeros, sizeof(zeros)), STR("x"), &big), RC_LIMIT);
	assert_int_equal(seal_close(&key, STR("abc"), STR("x"), &big), RC_OK);
	assert_int_equal(seal_open(&key, buf_str(&big), STR("x"), &opened, NULL), RC_LIMIT);
}

static void
a_key_file_is_made_once_and_private(void **state)
{
	struct seal_key first, second;
	struct stat st;

	(void)state;
	assert_int_equal(seal_key_load(path, &first, NULL), RC_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 65);
	assert_int_equal(seal_key_load(path, &second, NULL), RC_OK);
	assert_memory_equal(&first, &second, sizeof(first));
}

static void
a_key_file_that_others_can_read_is_refused_with_a_remedy(void **state)
{
	struct seal_key key;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(seal_key_load(path, &key, NULL), RC_OK);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(seal_key_load(path, &key, &f), RC_DENIED);
	assert_non_null(strstr(f.text, "chmod 600"));
	assert_int_equal(chmod(path, 0440), 0);
	assert_int_equal(seal_key_load(path, &key, NULL), RC_OK);
}

static void
a_key_file_with_anything_else_is_refused_and_kept(void **state)
{
	static const struct str bad[] = { STR_INIT(""), STR_INIT("short\n"),
		STR_INIT("zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"),
		STR_INIT("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00\n") };
	struct seal_key key;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		AUTO(buf_done) struct buf kept = { 0 };
		struct fault f = { 0 };
		buf_init(&kept, 1000);
		assert_int_equal(keyfile_create(path, bad[i], NULL), RC_OK);
		assert_int_equal(seal_key_load(path, &key, &f), RC_INVALID);
		assert_int_equal(f.rc, RC_INVALID);
		assert_int_equal(keyfile_read(path, &kept, NULL), RC_OK);
		assert_true(str_eq(buf_str(&kept), bad[i]));
		unlink(path);
	}
}

static void
a_file_that_exists_is_never_replaced(void **state)
{
	AUTO(buf_done) struct buf kept = { 0 };

	(void)state;
	buf_init(&kept, 100);
	assert_int_equal(keyfile_create(path, STR("first"), NULL), RC_OK);
	assert_int_equal(keyfile_create(path, STR("second"), NULL), RC_EXISTS);
	assert_int_equal(keyfile_read(path, &kept, NULL), RC_OK);
	assert_true(str_eq(buf_str(&kept), STR("first")));
}

static void
unusable_paths_fail_with_a_sentence(void **state)
{
	AUTO(buf_done) struct buf out = { 0 };
	struct fault f = { 0 }, g = { 0 }, h = { 0 };

	(void)state;
	buf_init(&out, 4);
	assert_int_equal(keyfile_read(path, &out, &f), RC_NOT_FOUND);
	assert_int_equal(keyfile_read(dir, &out, &g), RC_IO);
	assert_int_equal(keyfile_create("/nonexistent/posthouse/key", STR("x"), &h), RC_IO);
	assert_int_not_equal(h.sys_errno, 0);
	assert_int_equal(keyfile_create(path, STR("12345"), NULL), RC_OK);
	assert_int_equal(keyfile_read(path, &out, NULL), RC_LIMIT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sealed_secret_opens_again),
		cmocka_unit_test(the_same_secret_never_seals_the_same),
		cmocka_unit_test(a_change_of_any_byte_is_noticed),
		cmocka_unit_test(a_secret_moved_elsewhere_does_not_open),
		cmocka_unit_test(another_key_is_told_from_damage),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test_teardown(a_key_file_is_made_once_and_private, clear),
		cmocka_unit_test_teardown(
		    a_key_file_that_others_can_read_is_refused_with_a_remedy, clear),
		cmocka_unit_test_teardown(a_key_file_with_anything_else_is_refused_and_kept, clear),
		cmocka_unit_test_teardown(a_file_that_exists_is_never_replaced, clear),
		cmocka_unit_test_teardown(unusable_paths_fail_with_a_sentence, clear),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
