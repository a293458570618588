/* Whether and how much may go through each relay, as the relay desk says. Connections live here: a
 * transaction takes an idle one or has one opened, and leaves it idle behind.
 *
 * Each refusal is put to relay_attribute in the words the world used, and its judgement compared
 * with what the world meant. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/desk.h"

#define CONNECTIONS    4
#define VERSION(relay) ((struct version_id){ 10 * ((relay) + 1) })

struct way_state {
	struct relay_desk *desk;
	size_t idle[SIM_RELAYS];
	int64_t wake_us; /* when the desk, having said no, wants to be asked again */
};

static struct relay_book *
new_book(void)
{
	struct relay_version_row versions[SIM_RELAYS] = { 0 };
	struct relay_row relays[SIM_RELAYS] = { 0 };
	char names[SIM_RELAYS][8];
	const struct relay_route_row routes[] = {
		{ .id = { 1 }, .relay = { 1 }, .is_default = true },
	};
	struct relay_book *book = NULL;

	for (size_t i = 0; i < SIM_RELAYS; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "r%zu", i);
		relays[i] = (struct relay_row){
			.id = { i + 1 }, .name = str_from(names[i]), .current = VERSION(i)
		};
		versions[i] = (struct relay_version_row){
			.id = VERSION(i),
			.relay = { i + 1 },
			.number = 1,
			.host = STR("smtp.example.com"),
			.port = 465,
			.tls = RELAY_TLS_IMPLICIT,
			.user = relays[i].name,
			.max_connections = CONNECTIONS,
		};
	}
	const struct relay_book_rows rows = {
		.relays = relays,
		.relay_count = SIM_RELAYS,
		.versions = versions,
		.version_count = SIM_RELAYS,
		.routes = routes,
		.route_count = COUNT_OF(routes),
	};
	struct fault fault = { 0 };
	SIM_CHECK(relay_book_new(&rows, &book, &fault) == RC_OK, "%s", fault.text);
	return book;
}

/* Groups open and close with what they lead to. */
static void
read_news(struct sim *s)
{
	struct relay_news news;

	while (relay_desk_next_news(s->d.way->desk, &news)) {
		size_t relay = (size_t)news.version.v / 10 - 1;
		if (news.kind == RELAY_NEWS_USABLE || news.kind == RELAY_NEWS_UNUSABLE)
			dispatch_set_open(s, relay, way_is_usable(s, relay));
	}
	relay_desk_audit(s->d.way->desk);
}

void
way_start(struct sim *s)
{
	AUTO(relay_book_unref) struct relay_book *book = new_book();

	s->d.way = MEM_NEW(struct way_state);
	s->d.way->wake_us = TIME_NEVER;
	s->d.way->desk = relay_desk_new(s->seed, HOURS(8));
	relay_desk_set_book(s->d.way->desk, book, s->now_us);
	for (size_t i = 0; i < SIM_RELAYS; i++) {
		if (s->paused[i])
			relay_desk_pause(s->d.way->desk, VERSION(i), STR("as before"), s->now_us);
		dispatch_set_open(s, i, way_is_usable(s, i));
	}
	read_news(s);
}

void
way_stop(struct sim *s)
{
	relay_desk_free(&s->d.way->desk);
	free(s->d.way);
	s->d.way = NULL;
}

bool
way_is_usable(const struct sim *s, size_t relay)
{
	return relay_desk_is_usable(s->d.way->desk, VERSION(relay));
}

static bool
may_start(struct sim *s, size_t relay, enum stream lane)
{
	struct way_state *w = s->d.way;
	int64_t wait_us = TIME_NEVER;
	bool yes = relay_desk_may_send(w->desk, VERSION(relay), lane, s->now_us, &wait_us) &&
		   (w->idle[relay] > 0 ||
		       relay_desk_may_connect(w->desk, VERSION(relay), lane, s->now_us, &wait_us));

	read_news(s);
	if (!yes && wait_us > s->now_us && wait_us < w->wake_us)
		w->wake_us = wait_us;
	return yes;
}

unsigned
way_lanes(struct sim *s, size_t relay)
{
	bool code = may_start(s, relay, STREAM_TRANSACTIONAL);
	bool bulk = may_start(s, relay, STREAM_BULK);

	/* In some calm seeds codes have nothing but the order of the queue to help them. */
	if (s->world.calm && s->seed % 16 == 0)
		bulk = code;
	return (code ? QUEUE_LANE(STREAM_TRANSACTIONAL) : 0) | (bulk ? QUEUE_LANE(STREAM_BULK) : 0);
}

void
way_began(struct sim *s, struct txn *txn)
{
	struct way_state *w = s->d.way;

	txn->reused = w->idle[txn->relay] > 0;
	if (txn->reused)
		w->idle[txn->relay]--;
	else
		relay_desk_connecting(w->desk, VERSION(txn->relay), s->now_us);
	read_news(s);
}

