/* What a server can do, read from its reply to EHLO (RFC 5321 §4.1.1.1).
 *
 * Servers in the field announce things twice, in lower case, with "=" for a blank ("AUTH=LOGIN
 * PLAIN", an old form that is still common), or with values that make no sense. All of that is
 * borne with; of two limits the stricter one holds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum smtp_cap {
#define X(name, keyword) SMTP_CAP_##name,
#include "codec/smtp_cap_names.def"
#undef X
	SMTP_CAP_COUNT
};

enum smtp_mech {
#define X(name, keyword) SMTP_MECH_##name,
#include "codec/smtp_mech_names.def"
#undef X
	SMTP_MECH_COUNT
};

struct smtp_caps {
	uint64_t set;           /* bit for each enum smtp_cap; ask with smtp_caps_has */
	uint32_t mechs;         /* bit for each enum smtp_mech */
	uint16_t mechs_unknown; /* offered besides those */
	uint16_t caps_unknown;  /* announced besides those */
	uint64_t size_max;      /* octets of a message; 0: no limit told */
	/* RFC 9422; 0: no limit told. */
	uint32_t rcpt_max;        /* recipients of a transaction */
	uint32_t mail_max;        /* transactions of a session */
	uint32_t rcpt_domain_max; /* recipient domains of a transaction */
};

/* Reads the text of an EHLO reply as smtp_reply_parse gives it: lines joined by '\n', of which the
 * first greets and announces nothing. Never fails; an empty text has no capabilities. */
void smtp_caps_parse(struct str text, struct smtp_caps *out);

static inline bool
smtp_caps_has(const struct smtp_caps *c, enum smtp_cap cap)
{
	return (c->set >> cap & 1) != 0;
}
static inline bool
smtp_caps_has_mech(const struct smtp_caps *c, enum smtp_mech mech)
{
	return (c->mechs >> mech & 1) != 0;
}

/* The keyword as it goes over the wire, such as "8BITMIME" and "CRAM-MD5". Never NULL. */
const char *smtp_caps_name(enum smtp_cap cap);
const char *smtp_caps_mech_name(enum smtp_mech mech);
/* By keyword, in any case; false if it is none of ours. */
bool smtp_caps_find(struct str keyword, enum smtp_cap *out);
bool smtp_caps_find_mech(struct str keyword, enum smtp_mech *out);
