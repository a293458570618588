/* What lives on the background thread: each service is made here and hosted there, and what others
 * need of it is kept in struct daemon. In the order in which they drain at shutdown. */
#include "daemon/background.h"
#include "daemon/private.h"
#include "mailbox/service.h"
#include "preflight/service.h"

static void
end_preflight(void *service)
{
	struct preflight_service *s = service;

	preflight_service_free(&s);
}

static void
make_preflight(struct daemon *d)
{
	struct preflight_service_opts o = { .loop = background_loop(d->background),
		.resolver = background_resolver(d->background),
		.dialer = background_dialer(d->background),
		.pool = d->pool,
		.store = d->store,
		.seal = d->seal,
		.hostname = str_from(d->config.hostname),
		.patience = 1 };

	d->preflight = preflight_service_new(&o);
	background_host(d->background, preflight_service_drain, end_preflight, d->preflight);
}

static void
end_mailboxes(void *service)
{
	struct mailbox_service *s = service;

	mailbox_service_free(&s);
}

static void
make_mailboxes(struct daemon *d)
{
	struct mailbox_service_opts o = {
		.loop = background_loop(d->background),
		.dialer = background_dialer(d->background),
		.pool = d->pool,
		.store = d->store,
		.seal = d->seal,
		.hostname = str_from(d->config.hostname),
		.poll_us = d->config.mailbox_poll_us,
		.retain_us = d->config.retain_history_us,
		.patience = 1,
	};

	d->mailboxes = mailbox_service_new(&o);
	background_host(d->background, mailbox_service_drain, end_mailboxes, d->mailboxes);
}

enum rc
services_make(struct daemon *d, struct fault *f)
{
	enum rc rc = background_new(&d->background, f);

	if (rc != RC_OK)
		return rc;
	make_preflight(d);
	make_mailboxes(d);
	return RC_OK;
}