/* Our side's judgement of a reply. */
static struct relay_verdict
judge(struct sim *s, size_t relay, const struct reply *reply)
{
	static const enum relay_stage stages[] = {
		[STAGE_CONNECT] = RELAY_STAGE_CONNECT,
		[STAGE_AUTH] = RELAY_STAGE_AUTH,
		[STAGE_MAIL] = RELAY_STAGE_MAIL,
		[STAGE_RCPT] = RELAY_STAGE_RCPT,
		[STAGE_DOT] = RELAY_STAGE_DOT,
	};
	struct relay_facts facts = {
		.stage = stages[reply->stage],
		.trouble = reply->code != 0                ? RELAY_TROUBLE_NONE
			   : reply->stage == STAGE_CONNECT ? RELAY_TROUBLE_CONNECT
							   : RELAY_TROUBLE_CLOSED,
		.code = reply->code,
		.enhanced = { reply->enhanced[0], reply->enhanced[1], reply->enhanced[2] },
		.text = str_from(reply->text),
		.worked_today = relay_desk_worked_today(s->d.way->desk, VERSION(relay), s->now_us),
	};
	struct relay_verdict v;

	relay_attribute(&facts, &v);
	return v;
}

static enum said
said_by(const struct relay_verdict *v)
{
	switch (v->blame) {
	case RELAY_BLAME_RELAY: return SAID_RELAY;
	case RELAY_BLAME_IDENTITY: return SAID_IDENTITY;
	case RELAY_BLAME_CAPACITY: return SAID_CAPACITY;
	case RELAY_BLAME_RECIPIENT:
	case RELAY_BLAME_CONTENT:
	case RELAY_BLAME_UNKNOWN: return v->action == RELAY_ACTION_BOUNCE ? SAID_PERM : SAID_TEMP;
	}
	UNREACHABLE();
}

static void
check_judgement(const struct relay_verdict *v, const struct reply *reply)
{
	SIM_CHECK(said_by(v) == reply->said, "\"%u %s\" was taken for a fault of the %s",
	    reply->code, reply->text, relay_blame_name(v->blame));
	SIM_CHECK(v->wait_us >= reply->wait_us, "the wait in \"%s\" was not seen", reply->text);
	/* Promise P3. */
	SIM_CHECK(v->action != RELAY_ACTION_BOUNCE || reply->said == SAID_PERM,
	    "\"%s\" would bounce mail", reply->text);
}

/* As told to the desk: whose mail a login sends. */
static struct str
sender_of(uint64_t account)
{
	static const struct str senders[SIM_ACCOUNTS + 1] = {
		STR_INIT("house@example.org"),
		STR_INIT("one@example.org"),
		STR_INIT("two@example.org"),
		STR_INIT("three@example.org"),
		STR_INIT("four@example.org"),
	};

	ASSERT(account <= SIM_ACCOUNTS);
	return senders[account];
}

bool
way_opened(struct sim *s, struct txn *txn, const struct reply *reply)
{
	struct way_state *w = s->d.way;
	struct version_id version = VERSION(txn->relay);

	if (reply->said != SAID_OK && reply->stage < STAGE_MAIL) {
		struct relay_verdict v = judge(s, txn->relay, reply);
		check_judgement(&v, reply);
		if (txn->reused)
			relay_desk_closed(w->desk, version, &v, s->now_us);
		else
			relay_desk_connect_failed(w->desk, version, &v, s->now_us);
		read_news(s);
		return false;
	}
	if (!txn->reused)
		relay_desk_connected(w->desk, version, s->now_us);
	relay_desk_began(w->desk, version, txn->lane, s->now_us);
	read_news(s);
	return true;
}

struct heard
way_told(struct sim *s, struct txn *txn, const struct reply *reply)
{
	struct relay_verdict v = judge(s, txn->relay, reply);

	check_judgement(&v, reply);
	relay_desk_refused(
	    s->d.way->desk, VERSION(txn->relay), sender_of(txn->account), &v, s->now_us);
	read_news(s);
	return (struct heard){ said_by(&v), v.wait_us };
}

void
way_ended(struct sim *s, struct txn *txn, size_t accepted, bool lost)
{
	struct way_state *w = s->d.way;
	struct version_id version = VERSION(txn->relay);

	relay_desk_ended(
	    w->desk, version, txn->lane, (uint32_t)accepted, s->now_us - txn->since_us, s->now_us);
	if (!lost && way_is_usable(s, txn->relay)) {
		w->idle[txn->relay]++;
	} else {
		struct relay_facts facts = { .stage = RELAY_STAGE_DOT,
			.trouble = RELAY_TROUBLE_CLOSED };
		struct relay_verdict v;
		relay_attribute(&facts, &v);
		relay_desk_closed(w->desk, version, lost ? &v : NULL, s->now_us);
	}
	read_news(s);
}

bool
way_holds_sender(struct sim *s, size_t relay, uint64_t account, int64_t *until_out)
{
	bool held = relay_desk_is_sender_held(
	    s->d.way->desk, VERSION(relay), sender_of(account), s->now_us, until_out);

	read_news(s);
	if (held && *until_out > s->now_us + HOURS(1))
		*until_out = s->now_us + HOURS(1);
	return held;
}

void
way_pause(struct sim *s, size_t relay, bool pause)
{
	s->paused[relay] = pause;
	if (pause)
		relay_desk_pause(s->d.way->desk, VERSION(relay), STR("a person did"), s->now_us);
	else
		relay_desk_resume(s->d.way->desk, VERSION(relay), s->now_us);
	read_news(s);
}

int64_t
way_next_us(const struct sim *s)
{
	int64_t tick_us = relay_desk_next_event_us(s->d.way->desk);

	return tick_us < s->d.way->wake_us ? tick_us : s->d.way->wake_us;
}

void
way_tick(struct sim *s)
{
	if (s->d.way->wake_us <= s->now_us)
		s->d.way->wake_us = TIME_NEVER;
	relay_desk_tick(s->d.way->desk, s->now_us);
	read_news(s);
}
