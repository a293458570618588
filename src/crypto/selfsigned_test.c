#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/selfsigned.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "crypto/keyfile.h"

static char dir[] = "/tmp/posthouse-cert-XXXXXX";
static char cert_path[64], key_path[64];

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(cert_path, sizeof(cert_path), "%s/cert", dir);
	snprintf(key_path, sizeof(key_path), "%s/key", dir);
	return 0;
}

static int
clear(void **state)
{
	(void)state;
	unlink(cert_path);
	unlink(key_path);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return rmdir(dir);
}

static X509 *
parse_cert(const struct buf *pem)
{
	BIO *bio = BIO_new_mem_buf(buf_str(pem).p, (int)buf_len(pem));
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(cert);
	return cert;
}

static EVP_PKEY *
parse_key(const struct buf *pem)
{
	BIO *bio = BIO_new_mem_buf(buf_str(pem).p, (int)buf_len(pem));
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(key);
	return key;
}

/* Whether a client that was told to trust `cert` accepts it as a server's. */
static int
is_trusted(X509 *cert)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	X509_STORE_add_cert(store, cert);
	X509_STORE_CTX_init(ctx, store, cert, NULL);
	X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
	int ok = X509_verify_cert(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return ok;
}

static void
the_certificate_is_good_for_its_names(void **state)
{
	AUTO(buf_done) struct buf cert_pem = { 0 }, key_pem = { 0 };

	(void)state;
	buf_init(&cert_pem, SELFSIGNED_PEM_MAX);
	buf_init(&key_pem, SELFSIGNED_PEM_MAX);
	assert_int_equal(
	    selfsigned_make(STR("mail.example.com"), &cert_pem, &key_pem, NULL), RC_OK);
	X509 *cert = parse_cert(&cert_pem);
	EVP_PKEY *key = parse_key(&key_pem);
	assert_int_equal(X509_check_private_key(cert, key), 1);
	assert_int_equal(X509_verify(cert, key), 1);
	assert_int_equal(is_trusted(cert), 1);
	assert_int_equal(X509_check_host(cert, "mail.example.com", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(cert, "other.example.com", 0, 0, NULL), 0);
	assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
	assert_int_equal(X509_check_ip_asc(cert, "127.0.0.2", 0), 0);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void
the_certificate_lasts_ten_years_from_now(void **state)
{
	AUTO(buf_done) struct buf cert_pem = { 0 }, key_pem = { 0 };
	int days, seconds;

	(void)state;
	buf_init(&cert_pem, SELFSIGNED_PEM_MAX);
	buf_init(&key_pem, SELFSIGNED_PEM_MAX);
	assert_int_equal(selfsigned_make(STR("h"), &cert_pem, &key_pem, NULL), RC_OK);
	X509 *cert = parse_cert(&cert_pem);
	assert_int_equal(ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)), 1);
	assert_in_range(days, 3651, 3653);
	assert_true(X509_cmp_current_time(X509_get0_notBefore(cert)) < 0);
	X509_free(cert);
}

static void
addresses_and_long_names_serve_as_hosts(void **state)
{
	static const char long_name[] =
	    "a-label-that-is-quite-long-but-allowed.another-label-just-as-long-as-that.example.org";
	AUTO(buf_done) struct buf cert_pem = { 0 }, key_pem = { 0 };

	(void)state;
	buf_init(&cert_pem, SELFSIGNED_PEM_MAX);
	buf_init(&key_pem, SELFSIGNED_PEM_MAX);
	assert_int_equal(selfsigned_make(STR("2001:db8::25"), &cert_pem, &key_pem, NULL), RC_OK);
	X509 *cert = parse_cert(&cert_pem);
	assert_int_equal(X509_check_ip_asc(cert, "2001:db8::25", 0), 1);
	X509_free(cert);
	buf_clear(&cert_pem);
	assert_int_equal(selfsigned_make(str_from(long_name), &cert_pem, &key_pem, NULL), RC_OK);
	cert = parse_cert(&cert_pem);
	assert_int_equal(X509_check_host(cert, long_name, 0, 0, NULL), 1);
	X509_free(cert);
}

