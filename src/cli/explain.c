/* `posthouse explain`: what a refusal means, whose fault it is, what to do. Needs no service. */
#include <stdlib.h>

#include "cli/private.h"
#include "cli/words.h"
#include "codec/json_writer.h"
#include "relay/explain.h"
#include "relay/provider.h"

#define JSON_MAX 65536

/* What LC_ALL, LC_MESSAGES and LANG ask for, in the order that POSIX gives them. */
static enum relay_lang
lang_of_environment(void)
{
	static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
	enum relay_lang lang = RELAY_LANG_EN;

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *value = getenv(names[i]);
		if (value == NULL || value[0] == '\0')
			continue;
		(void)relay_lang_parse(str_from(value), &lang);
		break;
	}
	return lang;
}

static void
put_json(struct cli *c, const struct relay_explanation *e)
{
	struct json_writer w;
	struct buf b;

	buf_init(&b, JSON_MAX);
	json_writer_init(&w, &b);
	relay_explain_write(e, &w);
	json_writer_done(&w);
	cli_screen_print(c, "%.*s\n", STR_ARG(buf_str(&b)));
	buf_done(&b);
}

static void
add_fact(struct cli_table *t, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	cli_table_cell(t, CLI_DIM, str_from(name));
	cli_table_cell(t, CLI_PLAIN, value);
}

static struct str
what_is_done(struct cli *c, const struct relay_explanation *e)
{
	struct str doing = str_from(e->doing);
	struct buf b;

	if (e->verdict.wait_us <= 0)
		return doing;
	buf_init(&b, 64);
	cli_words_span(&b, e->verdict.wait_us);
	struct str out = arena_strf(&c->arena,
	    e->lang == RELAY_LANG_ZH ? "%.*s至少等待 %.*s。" : "%.*s Not before %.*s have passed.",
	    STR_ARG(doing), STR_ARG(buf_str(&b)));
	buf_done(&b);
	return out;
}

static void
show(struct cli *c, const struct relay_explanation *e)
{
	static const char *const labels[][2] = {
		{ "What to do", "怎么办" },
		{ "Whose fault", "责任" },
		{ "What happens", "处理" },
		{ "Provider", "服务商" },
		{ "Tag", "标签" },
		{ "How sure", "把握" },
	};
	const struct relay_verdict *v = &e->verdict;
	const struct relay_provider *p = relay_provider_named(str_from(v->provider));
	struct cli_table t;

	cli_screen_add(c, CLI_BOLD, str_from(e->cause));
	cli_screen_print(c, "\n\n");
	cli_table_init(&t, &c->arena);
	cli_table_column(&t, "", CLI_LEFT);
	cli_table_column(&t, "", CLI_ELASTIC);
	add_fact(&t, labels[0][e->lang], str_from(e->remedy));
	add_fact(&t, labels[1][e->lang],
	    arena_strf(&c->arena, "%s (%s)", e->fault, relay_blame_name(v->blame)));
	add_fact(&t, labels[2][e->lang], what_is_done(c, e));
	if (p != NULL)
		add_fact(&t, labels[3][e->lang],
		    str_from(e->lang == RELAY_LANG_ZH ? p->title_zh : p->title));
	add_fact(&t, labels[4][e->lang], str_from(v->tag));
	add_fact(&t, labels[5][e->lang],
	    arena_strf(&c->arena, "%s (%s)", e->certain, relay_certainty_name(v->certainty)));
	cli_screen_table(c, &t);
}

/* The words may come as one argument or several, as a shell leaves them without quotes. */
static struct str
joined(struct cli *c)
{
	struct str out = str_from(c->args.words[0]);

	for (size_t i = 1; i < c->args.n_words; i++)
		out = arena_strf(&c->arena, "%.*s %s", STR_ARG(out), c->args.words[i]);
	return out;
}

static int
run_explain(struct cli *c)
{
	const struct cli_parsed *p = &c->args;
	const char *lang = cli_option_get(p, "lang");
	struct relay_explanation e;
	struct fault f = { 0 };

	if (lang == NULL)
		lang = relay_lang_name(lang_of_environment());
	if (relay_explain(joined(c), str_from(cli_option_get(p, "provider")),
		str_from(cli_option_get(p, "stage")), str_from(lang), &e, &f) != RC_OK)
		return cli_screen_fail(CLI_USAGE, "%s", f.text);
	if (c->json)
		put_json(c, &e);
	else
		show(c, &e);
	return CLI_DONE;
}

static const struct cli_option options[] = {
	{ "provider", "NAME|HOST", "whose reply it is; told from its words otherwise", false },
	{ "stage", "STAGE",
	    "where it came: connect, tls, greeting, ehlo, auth, mail, rcpt, data or dot", false },
	{ "lang", "en|zh", "language of the explanation; that of the environment otherwise",
	    false },
	{ NULL, NULL, NULL, false },
};

static const struct cli_command commands[] = { { NULL, "\"REPLY\"", 1, 100,
    "say what a refusal means, whose fault it is and what to do",
    "Needs no service. REPLY is what the server said, as it stands in a log, on a screen or in a bounce.",
    "posthouse explain \"554 MI:STC 163 smtp7,please see http://mail.163.com/help\" --provider netease",
    options, run_explain } };
const struct cli_noun cli_explain_noun = { "explain", "what a refusal means", commands, 1 };
