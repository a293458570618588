/* Finding rows of data/providers.txt by walking: there are some seventy, and it is done once for a
 * version or a form.
 *
 * A host is looked for among the servers and wrong names first, since they are exact, then among
 * the patterns, where the longest wins: smtp.qiye.163.com is not the 163.com of everybody. */
#include "relay/provider.h"

#include <string.h>

#include "base/check.h"
#include "relay/provider_data.h"

static const char *const fact_names[] = {
	[RELAY_FACT_VERIFIED] = "verified",
	[RELAY_FACT_DOCUMENTED] = "documented",
	[RELAY_FACT_REPORTED] = "reported",
	[RELAY_FACT_GUESS] = "guess",
};
static_assert(COUNT_OF(fact_names) == RELAY_FACT_COUNT, "every certainty has a name");

static const char *const secret_names[] = {
	[RELAY_SECRET_AUTHORIZATION_CODE] = "authorization code",
	[RELAY_SECRET_APP_PASSWORD] = "app password",
	[RELAY_SECRET_PASSWORD] = "password",
	[RELAY_SECRET_SMTP_PASSWORD] = "SMTP password",
	[RELAY_SECRET_API_KEY] = "API key",
	[RELAY_SECRET_OAUTH] = "OAuth",
};
static_assert(COUNT_OF(secret_names) == RELAY_SECRET_COUNT, "every kind has a name");

const char *
relay_fact_name(enum relay_fact_certainty certainty)
{
	ASSERT((size_t)certainty < RELAY_FACT_COUNT);
	return fact_names[certainty];
}

const char *
relay_secret_name(enum relay_secret_kind kind)
{
	ASSERT((size_t)kind < RELAY_SECRET_COUNT);
	return secret_names[kind];
}

size_t
relay_provider_count(void)
{
	return relay_providers_count;
}

const struct relay_provider *
relay_provider_at(size_t i)
{
	ASSERT(i < relay_providers_count);
	return &relay_providers[i];
}

bool
relay_provider_host_is(struct str host, const char *pattern)
{
	struct str p = str_from(pattern);
	size_t star = str_find(p, '*');

	if (star == p.n)
		return str_eq_nocase(host, p);
	struct str head = str_sub(p, 0, star), tail = str_skip(p, star + 1);
	return host.n > head.n + tail.n && str_starts_nocase(host, head) &&
	       str_ends_nocase(host, tail);
}

/* The word of a blank-separated list that equals `s`. */
static bool
has_word(const char *list, struct str s)
{
	struct str rest = str_from(list), word;

	while (s.n != 0 && str_cut(&rest, ' ', &word)) {
		if (str_eq_nocase(s, word))
			return true;
	}
	return false;
}

/* The length of the longest pattern of a list that matches; 0 when none does. */
static size_t
longest_match(const char *patterns, struct str host)
{
	size_t best = 0;
	char one[128];
	struct str rest = str_from(patterns), word;

	while (str_cut(&rest, ' ', &word)) {
		if (word.n == 0 || word.n >= sizeof(one))
			continue;
		memcpy(one, word.p, word.n);
		one[word.n] = '\0';
		if (word.n > best && relay_provider_host_is(host, one))
			best = word.n;
	}
	return best;
}

const struct relay_provider *
relay_provider_named(struct str name)
{
	for (size_t i = 0; i < relay_providers_count; i++) {
		const struct relay_provider *p = &relay_providers[i];
		if (str_eq_nocase(name, str_from(p->name)) || has_word(p->aliases, name))
			return p;
	}
	return NULL;
}

static const struct relay_provider_wrong *
wrong_name(const struct relay_provider *p, struct str host)
{
	for (size_t i = 0; i < p->wrong_count; i++) {
		if (relay_provider_host_is(host, p->wrong[i].host))
			return &p->wrong[i];
	}
	return NULL;
}

const struct relay_provider *
relay_provider_of_host(struct str host)
{
	const struct relay_provider *best = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < relay_providers_count; i++) {
		const struct relay_provider *p = &relay_providers[i];
		for (size_t k = 0; k < p->server_count; k++) {
			if (relay_provider_host_is(host, p->servers[k].host))
				return p;
		}
		if (wrong_name(p, host) != NULL)
			return p;
		size_t n = longest_match(p->hosts, host);
		if (n > longest) {
			longest = n;
			best = p;
		}
	}
	return best;
}

