/* Shared by the files of `posthouse changeover`. */
#pragma once

#include "cli/private.h"

/* ---- changeover_screen.c: how one looks ---- */

/* Words of a state and their style. */
enum cli_style cli_changeover_state_style(struct str state);
/* "old@1 (smtp.a.example)" of the object at `side`, "from" or "to". */
struct str cli_changeover_version(struct cli *c, const struct json *doc, const char *side);
/* The head, the line of states, how far the step is, old beside new, what it waits for, and the
 * last `events` of what happened. `rates`: messages a second by side, or NULL. */
struct cli_changeover_rates {
	double sent[2]; /* old, new */
};
void cli_changeover_show(
    struct cli *c, const struct json *doc, const struct cli_changeover_rates *rates, size_t events);
/* What a plan says. */
void cli_changeover_show_plan(struct cli *c, const struct json *doc);
/* One line of history: when, state, sentence; on a terminal as wide as that with `cut`. */
void cli_changeover_show_event(struct cli *c, const struct json *event, bool cut);

/* ---- changeover_watch.c ---- */

/* Follows changeover `id` until it is over: redrawn on a terminal, a line for each event otherwise.
 * The exit status says how it ended: 0 confirmed, 1 taken back or held, 4 refused. Clears the
 * arena: what was parsed before is gone. */
int cli_changeover_watch(struct cli *c, const char *id);
/* The same, never redrawn; for --wait. */
int cli_changeover_wait(struct cli *c, const char *id);
