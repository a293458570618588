/* The options of `posthouse sink`: a table of names, each with the function that reads its value.
 */
#include "sink/options.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "smtp/server.h"

static const char help_text[] =
    "usage: posthouse sink --listen ADDR:PORT [--listen ...] [options]\n"
    "\n"
    "An SMTP server that takes everything, counts it, keeps it, or misbehaves on command. Ends on\n"
    "SIGTERM or ^C with one line of totals.\n"
    "\n"
    "  --listen ADDR:PORT       where to listen; port 0 takes a free one and prints it\n"
    "  --tls implicit|starttls  speak TLS; without --cert and --key with a certificate made for the run\n"
    "  --cert FILE --key FILE   PEM files\n"
    "  --auth USER:PASSWORD     demand a login (may be given several times)\n"
    "  --keep DIR               one .eml file a message\n"
    "  --count FILE             one line an accepted recipient: time, sender, recipient, Message-ID, size\n"
    "  --reply 'STAGE=CODE TEXT'  what to say at a stage\n"
    "  --fail STAGE=PERCENT     how often to say that; without --reply it is 451\n"
    "  --drop STAGE[=PERCENT]   close instead of replying\n"
    "  --drop-after-accept PERCENT  keep the message, then close before the reply\n"
    "  --delay STAGE=MS         reply so much later\n"
    "  --max-connections N      refuse more than N at a time\n"
    "  --rewrite-message-id     give each message a new Message-ID, as some providers do\n"
    "  --seed N                 of the dice; the same seed repeats a run, connection by connection (1)\n"
    "  --loops N                threads (number of cores)\n"
    "  --hostname NAME          in the greeting (sink.invalid)\n"
    "  --max-size OCTETS        largest message (100000000)\n"
    "  --max-recipients N       a message (100000)\n"
    "  --idle MS                longest wait for a client (300000)\n"
    "  --session MS             longest connection (none)\n"
    "  --without EXT[,EXT]      do not announce an extension, such as pipelining,chunking,smtputf8\n"
    "  --normalize              take a bare CR or LF for a line end instead of refusing the message\n"
    "  --json                   totals as JSON\n"
    "\n"
    "STAGE is connect, ehlo, tls, auth, mail, rcpt, data or dot.\n"
    "\n"
    "Example: one message in ten is refused for now, one reply in a hundred is lost\n"
    "  posthouse sink --listen 127.0.0.1:2600 --count got.log --fail dot=10 --drop-after-accept 1\n";

static const struct str stage_names[] = {
#define X(name, text) [SINK_##name] = STR_INIT(text),
	SINK_STAGES(X)
#undef X
};

const char *
sink_options_help(void)
{
	return help_text;
}

const char *
sink_options_stage_name(enum sink_stage stage)
{
	ASSERT(stage < SINK_STAGE_COUNT);
	return stage_names[stage].p;
}

/* ---- values ---- */

typedef enum rc option_fn(struct sink_options *o, const char *value, struct fault *f);

/* Splits "STAGE=REST"; rest is empty where there is no '='. NULL: there is no such stage. */
static struct sink_rule *
split_stage(struct sink_options *o, const char *value, struct str *rest_out, struct fault *f)
{
	struct str all = str_from(value);
	size_t at = str_find(all, '=');
	struct str name = str_sub(all, 0, at);

	for (size_t i = 0; i < SINK_STAGE_COUNT; i++) {
		if (!str_eq_nocase(name, stage_names[i]))
			continue;
		*rest_out = str_skip(all, at + 1);
		return &o->rules[i];
	}
	(void)fault_set(f, RC_INVALID,
	    "\"%.*s\" is no stage: use connect, ehlo, tls, auth, mail, rcpt, data or dot",
	    STR_ARG(name));
	return NULL;
}

static enum rc
read_percent(struct str s, double *out, struct fault *f)
{
	char text[32], *end = NULL;

	if (s.n == 0 || s.n >= sizeof(text))
		return fault_set(f, RC_INVALID, "a percentage from 0 to 100 is wanted");
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	double percent = strtod(text, &end);
	if (end != text + s.n || !(percent >= 0 && percent <= 100))
		return fault_set(f, RC_INVALID, "\"%s\" is no percentage from 0 to 100", text);
	*out = percent;
	return RC_OK;
}

static enum rc
read_number(const char *value, uint64_t max, uint64_t *out, struct fault *f)
{
	uint64_t n;

	if (str_to_u64(str_from(value), &n) != RC_OK || n > max)
		return fault_set(f, RC_INVALID, "\"%s\" is no number up to %llu", value,
		    (unsigned long long)max);
	*out = n;
	return RC_OK;
}

