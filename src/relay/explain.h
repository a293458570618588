/* What a pasted refusal means, for people and as JSON: the verdict of relay/attribute.h with the
 * words for it in English or Chinese. Pure; shared by the command line, which needs no service for
 * it, and the API. */
#pragma once

#include <stdbool.h>

#include "base/fault.h"
#include "base/rc.h"
#include "base/str.h"
#include "relay/attribute.h"

struct json_writer;

enum relay_lang { RELAY_LANG_EN, RELAY_LANG_ZH };
/* "en" or "zh" at the head of a language or locale name, such as "zh_CN.UTF-8", any case. False,
 * *out untouched, when it is neither. */
bool relay_lang_parse(struct str name, enum relay_lang *out);
/* "en", "zh". */
const char *relay_lang_name(enum relay_lang lang);

struct relay_explanation {
	struct relay_facts facts;
	struct relay_verdict verdict;
	enum relay_lang lang;
	const char *cause; /* in that language; static, as are the rest */
	const char *remedy;
	const char *fault;   /* whose fault it is, half a sentence */
	const char *doing;   /* what is done about it, one sentence */
	const char *certain; /* how sure that is, half a sentence */
};

/* The longest reply that is looked at. */
#define RELAY_EXPLAIN_MAX 8192

/* `provider`, `stage` and `lang` may be empty: told from the words, unknown, English. A host name
 * serves as provider. RC_INVALID, *out untouched, with a fault that says what to write, when one of
 * them is not known, or the reply is empty or too long. The facts look into `reply`. */
enum rc relay_explain(struct str reply, struct str provider, struct str stage, struct str lang,
    struct relay_explanation *out, struct fault *f);

/* {"provider", "code", "enhanced", "tag", "cause", "remedy", "attribution", "action",
 * "retry_after_s", "certainty", "lang"}; what is not there is null. */
void relay_explain_write(const struct relay_explanation *e, struct json_writer *w);
