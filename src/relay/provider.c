/* Rows of providers.def, found by walking: there are a dozen, and it is done once for a version. */
#include "relay/provider.h"

#include "base/check.h"

static const struct relay_provider providers[] = {
#define X(n, t, a, h, c, r)                                                                        \
	{ .name = (n),                                                                             \
		.title = (t),                                                                      \
		.aliases = (a),                                                                    \
		.hosts = (h),                                                                      \
		.max_connections = (c),                                                            \
		.max_recipients = (r) },
#include "relay/providers.def"
#undef X
};

/* Whether `host` is `pattern`, or below what follows its "*". */
static bool
host_matches(struct str host, struct str pattern)
{
	if (!str_starts(pattern, STR("*.")))
		return str_eq_nocase(host, pattern);
	return str_ends_nocase(host, str_skip(pattern, 1));
}

const struct relay_provider *
relay_provider_named(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(providers); i++) {
		struct str rest = str_from(providers[i].aliases), alias;
		if (str_eq_nocase(name, str_from(providers[i].name)))
			return &providers[i];
		while (str_cut(&rest, ' ', &alias)) {
			if (alias.n != 0 && str_eq_nocase(name, alias))
				return &providers[i];
		}
	}
	return NULL;
}

const struct relay_provider *
relay_provider_of_host(struct str host)
{
	for (size_t i = 0; i < COUNT_OF(providers); i++) {
		struct str rest = str_from(providers[i].hosts), pattern;
		while (str_cut(&rest, ' ', &pattern)) {
			if (host_matches(host, pattern))
				return &providers[i];
		}
	}
	return NULL;
}