static enum rc
set_listen(struct sink_options *o, const char *value, struct fault *f)
{
	if (o->n_listen == SINK_LISTEN_MAX)
		return fault_set(f, RC_LIMIT, "at most %d addresses", SINK_LISTEN_MAX);
	enum rc rc = net_addr_parse(str_from(value), &o->listen[o->n_listen], f);
	if (rc == RC_OK)
		o->n_listen++;
	return rc;
}

static enum rc
set_tls(struct sink_options *o, const char *value, struct fault *f)
{
	struct str s = str_from(value);

	if (str_eq(s, STR("implicit")) || str_eq(s, STR("ssl"))) {
		o->tls = SINK_TLS_IMPLICIT;
	} else if (str_eq(s, STR("starttls"))) {
		o->tls = SINK_TLS_STARTTLS;
	} else if (str_eq(s, STR("none"))) {
		o->tls = SINK_TLS_NONE;
	} else {
		return fault_set(f, RC_INVALID, "\"%s\" is neither implicit nor starttls", value);
	}
	return RC_OK;
}

static enum rc
set_cert(struct sink_options *o, const char *value, struct fault *f)
{
	(void)f;
	o->cert_file = value;
	return RC_OK;
}

static enum rc
set_key(struct sink_options *o, const char *value, struct fault *f)
{
	(void)f;
	o->key_file = value;
	return RC_OK;
}

static enum rc
set_auth(struct sink_options *o, const char *value, struct fault *f)
{
	struct str all = str_from(value);
	size_t colon = str_find(all, ':');

	if (colon == 0 || colon + 1 >= all.n)
		return fault_set(f, RC_INVALID, "USER:PASSWORD is wanted");
	if (o->n_users == SINK_USERS_MAX)
		return fault_set(f, RC_LIMIT, "at most %d users", SINK_USERS_MAX);
	o->users[o->n_users++] =
	    (struct sink_user){ str_sub(all, 0, colon), str_skip(all, colon + 1) };
	return RC_OK;
}

static enum rc
set_keep(struct sink_options *o, const char *value, struct fault *f)
{
	(void)f;
	o->keep_dir = value;
	return RC_OK;
}

static enum rc
set_count(struct sink_options *o, const char *value, struct fault *f)
{
	(void)f;
	o->count_file = value;
	return RC_OK;
}

/* "CODE TEXT", perhaps with an enhanced code in front of the text. */
static enum rc
set_reply(struct sink_options *o, const char *value, struct fault *f)
{
	struct str rest, word;
	uint64_t code;
	struct sink_rule *rule = split_stage(o, value, &rest, f);

	if (rule == NULL)
		return RC_INVALID;
	rest = str_trim(rest);
	size_t n = str_find(rest, ' ');
	if (str_to_u64(str_sub(rest, 0, n), &code) != RC_OK || code < 200 || code > 599 ||
	    code / 100 == 3)
		return fault_set(f, RC_INVALID,
		    "\"%s\": STAGE=CODE TEXT is wanted, with a code of 2xx, 4xx or 5xx", value);
	rule->code = (uint16_t)code;
	rest = str_trim(str_skip(rest, n));
	word = str_sub(rest, 0, str_find(rest, ' '));
	if (smtp_reply_parse_enhanced(word, &rule->enhanced) && rule->enhanced.cls == code / 100) {
		rest = str_trim(str_skip(rest, word.n));
	} else {
		rule->enhanced = SMTP_ENHANCED_NONE;
	}
	rule->text = rest.n != 0 ? rest : STR("As told");
	return RC_OK;
}

static enum rc
set_fail(struct sink_options *o, const char *value, struct fault *f)
{
	struct str rest;
	struct sink_rule *rule = split_stage(o, value, &rest, f);

	return rule == NULL ? RC_INVALID : read_percent(rest, &rule->fail_percent, f);
}

static enum rc
set_drop(struct sink_options *o, const char *value, struct fault *f)
{
	struct str rest;
	struct sink_rule *rule = split_stage(o, value, &rest, f);

	if (rule == NULL)
		return RC_INVALID;
	if (rest.n == 0) {
		rule->drop_percent = 100;
		return RC_OK;
	}
	return read_percent(rest, &rule->drop_percent, f);
}

static enum rc
set_drop_after_accept(struct sink_options *o, const char *value, struct fault *f)
{
	return read_percent(str_from(value), &o->drop_after_accept_percent, f);
}

