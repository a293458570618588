/* Everybody else: relays under changing weather, and recipients of every temper, with the words
 * real servers use. What a reply means is stated beside it, so that the judgement of our side can
 * be compared. */
#include "sim.h"

#include "base/check.h"

#define AT(stage_) .stage = STAGE_##stage_
static const struct reply ok = { .said = SAID_OK, .code = 250, .text = "OK" };
static const struct reply lost = { AT(DOT), .said = SAID_NOTHING, .text = "" };
static const struct reply down = { AT(CONNECT), .said = SAID_RELAY, .text = "Connection refused" };
static const struct reply bad_password = { AT(AUTH), .said = SAID_RELAY, .code = 535,
	.enhanced = { 5, 7, 8 }, .text = "Error: authentication failed: authentication failure" };
static const struct reply denied[] = {
	{ AT(MAIL), .said = SAID_RELAY, .code = 554, .enhanced = { 5, 7, 1 },
	    .text = "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org" },
	{ AT(MAIL), .said = SAID_RELAY, .code = 530, .enhanced = { 5, 7, 0 },
	    .text = "Must issue a STARTTLS command first" },
};
static const struct reply identity = { AT(MAIL), .said = SAID_IDENTITY, .code = 553,
	.enhanced = { 5, 7, 1 }, .text = "Sender address rejected: not owned by user" };
static const struct reply capacity[] = {
	{ AT(MAIL), .said = SAID_CAPACITY, .code = 421, .enhanced = { 4, 7, 0 },
	    .text = "Too many messages, slow down" },
	{ AT(MAIL), .said = SAID_CAPACITY, .code = 451,
	    .text =
		"MI:SFQ 163 smtp11,D8CowAD3 please see http://mail.163.com/help/help_spam_16.htm" },
	{ AT(MAIL), .said = SAID_CAPACITY, .code = 554,
	    .text =
		"MI:STC 163 smtp5,C8CowAD3 please see http://mail.163.com/help/help_spam_16.htm" },
};
static const struct reply rcpt_temp[] = {
	{ AT(RCPT), .said = SAID_TEMP, .code = 452, .enhanced = { 4, 2, 2 },
	    .text = "The recipient's inbox is out of storage space" },
	{ AT(RCPT), .said = SAID_TEMP, .code = 450, .enhanced = { 4, 1, 2 },
	    .text = "Recipient address rejected: Domain not found" },
};
static const struct reply greylisted = { AT(RCPT), .said = SAID_TEMP, .code = 450,
	.enhanced = { 4, 2, 0 },
	.text = "Recipient address rejected: Greylisted, try again in 300 seconds",
	.wait_us = SECONDS(300) };
static const struct reply rcpt_perm[] = {
	{ AT(RCPT), .said = SAID_PERM, .code = 550, .enhanced = { 5, 1, 1 },
	    .text = "Recipient address rejected: User unknown in virtual mailbox table" },
	{ AT(RCPT), .said = SAID_PERM, .code = 554, .enhanced = { 5, 1, 2 },
	    .text = "Bad destination mailbox address: domain not found" },
};
static const struct reply content_temp = { AT(DOT), .said = SAID_RELAY, .code = 451,
	.enhanced = { 4, 3, 0 }, .text = "Error: queue file write error" };
static const struct reply content_perm = { AT(DOT), .said = SAID_PERM, .code = 552,
	.enhanced = { 5, 3, 4 }, .text = "Message size exceeds fixed limit" };

/* Tempers of recipient domains, by number; 0 is where reports go. */
enum temper { KIND, DEAD, GREY, MOODY };
static const enum temper tempers[SIM_DESTS] = {
	KIND,
	KIND,
	KIND,
	DEAD,
	GREY,
	MOODY,
	KIND,
	GREY,
	KIND,
};

static void
change(struct sim *s, size_t relay)
{
	struct world *w = &s->world;

	if (w->calm || s->healed) {
		w->weather[relay] = WEATHER_FAIR;
		w->until_us[relay] = TIME_NEVER;
		return;
	}
	bool fair = pick(s, 2) == 0;
	w->weather[relay] = fair ? WEATHER_FAIR : (enum weather)pick(s, WEATHER_COUNT);
	w->until_us[relay] =
	    s->now_us + (int64_t)pick(s, (uint64_t)HOURS(pick(s, 8) == 0 ? 48 : 2));
}

void
world_start(struct sim *s, bool calm)
{
	s->world.calm = calm;
	for (size_t i = 0; i < SIM_RELAYS; i++)
		change(s, i);
}

void
world_heal(struct sim *s)
{
	s->healed = true;
	for (size_t i = 0; i < SIM_RELAYS; i++)
		change(s, i);
}

int64_t
world_next_us(const struct sim *s)
{
	int64_t next = TIME_NEVER;

	for (size_t i = 0; i < SIM_RELAYS; i++)
		next = s->world.until_us[i] < next ? s->world.until_us[i] : next;
	return next;
}

void
world_tick(struct sim *s)
{
	for (size_t i = 0; i < SIM_RELAYS; i++) {
		if (s->world.until_us[i] <= s->now_us)
			change(s, i);
	}
}

int64_t
world_latency_us(struct sim *s, size_t relay)
{
	int64_t us = MS(20) + (int64_t)pick(s, (uint64_t)MS(100));

	return s->world.weather[relay] == WEATHER_SLOW ? us * 200 : us;
}

const struct reply *
world_opening(struct sim *s, size_t relay, uint64_t account)
{
	switch (s->world.weather[relay]) {
	case WEATHER_DOWN: return &down;
	case WEATHER_WRONG_PASSWORD: return &bad_password;
	case WEATHER_DENIED: return &denied[pick(s, COUNT_OF(denied))];
	case WEATHER_CAPACITY:
		return pick(s, 3) != 0 ? &capacity[pick(s, COUNT_OF(capacity))] : &ok;
	case WEATHER_HELD_SENDER: return account == 1 ? &identity : &ok;
	case WEATHER_FAIR:
	case WEATHER_SLOW:
	case WEATHER_LOSSY: return &ok;
	case WEATHER_COUNT: break;
	}
	UNREACHABLE();
}

const struct reply *
world_rcpt(struct sim *s, const struct row *row)
{
	switch (tempers[row->dest]) {
	case KIND: return &ok;
	case DEAD: return &rcpt_perm[pick(s, COUNT_OF(rcpt_perm))];
	case GREY: return row->attempts < 2 ? &greylisted : &ok;
	case MOODY: return pick(s, 3) == 0 ? &ok : &rcpt_temp[pick(s, COUNT_OF(rcpt_temp))];
	}
	UNREACHABLE();
}

const struct reply *
world_dot(struct sim *s, size_t relay, const struct row *row, bool *arrived_out)
{
	bool fair = s->world.calm || s->healed;

	*arrived_out = true;
	if (!fair && pick(s, 100) < (s->world.weather[relay] == WEATHER_LOSSY ? 50 : 1)) {
		*arrived_out = pick(s, 2) == 0;
		return &lost;
	}
	if (row->msg % 29 == 0) {
		*arrived_out = false;
		return &content_perm;
	}
	if (!fair && pick(s, 40) == 0) {
		*arrived_out = false;
		return &content_temp;
	}
	return &ok;
}
