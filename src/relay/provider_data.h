/* Provider rows, as they are compiled in from data/providers.txt. Used inside relay/ only. */
#pragma once

#include "relay/provider.h"

extern const struct relay_provider relay_providers[];
extern const size_t relay_providers_count;

/* A host, mail domain or MX host with the provider it must lead to. In an object file of its own,
 * so that only tests carry it. */
struct relay_provider_sample {
	enum { RELAY_SAMPLE_HOST, RELAY_SAMPLE_DOMAIN, RELAY_SAMPLE_MX } kind;
	const char *text;
	const char *provider; /* "": to none */
};
extern const struct relay_provider_sample relay_provider_samples[];
extern const size_t relay_provider_sample_count;