static enum rc
set_delay(struct sink_options *o, const char *value, struct fault *f)
{
	struct str rest;
	uint64_t ms;
	struct sink_rule *rule = split_stage(o, value, &rest, f);

	if (rule == NULL)
		return RC_INVALID;
	if (str_to_u64(rest, &ms) != RC_OK || ms > 86400000)
		return fault_set(f, RC_INVALID, "\"%s\": STAGE=MILLISECONDS is wanted", value);
	rule->delay_us = MS(ms);
	return RC_OK;
}

static enum rc
set_max_connections(struct sink_options *o, const char *value, struct fault *f)
{
	return read_number(value, 1000000, &o->max_connections, f);
}

static enum rc
set_max_size(struct sink_options *o, const char *value, struct fault *f)
{
	enum rc rc = read_number(value, (uint64_t)1 << 31, &o->max_size, f);

	return rc == RC_OK && o->max_size == 0 ? fault_set(f, RC_INVALID, "0 is too small") : rc;
}

static enum rc
set_max_rcpts(struct sink_options *o, const char *value, struct fault *f)
{
	return read_number(value, 1000000, &o->max_rcpts, f);
}

static enum rc
set_idle(struct sink_options *o, const char *value, struct fault *f)
{
	uint64_t ms = 0;
	enum rc rc = read_number(value, 86400000, &ms, f);

	if (rc == RC_OK && ms == 0)
		return fault_set(f, RC_INVALID, "0 is too short");
	o->idle_us = ms * 1000;
	return rc;
}

static enum rc
set_session(struct sink_options *o, const char *value, struct fault *f)
{
	uint64_t ms = 0;
	enum rc rc = read_number(value, 86400000, &ms, f);

	o->session_us = ms * 1000;
	return rc;
}

static enum rc
set_without(struct sink_options *o, const char *value, struct fault *f)
{
	static const struct {
		struct str name;
		unsigned bit;
	} names[] = {
		{ STR_INIT("size"), SMTP_SERVER_SIZE },
		{ STR_INIT("pipelining"), SMTP_SERVER_PIPELINING },
		{ STR_INIT("8bitmime"), SMTP_SERVER_8BITMIME },
		{ STR_INIT("smtputf8"), SMTP_SERVER_SMTPUTF8 },
		{ STR_INIT("chunking"), SMTP_SERVER_CHUNKING },
		{ STR_INIT("enhancedstatuscodes"), SMTP_SERVER_ENHANCEDSTATUSCODES },
		{ STR_INIT("dsn"), SMTP_SERVER_DSN },
		{ STR_INIT("futurerelease"), SMTP_SERVER_FUTURERELEASE },
	};
	struct str rest = str_from(value), name;

	while (str_cut(&rest, ',', &name)) {
		unsigned bit = 0;
		for (size_t i = 0; i < COUNT_OF(names); i++) {
			if (str_eq_nocase(str_trim(name), names[i].name))
				bit = names[i].bit;
		}
		if (bit == 0)
			return fault_set(f, RC_INVALID, "\"%.*s\" is no extension", STR_ARG(name));
		o->without |= bit;
	}
	return RC_OK;
}

static enum rc
set_loops(struct sink_options *o, const char *value, struct fault *f)
{
	uint64_t n = 0;
	enum rc rc = read_number(value, 256, &n, f);

	if (rc == RC_OK && n == 0)
		return fault_set(f, RC_INVALID, "at least one is needed");
	o->loops = (unsigned)n;
	return rc;
}

static enum rc
set_seed(struct sink_options *o, const char *value, struct fault *f)
{
	return read_number(value, UINT64_MAX, &o->seed, f);
}

static enum rc
set_hostname(struct sink_options *o, const char *value, struct fault *f)
{
	o->hostname = value;
	return value[0] != '\0' ? RC_OK : fault_set(f, RC_INVALID, "a name is wanted");
}

static enum rc
set_rewrite(struct sink_options *o, const char *value, struct fault *f)
{
	(void)value;
	(void)f;
	o->rewrite_message_id = true;
	return RC_OK;
}

static enum rc
set_normalize(struct sink_options *o, const char *value, struct fault *f)
{
	(void)value;
	(void)f;
	o->normalize = true;
	return RC_OK;
}

static enum rc
set_json(struct sink_options *o, const char *value, struct fault *f)
{
	(void)value;
	(void)f;
	o->json = true;
	return RC_OK;
}

