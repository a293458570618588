/* What a server said, and what to do about it, in words. The remedies are those of attribution
 * (relay/attribute.h), so a preflight and a refused message give the same advice. */
#include <math.h>

#include "base/buf.h"
#include "preflight/private.h"

struct str
preflight_words(struct arena *a, const struct smtp_verdict *v)
{
	struct str text = str_sub(v->text, 0, 300);

	if (v->code == 0)
		return text.n != 0 ? arena_str(a, text) : STR("the connection was closed");
	if (v->enhanced.cls != 0)
		return arena_strf(a, "%u %u.%u.%u %.*s", v->code, v->enhanced.cls,
		    v->enhanced.subject, v->enhanced.detail, STR_ARG(text));
	return arena_strf(a, "%u %.*s", v->code, STR_ARG(text));
}

static enum relay_stage
stage_of(enum smtp_stage s)
{
	static const enum relay_stage stages[] = {
		[SMTP_STAGE_DNS] = RELAY_STAGE_CONNECT,
		[SMTP_STAGE_CONNECT] = RELAY_STAGE_CONNECT,
		[SMTP_STAGE_GREETING] = RELAY_STAGE_GREETING,
		[SMTP_STAGE_EHLO] = RELAY_STAGE_EHLO,
		[SMTP_STAGE_TLS] = RELAY_STAGE_TLS,
		[SMTP_STAGE_AUTH] = RELAY_STAGE_AUTH,
		[SMTP_STAGE_MAIL] = RELAY_STAGE_MAIL,
		[SMTP_STAGE_RCPT] = RELAY_STAGE_RCPT,
		[SMTP_STAGE_DATA] = RELAY_STAGE_DATA,
		[SMTP_STAGE_DOT] = RELAY_STAGE_DOT,
	};
	static_assert(COUNT_OF(stages) == SMTP_STAGE_COUNT, "one each");

	return stages[s];
}

static enum relay_trouble
trouble_of(const struct smtp_verdict *v, bool no_host)
{
	switch (v->trouble) {
	case SMTP_TROUBLE_TIMEOUT: return RELAY_TROUBLE_TIMEOUT;
	case SMTP_TROUBLE_TLS: return RELAY_TROUBLE_TLS;
	case SMTP_TROUBLE_CERTIFICATE: return RELAY_TROUBLE_CERTIFICATE;
	case SMTP_TROUBLE_NO_STARTTLS: return RELAY_TROUBLE_NO_STARTTLS;
	case SMTP_TROUBLE_NO_AUTH: return RELAY_TROUBLE_NO_AUTH;
	case SMTP_TROUBLE_NO_8BITMIME:
	case SMTP_TROUBLE_NO_SMTPUTF8: return RELAY_TROUBLE_NO_SMTPUTF8;
	case SMTP_TROUBLE_TOO_BIG: return RELAY_TROUBLE_TOO_BIG;
	case SMTP_TROUBLE_PROTOCOL: return RELAY_TROUBLE_PROTOCOL;
	case SMTP_TROUBLE_OURS: return RELAY_TROUBLE_TIMEOUT;
	case SMTP_TROUBLE_NONE:
	case SMTP_TROUBLE_CLOSED: break;
	}
	if (v->stage == SMTP_STAGE_DNS)
		return no_host ? RELAY_TROUBLE_NO_HOST : RELAY_TROUBLE_DNS;
	return v->stage == SMTP_STAGE_CONNECT ? RELAY_TROUBLE_CONNECT : RELAY_TROUBLE_CLOSED;
}

struct str
preflight_remedy(const struct smtp_verdict *v, bool no_host, struct str provider)
{
	struct relay_facts facts = { .stage = stage_of(v->stage),
		.trouble = v->code != 0 ? RELAY_TROUBLE_NONE : trouble_of(v, no_host),
		.code = v->code,
		.enhanced = v->enhanced,
		.text = v->text,
		.provider = provider };
	struct relay_verdict verdict;

	relay_attribute(&facts, &verdict);
	return str_from(verdict.remedy);
}

struct str
preflight_caps_words(struct arena *a, const struct smtp_caps *caps)
{
	struct str out = STR("");

	for (int i = 0; i < SMTP_CAP_COUNT; i++) {
		enum smtp_cap cap = (enum smtp_cap)i;
		const char *sep = out.n != 0 ? ", " : "";
		if (!smtp_caps_has(caps, cap))
			continue;
		if (cap == SMTP_CAP_SIZE && caps->size_max != 0)
			out = arena_strf(a, "%.*s%sSIZE %llu", STR_ARG(out), sep,
			    (unsigned long long)caps->size_max);
		else
			out = arena_strf(a, "%.*s%s%s", STR_ARG(out), sep, smtp_caps_name(cap));
		for (int m = 0; cap == SMTP_CAP_AUTH && m < SMTP_MECH_COUNT; m++) {
			if (smtp_caps_has_mech(caps, (enum smtp_mech)m))
				out = arena_strf(a, "%.*s %s", STR_ARG(out),
				    smtp_caps_mech_name((enum smtp_mech)m));
		}
	}
	return out;
}

unsigned
preflight_wilson(unsigned failed, unsigned n)
{
	const double z = 1.96;
	double p = n != 0 ? (double)failed / n : 1, zz = n != 0 ? z * z / n : 1;

	if (n == 0)
		return 100;
	double upper = (p + zz / 2 + z * sqrt(p * (1 - p) / n + zz / (4 * n))) / (1 + zz);
	return (unsigned)(upper * 100 + 0.5);
}

enum preflight_check
preflight_check_of(const struct smtp_verdict *v)
{
	switch (v->stage) {
	case SMTP_STAGE_DNS: return PREFLIGHT_P10;
	case SMTP_STAGE_CONNECT: return PREFLIGHT_P20;
	case SMTP_STAGE_GREETING: return PREFLIGHT_P30;
	case SMTP_STAGE_EHLO:
		return v->trouble == SMTP_TROUBLE_NO_STARTTLS ? PREFLIGHT_P40 : PREFLIGHT_P32;
	case SMTP_STAGE_TLS:
		return v->trouble == SMTP_TROUBLE_CERTIFICATE ? PREFLIGHT_P41 : PREFLIGHT_P40;
	case SMTP_STAGE_AUTH: return PREFLIGHT_P50;
	case SMTP_STAGE_MAIL: return PREFLIGHT_P60;
	case SMTP_STAGE_RCPT: return PREFLIGHT_P61;
	case SMTP_STAGE_DATA:
	case SMTP_STAGE_DOT: return PREFLIGHT_P90;
	case SMTP_STAGE_COUNT: break;
	}
	UNREACHABLE();
}
