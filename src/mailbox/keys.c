/* Settings as rows become options of clients. */
#include "mailbox/keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "crypto/seal.h"
#include "net/tls.h"
#include "relay/settings.h"
#include "smtp/client.h"
#include "store/config_mailbox.h"

struct tls_choice {
	struct list link;
	char *ca_file; /* NULL: the system's */
	struct tls_ctx *ctx;
};

void
mailbox_keys_init(struct mailbox_keys *k, const struct seal_key *seal)
{
	k->seal = seal;
	list_init(&k->tls);
}

void
mailbox_keys_done(struct mailbox_keys *k)
{
	struct tls_choice *t;

	LIST_FOREACH(t, &k->tls, struct tls_choice, link) {
		list_remove(&t->link);
		tls_ctx_unref(&t->ctx);
		free(t->ca_file);
		free(t);
	}
}

static enum rc
tls_for(struct mailbox_keys *k, struct str ca_file, struct tls_ctx **out, struct fault *f)
{
	struct tls_choice *t;
	struct tls_ctx *ctx = NULL;

	LIST_FOREACH(t, &k->tls, struct tls_choice, link) {
		if (str_eq(str_from(t->ca_file), ca_file)) {
			*out = t->ctx;
			return RC_OK;
		}
	}
	char *path = ca_file.n != 0 ? str_dup0(ca_file) : NULL;
	enum rc rc = tls_ctx_new_client(path, &ctx, f);
	if (rc != RC_OK) {
		free(path);
		return rc;
	}
	t = MEM_NEW(struct tls_choice);
	t->ca_file = path;
	t->ctx = ctx;
	list_push_back(&k->tls, &t->link);
	*out = ctx;
	return RC_OK;
}

void
mailbox_keys_bound(uint64_t mailbox, char out[static MAILBOX_KEYS_BOUND_SIZE])
{
	snprintf(out, MAILBOX_KEYS_BOUND_SIZE, "mailbox %llu", (unsigned long long)mailbox);
}

static enum rc
open_secret(const struct mailbox_keys *k, struct str sealed, const char *bound, const char *command,
    struct buf *secret, struct fault *f)
{
	/* All of it at once: a buffer that grows leaves copies behind. */
	(void)buf_reserve(secret, sealed.n);
	if (seal_open(k->seal, sealed, str_from(bound), secret, NULL) == RC_OK)
		return RC_OK;
	return fault_set(
	    f, RC_INVALID, "the stored secret cannot be opened; set it again with '%s'", command);
}

enum rc
mailbox_keys_imap(struct mailbox_keys *k, const struct store_mailbox_row *row, struct buf *secret,
    struct imap_opts *out, struct fault *f)
{
	char bound[MAILBOX_KEYS_BOUND_SIZE];
	struct imap_opts o = { .host = row->host,
		.port = row->port,
		.tls = IMAP_TLS_IMPLICIT,
		.tls_name = row->tls_name,
		.user = row->user };
	enum rc rc = RC_OK;

	if (str_eq(row->tls, STR("starttls")))
		o.tls = IMAP_TLS_STARTTLS;
	else if (str_eq(row->tls, STR("none")))
		o.tls = IMAP_TLS_NONE;
	if (str_eq(row->auth, STR("xoauth2")))
		o.login = IMAP_LOGIN_XOAUTH2;
	if (o.tls != IMAP_TLS_NONE)
		rc = tls_for(k, row->ca_file, &o.tls_ctx, f);
	mailbox_keys_bound(row->id, bound);
	if (rc == RC_OK)
		rc = open_secret(k, row->secret, bound,
		    "posthouse mailbox edit NAME --secret-file F", secret, f);
	if (rc != RC_OK)
		return rc;
	o.secret = buf_str(secret);
	*out = o;
	return RC_OK;
}

static enum smtp_tls
tls_mode(enum relay_tls tls)
{
	switch (tls) {
	case RELAY_TLS_IMPLICIT: return SMTP_TLS_IMPLICIT;
	case RELAY_TLS_STARTTLS: return SMTP_TLS_STARTTLS;
	case RELAY_TLS_NONE: return SMTP_TLS_NONE;
	}
	UNREACHABLE();
}

enum rc
mailbox_keys_smtp(struct mailbox_keys *k, const struct relay_version_row *v, struct buf *secret,
    struct smtp_client_opts *out, struct fault *f)
{
	struct smtp_client_opts o = {
		.peer_name = v->tls_name.n != 0 ? v->tls_name : v->host,
		.tls = tls_mode(v->tls),
		.user = v->user,
		.mechanism = v->auth == RELAY_AUTH_ANY ? (struct str){ 0 }
						       : str_from(relay_auth_name(v->auth)),
		.plain_ok = v->tls == RELAY_TLS_NONE,
	};
	char bound[64];
	enum rc rc = RC_OK;

	if (v->tls != RELAY_TLS_NONE)
		rc = tls_for(k, v->ca_file, &o.tls_ctx, f);
	snprintf(bound, sizeof(bound), "relay %llu", (unsigned long long)v->relay.v);
	if (rc == RC_OK && v->user.n != 0 && v->secret.n != 0)
		rc = open_secret(k, v->secret, bound, "posthouse relay secret", secret, f);
	if (rc != RC_OK)
		return rc;
	o.secret = buf_str(secret);
	*out = o;
	return RC_OK;
}
