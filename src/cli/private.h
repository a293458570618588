/* Shared by the files of cli/: one run of a command. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/option.h"
#include "cli/table.h"
#include "codec/json.h"

/* Everything of a run; strings live in `arena` or argv. */
struct cli {
	struct arena arena;
	struct cli_parsed args;
	const struct cli_noun *noun;
	const struct cli_command *command;
	const struct cli_programs *programs;
	const char *data; /* the data directory */
	const char *url;  /* NULL: the control socket */
	const char *key;  /* for `url` */
	bool json;        /* print answers as they come */
	bool colour;
	size_t width; /* of the terminal; 0: output goes elsewhere */
	size_t height;
	int64_t now_us; /* wall time when the answer was asked for */
	struct buf out; /* what standard output gets */
};

/* ---- screen.c: output ---- */

void cli_screen_init(struct cli *c);
/* Under which name errors are told; "posthouse" unless set. */
void cli_screen_set_name(const char *name);
/* Writes c->out to standard output and empties it. False when that did not work: said on standard
 * error, except where nobody reads any more. */
bool cli_screen_flush(struct cli *c);
void cli_screen_print(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Text that may come from strangers: cleaned. */
void cli_screen_add(struct cli *c, enum cli_style style, struct str text);
/* Paragraphs of that, cleaned and wrapped. */
void cli_screen_wrapped(struct cli *c, struct str text, size_t indent);
void cli_screen_table(struct cli *c, const struct cli_table *t);
/* "3 min ago" in the arena; empty where `rfc3339` is no time. */
struct str cli_screen_ago(struct cli *c, struct str rfc3339);
/* A cell with the number at `path`, dim where it is 0. */
void cli_screen_count(struct cli *c, struct cli_table *t, enum cli_style style,
    const struct json *v, const char *path);
/* "3 min", for a column of ages. */
struct str cli_screen_age(struct cli *c, struct str rfc3339);
/* One sentence on standard error, with the program's name before it; returns `status`. */
int cli_screen_fail(enum cli_exit status, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Asks on the terminal; true for yes. Without a terminal nobody is asked: true. */
bool cli_screen_confirm(const char *question);

/* ---- call.c: the service ---- */

struct cli_request {
	const char *method; /* NULL: GET */
	struct str path;    /* with query, percent-encoded */
	struct str type;    /* of the body; empty: application/json */
	struct str body;
	const char *idempotency_key;
	bool aside; /* not the command's answer: not printed with --json */
	bool quiet; /* nothing is said of a failure */
};

/* Asks the service. CLI_DONE: *out is the answer (NULL where it has none), and with --json it is
 * printed already. Otherwise the reason has been said, and the status is the command's. */
int cli_call(struct cli *c, const struct cli_request *r, struct json **out);
int cli_call_get(struct cli *c, struct str path, struct json **out);
/* The same without an answer to look at: prints `done` (a format's result) unless --json. */
int cli_call_change(struct cli *c, const char *method, struct str path, struct str body,
    const char *fmt, ...) PRINTF_LIKE(5, 6);
/* "/relays/" and a name: `path` and `segment`, encoded, and `tail`. */
struct str cli_call_path(struct cli *c, const char *path, const char *segment, const char *tail);
/* `path` with one more pair in its query; as it is where `value` is NULL. */
struct str cli_call_query(struct cli *c, struct str path, const char *key, const char *value);
/* Pairs for --limit and --after, checked. Says what is wrong and returns false otherwise. */
bool cli_call_page(struct cli *c, struct str *path);
/* Says how to see the rest where the list in `doc` goes on: behind its "next", else behind `last`,
 * the id of its last item. */
void cli_call_more(struct cli *c, const struct json *doc, struct str last);
/* The path of the control socket. */
struct str cli_call_socket(struct cli *c);

/* A value of an answer as text: strings as they are, numbers and yes or no in words; empty where
 * there is none. */
struct str cli_call_text(struct cli *c, const struct json *v, const char *path);
int64_t cli_call_number(const struct json *v, const char *path);
bool cli_call_flag(const struct json *v, const char *path);
/* An array's strings joined by ", "; a string as it is. */
struct str cli_call_joined(struct cli *c, const struct json *v, const char *path);

/* ---- secret.c ---- */

/* Reads the secret that --secret-file names ("-": standard input), or asks for it on the terminal,
 * `what` in the question. False, said on standard error, when there is none. Wipe the buffer. */
bool cli_secret_read(struct cli *c, const char *what, struct buf *out);

/* ---- input.c: files and values ---- */

/* The whole of a file, "-" for standard input. RC_IO, RC_LIMIT. */
enum rc cli_input_read(const char *path, struct buf *out, struct fault *f);
/* A whole number from `min` to `max`; the error names the option. False: said. */
bool cli_input_number(
    const struct cli *c, const char *option, uint64_t min, uint64_t max, uint64_t *out);
/* Wall time of "2h" (so long ago, or from now with `ahead`), "2026-11-23" or a full time, as the
 * API wants it, in the arena. Empty: said. */
struct str cli_input_time(struct cli *c, const char *option, bool ahead);

/* ---- help.c ---- */

/* All commands, to c->out. */
void cli_help_all(struct cli *c);
/* One noun's commands, or one command in full. */
void cli_help_noun(struct cli *c, const struct cli_noun *noun);
void cli_help_command(struct cli *c, const struct cli_noun *noun, const struct cli_command *cmd);
/* Every command there is, in the order of the help. */
extern const struct cli_noun *const cli_help_nouns[];
extern const size_t cli_help_n_nouns;
const struct cli_noun *cli_help_find(const char *name);

/* ---- one file for each noun ---- */

extern const struct cli_noun cli_status_noun, cli_send_noun, cli_message_noun, cli_queue_noun,
    cli_relay_noun, cli_route_noun, cli_changeover_noun, cli_credential_noun, cli_account_noun,
    cli_stats_noun, cli_alarm_noun, cli_explain_noun, cli_check_noun, cli_mailbox_noun;

/* How the state of a message or recipient looks, and reads. */
enum cli_style cli_message_state_style(struct str state);
struct str cli_message_state_words(struct cli *c, struct str state);
/* The sender of a message, "<>" where it has none. */
struct str cli_message_sender(struct cli *c, const struct json *m);
/* Its subject, readable. */
struct str cli_message_subject(struct cli *c, const struct json *m);
/* "3 recipients held." for the answer to a change of the queue. */
int cli_queue_say_done(struct cli *c, const struct json *doc, const char *verb);
enum cli_style cli_relay_state_style(struct str state);
/* Findings of a preflight as the service reports them, and what they come to. */
void cli_check_show(struct cli *c, const struct json *report);
extern const struct cli_option cli_relay_add_options[], cli_relay_add_secret_options[];
int cli_relay_add_run(struct cli *c);
extern const struct cli_option cli_probe_options[];
int cli_probe_run(struct cli *c);
/* The exit status that names a stage of SMTP or IMAP: 10 to 19. */
int cli_mailbox_stage_status(struct str stage);
int cli_relay_add_run_edit(struct cli *c);
int cli_relay_add_run_secret(struct cli *c);
