/* One SSL on one socket.
 *
 * OpenSSL's error queue belongs to the thread, not the connection: it is emptied before every call,
 * or the error of one connection would be taken for that of the next. Reading, writing and shutting
 * down go straight to the descriptor.
 *
 * When verification fails, the certificate that was refused is kept, so that facts can say what was
 * shown and why it was not good enough. A session is cached only when the connection it comes from
 * was verified. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/private.h"

struct tls_stream {
	SSL *ssl;
	struct tls_ctx *ctx;
	char *name; /* client: who it must be */
	struct tls_cache *cache;
	char *key;
	X509 *refused;      /* the leaf of a chain that was not verified */
	X509 *refused_at;   /* the certificate in it where that was noticed */
	long refused_error; /* X509_V_ERR_*, the first */
	bool is_broken;     /* a fatal error was seen: no more I/O, not even goodbye */
};

/* ---- what OpenSSL calls ---- */

static int
on_verify(int ok, X509_STORE_CTX *x)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_stream *s = SSL_get_app_data(ssl);

	if (!ok && s->refused == NULL) {
		X509 *leaf = X509_STORE_CTX_get0_cert(x);
		if (leaf != NULL && X509_up_ref(leaf) == 1)
			s->refused = leaf;
		X509 *at = X509_STORE_CTX_get_current_cert(x);
		if (at != NULL && X509_up_ref(at) == 1)
			s->refused_at = at;
		s->refused_error = X509_STORE_CTX_get_error(x);
	}
	return ok;
}

/* Returns whether it kept the reference. */
static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_stream *s = SSL_get_app_data(ssl);

	if (s->cache == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
		return 0;
	tls_cache_put(s->cache, s->ctx->id, str_from(s->name), str_from(s->key), session);
	return 1;
}

void
tls_stream_prepare_client(struct tls_ctx *ctx)
{
	SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, on_verify);
	SSL_CTX_set_session_cache_mode(
	    ctx->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx->ssl, on_new_session);
}

/* ---- life ---- */

/* Tells OpenSSL whom to accept, and tells the server whom we want. */
static enum rc
set_peer(struct tls_stream *s, const struct tls_peer *peer, struct fault *f)
{
	struct net_addr ip;
	int ok;

	if (peer == NULL || peer->name.n == 0 || str_has_byte(peer->name, '\0'))
		return fault_set(f, RC_INVALID, "TLS needs the name of the server to verify it");
	s->name = str_dup0(peer->name);
	s->key = str_dup0(peer->key);
	s->cache = peer->cache;
	SSL_set_hostflags(s->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (net_addr_from_ip(peer->name, 0, &ip))
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), s->name);
	else
		ok = SSL_set1_host(s->ssl, s->name) == 1 &&
		     SSL_set_tlsext_host_name(s->ssl, s->name) == 1;
	if (ok != 1) {
		ERR_clear_error();
		return fault_set(f, RC_INVALID, "\"%s\" cannot be the name of a server", s->name);
	}
	SSL_SESSION *session =
	    s->cache != NULL ? tls_cache_take(s->cache, s->ctx->id, peer->name, peer->key) : NULL;
	if (session != NULL) {
		(void)SSL_set_session(s->ssl, session); /* on failure: a full handshake */
		SSL_SESSION_free(session);
	}
	return RC_OK;
}

enum rc
tls_stream_new(struct tls_ctx *ctx, int fd, const struct tls_peer *peer, struct tls_stream **out,
    struct fault *f)
{
	AUTO(tls_stream_free) struct tls_stream *s = MEM_NEW(struct tls_stream);

	ERR_clear_error();
	s->ctx = tls_ctx_ref(ctx);
	s->ssl = SSL_new(ctx->ssl);
	ASSERT(s->ssl != NULL);
	SSL_set_app_data(s->ssl, s);
	int ok = SSL_set_fd(s->ssl, fd);
	ASSERT(ok == 1);
	if (ctx->is_server) {
		SSL_set_accept_state(s->ssl);
	} else {
		SSL_set_connect_state(s->ssl);
		enum rc rc = set_peer(s, peer, f);
		if (rc != RC_OK)
			return rc;
	}
	*out = TAKE(s);
	return RC_OK;
}

