/* Recipient groups: the large receivers, each of which judges a sending server by itself.
 *
 * Told from the recipient's domain by the domains that people's addresses have there; who keeps
 * his own domain with one of them is OTHER. Pure. */
#pragma once

#include "base/str.h"

enum relay_rgroup {
	RELAY_RGROUP_GMAIL,
	RELAY_RGROUP_MICROSOFT,
	RELAY_RGROUP_QQ,
	RELAY_RGROUP_NETEASE,
	RELAY_RGROUP_YAHOO,
	RELAY_RGROUP_APPLE,
	RELAY_RGROUP_OTHER,
};
#define RELAY_RGROUP_COUNT 7

/* Of a domain, any case. */
enum relay_rgroup relay_rgroup_of(struct str domain);
/* "gmail", "microsoft", "qq", "netease", "yahoo", "apple", "other". */
const char *relay_rgroup_name(enum relay_rgroup g);
/* False, *out untouched, when `name` is none of them. */
bool relay_rgroup_parse(struct str name, enum relay_rgroup *out);
