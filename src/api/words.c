/* One function for each state; what is common to all is how times, replies and relays are said. */
#include "api/words.h"

#include "api/view.h"
#include "relay/attribute.h"

void
api_words_time(struct buf *b, int64_t at_us, int64_t now_us)
{
	char at[CLOCK_TEXT_SIZE], now[CLOCK_TEXT_SIZE];

	clock_format(at_us, at);
	clock_format(now_us, now);
	if (!str_eq(str_sub(str_from(at), 0, 10), str_sub(str_from(now), 0, 10)))
		buf_addf(b, "%.10s ", at);
	buf_addf(b, "%.5s", at + 11);
}

static void
say_time(struct buf *b, const struct api_words *w, const char *before, int64_t at_us)
{
	buf_addf(b, "%s", before);
	api_words_time(b, at_us, w->now_us);
}

static struct str
relay_of_last(const struct api_words *w)
{
	return w->last_relay.n != 0 ? w->last_relay : STR("a relay that is gone");
}

/* "450 4.2.1 try later", or what went wrong where there was no reply. */
static void
say_reply(struct buf *b, const struct store_attempt *f)
{
	if (f->code != 0)
		buf_addf(b, "%u ", f->code);
	if (f->enhanced.n != 0)
		buf_addf(b, "%.*s ", STR_ARG(f->enhanced));
	buf_addf(b, "%.*s", STR_ARG(str_sub(f->text, 0, 200)));
}

static void
say_last(struct buf *b, const struct api_words *w, const char *before)
{
	if (w->last == NULL || w->last->is_open)
		return;
	buf_addf(b, "%s%.*s said", before, STR_ARG(relay_of_last(w)));
	say_time(b, w, " at ", w->last->facts.at_us);
	buf_addf(b, ": ");
	say_reply(b, &w->last->facts);
}

/* ---- waiting ---- */

static bool
say_no_way(struct buf *b, const struct api_words *w)
{
	if (w->where == NULL || w->where->refusal == RELAY_REFUSAL_NONE)
		return false;
	buf_addf(b, "Waiting: %s; nothing is lost", w->where->why);
	return true;
}

const char *
api_words_state(const struct relay_status *s)
{
	static const struct {
		const char *word, *phrase;
	} rows[] = {
		{ "trying", "is being tried again" },
		{ "failing", "is failing" },
		{ "login refused", "does not take our login" },
		{ "paused", "is paused" },
		{ "slowed", "asks for less mail" },
		{ "quota", "has used up its daily quota" },
	};

	if (s->paused_by_hand)
		return "is paused by hand";
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (str_eq(str_from(rows[i].word), str_from(s->word)))
			return rows[i].phrase;
	return "is not usable";
}

static bool
say_closed(struct buf *b, const struct api_words *w)
{
	if (w->way == NULL || w->way->status.usable)
		return false;
	const struct relay_status *s = &w->way->status;
	buf_addf(b, "Waiting: relay %.*s %s", STR_ARG(w->relay), api_words_state(s));
	if (s->since_us != 0)
		say_time(b, w, " since ", s->since_us);
	if (s->why[0] != '\0')
		buf_addf(b, " (%s)", s->why);
	buf_addf(b, "; nothing is lost; ");
	if (s->until_us != 0 && s->until_us != TIME_NEVER)
		say_time(b, w, "it will be tried again at ", s->until_us);
	else
		buf_addf(b, "'posthouse relay resume %.*s' lets it go on", STR_ARG(w->relay));
	if (s->remedy[0] != '\0')
		buf_addf(b, ". %s", s->remedy);
	return true;
}