static enum rc
set_help(struct sink_options *o, const char *value, struct fault *f)
{
	(void)value;
	(void)f;
	o->help = true;
	return RC_OK;
}

/* ---- names ---- */

static const struct option_row {
	struct str name;
	option_fn *set;
	bool has_value;
} rows[] = {
	{ STR_INIT("listen"), set_listen, true },
	{ STR_INIT("tls"), set_tls, true },
	{ STR_INIT("cert"), set_cert, true },
	{ STR_INIT("key"), set_key, true },
	{ STR_INIT("auth"), set_auth, true },
	{ STR_INIT("keep"), set_keep, true },
	{ STR_INIT("count"), set_count, true },
	{ STR_INIT("reply"), set_reply, true },
	{ STR_INIT("fail"), set_fail, true },
	{ STR_INIT("drop"), set_drop, true },
	{ STR_INIT("drop-after-accept"), set_drop_after_accept, true },
	{ STR_INIT("delay"), set_delay, true },
	{ STR_INIT("max-connections"), set_max_connections, true },
	{ STR_INIT("rewrite-message-id"), set_rewrite, false },
	{ STR_INIT("seed"), set_seed, true },
	{ STR_INIT("loops"), set_loops, true },
	{ STR_INIT("hostname"), set_hostname, true },
	{ STR_INIT("max-size"), set_max_size, true },
	{ STR_INIT("max-recipients"), set_max_rcpts, true },
	{ STR_INIT("idle"), set_idle, true },
	{ STR_INIT("session"), set_session, true },
	{ STR_INIT("without"), set_without, true },
	{ STR_INIT("normalize"), set_normalize, false },
	{ STR_INIT("json"), set_json, false },
	{ STR_INIT("help"), set_help, false },
};

static const struct option_row *
find_row(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (str_eq(name, rows[i].name))
			return &rows[i];
	}
	return NULL;
}

/* Reads argv[*at], with its value from "--name=value" or from the next word. */
static enum rc
read_option(struct sink_options *o, int argc, char **argv, int *at, struct fault *f)
{
	struct str word = str_from(argv[*at]);
	struct fault inner = { 0 };

	if (str_eq(word, STR("-h")))
		word = STR("--help");
	if (!str_starts(word, STR("--")))
		return fault_set(
		    f, RC_INVALID, "\"%s\" is no option; --help lists them", argv[*at]);
	word = str_skip(word, 2);
	size_t equals = str_find(word, '=');
	const struct option_row *row = find_row(str_sub(word, 0, equals));
	if (row == NULL)
		return fault_set(f, RC_INVALID, "there is no option --%.*s; --help lists them",
		    STR_ARG(str_sub(word, 0, equals)));
	const char *value = NULL;
	if (equals < word.n)
		value = word.p + equals + 1;
	if (!row->has_value && value != NULL)
		return fault_set(f, RC_INVALID, "--%s takes no value", row->name.p);
	if (row->has_value && value == NULL) {
		if (*at + 1 >= argc)
			return fault_set(f, RC_INVALID, "--%s needs a value", row->name.p);
		value = argv[++*at];
	}
	enum rc rc = row->set(o, value, &inner);
	return rc == RC_OK ? RC_OK : fault_set(f, rc, "--%s: %s", row->name.p, inner.text);
}

enum rc
sink_options_parse(int argc, char **argv, struct sink_options *out, struct fault *f)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct sink_options o = {
		.hostname = "sink.invalid",
		.max_size = 100000000,
		.max_rcpts = 100000,
		.idle_us = (uint64_t)MINUTES(5),
		.seed = 1,
		.loops = cores > 0 ? (unsigned)cores : 1,
	};

	for (size_t i = 0; i < SINK_STAGE_COUNT; i++)
		o.rules[i].fail_percent = -1;
	for (int at = 1; at < argc && !o.help; at++) {
		enum rc rc = read_option(&o, argc, argv, &at, f);
		if (rc != RC_OK)
			return rc;
	}
	if (!o.help && o.n_listen == 0)
		return fault_set(f, RC_INVALID, "say where to listen: --listen 127.0.0.1:2600");
	if ((o.cert_file == NULL) != (o.key_file == NULL))
		return fault_set(f, RC_INVALID, "--cert and --key belong together");
	if (o.cert_file != NULL && o.tls == SINK_TLS_NONE)
		return fault_set(f, RC_INVALID, "--cert needs --tls implicit or --tls starttls");
	*out = o;
	return RC_OK;
}
