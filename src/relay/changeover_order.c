/* What people order: each takes effect, or is refused with what would be possible. */
#include "relay/changeover_private.h"

static enum rc
refuse(const struct relay_changeover *c, const char *what, struct fault *f)
{
	bool confirmable = c->before == RELAY_CHANGEOVER_FULL;
	const char *can = "hold or revert it, or wait";

	if (relay_changeover_is_settled(c->state))
		can = "it is over";
	else if (c->state == RELAY_CHANGEOVER_HELD)
		can = confirmable ? "resume, confirm or revert it" : "resume or revert it";
	else if (c->state == RELAY_CHANGEOVER_FULL)
		can = "hold, confirm or revert it, or wait";
	return fault_set(f, RC_INVALID, "the changeover is %s, so it is not possible to %s it: %s",
	    relay_changeover_state_name(c->state), what, can);
}

enum rc
relay_changeover_hold(struct relay_changeover *c, struct str why, int64_t now_us, struct fault *f)
{
	char words[CHANGEOVER_WORDS];

	if (relay_changeover_is_settled(c->state) || c->state == RELAY_CHANGEOVER_HELD)
		return refuse(c, "hold", f);
	changeover_words(words, sizeof(words), why);
	changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us, "Held by a person%s%s.",
	    words[0] != '\0' ? ": " : "", words);
	c->by_person = false;
	return RC_OK;
}

/* Those that went back try again; the test, which they were no part of, begins anew. */
static void
readmit(struct relay_changeover *c, int64_t now_us)
{
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		c->is_excluded[g] = false;
	c->n_ignored = 0;
	c->lone_domain = false;
	changeover_start_step(c, now_us);
	changeover_forgive(c);
}

enum rc
relay_changeover_resume(struct relay_changeover *c, int64_t now_us, struct fault *f)
{
	bool had_excluded = changeover_excluded_count(c) != 0 || c->n_ignored != 0;

	if (c->state != RELAY_CHANGEOVER_HELD)
		return refuse(c, "resume", f);
	enum relay_changeover_state to = c->before;
	changeover_enter(c, to, now_us, "Resumed by a person.%s",
	    had_excluded ? " Recipient groups that went back try the new server again." : "");
	if (had_excluded)
		readmit(c, now_us);
	if (to == RELAY_CHANGEOVER_CHECKED && !c->opts.has_probe)
		relay_changeover_probed(
		    c, RELAY_ANSWER_UNPROVEN, STR("there is no probe mailbox"), now_us);
	else if (to == RELAY_CHANGEOVER_PROBED)
		changeover_begin(c, now_us);
	return RC_OK;
}

enum rc
relay_changeover_confirm(struct relay_changeover *c, int64_t now_us, struct fault *f)
{
	bool can = c->state == RELAY_CHANGEOVER_FULL ||
		   (c->state == RELAY_CHANGEOVER_HELD && c->before == RELAY_CHANGEOVER_FULL);

	if (!can)
		return refuse(c, "confirm", f);
	changeover_confirm(c, now_us, "Confirmed by a person.");
	return RC_OK;
}

enum rc
relay_changeover_revert(
    struct relay_changeover *c, bool at_once, struct str why, int64_t now_us, struct fault *f)
{
	char words[CHANGEOVER_WORDS];
	bool has_moved = c->before == RELAY_CHANGEOVER_CANARY || c->before == RELAY_CHANGEOVER_FULL;

	if (relay_changeover_is_settled(c->state))
		return refuse(c, "revert", f);
	changeover_words(words, sizeof(words), why);
	const char *colon = words[0] != '\0' ? ": " : "";
	if (at_once || !has_moved) {
		changeover_enter(c, RELAY_CHANGEOVER_REVERTED, now_us, "Reverted by a person%s%s.",
		    colon, words);
		return RC_OK;
	}
	if (c->state != RELAY_CHANGEOVER_SUSPECT)
		changeover_enter(
		    c, RELAY_CHANGEOVER_SUSPECT, now_us, "Reverted by a person%s%s.", colon, words);
	c->by_person = true;
	c->dirty = true;
	return RC_OK;
}

enum rc
relay_changeover_retire(struct relay_changeover *c, int64_t now_us, struct fault *f)
{
	if (c->state != RELAY_CHANGEOVER_CONFIRMED)
		return refuse(c, "retire", f);
	changeover_enter(
	    c, RELAY_CHANGEOVER_RETIRED, now_us, "The old server is no longer kept ready.");
	return RC_OK;
}
