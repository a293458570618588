/* SIGHUP: the configuration is read again as at the start, and what can change without a restart
 * does.
 *
 * A configuration with a mistake changes nothing. What needs a restart (addresses, directories, the
 * number of loops) stays as it was, and is named in the log when it differs. Running sessions keep
 * the settings they began with; new ones get the new. */
#include <string.h>

#include "base/log.h"
#include "daemon/private.h"

static bool
same_addrs(const struct daemon_addrs *a, const struct daemon_addrs *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		/* Port 0 was replaced by the port that was found free. */
		if (a->v[i].port != 0 && !net_addr_eq(&a->v[i], &b->v[i]))
			return false;
	}
	return true;
}

static void
say_what_waits(const struct daemon_config *now, const struct daemon_config *new)
{
	const struct {
		const char *key;
		bool same;
	} fixed[] = {
		{ "data", strcmp(now->data, new->data) == 0 },
		{ "hostname", strcmp(now->hostname, new->hostname) == 0 },
		{ "smtp", same_addrs(&new->smtp, &now->smtp) },
		{ "smtps", same_addrs(&new->smtps, &now->smtps) },
		{ "http", same_addrs(&new->http, &now->http) },
		{ "https", same_addrs(&new->https, &now->https) },
		{ "loops", now->loops == new->loops },
		{ "window", now->window == new->window },
		{ "retain-content", now->retain_content_us == new->retain_content_us },
		{ "retain-history", now->retain_history_us == new->retain_history_us },
		{ "expire-after", now->expire_after_us == new->expire_after_us },
	};

	for (size_t i = 0; i < COUNT_OF(fixed); i++) {
		if (!fixed[i].same)
			log_event(LOG_WARN, NULL, "serve.reload",
			    "%s has changed and takes effect with the next start", fixed[i].key);
	}
}

/* Takes over what the loops are told and what is looked up each time. */
static void
take_over(struct daemon_config *now, const struct daemon_config *new)
{
	size_t bytes = new->n_trusted * sizeof(new->trusted[0]);

	/* The list before stays where it is: it may still be on its way to a loop. */
	if (now->n_trusted != new->n_trusted ||
	    (bytes != 0 && memcmp(now->trusted, new->trusted, bytes) != 0)) {
		now->trusted = ARENA_NEW_ARRAY(&now->arena, struct cidr, new->n_trusted);
		now->n_trusted = new->n_trusted;
		if (bytes != 0)
			memcpy(now->trusted, new->trusted, bytes);
	}
	now->auth_requires_tls = new->auth_requires_tls;
	now->normalize = new->normalize;
	now->max_message_size = new->max_message_size;
	now->max_recipients = new->max_recipients;
	now->shutdown_timeout_us = new->shutdown_timeout_us;
	now->log_level = new->log_level;
	now->log_format = new->log_format;
}

void
reload_config(struct daemon *d)
{
	struct daemon_config new = { 0 };
	struct fault f = { 0 };

	if (daemon_config_load(d->argc, d->argv, &new, &f) != RC_OK) {
		log_event(LOG_ERROR, NULL, "serve.reload", "nothing was changed: %s", f.text);
		return;
	}
	say_what_waits(&d->config, &new);
	take_over(&d->config, &new);
	daemon_config_done(&new);
	log_set_level(d->config.log_level);
	log_set_format(d->config.log_format);
	worker_publish_all(d);
	log_event(LOG_INFO, NULL, "serve.reload", "the configuration was read again");
}
