/* The checks that tell a slip from a name; whether the name is one is for the service to say. */
#include "cli/host.h"

#include <string.h>

static const struct scheme {
	struct str text;
	const char *tls; /* what it stands for; NULL: nothing that sends mail */
	unsigned port;
} schemes[] = {
	{ STR_INIT("smtps"), "implicit", 465 },
	{ STR_INIT("ssl"), "implicit", 465 },
	{ STR_INIT("tls"), "starttls", 587 },
	{ STR_INIT("submission"), "starttls", 587 },
	{ STR_INIT("submissions"), "implicit", 465 },
	{ STR_INIT("starttls"), "starttls", 587 },
	{ STR_INIT("smtp"), "starttls", 587 },
};

static const char *
tls_of_port(uint64_t port)
{
	return port == 465                                 ? "implicit"
	       : port == 25 || port == 587 || port == 2525 ? "starttls"
							   : NULL;
}

static enum rc
explain_scheme(struct str scheme, struct str rest, struct fault *f)
{
	struct str name = str_sub(rest, 0, str_find(rest, '/'));
	size_t colon = str_find_last(name, ':');
	uint64_t port;

	if (colon < name.n && str_to_u64(str_skip(name, colon + 1), &port) != RC_OK)
		colon = name.n;
	for (size_t i = 0; i < COUNT_OF(schemes); i++) {
		if (!str_eq_nocase(scheme, schemes[i].text))
			continue;
		port = schemes[i].port;
		const char *tls = schemes[i].tls;
		if (colon < name.n) {
			(void)str_to_u64(str_skip(name, colon + 1), &port);
			tls = tls_of_port(port) != NULL ? tls_of_port(port) : tls;
		}
		return fault_set(f, RC_INVALID,
		    "--host wants the name alone; write: --host %.*s --port %llu --tls %s",
		    STR_ARG(str_sub(name, 0, colon)), (unsigned long long)port, tls);
	}
	return fault_set(f, RC_INVALID,
	    "--host wants the name of an SMTP server, and \"%.*s://\" is not how one is reached; write the "
	    "name alone, such as smtp.example.com",
	    STR_ARG(scheme));
}

static enum rc
check_host(struct str host, struct fault *f)
{
	size_t scheme = str_find_str(host, STR("://"));
	size_t colon = str_find(host, ':'), blank = str_find(host, ' ');
	uint64_t port;

	if (host.n == 0)
		return fault_set(
		    f, RC_INVALID, "--host wants the name of the server, such as smtp.example.com");
	if (scheme < host.n)
		return explain_scheme(str_sub(host, 0, scheme), str_skip(host, scheme + 3), f);
	if (host.p[0] == '[')
		return fault_set(f, RC_INVALID, "--host wants an address without brackets: %.*s",
		    STR_ARG(str_sub(host, 1, str_find(host, ']') - 1)));
	if (str_has_byte(host, '@'))
		return fault_set(f, RC_INVALID,
		    "--host %.*s is a mail address; --host wants the server (perhaps smtp.%.*s), and --user the "
		    "address",
		    STR_ARG(host), STR_ARG(str_skip(host, str_find_last(host, '@') + 1)));
	if (blank == host.n && colon < host.n && str_find_last(host, ':') != colon)
		return RC_OK; /* an IPv6 address */
	size_t cut = blank < host.n ? blank : colon;
	if (cut == host.n)
		return RC_OK;
	struct str name = str_sub(host, 0, cut), rest = str_trim(str_skip(host, cut + 1));
	if (str_to_u64(rest, &port) != RC_OK || port == 0 || port > UINT16_MAX)
		return fault_set(f, RC_INVALID,
		    "\"%.*s\" is no name of a server; write the name alone, such as "
		    "smtp.example.com",
		    STR_ARG(host));
	const char *tls = tls_of_port(port);
	return fault_set(f, RC_INVALID,
	    "the port does not belong into --host; write: --host %.*s --port %llu%s%s",
	    STR_ARG(name), (unsigned long long)port, tls != NULL ? " --tls " : "",
	    tls != NULL ? tls : "");
}

static enum rc
read_tls(const char *text, const char **out, struct fault *f)
{
	static const struct {
		const char *word, *tls;
	} rows[] = {
		{ "implicit", "implicit" },
		{ "ssl", "implicit" },
		{ "starttls", "starttls" },
		{ "none", "none" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (str_eq_nocase(str_from(text), str_from(rows[i].word))) {
			*out = rows[i].tls;
			return RC_OK;
		}
	}
	if (str_eq_nocase(str_from(text), STR("tls")))
		return fault_set(f, RC_INVALID,
		    "--tls tls can mean two things; write implicit (port 465) or "
		    "starttls (port 587)");
	return fault_set(
	    f, RC_INVALID, "--tls %s: write implicit (or ssl), starttls or none", text);
}

enum rc
cli_host_parse(
    const char *host, const char *port, const char *tls, struct cli_host *out, struct fault *f)
{
	struct cli_host h = { .host = str_trim(str_from(host)) };
	uint64_t n;
	enum rc rc = host != NULL ? check_host(h.host, f) : RC_OK;

	if (rc != RC_OK)
		return rc;
	if (port != NULL) {
		if (str_to_u64(str_from(port), &n) != RC_OK || n == 0 || n > UINT16_MAX)
			return fault_set(
			    f, RC_INVALID, "--port %s: a number from 1 to 65535 is wanted", port);
		h.port = (uint16_t)n;
	}
	if (tls != NULL)
		rc = read_tls(tls, &h.tls, f);
	if (rc != RC_OK)
		return rc;
	if (h.tls != NULL && ((h.port == 465 && strcmp(h.tls, "starttls") == 0) ||
				 (h.port == 587 && strcmp(h.tls, "implicit") == 0)))
		return fault_set(f, RC_INVALID,
		    "port %u and --tls %s do not go together: 465 is --tls implicit, 587 is --tls starttls",
		    (unsigned)h.port, h.tls);
	*out = h;
	return RC_OK;
}

enum rc
cli_host_complete(struct cli_host *h, struct fault *f)
{
	if (h->tls == NULL && h->port == 0)
		h->tls = "implicit";
	if (h->tls == NULL)
		h->tls = tls_of_port(h->port);
	if (h->tls == NULL)
		return fault_set(f, RC_INVALID,
		    "port %u does not tell how the connection is protected; add --tls implicit, starttls or "
		    "none",
		    (unsigned)h->port);
	if (h->port == 0)
		h->port = strcmp(h->tls, "implicit") == 0   ? 465
			  : strcmp(h->tls, "starttls") == 0 ? 587
							    : 25;
	return RC_OK;
}
