/* For tests only: certificates made on the spot, in PEM files of a temporary folder. */
#pragma once

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct certs {
	char dir[64];
	char ca[96], cert[96], key[96]; /* a CA, and a server's certificate that it signed */
	char other_ca[96];              /* another CA, that signed nothing */
	char old_cert[96];              /* for the same key and names, expired yesterday */
};

static inline void
certs_sign(X509 *x, EVP_PKEY *key, const X509 *issuer, EVP_PKEY *issuer_key, const char *cn,
    const char *san, long from_s, long to_s)
{
	X509_NAME *name = X509_get_subject_name(x);
	X509V3_CTX v3;
	static long serial;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x), from_s);
	X509_gmtime_adj(X509_getm_notAfter(x), to_s);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, issuer != NULL ? X509_get_subject_name(issuer) : name);
	X509V3_set_ctx(&v3, issuer != NULL ? (X509 *)(uintptr_t)issuer : x, x, NULL, NULL, 0);
	const char *kind = san != NULL ? "critical,CA:FALSE" : "critical,CA:TRUE";
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &v3, NID_basic_constraints, kind);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	if (san != NULL) {
		e = X509V3_EXT_conf_nid(NULL, &v3, NID_subject_alt_name, san);
		X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	X509_sign(x, issuer_key, EVP_sha256());
}

static inline void
certs_write(const char *path, X509 *x, EVP_PKEY *key)
{
	FILE *f = fopen(path, "w");

	assert(f != NULL);
	if (x != NULL)
		PEM_write_X509(f, x);
	if (key != NULL)
		PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

#define CERTS_SAN "DNS:mail.example.com,DNS:smtp.example.com,IP:127.0.0.1"

static inline void
certs_make(struct certs *c)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *ca = X509_new(), *other = X509_new(), *cert = X509_new(), *old = X509_new();
	const long day = 86400;

	snprintf(c->dir, sizeof(c->dir), P_tmpdir "/certs-XXXXXX");
	if (mkdtemp(c->dir) == NULL)
		abort();
	snprintf(c->ca, sizeof(c->ca), "%s/ca.pem", c->dir);
	snprintf(c->cert, sizeof(c->cert), "%s/cert.pem", c->dir);
	snprintf(c->key, sizeof(c->key), "%s/key.pem", c->dir);
	snprintf(c->other_ca, sizeof(c->other_ca), "%s/other.pem", c->dir);
	snprintf(c->old_cert, sizeof(c->old_cert), "%s/old.pem", c->dir);
	certs_sign(ca, ca_key, NULL, ca_key, "Test CA", NULL, -day, day);
	certs_sign(other, ca_key, NULL, ca_key, "Other CA", NULL, -day, day);
	certs_sign(cert, key, ca, ca_key, "mail.example.com", CERTS_SAN, -day, day);
	certs_sign(old, key, ca, ca_key, "mail.example.com", CERTS_SAN, -2 * day, -day);
	certs_write(c->ca, ca, NULL);
	certs_write(c->cert, cert, NULL);
	certs_write(c->key, NULL, key);
	certs_write(c->other_ca, other, NULL);
	certs_write(c->old_cert, old, NULL);
	X509_free(ca);
	X509_free(other);
	X509_free(cert);
	X509_free(old);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
}

static inline void
certs_remove(struct certs *c)
{
	unlink(c->ca);
	unlink(c->cert);
	unlink(c->key);
	unlink(c->other_ca);
	unlink(c->old_cert);
	rmdir(c->dir);
}
