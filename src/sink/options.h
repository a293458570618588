/* The command line of `posthouse sink` as a value. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/str.h"
#include "codec/smtp_reply.h"
#include "net/addr.h"

#define SINK_STAGES(X)                                                                             \
	X(CONNECT, "connect")                                                                      \
	X(EHLO, "ehlo")                                                                            \
	X(TLS, "tls")                                                                              \
	X(AUTH, "auth")                                                                            \
	X(MAIL, "mail")                                                                            \
	X(RCPT, "rcpt")                                                                            \
	X(DATA, "data")                                                                            \
	X(DOT, "dot")

enum sink_stage {
#define X(name, text) SINK_##name,
	SINK_STAGES(X)
#undef X
	    SINK_STAGE_COUNT
};

/* What to do at a stage. All zero: behave. */
struct sink_rule {
	double drop_percent; /* close instead of replying */
	double fail_percent; /* say `code`, or 451 where that is 0; -1: not given */
	uint16_t code;       /* of --reply; said always, unless fail_percent says how often */
	struct smtp_enhanced enhanced;
	struct str text; /* looks into argv */
	int64_t delay_us;
};

enum sink_tls { SINK_TLS_NONE, SINK_TLS_STARTTLS, SINK_TLS_IMPLICIT };

#define SINK_LISTEN_MAX 16
#define SINK_USERS_MAX  16

struct sink_user {
	struct str name;
	struct str password;
};

/* Strings look into argv. */
struct sink_options {
	struct net_addr listen[SINK_LISTEN_MAX];
	size_t n_listen;
	struct sink_rule rules[SINK_STAGE_COUNT];
	double drop_after_accept_percent;
	enum sink_tls tls;
	const char *cert_file; /* NULL: one is made for the run */
	const char *key_file;
	struct sink_user users[SINK_USERS_MAX];
	size_t n_users;
	const char *keep_dir;
	const char *count_file;
	const char *hostname;
	uint64_t max_connections; /* 0: no limit */
	uint64_t max_size;
	uint64_t max_rcpts;
	uint64_t idle_us;
	uint64_t session_us;
	unsigned without; /* SMTP_SERVER_* bits that are not announced */
	unsigned loops;
	uint64_t seed;
	bool rewrite_message_id;
	bool normalize;
	bool json;
	bool help;
};

/* RC_INVALID with a fault that names the option and what it wants. `help` is set, and the rest
 * meaningless, for
 * --help. */
enum rc sink_options_parse(int argc, char **argv, struct sink_options *out, struct fault *f);
/* The text of --help. */
const char *sink_options_help(void);
/* "connect", "ehlo" ... */
const char *sink_options_stage_name(enum sink_stage stage);