static void
say_queued(struct buf *b, const struct api_words *w)
{
	const struct store_recipient_row *r = w->rcpt;

	if (w->last != NULL && w->last->is_open) {
		buf_addf(b,
		    "Being finished through %.*s: the reply to the whole message is awaited",
		    STR_ARG(relay_of_last(w)));
		return;
	}
	if (w->message->send_at_us > w->now_us) {
		say_time(b, w, "Scheduled: it will be sent at ", w->message->send_at_us);
		return;
	}
	if (say_no_way(b, w) || say_closed(b, w))
		return;
	if (r->attempts == 0) {
		buf_addf(b, "Waiting for its turn");
		if (w->relay.n != 0)
			buf_addf(b, " through relay %.*s", STR_ARG(w->relay));
		return;
	}
	buf_addf(b, "Waiting for try %u", r->attempts + 1u);
	if (r->due_us != TIME_NEVER && r->due_us > w->now_us)
		say_time(b, w, " at ", r->due_us);
	say_last(b, w, "; ");
}

static void
say_in_doubt(struct buf *b, const struct api_words *w)
{
	buf_addf(b, "In doubt: the reply to the whole message was lost");
	if (w->last != NULL) {
		say_time(b, w, " at ", w->last->facts.at_us);
		buf_addf(b, " (%.*s)", STR_ARG(relay_of_last(w)));
	}
	buf_addf(b, ", so it may have arrived or not; ");
	if (w->rcpt->due_us != TIME_NEVER && w->rcpt->due_us != 0)
		say_time(b, w, "its policy repeats it at ", w->rcpt->due_us);
	else
		buf_addf(b,
		    "it waits for a person: 'posthouse queue resolve %.*s sent|again|unknown'",
		    STR_ARG(w->id));
}

/* ---- over ---- */

static void
say_refused(struct buf *b, const struct api_words *w)
{
	buf_addf(b, "Refused for good");
	say_time(b, w, " at ", w->rcpt->done_us);
	if (w->last == NULL)
		return;
	if (w->last->facts.attribution == RELAY_BLAME_RECIPIENT)
		buf_addf(b, " because of the address");
	else if (w->last->facts.attribution == RELAY_BLAME_CONTENT)
		buf_addf(b, " because of the message");
	say_last(b, w, ": ");
}

static void
say_sent(struct buf *b, const struct api_words *w)
{
	say_time(b, w, "Sent at ", w->rcpt->done_us);
	if (w->last == NULL || w->last->is_open) {
		buf_addf(b, ", settled by an operator");
		return;
	}
	buf_addf(b, " through %.*s: ", STR_ARG(relay_of_last(w)));
	say_reply(b, &w->last->facts);
}

static void
say_over(struct buf *b, const struct api_words *w, const char *what)
{
	buf_addf(b, "%s", what);
	if (w->rcpt->done_us != 0)
		say_time(b, w, " at ", w->rcpt->done_us);
	say_last(b, w, "; last, ");
}

void
api_words_add(struct buf *b, const struct api_words *w)
{
	switch (w->rcpt->state) {
	case STORE_QUEUED: say_queued(b, w); break;
	case STORE_IN_DOUBT: say_in_doubt(b, w); break;
	case STORE_HELD:
		buf_addf(b, "Held by an operator; 'posthouse message release %.*s' lets it go",
		    STR_ARG(w->id));
		break;
	case STORE_CAPTURED:
		buf_addf(b,
		    "Captured: there was no relay yet when it came, so it is kept and not sent; 'posthouse message release %.*s' sends it",
		    STR_ARG(w->id));
		break;
	case STORE_SENT: say_sent(b, w); break;
	case STORE_BOUNCED: say_refused(b, w); break;
	case STORE_EXPIRED: say_over(b, w, "Given up: its time ran out"); break;
	case STORE_FAILED: say_over(b, w, "Given up for a reason of our own"); break;
	case STORE_CANCELLED: say_over(b, w, "Cancelled by an operator"); break;
	case STORE_SUPPRESSED:
		buf_addf(b, "Not sent: the address is on the suppression list");
		break;
	case STORE_UNKNOWN:
		say_over(b, w,
		    "Unknown: it may have arrived or not, and nothing settled it; it is not repeated");
		break;
	}
}
