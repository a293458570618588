/* Changeovers between the dispatcher's thread and the main one, where the API sees to them. */
#include <stdlib.h>

#include "api/api.h"
#include "base/mem.h"
#include "daemon/private.h"

struct want_note {
	struct daemon_note note;
	struct daemon *daemon;
	uint64_t changeover;
	enum relay_want want;
	uint64_t since;
};

static void
pass_want(struct daemon_note *n)
{
	struct want_note *w = CONTAINER_OF(n, struct want_note, note);

	api_changeover_wants(w->daemon->api, w->changeover, w->want, w->since);
	free(w);
}

void
changeovers_on_want(void *arg, uint64_t changeover, enum relay_want want, uint64_t since)
{
	struct want_note *w = MEM_NEW(struct want_note);

	*w = (struct want_note){ { .run = pass_want }, arg, changeover, want, since };
	daemon_tell(w->daemon->notes, &w->note);
}

struct news_note {
	struct daemon_note note;
	struct daemon *daemon;
	uint64_t changeover;
	struct relay_changeover_news news;
};

static void
pass_news(struct daemon_note *n)
{
	struct news_note *w = CONTAINER_OF(n, struct news_note, note);

	api_changeover_news(w->daemon->api, w->changeover, &w->news);
	free(w);
}

void
changeovers_on_news(void *arg, uint64_t changeover, const struct relay_changeover_news *news)
{
	struct news_note *w = MEM_NEW(struct news_note);

	*w = (struct news_note){ { .run = pass_news }, arg, changeover, *news };
	daemon_tell(w->daemon->notes, &w->note);
}
