/* Every sample of data/replies.txt, judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "relay/provider.h"
#include "relay/rule.h"

/* All that is wrong is shown at once: a new rule often upsets several others. */
static int bad;
#define fail_later(...) (bad++, print_error(__VA_ARGS__), print_error("\n"))

static void
facts_of(const struct relay_rule_sample *s, struct relay_facts *out)
{
	relay_facts_read(str_from(s->reply), (struct str){ 0 }, out);
	out->stage = s->stage;
	out->provider = str_from(relay_rules[s->rule].provider);
}

static void
every_positive_sample_is_decided_by_its_rule(void **state)
{
	struct relay_facts facts;

	(void)state;
	bad = 0;
	assert_true(relay_rule_sample_count > 2 * relay_rule_count - 2);
	for (size_t i = 0; i < relay_rule_sample_count; i++) {
		const struct relay_rule_sample *s = &relay_rule_samples[i];
		if (!s->matches)
			continue;
		facts_of(s, &facts);
		const struct relay_rule *rule = relay_rule_find(&facts);
		if (rule != &relay_rules[s->rule])
			fail_later("\"%s\" is of %s, but %s decides it", s->reply,
			    relay_rules[s->rule].name, rule->name);
	}
	assert_int_equal(bad, 0);
}

static void
no_negative_sample_is_matched_by_its_rule(void **state)
{
	struct relay_facts facts;

	(void)state;
	bad = 0;
	for (size_t i = 0; i < relay_rule_sample_count; i++) {
		const struct relay_rule_sample *s = &relay_rule_samples[i];
		if (s->matches)
			continue;
		facts_of(s, &facts);
		if (relay_rule_matches(&relay_rules[s->rule], &facts, RULE_WHOLE))
			fail_later("\"%s\" is matched by %s", s->reply, relay_rules[s->rule].name);
	}
	assert_int_equal(bad, 0);
}

/* What `own` is for: words of a provider are known again wherever they turn up, unless marked. */
static void
unmistakable_words_are_known_without_a_provider(void **state)
{
	struct relay_facts facts;

	(void)state;
	bad = 0;
	for (size_t i = 0; i < relay_rule_sample_count; i++) {
		const struct relay_rule_sample *s = &relay_rule_samples[i];
		const struct relay_rule *rule = &relay_rules[s->rule], *found;
		facts_of(s, &facts);
		if (!s->matches || rule->provider[0] == '\0' || rule->own ||
		    !relay_rule_matches(rule, &facts, RULE_WORDS))
			continue;
		facts.provider = (struct str){ 0 };
		found = relay_rule_find(&facts);
		if (found->blame != rule->blame || found->action != rule->action)
			fail_later(
			    "\"%s\" is of %s, but %s decides it where the provider is unknown",
			    s->reply, rule->name, found->name);
	}
	assert_int_equal(bad, 0);
}

static void
every_rule_names_a_known_provider(void **state)
{
	(void)state;
	for (size_t i = 0; i < relay_rule_count; i++) {
		if (relay_rules[i].provider[0] != '\0')
			assert_non_null(relay_provider_named(str_from(relay_rules[i].provider)));
	}
}

/* The registry of RFC 5248 as it stands (RFC 3463, 4468, 4954, 5321, 6531, 6710, 7293, 7372, 7505,
 * 8617, 8689), each at the stage where it is said. What is named "other" (x.0.0, x.3.0 ...) and
 * what is a success are left out. */
static void
every_registered_enhanced_code_says_more_than_the_code_alone(void **state)
{
	static const struct {
		enum relay_stage stage;
		uint16_t subject, first, last;
	} codes[] = {
		{ RELAY_STAGE_RCPT, 1, 0, 4 },
		{ RELAY_STAGE_RCPT, 1, 6, 6 },
		{ RELAY_STAGE_MAIL, 1, 7, 8 },
		{ RELAY_STAGE_RCPT, 1, 10, 10 },
		{ RELAY_STAGE_RCPT, 2, 0, 4 },
		{ RELAY_STAGE_DOT, 3, 1, 5 },
		{ RELAY_STAGE_DOT, 4, 1, 7 },
		{ RELAY_STAGE_MAIL, 5, 1, 6 },
		{ RELAY_STAGE_DOT, 6, 1, 10 },
		{ RELAY_STAGE_RCPT, 7, 2, 2 },
		{ RELAY_STAGE_DOT, 7, 3, 7 },
		{ RELAY_STAGE_AUTH, 7, 8, 14 },
		{ RELAY_STAGE_MAIL, 7, 15, 16 },
		{ RELAY_STAGE_RCPT, 7, 17, 19 },
		{ RELAY_STAGE_DOT, 7, 20, 30 },
	};

	(void)state;
	bad = 0;
	for (size_t i = 0; i < COUNT_OF(codes); i++) {
		for (uint16_t detail = codes[i].first; detail <= codes[i].last; detail++) {
			struct relay_facts facts = { .stage = codes[i].stage,
				.code = 550,
				.enhanced = SMTP_ENHANCED(5, codes[i].subject, detail) };
			const struct relay_rule *rule = relay_rule_find(&facts);
			if (rule->certainty == RELAY_GUESS)
				fail_later("5.%u.%u at %s is left to %s", codes[i].subject, detail,
				    relay_stage_name(codes[i].stage), rule->name);
		}
	}
	assert_int_equal(bad, 0);
}

static void
every_rule_speaks_both_languages(void **state)
{
	(void)state;
	for (size_t i = 0; i < relay_rule_count; i++) {
		const struct relay_rule *r = &relay_rules[i];
		assert_true(r->cause[0] != '\0' && r->cause_zh[0] != '\0');
		assert_int_equal(r->remedy[0] != '\0', r->remedy_zh[0] != '\0');
	}
}

static void
words_stand_in_their_order_with_blanks_as_one(void **state)
{
	static const struct rule_codes codes[] = { { 400, 599 } };
	static const char *const text[] = { "too many * messages" };
	const struct relay_rule rule = {
		.stages = UINT32_MAX, .codes = codes, .code_count = 1, .text = text, .text_count = 1
	};
	struct relay_facts facts = { .stage = RELAY_STAGE_MAIL, .code = 450 };

	(void)state;
	facts.text = STR("you sent Too\nmany  silly MESSAGES");
	assert_true(relay_rule_matches(&rule, &facts, RULE_WHOLE));
	facts.text = STR("messages: too many of them");
	assert_false(relay_rule_matches(&rule, &facts, RULE_WHOLE));
	facts.text = STR("");
	assert_false(relay_rule_matches(&rule, &facts, RULE_WHOLE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_positive_sample_is_decided_by_its_rule),
		cmocka_unit_test(no_negative_sample_is_matched_by_its_rule),
		cmocka_unit_test(unmistakable_words_are_known_without_a_provider),
		cmocka_unit_test(every_rule_names_a_known_provider),
		cmocka_unit_test(every_registered_enhanced_code_says_more_than_the_code_alone),
		cmocka_unit_test(every_rule_speaks_both_languages),
		cmocka_unit_test(words_stand_in_their_order_with_blanks_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
