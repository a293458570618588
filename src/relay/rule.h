/* Reply rules, as they are compiled in from data/replies.txt. Used inside relay/ only; what they
 * mean is documented at the head of that file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/attribute.h"

/* "Any" as a detail of an enhanced code. */
#define RULE_ANY UINT16_MAX

struct rule_codes {
	uint16_t first, last;
};

struct rule_status {
	uint16_t cls; /* 0: 4 or 5 */
	uint16_t subject;
	uint16_t detail;
};

struct relay_rule {
	const char *name;
	const char *provider; /* "": everybody's */
	bool own;             /* only where the provider is known to be this one */
	bool unknown_user;
	bool both;       /* text and enhanced code must match; otherwise either does */
	uint32_t stages; /* bit s: stage s */
	const struct rule_codes *codes;
	size_t code_count;
	const struct rule_status *status;
	size_t status_count;
	const char *const *text; /* lower case; '*' is any run of bytes */
	size_t text_count;
	enum relay_blame blame;
	enum relay_action action;
	enum relay_certainty certainty;
	uint32_t wait_s;
	const char *cause;
	const char *remedy;
	const char *cause_zh;
	const char *remedy_zh;
};

struct relay_rule_sample {
	size_t rule; /* index into relay_rules */
	bool matches;
	enum relay_stage stage;
	const char *reply;
};

extern const struct relay_rule relay_rules[];
extern const size_t relay_rule_count;
/* In an object file of its own, so that only tests carry it. */
extern const struct relay_rule_sample relay_rule_samples[];
extern const size_t relay_rule_sample_count;

/* How a rule is asked: with its whole condition, or only by its words since the provider is
 * another. */
enum rule_reading { RULE_WHOLE, RULE_WORDS };

/* Whether `rule` matches the reply in `facts`, provider aside. */
bool relay_rule_matches(
    const struct relay_rule *rule, const struct relay_facts *facts, enum rule_reading reading);

/* The rule that decides. There is always one; `facts->code` is 400..599. */
const struct relay_rule *relay_rule_find(const struct relay_facts *facts);
