/* OpenSSL's X.509 calls in a row. Names are put into the certificate as values, never through
 * OpenSSL's configuration syntax, in which a comma in a host name would start another name.
 *
 * Every call here fails only for lack of memory or by a bug; they are gathered with && and answered
 * once. */
#include "crypto/selfsigned.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "crypto/keyfile.h"

#define SECONDS_BACK (60L * 60)      /* for clients whose clock is behind */
#define DAYS_VALID   (10L * 365 + 3) /* ten years and their leap days */
#define HOST_MAX     253
#define COMMON_MAX   64 /* X.520's bound on a common name */
#define SERIAL_BITS  127

static void
free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void
free_cert(X509 **cert)
{
	X509_free(*cert);
}

static void
free_names(GENERAL_NAMES **names)
{
	GENERAL_NAMES_free(*names);
}

static void
free_bio(BIO **bio)
{
	BIO_free_all(*bio);
}

static bool
is_address(const char *host)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);

	ASN1_OCTET_STRING_free(ip);
	return ip != NULL;
}

static bool
is_host(struct str host)
{
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i];
		if (!ascii_is_alnum(c) && c != '-' && c != '.' && c != '_')
			return false;
	}
	return host.n > 0 && host.n <= HOST_MAX;
}

/* Adds `host` as an IP address or a DNS name. */
static bool
add_name(GENERAL_NAMES *names, const char *host)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
	ASN1_IA5STRING *dns = ip == NULL ? ASN1_IA5STRING_new() : NULL;

	if (name == NULL || (ip == NULL && (dns == NULL || !ASN1_STRING_set(dns, host, -1))))
		goto fail;
	if (ip != NULL)
		GENERAL_NAME_set0_value(name, GEN_IPADD, ip);
	else
		GENERAL_NAME_set0_value(name, GEN_DNS, dns);
	if (sk_GENERAL_NAME_push(names, name) > 0)
		return true;
	ip = NULL; /* the name owns its value now */
	dns = NULL;
fail:
	GENERAL_NAME_free(name);
	ASN1_OCTET_STRING_free(ip);
	ASN1_IA5STRING_free(dns);
	return false;
}

static bool
add_names(X509 *cert, const char *host)
{
	static const char *const local[] = { "localhost", "127.0.0.1", "::1" };
	AUTO(free_names) GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

	if (names == NULL || !add_name(names, host))
		return false;
	for (size_t i = 0; i < COUNT_OF(local); i++) {
		if (strcasecmp(host, local[i]) != 0 && !add_name(names, local[i]))
			return false;
	}
	return X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) == 1;
}

/* One extension in OpenSSL's text form; `value` is always a literal of ours. */
static bool
add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool
set_random_serial(X509 *cert)
{
	BIGNUM *n = BN_new();
	bool ok = n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
		  BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;

	BN_free(n);
	return ok;
}

static X509 *
make_cert(const char *host, EVP_PKEY *key)
{
	AUTO(free_cert) X509 *cert = X509_new();
	const char *common = strlen(host) <= COMMON_MAX ? host : "posthouse";

	if (cert == NULL)
		return NULL;
	X509_NAME *subject = X509_get_subject_name(cert);
	bool ok = X509_set_version(cert, X509_VERSION_3) == 1 && set_random_serial(cert) &&
		  X509_gmtime_adj(X509_getm_notBefore(cert), -SECONDS_BACK) != NULL &&
		  X509_time_adj_ex(X509_getm_notAfter(cert), DAYS_VALID, 0, NULL) != NULL &&
		  X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
		      (const unsigned char *)common, -1, -1, 0) == 1 &&
		  X509_set_issuer_name(cert, subject) == 1 && X509_set_pubkey(cert, key) == 1 &&
		  add_names(cert, host) &&
		  add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
		  add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
		  add_extension(cert, NID_ext_key_usage, "serverAuth,clientAuth") &&
		  add_extension(cert, NID_subject_key_identifier, "hash") &&
		  X509_sign(cert, key, EVP_sha256()) > 0;
	return ok ? TAKE(cert) : NULL;
}

