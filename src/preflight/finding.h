/* What a preflight finds out, one line at a time.
 *
 * A *check* has an id that never changes its meaning ("P41"), a stage, and a title; they are the
 * rows of checks.def. A *finding* is what came of one check, or of one check for one subject (an
 * address, a sender). The *stage* is where in the life of a message the fault would strike, and
 * decides the exit status of `posthouse check`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum preflight_check {
#define X(id, stage, title) PREFLIGHT_##id,
#include "preflight/checks.def"
#undef X
	PREFLIGHT_CHECK_COUNT
};

/* Numbered so that the exit status is 10 + stage. */
#define PREFLIGHT_STAGES(X)                                                                        \
	X(SETTINGS, "settings")                                                                    \
	X(DNS, "dns")                                                                              \
	X(CONNECT, "connect")                                                                      \
	X(HELLO, "hello")                                                                          \
	X(TLS, "tls")                                                                              \
	X(AUTH, "auth")                                                                            \
	X(SENDER, "sender")                                                                        \
	X(RECIPIENT, "recipient")                                                                  \
	X(DATA, "data")                                                                            \
	X(ROUND_TRIP, "round-trip")                                                                \
	X(WEAKER, "weaker")

enum preflight_stage {
#define X(name, text) PREFLIGHT_STAGE_##name,
	PREFLIGHT_STAGES(X)
#undef X
	    PREFLIGHT_STAGE_COUNT
};

/* INFO: worth knowing. WARN: works, and somebody should look. FAIL: mail must not go there like
 * this. SKIPPED: could not be asked, because something before it failed or was not given. */
enum preflight_verdict {
	PREFLIGHT_OK,
	PREFLIGHT_INFO,
	PREFLIGHT_WARN,
	PREFLIGHT_FAIL,
	PREFLIGHT_SKIPPED,
};
#define PREFLIGHT_VERDICT_COUNT 5

struct preflight_finding {
	enum preflight_check check;
	enum preflight_verdict verdict;
	struct str subject;  /* what it is about where one check has several; may be empty */
	struct str evidence; /* one line: what was seen */
	struct str remedy;   /* one sentence: what to do; empty where nothing is */
	int64_t took_us;     /* 0: not worth telling */
};

/* "P41", "Certificate". */
const char *preflight_check_id(enum preflight_check check);
const char *preflight_check_title(enum preflight_check check);
enum preflight_stage preflight_check_stage(enum preflight_check check);
/* "settings", "dns" ... */
const char *preflight_stage_name(enum preflight_stage stage);
/* "ok", "info", "warn", "fail", "skipped". */
const char *preflight_verdict_name(enum preflight_verdict verdict);
/* Exit status of the commands when this stage failed: 10 to 20. */
int preflight_stage_exit(enum preflight_stage stage);
