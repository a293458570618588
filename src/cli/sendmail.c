/* Options as a table of letters, then one message: read, completed, handed in.
 *
 * Whether the control socket may be used is asked of the file system, not tried: a message that was
 * handed in twice would be two messages. */
#include "cli/sendmail.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/join.h"
#include "cli/mailq.h"
#include "cli/place.h"
#include "cli/private.h"
#include "cli/raw.h"
#include "cli/submit.h"
#include "codec/rfc2047.h"

#define MESSAGE_MAX (64u << 20)

/* As sendmail has always had them; a colon behind those with a value. */
#define LETTERS     "A:B:C:D:F:GIL:N:O:R:UV:X:b:cd:e:f:h:imno:p:q:r:stvx"

struct sendmail {
	struct cli cli;
	struct str domain;    /* of local names */
	struct str user;      /* who runs this */
	struct str full_name; /* for From */
	const char *sender;   /* NULL: the user */
	struct str notify, ret, envid;
	char mode;        /* of -b: m, s, p, i, v, d */
	bool from_header; /* -t */
	bool dot_is_text; /* -i */
	struct cli_raw_list rcpts;
};

static int fail(int status, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int
fail(int status, const char *fmt, ...)
{
	struct arena a = { 0 };
	va_list ap;

	va_start(ap, fmt);
	struct str text = arena_strv(&a, fmt, ap);
	va_end(ap);
	fprintf(stderr, "sendmail: %.*s\n", STR_ARG(text));
	arena_done(&a);
	return status;
}

/* ---- options ---- */

static void
set_option(struct sendmail *s, int letter, const char *value)
{
	switch (letter) {
	case 't': s->from_header = true; break;
	case 'i': s->dot_is_text = true; break;
	case 'o':
		if (value[0] == 'i' || strcmp(value, "7i") == 0)
			s->dot_is_text = true;
		break;
	case 'O':
		if (strcasecmp(value, "IgnoreDots") == 0 ||
		    strcasecmp(value, "IgnoreDots=true") == 0)
			s->dot_is_text = true;
		break;
	case 'f':
	case 'r': s->sender = value; break;
	case 'F': s->full_name = str_from(value); break;
	case 'b': s->mode = value[0]; break;
	case 'N': s->notify = str_from(value); break;
	case 'R': s->ret = str_from(value); break;
	case 'V': s->envid = str_from(value); break;
	case 's': s->mode = 's'; break;
	default: break; /* of no meaning here */
	}
}

static bool
read_options(struct sendmail *s, int argc, char **argv)
{
	int letter;

	opterr = 0;
	optind = 1;
	while ((letter = getopt(argc, argv, LETTERS)) != -1) {
		if (letter == '?' && optopt == 'q')
			continue; /* a lone -q: run the queue, which the service does by itself */
		if (letter == '?') {
			(void)fail(EX_USAGE,
			    strchr(LETTERS, optopt) != NULL ? "option -%c wants a value"
							    : "there is no option -%c",
			    optopt);
			return false;
		}
		set_option(s, letter, optarg);
	}
	for (int i = optind; i < argc; i++) {
		struct str rest = str_from(argv[i]), item;
		while (str_cut(&rest, ',', &item)) {
			item = str_trim(item);
			if (item.n >= 2 && item.p[0] == '<' && item.p[item.n - 1] == '>')
				item = str_sub(item, 1, item.n - 2);
			if (item.n != 0)
				cli_raw_add(&s->cli.arena, &s->rcpts, item, s->domain);
		}
	}
	return true;
}

static void
find_user(struct sendmail *s)
{
	const struct passwd *pw = getpwuid(getuid());
	struct arena *a = &s->cli.arena;

	if (pw == NULL) {
		s->user = arena_strf(a, "uid%u", (unsigned)getuid());
		return;
	}
	s->user = arena_str(a, str_from(pw->pw_name));
	struct str gecos = str_from(pw->pw_gecos);
	s->full_name = arena_str(a, str_sub(gecos, 0, str_find(gecos, ',')));
}

/* The envelope sender: -f, else the user; "<>" and "" are the null sender. */
static struct str
sender_of(struct sendmail *s)
{
	struct str from = s->sender != NULL ? str_trim(str_from(s->sender)) : s->user;

	if (from.n >= 2 && from.p[0] == '<' && from.p[from.n - 1] == '>')
		from = str_sub(from, 1, from.n - 2);
	if (from.n == 0 || str_has_byte(from, '@'))
		return from;
	return arena_strf(&s->cli.arena, "%.*s@%.*s", STR_ARG(from), STR_ARG(s->domain));
}

/* ---- one message ---- */

/* "Root User <root@host>" */
static struct str
from_field(struct sendmail *s, struct str sender)
{
	struct buf b;

	if (sender.n == 0)
		sender =
		    arena_strf(&s->cli.arena, "%.*s@%.*s", STR_ARG(s->user), STR_ARG(s->domain));
	if (s->full_name.n == 0)
		return sender;
	buf_init(&b, 8192);
	rfc2047_encode_phrase(&b, s->full_name);
	buf_addf(&b, " <%.*s>", STR_ARG(sender));
	struct str out = arena_str(&s->cli.arena, buf_str(&b));
	buf_done(&b);
	return out;
}

/* Standard input, as it will be handed in. */
static int
read_message(struct sendmail *s, struct str sender, struct buf *out)
{
	struct buf in, lines;
	struct fault f = { 0 };
	int status = EX_OK;

	buf_init(&in, MESSAGE_MAX);
	buf_init(&lines, 2 * MESSAGE_MAX);
	if (cli_input_read("-", &in, &f) != RC_OK) {
		status = fail(f.rc == RC_LIMIT ? EX_DATAERR : EX_NOINPUT, "%s", f.text);
	} else {
		cli_raw_normalise(&lines, buf_str(&in),
		    (unsigned)(s->dot_is_text ? 0 : CLI_RAW_DOT_ENDS) | CLI_RAW_NO_NULS);
		cli_raw_complete(out, buf_str(&lines), from_field(s, sender));
	}
	buf_done(&in);
	buf_done(&lines);
	return status;
}

static int
exit_of(int status)
{
	switch ((enum cli_exit)status) {
	case CLI_DONE: return EX_OK;
	case CLI_USAGE: return EX_DATAERR;
	case CLI_REFUSED: return EX_NOPERM;
	case CLI_NOT_FOUND: return EX_UNAVAILABLE;
	case CLI_NO_SERVICE:
	case CLI_FAILED: break;
	}
	return EX_TEMPFAIL;
}

static int
hand_in_by_api(struct sendmail *s, struct str sender, struct str content)
{
	struct cli *c = &s->cli;
	struct str path = STR("/emails");
	struct json *doc = NULL;

	path = cli_call_query(c, path, "from", sender.n != 0 ? sender.p : "");
	for (size_t i = 0; i < s->rcpts.n; i++)
		path = cli_call_query(c, path, "to", s->rcpts.v[i].p);
	struct cli_request r = {
		.method = "POST", .path = path, .type = STR("message/rfc822"), .body = content
	};
	int status = cli_call(c, &r, &doc);
	json_free(&doc);
	return exit_of(status);
}

static int
hand_in_by_smtp(struct sendmail *s, struct str sender, struct str content)
{
	struct cli_submit submit = {
		.server = cli_place_smtp(&s->cli.arena),
		.hostname = STR("localhost"),
		.sender = sender,
		.rcpts = s->rcpts.v,
		.n_rcpts = s->rcpts.n,
		.content = content,
		.notify = s->notify,
		.ret = s->ret,
		.envid = s->envid,
	};
	struct fault f = { 0 };

	switch (cli_submit(&submit, &f)) {
	case RC_OK: return EX_OK;
	case RC_DENIED: return fail(EX_UNAVAILABLE, "%s", f.text);
	case RC_INVALID:
	case RC_LIMIT: return fail(EX_DATAERR, "%s", f.text);
	case RC_CLOSED:
		return fail(EX_TEMPFAIL, "%s; start the service with: posthouse serve --data %s",
		    f.text, s->cli.data);
	default: return fail(EX_TEMPFAIL, "%s", f.text);
	}
}

/* By SMTP where this user may not use the socket, and for what only SMTP can say. */
static bool
goes_by_smtp(struct sendmail *s)
{
	bool dsn = s->notify.n != 0 || s->ret.n != 0 || s->envid.n != 0;

	return dsn || (access(cli_call_socket(&s->cli).p, W_OK) != 0 &&
			  (errno == EACCES || errno == EPERM));
}

static int
send_message(struct sendmail *s)
{
	struct str sender = sender_of(s);
	struct fault f = { 0 };
	struct buf message;

	buf_init(&message, 2 * MESSAGE_MAX);
	int status = read_message(s, sender, &message);
	if (status == EX_OK && s->from_header &&
	    cli_raw_recipients(buf_str(&message), &s->cli.arena, &s->rcpts, s->domain, &f) != RC_OK)
		status = fail(EX_DATAERR, "%s", f.text);
	if (status == EX_OK && s->rcpts.n == 0)
		status = fail(EX_USAGE,
		    s->from_header
			? "the header names no recipient; name some in To, Cc or Bcc, or behind the options"
			: "no recipient; name some behind the options, or use -t to take those of the header");
	if (status == EX_OK)
		status = goes_by_smtp(s) ? hand_in_by_smtp(s, sender, buf_str(&message))
					 : hand_in_by_api(s, sender, buf_str(&message));
	buf_done(&message);
	return status;
}

/* ---- SMTP on standard input and output ---- */

/* The first SMTP listener, as the service says, else as the settings do. */
static struct str
find_listener(struct sendmail *s)
{
	struct cli_request r = { .path = STR("/status"), .quiet = true };
	AUTO(json_free) struct json *doc = NULL;

	if (cli_call(&s->cli, &r, &doc) == CLI_DONE) {
		const struct json *all = json_at(doc, "listeners");
		for (size_t i = 0; i < json_count(all); i++) {
			const struct json *l = json_item(all, i);
			if (str_eq(cli_call_text(&s->cli, l, "kind"), STR("smtp")))
				return cli_place_reachable(
				    &s->cli.arena, cli_call_text(&s->cli, l, "address"));
		}
	}
	return cli_place_smtp(&s->cli.arena);
}

static int
speak_smtp(struct sendmail *s)
{
	struct str server = find_listener(s);
	struct fault f = { 0 };

	enum rc rc = cli_join(server, STDIN_FILENO, STDOUT_FILENO, &f);

	if (rc == RC_OK)
		return EX_OK;
	if (rc == RC_IO)
		return fail(EX_TEMPFAIL, "%s", f.text);
	/* A client waits for a greeting, so the reason is given as one too. */
	printf("421 4.3.2 The service is not running\r\n");
	fflush(stdout);
	return fail(EX_TEMPFAIL, "%s; start the service with: posthouse serve --data %s", f.text,
	    s->cli.data);
}

static int
run(struct sendmail *s, int argc, char **argv)
{
	switch (s->mode) {
	case 'm': return send_message(s);
	case 's': return speak_smtp(s);
	case 'p': return cli_mailq_main(argc, argv);
	case 'i': return EX_OK; /* newaliases: there are none */
	case 'd':
	case 'D':
		return fail(
		    EX_USAGE, "the service is run by: posthouse serve --data %s", s->cli.data);
	default: return fail(EX_USAGE, "-b%c means nothing here; use -bm, -bs or -bp", s->mode);
	}
}

int
cli_sendmail_main(int argc, char **argv)
{
	struct sendmail s = { .mode = 'm' };
	int status = EX_USAGE;

	signal(SIGPIPE, SIG_IGN);
	cli_screen_init(&s.cli);
	cli_screen_set_name("sendmail");
	s.cli.data = cli_place_data(&s.cli.arena).p;
	s.domain = cli_place_domain(&s.cli.arena);
	find_user(&s);
	if (read_options(&s, argc, argv))
		status = run(&s, argc, argv);
	buf_done(&s.cli.out);
	arena_done(&s.cli.arena);
	return status;
}
