/* What lives on the background thread: each service is made here and hosted there, and what others
 * need of it is kept in struct daemon. In the order in which they drain at shutdown. */
#include "daemon/background.h"
#include "daemon/private.h"
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

enum rc
services_make(struct daemon *d, struct fault *f)
{
	enum rc rc = background_new(&d->background, f);

	if (rc == RC_OK)
		make_preflight(d);
	return rc;
}
