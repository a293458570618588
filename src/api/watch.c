/* A look is a call of the api's own: dispatcher, pool, and back here with the problems and the
 * alarms. A problem is known by its key; one that is new is told, one that is gone is told too.
 * What is wrong when the service starts is told at the second look, so that a relay may say hello
 * first.
 *
 * Commands run with the text on standard input and the subject in POSTHOUSE_ALARM; they get five
 * minutes. LIMITS: sixteen commands at a time; more are left out and logged. */
#include "api/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/alarm_post.h"
#include "api/email.h"
#include "api/problems.h"
#include "api/relay_retire.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/random.h"
#include "mail/compose.h"
#include "store/config_system.h"

#define WATCH_MAGIC  0xa1a17e0fu
#define LOOK_EVERY   SECONDS(10)
#define COMMANDS_MAX 16
#define COMMAND_TIME MINUTES(5)

struct known {
	char *key;
	char *what;
	bool seen; /* at the present look */
};

struct command {
	pid_t pid; /* 0: free */
	int64_t until_us;
};

struct api_watch {
	uint32_t magic;
	struct api *api;
	struct loop_timer timer;
	struct known known[API_PROBLEMS_MAX];
	size_t n_known;
	struct command commands[COMMANDS_MAX];
	unsigned looks;
	bool looking; /* a call is under way */
};

/* ---- commands ---- */

static void
reap(struct api_watch *w)
{
	int64_t now = loop_now_us(w->api->opts.loop);

	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct command *c = &w->commands[i];
		int status;
		if (c->pid == 0)
			continue;
		pid_t got = waitpid(c->pid, &status, WNOHANG);
		if (got == c->pid || (got < 0 && errno == ECHILD)) {
			if (got == c->pid && status != 0)
				log_event(LOG_WARN, NULL, "alarm.command",
				    "an alarm's command ended with status %d",
				    WIFEXITED(status) ? WEXITSTATUS(status)
						      : 128 + WTERMSIG(status));
			c->pid = 0;
		} else if (now > c->until_us) {
			kill(c->pid, SIGKILL);
		}
	}
}

/* The text fits into a pipe, so writing it here does not wait for the command. */
static int
pipe_with(struct str text)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	if (fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0 || write(ends[1], text.p, text.n) < 0)
		log_event(LOG_WARN, NULL, "alarm.command",
		    "a command gets no text on its standard input");
	close(ends[1]);
	return ends[0];
}

static int
spawn(const char *command, int in, const char *subject, pid_t *pid_out)
{
	char *argv[] = { str_dup0(STR("sh")), str_dup0(STR("-c")), str_dup0(str_from(command)),
		NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	char **env = MEM_NEW_ARRAY(char *, n + 2);
	memcpy(env, environ, n * sizeof(*env));
	struct buf entry;
	buf_init(&entry, 4096);
	buf_addf(&entry, "POSTHOUSE_ALARM=%.3000s", subject);
	env[n] = buf_steal(&entry);
	sigemptyset(&none);
	sigfillset(&usual);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawnattr_init(&attr);
	/* The service blocks and ignores signals that a command should die of. */
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &usual);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int err = posix_spawn(pid_out, "/bin/sh", &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	for (size_t i = 0; argv[i] != NULL; i++)
		free(argv[i]);
	free(env[n]);
	free(env);
	return err;
}

static void
run_command(struct api_watch *w, struct str command, struct str subject, struct str text)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct command *place = NULL;

	reap(w);
	for (size_t i = 0; i < COMMANDS_MAX && place == NULL; i++)
		if (w->commands[i].pid == 0)
			place = &w->commands[i];
	int in = place != NULL ? pipe_with(text) : -1;
	if (in < 0) {
		log_event(LOG_ERROR, NULL, "alarm.command", "an alarm's command could not be run");
		return;
	}
	int err = spawn(arena_str(&a, command).p, in, arena_str(&a, subject).p, &place->pid);
	close(in);
	if (err != 0) {
		place->pid = 0;
		errno = err;
		log_event(
		    LOG_ERROR, NULL, "alarm.command", "an alarm's command could not be run: %m");
		return;
	}
	place->until_us = loop_now_us(w->api->opts.loop) + COMMAND_TIME;
}

