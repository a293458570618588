/* What a server can do.
 *
 * Each line is a keyword and words; three keywords have words that matter, and a reader each.
 * Keywords and mechanisms are the rows of smtp_cap_names.def and smtp_mech_names.def. */
#include "codec/smtp_caps.h"

#include "base/check.h"

static const struct str cap_names[] = {
#define X(name, keyword) [SMTP_CAP_##name] = STR_INIT(keyword),
#include "codec/smtp_cap_names.def"
#undef X
};
static_assert(SMTP_CAP_COUNT <= 64, "the set is 64 bits");

static const struct str mech_names[] = {
#define X(name, keyword) [SMTP_MECH_##name] = STR_INIT(keyword),
#include "codec/smtp_mech_names.def"
#undef X
};
static_assert(SMTP_MECH_COUNT <= 32, "the set is 32 bits");

const char *
smtp_caps_name(enum smtp_cap cap)
{
	ASSERT(cap < SMTP_CAP_COUNT);
	return cap_names[cap].p;
}

const char *
smtp_caps_mech_name(enum smtp_mech mech)
{
	ASSERT(mech < SMTP_MECH_COUNT);
	return mech_names[mech].p;
}

bool
smtp_caps_find(struct str keyword, enum smtp_cap *out)
{
	for (unsigned i = 0; i < SMTP_CAP_COUNT; i++) {
		if (str_eq_nocase(keyword, cap_names[i])) {
			*out = (enum smtp_cap)i;
			return true;
		}
	}
	return false;
}

bool
smtp_caps_find_mech(struct str keyword, enum smtp_mech *out)
{
	for (unsigned i = 0; i < SMTP_MECH_COUNT; i++) {
		if (str_eq_nocase(keyword, mech_names[i])) {
			*out = (enum smtp_mech)i;
			return true;
		}
	}
	return false;
}

/* Takes a word off the front of *s; false when there is none left. */
static bool
take_word(struct str *s, struct str *word)
{
	size_t n = 0;

	*s = str_trim(*s);
	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
		n++;
	*word = str_sub(*s, 0, n);
	*s = str_skip(*s, n);
	return n != 0;
}

static void
read_auth(struct smtp_caps *c, struct str rest)
{
	struct str word;
	enum smtp_mech mech;

	while (take_word(&rest, &word)) {
		/* "AUTH =LOGIN" has been seen too. */
		if (word.p[0] == '=')
			word = str_skip(word, 1);
		if (smtp_caps_find_mech(word, &mech))
			c->mechs |= 1u << mech;
		else if (word.n != 0 && c->mechs_unknown < UINT16_MAX)
			c->mechs_unknown++;
	}
}

static void
read_size(struct smtp_caps *c, struct str rest)
{
	struct str word;
	uint64_t max;

	if (take_word(&rest, &word) && str_to_u64(word, &max) == RC_OK && max != 0 &&
	    (c->size_max == 0 || max < c->size_max))
		c->size_max = max;
}

static void
read_limits(struct smtp_caps *c, struct str rest)
{
	const struct {
		struct str name;
		uint32_t *max;
	} limits[] = {
		{ STR_INIT("RCPTMAX"), &c->rcpt_max },
		{ STR_INIT("MAILMAX"), &c->mail_max },
		{ STR_INIT("RCPTDOMAINMAX"), &c->rcpt_domain_max },
	};
	struct str word;
	uint64_t max;

	while (take_word(&rest, &word)) {
		size_t eq = str_find(word, '=');
		if (str_to_u64(str_skip(word, eq + 1), &max) != RC_OK || max == 0 ||
		    max > UINT32_MAX)
			continue;
		for (size_t i = 0; i < COUNT_OF(limits); i++) {
			if (str_eq_nocase(str_sub(word, 0, eq), limits[i].name) &&
			    (*limits[i].max == 0 || max < *limits[i].max))
				*limits[i].max = (uint32_t)max;
		}
	}
}

static void
read_line(struct smtp_caps *c, struct str line)
{
	struct str word, rest = line;
	enum smtp_cap cap;

	if (!take_word(&rest, &word))
		return;
	size_t eq = str_find(word, '=');
	if (eq < word.n) {
		/* KEYWORD=value: the value is the first word of the rest. */
		rest = str_skip(line, (size_t)(word.p - line.p) + eq + 1);
		word = str_sub(word, 0, eq);
	}
	if (!smtp_caps_find(word, &cap)) {
		if (c->caps_unknown < UINT16_MAX)
			c->caps_unknown++;
		return;
	}
	c->set |= (uint64_t)1 << cap;
	if (cap == SMTP_CAP_AUTH)
		read_auth(c, rest);
	else if (cap == SMTP_CAP_SIZE)
		read_size(c, rest);
	else if (cap == SMTP_CAP_LIMITS)
		read_limits(c, rest);
}

void
smtp_caps_parse(struct str text, struct smtp_caps *out)
{
	struct smtp_caps c = { 0 };
	struct str line;

	if (str_cut(&text, '\n', &line)) {
		while (str_cut(&text, '\n', &line))
			read_line(&c, line);
	}
	*out = c;
}