void
tls_stream_free(struct tls_stream **sp)
{
	struct tls_stream *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	SSL_free(s->ssl);
	X509_free(s->refused);
	X509_free(s->refused_at);
	tls_ctx_unref(&s->ctx);
	free(s->name);
	free(s->key);
	free(s);
}

/* ---- bytes ---- */

/* A few errors in words that say what to do. */
static void
explain_handshake(const struct tls_stream *s, struct fault *f)
{
	unsigned long e = ERR_peek_error();
	int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
	char text[TLS_ERROR_SIZE];

	if (s->refused_error != X509_V_OK) {
		struct tls_facts facts;
		tls_stream_facts(s, &facts);
		if (s->refused_error == X509_V_ERR_HOSTNAME_MISMATCH ||
		    s->refused_error == X509_V_ERR_IP_ADDRESS_MISMATCH)
			(void)fault_set(f, RC_TLS, "the certificate is not for %s but for %.120s",
			    s->name, facts.names[0] != '\0' ? facts.names : facts.subject);
		else
			(void)fault_set(f, RC_TLS, "the certificate of %s was refused: %s", s->name,
			    facts.verify_error);
		ERR_clear_error();
		return;
	}
	if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
		(void)fault_set(f, RC_TLS,
		    "the other side does not speak TLS here; is it the right port for this kind of "
		    "TLS?");
		ERR_clear_error();
		return;
	}
	tls_error_text(text);
	(void)fault_set(f, RC_TLS, "the TLS handshake failed: %s", text);
}

/* What to do after an SSL call that returned `n`; errno is what it left. */
static enum tls_io
outcome(struct tls_stream *s, int n, const char *doing, struct fault *f)
{
	char text[TLS_ERROR_SIZE];

	switch (SSL_get_error(s->ssl, n)) {
	case SSL_ERROR_NONE: return TLS_IO_OK;
	case SSL_ERROR_WANT_READ: return TLS_IO_WANT_READ;
	case SSL_ERROR_WANT_WRITE: return TLS_IO_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN: return TLS_IO_END;
	case SSL_ERROR_SYSCALL:
		/* Not broken: after a failed write, what the peer had said before can be read. */
		if (errno == 0)
			return TLS_IO_END;
		(void)fault_sys(f, net_addr_errno_rc(errno), "%s", doing);
		return TLS_IO_FAILED;
	default: break;
	}
	s->is_broken = true;
	tls_error_text(text);
	(void)fault_set(f, RC_TLS, "%s: %s", doing, text);
	return TLS_IO_FAILED;
}

enum tls_io
tls_stream_handshake(struct tls_stream *s, struct fault *f)
{
	ERR_clear_error();
	errno = 0;
	int n = SSL_do_handshake(s->ssl);
	int saved = errno;
	int error = n == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, n);

	if (error == SSL_ERROR_NONE)
		return TLS_IO_OK;
	if (error == SSL_ERROR_WANT_READ)
		return TLS_IO_WANT_READ;
	if (error == SSL_ERROR_WANT_WRITE)
		return TLS_IO_WANT_WRITE;
	s->is_broken = true;
	if (error == SSL_ERROR_SYSCALL && saved != 0) {
		errno = saved;
		(void)fault_sys(f, RC_TLS, "the connection broke during the TLS handshake");
	} else if (error == SSL_ERROR_SYSCALL || error == SSL_ERROR_ZERO_RETURN) {
		(void)fault_set(
		    f, RC_TLS, "the peer closed the connection during the TLS handshake");
	} else {
		explain_handshake(s, f);
	}
	return TLS_IO_FAILED;
}

enum tls_io
tls_stream_read(struct tls_stream *s, char *p, size_t n, size_t *got_out, struct fault *f)
{
	ASSERT(n > 0);
	if (s->is_broken)
		return TLS_IO_END;
	ERR_clear_error();
	errno = 0;
	int ok = SSL_read_ex(s->ssl, p, n, got_out);
	return ok == 1 ? TLS_IO_OK : outcome(s, ok, "cannot read from the TLS connection", f);
}