/* ---- mail ---- */

/* An address that the default relay carries, since it is what takes the alarm out. */
static struct str
alarm_sender(struct api_call *c)
{
	const struct relay_version_row *v = relay_book_default(c->relays);
	struct str list = v != NULL ? v->senders : (struct str){ 0 }, word;

	while (api_next_word(&list, &word))
		if (word.p[0] != '@' && str_has_byte(word, '@'))
			return word;
	if (v != NULL && v->senders.n == 0 && str_has_byte(v->user, '@'))
		return v->user;
	if (v != NULL && v->senders.n != 0) {
		list = v->senders;
		if (api_next_word(&list, &word) && word.p[0] == '@')
			return arena_strf(&c->arena, "posthouse%.*s", STR_ARG(word));
	}
	return arena_strf(&c->arena, "posthouse@%.*s", STR_ARG(c->api->opts.hostname));
}

static bool
compose_alarm(
    struct api_call *c, struct str to, struct str subject, struct str text, struct api_email *out)
{
	struct mail_compose m = { .text = text };
	struct mail_compose_person person = { 0 };
	struct api_rcpts rcpts = { 0 };
	const char *why;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1 << 20);
	if (mail_addr_parse(alarm_sender(c), MAIL_ADDR_UTF8, &c->arena, &m.from.addr, &why) !=
		RC_OK ||
	    api_rcpts_add(&rcpts, "target", to, &c->arena, NULL) != RC_OK || rcpts.n == 0)
		return false;
	person.addr = rcpts.v[0].addr;
	m.from.display = header_value_clean(&c->arena, STR("Posthouse"));
	m.to = (struct mail_compose_people){ &person, 1 };
	m.subject = header_value_clean(&c->arena, subject);
	m.unique = arena_strf(&c->arena, "%016llx", (unsigned long long)random_u64());
	if (mail_compose(&b, &m, &why) != RC_OK)
		return false;
	*out =
	    (struct api_email){ m.from.addr, rcpts.v, rcpts.n, arena_str(&c->arena, buf_str(&b)) };
	return true;
}

static void
send_mail(struct api *a, struct str to, struct str subject, struct str text)
{
	struct api_call *c = api_call_new(a, NULL);
	struct api_email m;

	c->who = STR("posthouse");
	if (compose_alarm(c, to, subject, text, &m))
		api_email_submit(c, &m);
	else
		api_fail(c, RC_INVALID, "an alarm could not be written to %.*s", STR_ARG(to));
}

void
api_watch_sound(struct api *a, const struct store_alarm_row *alarms, size_t n, struct str subject,
    struct str text)
{
	log_event(LOG_WARN, NULL, "alarm", "%.*s", STR_ARG(subject));
	for (size_t i = 0; i < n; i++) {
		if (str_eq(alarms[i].kind, STR("command")))
			run_command(a->alarms, alarms[i].target, subject, text);
		else if (str_eq(alarms[i].kind, STR("mail")))
			send_mail(a, alarms[i].target, subject, text);
		else if (str_eq(alarms[i].kind, STR("url")))
			api_alarm_post(a->opts.pool, alarms[i].target, subject, text);
	}
}

/* ---- looking ---- */

struct look_task {
	struct api_problems problems;
	struct store_alarm_row *alarms;
	uint32_t n_alarms;
};

static enum rc
read_look(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct look_task *t = c->data;
	struct api_groups groups = { 0 };
	enum rc rc = api_groups_read(c, r, &groups, f);

	if (rc == RC_OK)
		rc = api_problems_read(c, r, &groups, &t->problems, f);
	if (rc == RC_OK)
		rc = store_config_alarm_list(r, &c->arena, &t->alarms, &t->n_alarms, f);
	return rc;
}