static void
what_is_no_host_is_refused(void **state)
{
	static const struct str bad[] = { STR_INIT(""), STR_INIT("a b"), STR_INIT("a,DNS:evil"),
		STR_INIT("a\0b"), STR_INIT("a\nb"), STR_INIT("[::1]"), STR_INIT("1:2") };
	AUTO(buf_done) struct buf cert_pem = { 0 }, key_pem = { 0 };

	(void)state;
	buf_init(&cert_pem, SELFSIGNED_PEM_MAX);
	buf_init(&key_pem, SELFSIGNED_PEM_MAX);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(selfsigned_make(bad[i], &cert_pem, &key_pem, NULL), RC_INVALID);
	assert_int_equal(buf_len(&cert_pem), 0);
	assert_int_equal(buf_len(&key_pem), 0);
}

static void
both_files_are_private_and_match(void **state)
{
	AUTO(buf_done) struct buf cert_pem = { 0 }, key_pem = { 0 };
	struct stat st;

	(void)state;
	buf_init(&cert_pem, SELFSIGNED_PEM_MAX);
	buf_init(&key_pem, SELFSIGNED_PEM_MAX);
	assert_int_equal(selfsigned_write(STR("h"), cert_path, key_path, NULL), RC_OK);
	assert_int_equal(stat(key_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(keyfile_read(cert_path, &cert_pem, NULL), RC_OK);
	assert_int_equal(keyfile_read(key_path, &key_pem, NULL), RC_OK);
	X509 *cert = parse_cert(&cert_pem);
	EVP_PKEY *key = parse_key(&key_pem);
	assert_int_equal(X509_check_private_key(cert, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	assert_int_equal(selfsigned_write(STR("h"), cert_path, key_path, NULL), RC_EXISTS);
}

static void
a_start_cut_off_after_the_key_is_completed(void **state)
{
	AUTO(buf_done) struct buf before = { 0 }, after = { 0 }, cert_pem = { 0 };

	(void)state;
	buf_init(&before, SELFSIGNED_PEM_MAX);
	buf_init(&after, SELFSIGNED_PEM_MAX);
	buf_init(&cert_pem, SELFSIGNED_PEM_MAX);
	assert_int_equal(selfsigned_write(STR("h"), cert_path, key_path, NULL), RC_OK);
	assert_int_equal(keyfile_read(key_path, &before, NULL), RC_OK);
	unlink(cert_path);
	assert_int_equal(selfsigned_write(STR("h"), cert_path, key_path, NULL), RC_OK);
	assert_int_equal(keyfile_read(key_path, &after, NULL), RC_OK);
	assert_true(str_eq(buf_str(&before), buf_str(&after)));
	assert_int_equal(keyfile_read(cert_path, &cert_pem, NULL), RC_OK);
	X509 *cert = parse_cert(&cert_pem);
	EVP_PKEY *key = parse_key(&after);
	assert_int_equal(X509_check_private_key(cert, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void
a_key_file_that_is_none_is_refused_and_kept(void **state)
{
	AUTO(buf_done) struct buf kept = { 0 };
	struct fault f = { 0 };

	(void)state;
	buf_init(&kept, 100);
	assert_int_equal(keyfile_create(key_path, STR("mine"), NULL), RC_OK);
	assert_int_equal(selfsigned_write(STR("h"), cert_path, key_path, &f), RC_INVALID);
	assert_int_equal(access(cert_path, F_OK), -1);
	assert_int_equal(keyfile_read(key_path, &kept, NULL), RC_OK);
	assert_true(str_eq(buf_str(&kept), STR("mine")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_certificate_is_good_for_its_names),
		cmocka_unit_test(the_certificate_lasts_ten_years_from_now),
		cmocka_unit_test(addresses_and_long_names_serve_as_hosts),
		cmocka_unit_test(what_is_no_host_is_refused),
		cmocka_unit_test_teardown(both_files_are_private_and_match, clear),
		cmocka_unit_test_teardown(a_start_cut_off_after_the_key_is_completed, clear),
		cmocka_unit_test_teardown(a_key_file_that_is_none_is_refused_and_kept, clear),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