const struct relay_provider *
relay_provider_of_domain(struct str domain)
{
	for (size_t i = 0; i < relay_providers_count; i++) {
		if (has_word(relay_providers[i].domains, domain))
			return &relay_providers[i];
	}
	return NULL;
}

const struct relay_provider *
relay_provider_of_mx(struct str mx)
{
	const struct relay_provider *best = NULL;
	size_t longest = 0;

	if (mx.n != 0 && mx.p[mx.n - 1] == '.')
		mx.n--;
	for (size_t i = 0; i < relay_providers_count; i++) {
		size_t n = longest_match(relay_providers[i].mx, mx);
		if (n > longest) {
			longest = n;
			best = &relay_providers[i];
		}
	}
	return best;
}

bool
relay_provider_speaks(const struct relay_provider *p, const char *name)
{
	return p != NULL && (strcmp(p->name, name) == 0 || strcmp(p->family, name) == 0);
}

const struct relay_provider_server *
relay_provider_server_for(
    const struct relay_provider *p, enum relay_server_use use, struct str domain)
{
	for (size_t i = 0; i < p->server_count; i++) {
		const struct relay_provider_server *s = &p->servers[i];
		if (s->use == use &&
		    (domain.n == 0 || s->domains[0] == '\0' || has_word(s->domains, domain)))
			return s;
	}
	return NULL;
}

const struct relay_provider_limit *
relay_provider_limit(const struct relay_provider *p, enum relay_limit_kind kind, uint32_t per_s)
{
	for (size_t i = 0; i < p->limit_count; i++) {
		if (p->limits[i].kind == kind && p->limits[i].per_s == per_s)
			return &p->limits[i];
	}
	return NULL;
}

/* The row that a known wrong name stands for, where the name says so. */
static const struct relay_provider_server *
right_for(const struct relay_provider *p, const struct relay_provider_wrong *wrong)
{
	for (size_t i = 0; i < p->server_count; i++) {
		if (p->servers[i].use == RELAY_SERVER_SMTP &&
		    strcmp(p->servers[i].host, wrong->right) == 0)
			return &p->servers[i];
	}
	return NULL;
}

/* Among the rows of this host. */
static enum relay_server_match
compare_host(const struct relay_provider *p, struct str host, uint16_t port, enum relay_tls tls,
    const struct relay_provider_server **right)
{
	const struct relay_provider_server *same_host = NULL, *same_port = NULL;
	bool reads = false;

	for (size_t i = 0; i < p->server_count; i++) {
		const struct relay_provider_server *s = &p->servers[i];
		if (!relay_provider_host_is(host, s->host))
			continue;
		if (s->use == RELAY_SERVER_IMAP) {
			reads = true;
			continue;
		}
		if (same_host == NULL)
			same_host = s;
		if (s->port == port && s->tls == tls) {
			*right = s;
			return RELAY_SERVER_KNOWN;
		}
		if (s->port == port)
			same_port = s;
	}
	*right = same_port != NULL ? same_port : same_host;
	if (same_port != NULL)
		return RELAY_SERVER_OTHER_TLS;
	if (same_host != NULL)
		return RELAY_SERVER_OTHER_PORT;
	return reads ? RELAY_SERVER_NOT_SMTP : RELAY_SERVER_UNLISTED;
}

enum relay_server_match
relay_provider_known_server(const struct relay_provider *p, struct str host, uint16_t port,
    enum relay_tls tls, const struct relay_provider_server **right_out)
{
	const struct relay_provider_server *right = NULL;
	const struct relay_provider_wrong *wrong = wrong_name(p, host);
	enum relay_server_match match;

	if (wrong != NULL) {
		right = right_for(p, wrong);
		match = RELAY_SERVER_WRONG_NAME;
	} else {
		match = compare_host(p, host, port, tls, &right);
		if (match == RELAY_SERVER_UNLISTED && longest_match(p->hosts, host) == 0)
			match = RELAY_SERVER_UNKNOWN;
	}
	if (right == NULL && match != RELAY_SERVER_UNKNOWN)
		right = relay_provider_server_for(p, RELAY_SERVER_SMTP, (struct str){ 0 });
	if (right_out != NULL)
		*right_out = right;
	return match;
}
