/* What is known about the large mail providers: the names they go by and what they usually allow.
 *
 * Rows come from data/providers.tsv. Static; nothing is owned. */
#pragma once

#include <stdint.h>

#include "base/str.h"

struct relay_provider {
	const char *name;         /* "netease" */
	const char *title;        /* "NetEase (163, 126, yeah.net)" */
	const char *aliases;      /* blank between */
	const char *hosts;        /* host names, "*." in front for those below; blank between */
	uint32_t max_connections; /* what a login may usually open */
	uint32_t max_recipients;  /* of one transaction */
};

/* The provider called `name` or one of its aliases, any case; NULL when unknown. */
const struct relay_provider *relay_provider_named(struct str name);
/* The provider that runs `host`, any case; NULL when unknown. */
const struct relay_provider *relay_provider_of_host(struct str host);

/* For servers of no known provider. */
#define RELAY_DEFAULT_CONNECTIONS 20u
#define RELAY_DEFAULT_RECIPIENTS  100u
