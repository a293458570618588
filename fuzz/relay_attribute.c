/* Any reply gets a verdict, and no verdict breaks promise P3. The first bytes choose stage and
 * trouble, and whether the provider is known. */
#include "relay/attribute.h"

#include "base/check.h"
#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_verdict(const struct relay_facts *facts, const struct relay_verdict *v)
{
	ASSERT((size_t)v->blame < RELAY_BLAME_COUNT && (size_t)v->action < RELAY_ACTION_COUNT);
	ASSERT((size_t)v->certainty < RELAY_CERTAINTY_COUNT);
	ASSERT(v->wait_us >= 0 && v->wait_us <= DAYS(1));
	ASSERT(v->cause != NULL && v->cause[0] != '\0' && v->remedy != NULL && v->provider != NULL);
	ASSERT(memchr(v->tag, '\0', sizeof(v->tag)) != NULL);
	if (v->action == RELAY_ACTION_BOUNCE) {
		ASSERT(v->blame == RELAY_BLAME_RECIPIENT || v->blame == RELAY_BLAME_CONTENT);
		ASSERT(facts->code == 0 || facts->code / 100 == 5);
	}
	ASSERT(!v->unknown_user || v->blame == RELAY_BLAME_RECIPIENT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct relay_facts facts;
	struct relay_verdict v;

	if (size < 3)
		return 0;
	struct str line = { (const char *)data + 3, size - 3 };
	relay_facts_read(line, data[2] % 2 != 0 ? STR("163") : STR(""), &facts);
	ASSERT(facts.code == 0 || (facts.code >= 400 && facts.code <= 599));
	ASSERT(facts.text.n <= line.n);
	relay_attribute(&facts, &v);
	check_verdict(&facts, &v);
	facts.stage = (enum relay_stage)(data[0] % RELAY_STAGE_COUNT);
	facts.worked_today = data[2] % 4 >= 2;
	relay_attribute(&facts, &v);
	check_verdict(&facts, &v);
	facts.code = 0;
	facts.trouble = (enum relay_trouble)(data[1] % RELAY_TROUBLE_COUNT);
	relay_attribute(&facts, &v);
	check_verdict(&facts, &v);
	return 0;
}
