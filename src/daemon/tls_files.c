/* The certificate of the SMTP and HTTPS doors: made at the first start where none is configured,
 * loaded again when its files change. A new one is a new context; sessions that began with the old
 * one keep it. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "crypto/selfsigned.h"
#include "daemon/private.h"
#include "net/tls.h"

static const char *
cert_path(struct daemon *d)
{
	return d->config.tls_cert != NULL
		   ? d->config.tls_cert
		   : arena_strf(&d->config.arena, "%s/tls.crt", d->config.data).p;
}

static const char *
key_path(struct daemon *d)
{
	return d->config.tls_key != NULL
		   ? d->config.tls_key
		   : arena_strf(&d->config.arena, "%s/tls.key", d->config.data).p;
}

static int64_t
stamp_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0
		   ? (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000
		   : 0;
}

enum rc
tls_files_load(struct daemon *d, struct fault *f)
{
	const char *cert = d->config.tls_cert = cert_path(d);
	const char *key = d->config.tls_key = key_path(d);
	int64_t stamp = stamp_of(cert) > stamp_of(key) ? stamp_of(cert) : stamp_of(key);
	struct tls_ctx *ctx;

	if (stamp_of(cert) == 0) {
		struct fault made = { 0 };
		enum rc rc = selfsigned_write(str_from(d->config.hostname), cert, key, &made);
		if (rc != RC_OK && rc != RC_EXISTS)
			return fault_set(f, rc, "%s", made.text);
		if (rc == RC_OK)
			log_event(LOG_INFO, NULL, "tls.selfsigned",
			    "made a self-signed certificate for %s at %s; clients must be told to trust it",
			    d->config.hostname, cert);
		stamp = stamp_of(cert);
	}
	enum rc rc = tls_ctx_new_server(cert, key, &ctx, f);
	if (rc != RC_OK)
		return rc;
	tls_ctx_unref(&d->tls);
	d->tls = ctx;
	d->tls_stamp = stamp;
	return RC_OK;
}

void
tls_files_refresh(struct daemon *d)
{
	struct fault f = { 0 };
	int64_t cert = stamp_of(d->config.tls_cert);
	int64_t key = stamp_of(d->config.tls_key);

	if (cert == 0 || key == 0 || (cert <= d->tls_stamp && key <= d->tls_stamp))
		return;
	if (tls_files_load(d, &f) != RC_OK) {
		d->tls_stamp =
		    cert > key ? cert : key; /* said once; the next change is tried again */
		log_event(LOG_ERROR, NULL, "tls.unusable",
		    "the new certificate cannot be used, the old one stays: %s", f.text);
		return;
	}
	log_event(LOG_INFO, NULL, "tls.reloaded", "new connections get the certificate in %s",
	    d->config.tls_cert);
	web_refresh_tls(d);
	worker_publish_all(d);
}
