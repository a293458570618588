/* Contexts: an SSL_CTX each, made once with everything that may ever be asked of it, then never
 * touched.
 *
 * Sessions: a server keeps none; it issues one ticket per connection under keys that belong to its
 * context. A client's sessions are handed to the tls_cache of the connection they came from, by the
 * callback in tls_stream.c; OpenSSL's own cache, which is keyed by nothing useful and takes a lock,
 * is off. LIMITS: ticket keys are not rotated within a context; reloading the certificate makes new
 * ones. */
#include "net/tls.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/mem.h"
#include "net/private.h"

/* Where systems keep the certificate authorities in one file: read once, it is faster and simpler
 * than OpenSSL's lookup by hashed directory. */
static const char *const ca_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Alpine, Arch */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem", /* SUSE */
	"/etc/ssl/cert.pem",
};

void
tls_error_text(char out[static TLS_ERROR_SIZE])
{
	unsigned long e = ERR_peek_error();
	const char *reason = NULL;

	if (e != 0 && ERR_SYSTEM_ERROR(e))
		reason = strerrordesc_np(ERR_GET_REASON(e));
	else if (e != 0)
		reason = ERR_reason_error_string(e);
	snprintf(out, TLS_ERROR_SIZE, "%s", reason != NULL ? reason : "unknown error");
	ERR_clear_error();
}

/* Never ask a terminal for the pass phrase of a key. */
static int
no_pass_phrase(char *buf, int size, int writing, void *arg) /* NOLINT: the library's signature */
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

static struct tls_ctx *
ctx_new(const SSL_METHOD *method, bool is_server)
{
	static _Atomic uint64_t last_id;
	struct tls_ctx *ctx = MEM_NEW(struct tls_ctx);

	ERR_clear_error();
	atomic_init(&ctx->refs, 1);
	ctx->id = atomic_fetch_add(&last_id, 1) + 1;
	ctx->is_server = is_server;
	ctx->ssl = SSL_CTX_new(method);
	ASSERT(ctx->ssl != NULL);
	SSL_CTX_set_min_proto_version(ctx->ssl, TLS1_2_VERSION);
	/* An end without close_notify counts as an end. Truncation is no danger to protocols that
	 * mark their own ends, as SMTP does, and many peers part that way. */
	SSL_CTX_set_options(ctx->ssl,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* Partial writes and moving buffers: output is a queue that grows between attempts.
	 * Released buffers and read-ahead: an idle connection holds none, a busy one reads header
	 * and body of a record in one system call. */
	SSL_CTX_set_mode(ctx->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				       SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx->ssl, 1);
	SSL_CTX_set_default_passwd_cb(ctx->ssl, no_pass_phrase);
	return ctx;
}

static enum rc
refuse(struct fault *f, const char *what, const char *file)
{
	char text[TLS_ERROR_SIZE];

	tls_error_text(text);
	return fault_set(f, RC_TLS, "%s %s: %s", what, file, text);
}

enum rc
tls_ctx_new_server(
    const char *cert_file, const char *key_file, struct tls_ctx **out, struct fault *f)
{
	AUTO(tls_ctx_unref) struct tls_ctx *ctx = ctx_new(TLS_server_method(), true);

	SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx->ssl, 1);
	if (SSL_CTX_use_certificate_chain_file(ctx->ssl, cert_file) != 1)
		return refuse(f, "cannot use the certificate in", cert_file);
	if (SSL_CTX_use_PrivateKey_file(ctx->ssl, key_file, SSL_FILETYPE_PEM) != 1)
		return refuse(f, "cannot use the private key in", key_file);
	if (SSL_CTX_check_private_key(ctx->ssl) != 1)
		return refuse(f, "the certificate does not belong to the private key in", key_file);
	*out = TAKE(ctx);
	return RC_OK;
}

/* False when no bundle could be read and OpenSSL's own places could not either. */
static bool
load_system_authorities(SSL_CTX *ssl)
{
	const char *chosen = getenv(X509_get_default_cert_file_env());

	if (chosen != NULL && chosen[0] != '\0')
		return SSL_CTX_load_verify_file(ssl, chosen) == 1;
	for (size_t i = 0; i < COUNT_OF(ca_bundles); i++) {
		if (access(ca_bundles[i], R_OK) == 0 &&
		    SSL_CTX_load_verify_file(ssl, ca_bundles[i]) == 1)
			return true;
	}
	return SSL_CTX_set_default_verify_paths(ssl) == 1;
}

enum rc
tls_ctx_new_client(const char *ca_file, struct tls_ctx **out, struct fault *f)
{
	AUTO(tls_ctx_unref) struct tls_ctx *ctx = ctx_new(TLS_client_method(), false);

	if (ca_file != NULL) {
		if (SSL_CTX_load_verify_file(ctx->ssl, ca_file) != 1)
			return refuse(f, "cannot read the certificate authorities in", ca_file);
		/* Whatever somebody lists is trusted as it stands, an intermediate one too. */
		X509_VERIFY_PARAM_set_flags(
		    SSL_CTX_get0_param(ctx->ssl), X509_V_FLAG_PARTIAL_CHAIN);
	} else if (!load_system_authorities(ctx->ssl)) {
		return refuse(f, "cannot read the system's certificate authorities;",
		    "install ca-certificates or name a file");
	}
	tls_stream_prepare_client(ctx);
	*out = TAKE(ctx);
	return RC_OK;
}

struct tls_ctx *
tls_ctx_ref(struct tls_ctx *ctx)
{
	atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
	return ctx;
}

void
tls_ctx_unref(struct tls_ctx **cp)
{
	struct tls_ctx *ctx = *cp;

	if (ctx == NULL)
		return;
	*cp = NULL;
	if (atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(ctx->ssl);
	free(ctx);
}

bool
tls_ctx_is_server(const struct tls_ctx *ctx)
{
	return ctx->is_server;
}
