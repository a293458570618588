/* A table of domains; where one is missing its mail counts as OTHER, which costs precision and
 * nothing else. Yahoo and Microsoft have a domain for nearly every country, so those are told by
 * their first label. */
#include "relay/rgroup.h"

#include "base/check.h"
#include "base/compiler.h"

static const struct {
	const char *domain;
	enum relay_rgroup group;
} domains[] = {
	{ "gmail.com", RELAY_RGROUP_GMAIL },
	{ "googlemail.com", RELAY_RGROUP_GMAIL },
	{ "msn.com", RELAY_RGROUP_MICROSOFT },
	{ "qq.com", RELAY_RGROUP_QQ },
	{ "vip.qq.com", RELAY_RGROUP_QQ },
	{ "foxmail.com", RELAY_RGROUP_QQ },
	{ "163.com", RELAY_RGROUP_NETEASE },
	{ "vip.163.com", RELAY_RGROUP_NETEASE },
	{ "126.com", RELAY_RGROUP_NETEASE },
	{ "vip.126.com", RELAY_RGROUP_NETEASE },
	{ "yeah.net", RELAY_RGROUP_NETEASE },
	{ "188.com", RELAY_RGROUP_NETEASE },
	{ "ymail.com", RELAY_RGROUP_YAHOO },
	{ "rocketmail.com", RELAY_RGROUP_YAHOO },
	{ "aol.com", RELAY_RGROUP_YAHOO },
	{ "icloud.com", RELAY_RGROUP_APPLE },
	{ "me.com", RELAY_RGROUP_APPLE },
	{ "mac.com", RELAY_RGROUP_APPLE },
};

static const struct {
	const char *label;
	enum relay_rgroup group;
} labels[] = {
	{ "outlook", RELAY_RGROUP_MICROSOFT },
	{ "hotmail", RELAY_RGROUP_MICROSOFT },
	{ "live", RELAY_RGROUP_MICROSOFT },
	{ "yahoo", RELAY_RGROUP_YAHOO },
};

static const char *const names[] = { "gmail", "microsoft", "qq", "netease", "yahoo", "apple",
	"other" };
static_assert(COUNT_OF(names) == RELAY_RGROUP_COUNT, "one name each");

enum relay_rgroup
relay_rgroup_of(struct str domain)
{
	struct str label = str_sub(domain, 0, str_find(domain, '.'));

	for (size_t i = 0; i < COUNT_OF(domains); i++) {
		if (str_eq_nocase(domain, str_from(domains[i].domain)))
			return domains[i].group;
	}
	for (size_t i = 0; i < COUNT_OF(labels); i++) {
		if (label.n < domain.n && str_eq_nocase(label, str_from(labels[i].label)))
			return labels[i].group;
	}
	return RELAY_RGROUP_OTHER;
}

const char *
relay_rgroup_name(enum relay_rgroup g)
{
	ASSERT((size_t)g < COUNT_OF(names));
	return names[g];
}

bool
relay_rgroup_parse(struct str name, enum relay_rgroup *out)
{
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (!str_eq_nocase(name, str_from(names[i])))
			continue;
		*out = (enum relay_rgroup)i;
		return true;
	}
	return false;
}