enum tls_io
tls_stream_write(struct tls_stream *s, struct str bytes, size_t *put_out, struct fault *f)
{
	size_t n = bytes.n < SSL3_RT_MAX_PLAIN_LENGTH ? bytes.n : SSL3_RT_MAX_PLAIN_LENGTH;

	ASSERT(n > 0);
	if (s->is_broken)
		return TLS_IO_END;
	ERR_clear_error();
	errno = 0;
	int ok = SSL_write_ex(s->ssl, bytes.p, n, put_out);
	return ok == 1 ? TLS_IO_OK : outcome(s, ok, "cannot write to the TLS connection", f);
}

void
tls_stream_say_goodbye(struct tls_stream *s)
{
	if (s->is_broken || SSL_in_init(s->ssl))
		return;
	ERR_clear_error();
	(void)SSL_shutdown(s->ssl);
	ERR_clear_error();
}

/* ---- facts ---- */

/* Bytes 0x20 to 0x7e of `z`; whatever else a certificate holds becomes '?'. */
static void
add_printable(char *out, size_t size, const unsigned char *p, size_t n)
{
	size_t at = strlen(out);

	for (size_t i = 0; i < n && at + 1 < size; i++)
		out[at++] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '?';
	out[at] = '\0';
}

static void
write_name(const X509_NAME *name, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;

	ASSERT(bio != NULL);
	out[0] = '\0';
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
		long n = BIO_get_mem_data(bio, &p);
		if (n > 0)
			add_printable(out, size, (const unsigned char *)p, (size_t)n);
	}
	BIO_free(bio);
}

static void
write_dns_names(const X509 *cert, char *out, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		if (g->type != GEN_DNS)
			continue;
		if (out[0] != '\0')
			add_printable(out, size, (const unsigned char *)", ", 2);
		add_printable(out, size, ASN1_STRING_get0_data(g->d.dNSName),
		    (size_t)ASN1_STRING_length(g->d.dNSName));
	}
	GENERAL_NAMES_free(names);
}

static int64_t
wall_us(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? SECONDS(timegm(&tm)) : 0;
}

static void
describe_cert(const X509 *cert, struct tls_facts *out)
{
	unsigned n = 0;

	out->has_cert = true;
	write_name(X509_get_subject_name(cert), out->subject, sizeof(out->subject));
	write_name(X509_get_issuer_name(cert), out->issuer, sizeof(out->issuer));
	write_dns_names(cert, out->names, sizeof(out->names));
	out->not_before_us = wall_us(X509_get0_notBefore(cert));
	out->not_after_us = wall_us(X509_get0_notAfter(cert));
	(void)X509_digest(cert, EVP_sha256(), out->sha256, &n);
}

static enum tls_refusal
refusal_of(long error)
{
	switch (error) {
	case X509_V_OK: return TLS_REFUSAL_NONE;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH: return TLS_REFUSAL_NAME;
	case X509_V_ERR_CERT_HAS_EXPIRED: return TLS_REFUSAL_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID: return TLS_REFUSAL_NOT_YET;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return TLS_REFUSAL_SELF_SIGNED;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return TLS_REFUSAL_ISSUER;
	default: return TLS_REFUSAL_OTHER;
	}
}

void
tls_stream_facts(const struct tls_stream *s, struct tls_facts *out)
{
	X509 *cert = SSL_get1_peer_certificate(s->ssl);
	bool is_done = SSL_is_init_finished(s->ssl) == 1;

	*out = (struct tls_facts){ 0 };
	if (is_done) {
		snprintf(out->version, sizeof(out->version), "%s", SSL_get_version(s->ssl));
		snprintf(out->cipher, sizeof(out->cipher), "%s", SSL_get_cipher_name(s->ssl));
		out->is_resumed = SSL_session_reused(s->ssl) == 1;
	}
	if (s->refused != NULL)
		describe_cert(s->refused, out);
	else if (cert != NULL)
		describe_cert(cert, out);
	if (s->refused_error != X509_V_OK)
		snprintf(out->verify_error, sizeof(out->verify_error), "%s",
		    X509_verify_cert_error_string(s->refused_error));
	out->refusal = refusal_of(s->refused_error);
	if (s->refused_at != NULL)
		write_name(X509_get_issuer_name(s->refused_at), out->refused_issuer,
		    sizeof(out->refused_issuer));
	out->is_verified = !s->ctx->is_server && is_done && s->refused_error == X509_V_OK &&
			   SSL_get_verify_result(s->ssl) == X509_V_OK;
	X509_free(cert);
	ERR_clear_error();
}
