/* Finding the rule that decides.
 *
 * Three passes over the table, in its order: rules of the relay's provider and of its family; rules
 * of other providers by their words alone, since behind a smarthost the words of the next server
 * but one come through; rules of everybody. The last rule of the table matches everything.
 *
 * A reply's text is compared in lower case with runs of blanks as one, because providers break
 * lines anywhere.
 *
 * LIMITS: the first TEXT_MAX bytes of a reply are looked at. A pass over some two hundred rules
 * takes a few microseconds, once for a refusal. */
#include "relay/rule.h"

#include "base/check.h"
#include "relay/provider.h"

#define TEXT_MAX 2048

struct folded {
	char room[TEXT_MAX];
	size_t n;
};

static void
fold(struct str text, struct folded *out)
{
	bool blank = true;

	out->n = 0;
	for (size_t i = 0; i < text.n && out->n < TEXT_MAX; i++) {
		char c = text.p[i];
		bool is_blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
		if (is_blank && blank)
			continue;
		out->room[out->n++] = is_blank ? ' ' : ascii_lower(c);
		blank = is_blank;
	}
}

/* Whether the parts of `pattern` between asterisks stand in `text` in their order. The leftmost
 * place for each part leaves the most room for the next, so there is nothing to try twice. */
static bool
has_words(struct str text, struct str pattern)
{
	struct str part;

	while (str_cut(&pattern, '*', &part)) {
		size_t at = str_find_str(text, part);
		if (at == text.n && part.n != 0)
			return false;
		text = str_skip(text, at + part.n);
	}
	return true;
}

static bool
has_code(const struct relay_rule *rule, uint16_t code)
{
	for (size_t i = 0; i < rule->code_count; i++) {
		if (code >= rule->codes[i].first && code <= rule->codes[i].last)
			return true;
	}
	return false;
}

static bool
has_status(const struct relay_rule *rule, struct smtp_enhanced e)
{
	for (size_t i = 0; i < rule->status_count && e.cls != 0; i++) {
		const struct rule_status *s = &rule->status[i];
		if ((s->cls == 0 || s->cls == e.cls) && s->subject == e.subject &&
		    (s->detail == RULE_ANY || s->detail == e.detail))
			return true;
	}
	return false;
}

static bool
has_stage(const struct relay_rule *rule, enum relay_stage stage)
{
	/* What somebody pastes has lost its stage; words and enhanced codes still speak. */
	if (stage == RELAY_STAGE_UNKNOWN && (rule->text_count != 0 || rule->status_count != 0))
		return true;
	return (rule->stages & 1u << stage) != 0;
}

static bool
matches(const struct relay_rule *rule, const struct relay_facts *facts, struct str text,
    enum rule_reading reading)
{
	if (!has_stage(rule, facts->stage) || !has_code(rule, facts->code))
		return false;
	if (rule->both && !has_status(rule, facts->enhanced))
		return false;
	for (size_t i = 0; i < rule->text_count; i++) {
		if (has_words(text, str_from(rule->text[i])))
			return true;
	}
	if (reading == RULE_WORDS || rule->both)
		return false;
	return has_status(rule, facts->enhanced) ||
	       (rule->text_count == 0 && rule->status_count == 0);
}

bool
relay_rule_matches(
    const struct relay_rule *rule, const struct relay_facts *facts, enum rule_reading reading)
{
	struct folded folded;

	fold(facts->text, &folded);
	return matches(rule, facts, str_make(folded.room, folded.n), reading);
}

/* Which pass a rule belongs to for this provider; 0 for none. */
static int
pass_of(const struct relay_rule *rule, const struct relay_provider *provider)
{
	if (rule->provider[0] == '\0')
		return 3;
	if (relay_provider_speaks(provider, rule->provider))
		return 1;
	return rule->own ? 0 : 2;
}

const struct relay_rule *
relay_rule_find(const struct relay_facts *facts)
{
	const struct relay_provider *provider = relay_provider_named(facts->provider);
	struct folded folded;

	ASSERT(facts->code >= 400 && facts->code <= 599);
	fold(facts->text, &folded);
	for (int pass = 1; pass <= 3; pass++) {
		for (size_t i = 0; i < relay_rule_count; i++) {
			const struct relay_rule *rule = &relay_rules[i];
			if (pass_of(rule, provider) == pass &&
			    matches(rule, facts, str_make(folded.room, folded.n),
				pass == 2 ? RULE_WORDS : RULE_WHOLE))
				return rule;
		}
	}
	UNREACHABLE();
}