static struct known *
known_of(struct api_watch *w, struct str key)
{
	for (size_t i = 0; i < w->n_known; i++)
		if (str_eq(str_from(w->known[i].key), key))
			return &w->known[i];
	return NULL;
}

static void
tell(struct api_call *c, const char *word, struct str what, struct str remedy)
{
	const struct look_task *t = c->data;
	struct str subject = arena_strf(&c->arena, "Posthouse on %.*s: %s%.*s",
	    STR_ARG(c->api->opts.hostname), word, STR_ARG(what));
	struct str text = arena_strf(&c->arena, "%s%.*s.\n%s%.*s\n", word, STR_ARG(what),
	    remedy.n != 0 ? "What to do: " : "", STR_ARG(remedy));

	api_watch_sound(c->api, t->alarms, t->n_alarms, subject, text);
}

static void
compare(struct api_call *c)
{
	const struct look_task *t = c->data;
	struct api_watch *w = c->api->alarms;

	for (size_t i = 0; i < w->n_known; i++)
		w->known[i].seen = false;
	for (size_t i = 0; i < t->problems.n; i++) {
		const struct api_problem *p = &t->problems.v[i];
		struct known *k = known_of(w, p->key);
		if (k == NULL && w->n_known < API_PROBLEMS_MAX) {
			k = &w->known[w->n_known++];
			*k = (struct known){ str_dup0(p->key), str_dup0(p->what), true };
			tell(c, "", p->what, p->remedy);
		}
		if (k != NULL)
			k->seen = true;
	}
	for (size_t i = w->n_known; i-- > 0;) {
		struct known gone = w->known[i];
		if (gone.seen)
			continue;
		w->known[i] = w->known[--w->n_known];
		tell(c, "over: ", str_from(gone.what), (struct str){ 0 });
		free(gone.key);
		free(gone.what);
	}
}

static void
looked(struct api_call *c)
{
	struct api_watch *w = c->api->alarms;

	if (w != NULL && ++w->looks > 1)
		compare(c);
	else if (w != NULL)
		api_relay_retire_tidy(c->api);
	api_done(c);
}

static void
read_now(struct api_call *c)
{
	api_read(c, read_look, looked);
}

static void
on_ended(struct api_call *c)
{
	if (c->api->alarms != NULL)
		c->api->alarms->looking = false;
}

static void
on_time(void *arg)
{
	struct api_watch *w = FROM_ARG(struct api_watch, arg, WATCH_MAGIC);
	struct loop *loop = w->api->opts.loop;

	loop_timer_set(loop, &w->timer, loop_now_us(loop) + LOOK_EVERY);
	reap(w);
	if (w->looking)
		return;
	w->looking = true;
	struct api_call *c = api_call_new(w->api, NULL);
	c->who = STR("posthouse");
	c->data = ARENA_NEW(&c->arena, struct look_task);
	c->ended = on_ended;
	api_look(c, true, read_now);
}

struct api_watch *
api_watch_new(struct api *a)
{
	struct api_watch *w = MEM_NEW(struct api_watch);

	w->magic = WATCH_MAGIC;
	w->api = a;
	loop_timer_init(&w->timer, on_time, w);
	loop_timer_set(a->opts.loop, &w->timer, loop_now_us(a->opts.loop) + LOOK_EVERY);
	return w;
}

void
api_watch_free(struct api_watch **wp)
{
	struct api_watch *w = TAKE(*wp);

	if (w == NULL)
		return;
	loop_timer_cancel(w->api->opts.loop, &w->timer);
	for (size_t i = 0; i < w->n_known; i++) {
		free(w->known[i].key);
		free(w->known[i].what);
	}
	free(w);
}