/* Moves what `bio` gathered into `out`. */
static bool
drain(BIO *bio, struct buf *out)
{
	char *p = NULL;
	long n = BIO_get_mem_data(bio, &p);

	if (n <= 0)
		return false;
	buf_add(out, str_make(p, (size_t)n));
	return buf_is_ok(out);
}

static bool
write_cert(const char *host, EVP_PKEY *key, struct buf *out)
{
	AUTO(free_cert) X509 *cert = make_cert(host, key);
	AUTO(free_bio) BIO *bio = BIO_new(BIO_s_mem());

	return cert != NULL && bio != NULL && PEM_write_bio_X509(bio, cert) == 1 && drain(bio, out);
}

static bool
write_key(EVP_PKEY *key, struct buf *out)
{
	AUTO(free_bio) BIO *bio = BIO_new(BIO_s_secmem());

	return bio != NULL &&
	       PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	       drain(bio, out);
}

/* Never asks on the terminal for the pass phrase of an encrypted key. */
static int
no_pass_phrase(UNUSED char *out, UNUSED int size, UNUSED int writing, UNUSED void *arg)
{
	return -1;
}

static EVP_PKEY *
read_key(struct str pem)
{
	AUTO(free_bio)
	BIO *bio = pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;

	return bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;
}

/* A NUL-terminated copy of a usable host in `out`. */
static enum rc
check_host(struct str host, char out[static HOST_MAX + 1], struct fault *f)
{
	if (host.n > 0 && host.n <= HOST_MAX && !str_has_byte(host, '\0')) {
		memcpy(out, host.p, host.n);
		out[host.n] = '\0';
		if (is_host(host) || is_address(out))
			return RC_OK;
	}
	return fault_set(f, RC_INVALID, "\"%.*s\" is neither a host name nor an address",
	    STR_ARG(str_sub(host, 0, HOST_MAX)));
}

enum rc
selfsigned_make(struct str host, struct buf *cert_pem_out, struct buf *key_pem_out, struct fault *f)
{
	char name[HOST_MAX + 1];
	enum rc rc = check_host(host, name, f);

	if (rc != RC_OK)
		return rc;
	AUTO(free_key) EVP_PKEY *key = EVP_EC_gen("P-256");
	if (key == NULL || !write_key(key, key_pem_out) || !write_cert(name, key, cert_pem_out))
		return fault_set(f, RC_TLS, "OpenSSL could not make a certificate for %s", name);
	return RC_OK;
}

/* The certificate for the key that a cut-off start left behind. */
static enum rc
certify_existing(const char *host, const char *key_path, struct buf *cert, struct fault *f)
{
	AUTO(buf_wipe) struct buf pem = { 0 };

	buf_init(&pem, SELFSIGNED_PEM_MAX);
	enum rc rc = keyfile_read(key_path, &pem, f);
	if (rc != RC_OK)
		return rc;
	AUTO(free_key) EVP_PKEY *key = read_key(buf_str(&pem));
	if (key == NULL)
		return fault_set(
		    f, RC_INVALID, "%s: holds no private key without pass phrase", key_path);
	if (!write_cert(host, key, cert))
		return fault_set(f, RC_TLS, "OpenSSL could not make a certificate for %s", host);
	return RC_OK;
}

enum rc
selfsigned_write(struct str host, const char *cert_path, const char *key_path, struct fault *f)
{
	AUTO(buf_done) struct buf cert = { 0 };
	AUTO(buf_wipe) struct buf key = { 0 };
	char name[HOST_MAX + 1];

	buf_init(&cert, SELFSIGNED_PEM_MAX);
	buf_init(&key, SELFSIGNED_PEM_MAX);
	enum rc rc = check_host(host, name, f);
	if (rc == RC_OK && access(cert_path, F_OK) == 0)
		rc = fault_set(f, RC_EXISTS, "%s: exists already", cert_path);
	if (rc != RC_OK)
		return rc;
	if (access(key_path, F_OK) == 0) {
		rc = certify_existing(name, key_path, &cert, f);
	} else {
		rc = selfsigned_make(host, &cert, &key, f);
		if (rc == RC_OK)
			rc = keyfile_create(key_path, buf_str(&key), f);
	}
	return rc == RC_OK ? keyfile_create(cert_path, buf_str(&cert), f) : rc;
}
