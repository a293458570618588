/* Names of settings: one table each, read in both directions. */
#include "relay/settings.h"

#include <stdio.h>

#include "base/check.h"

static const char *const tls_names[] = {
	[RELAY_TLS_IMPLICIT] = "implicit",
	[RELAY_TLS_STARTTLS] = "starttls",
	[RELAY_TLS_NONE] = "none",
};
static_assert(COUNT_OF(tls_names) == RELAY_TLS_COUNT, "every kind of TLS has a name");

static const char *const auth_names[] = {
	[RELAY_AUTH_ANY] = "any",
	[RELAY_AUTH_PLAIN] = "plain",
	[RELAY_AUTH_LOGIN] = "login",
	[RELAY_AUTH_CRAM_MD5] = "cram-md5",
	[RELAY_AUTH_SCRAM_SHA_256] = "scram-sha-256",
	[RELAY_AUTH_XOAUTH2] = "xoauth2",
};
static_assert(COUNT_OF(auth_names) == RELAY_AUTH_COUNT, "every mechanism has a name");

static const struct {
	char letter;
	uint32_t per_s;
} rate_units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };

/* The row of `table` called `name`, or `count`. */
static size_t
find(const char *const *table, size_t count, struct str name)
{
	size_t i = 0;

	while (i < count && !str_eq_nocase(name, str_from(table[i])))
		i++;
	return i;
}

const char *
relay_tls_name(enum relay_tls tls)
{
	ASSERT((size_t)tls < RELAY_TLS_COUNT);
	return tls_names[tls];
}

bool
relay_tls_parse(struct str name, enum relay_tls *out)
{
	size_t i = str_eq_nocase(name, STR("ssl")) ? RELAY_TLS_IMPLICIT
						   : find(tls_names, RELAY_TLS_COUNT, name);

	if (i == RELAY_TLS_COUNT)
		return false;
	*out = (enum relay_tls)i;
	return true;
}

const char *
relay_auth_name(enum relay_auth auth)
{
	ASSERT((size_t)auth < RELAY_AUTH_COUNT);
	return auth_names[auth];
}

bool
relay_auth_parse(struct str name, enum relay_auth *out)
{
	size_t i = find(auth_names, RELAY_AUTH_COUNT, name);

	if (i == RELAY_AUTH_COUNT)
		return false;
	*out = (enum relay_auth)i;
	return true;
}

enum rc
relay_rate_parse(struct str text, struct relay_rate *out)
{
	uint64_t count;
	size_t slash = str_find(text, '/');

	if (text.n != slash + 2)
		return RC_INVALID;
	if (str_to_u64(str_sub(text, 0, slash), &count) != RC_OK || count == 0 ||
	    count > RELAY_RATE_MAX)
		return RC_INVALID;
	for (size_t i = 0; i < COUNT_OF(rate_units); i++) {
		if (ascii_lower(text.p[slash + 1]) == rate_units[i].letter) {
			*out = (struct relay_rate){ (uint32_t)count, rate_units[i].per_s };
			return RC_OK;
		}
	}
	return RC_INVALID;
}

void
relay_rate_format(struct relay_rate rate, char out[static RELAY_RATE_TEXT_SIZE])
{
	char letter = 's';

	if (rate.count == 0) {
		(void)snprintf(out, RELAY_RATE_TEXT_SIZE, "none");
		return;
	}
	for (size_t i = 0; i < COUNT_OF(rate_units); i++) {
		if (rate.per_s == rate_units[i].per_s)
			letter = rate_units[i].letter;
	}
	(void)snprintf(out, RELAY_RATE_TEXT_SIZE, "%u/%c", rate.count, letter);
}
