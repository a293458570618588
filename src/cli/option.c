/* One pass over the words. An option is looked up by its whole name; what is near a known one is
 * named in the error, so that a slip costs one look. */
#include "cli/option.h"

#include <string.h>

#include "cli/words.h"

const struct cli_option cli_option_general[] = {
	{ "data", "DIR", "the service's data directory (POSTHOUSE_DATA, else ./posthouse-data)",
	    false },
	{ "url", "URL", "talk to the service over the network instead (POSTHOUSE_URL)", false },
	{ "key", "KEY", "API key for --url; better kept in the variable POSTHOUSE_KEY", false },
	{ "json", NULL, "print what the service answers, as JSON", false },
	{ "help", NULL, "print the options and an example", false },
	{ NULL, NULL, NULL, false },
};

struct reader {
	const struct cli_option *const *lists;
	struct cli_parsed out;
};

static const struct cli_option *
find(const struct reader *r, struct str name)
{
	for (size_t i = 0; r->lists[i] != NULL; i++) {
		for (const struct cli_option *o = r->lists[i]; o->name != NULL; o++) {
			if (str_eq(name, str_from(o->name)))
				return o;
		}
	}
	return NULL;
}

static enum rc
unknown(const struct reader *r, struct str name, struct fault *f)
{
	struct cli_words_guess guess = { .word = name };

	for (size_t i = 0; r->lists[i] != NULL; i++) {
		for (const struct cli_option *o = r->lists[i]; o->name != NULL; o++)
			cli_words_offer(&guess, o->name);
	}
	if (guess.best != NULL)
		return fault_set(f, RC_INVALID, "there is no option --%.*s; did you mean --%s?",
		    STR_ARG(name), guess.best);
	return fault_set(f, RC_INVALID, "there is no option --%.*s", STR_ARG(name));
}

/* Reads the option in `word`; `next` is the word behind it, or NULL. *used_out: whether that was
 * its value. */
static enum rc
take_option(struct reader *r, const char *word, const char *next, bool *used_out, struct fault *f)
{
	struct str all = str_from(word + 2);
	size_t equals = str_find(all, '=');
	const struct cli_option *o = find(r, str_sub(all, 0, equals));
	const char *value = equals < all.n ? all.p + equals + 1 : NULL;

	*used_out = false;
	if (o == NULL)
		return unknown(r, str_sub(all, 0, equals), f);
	if (o->value == NULL && value != NULL)
		return fault_set(f, RC_INVALID, "--%s takes no value", o->name);
	if (o->value != NULL && value == NULL) {
		if (next == NULL || (strncmp(next, "--", 2) == 0 && next[2] != '\0'))
			return fault_set(f, RC_INVALID, "--%s wants a value: --%s %s", o->name,
			    o->name, o->value);
		value = next;
		*used_out = true;
	}
	if (!o->many && cli_option_is_given(&r->out, o->name))
		return fault_set(f, RC_INVALID, "--%s is given twice", o->name);
	r->out.given[r->out.n_given++] = (struct cli_given){ o, value };
	return RC_OK;
}

/* One word that begins with a dash and is more than that. */
static enum rc
take_dashed(struct reader *r, const char *word, const char *next, bool *used_out, struct fault *f)
{
	const struct cli_option *help = find(r, STR("help"));

	*used_out = false;
	if (word[1] == '-')
		return take_option(r, word, next, used_out, f);
	if (strcmp(word, "-h") != 0 || help == NULL)
		return fault_set(
		    f, RC_INVALID, "there is no option %s: options begin with two dashes", word);
	r->out.given[r->out.n_given++] = (struct cli_given){ help, NULL };
	return RC_OK;
}

enum rc
cli_option_parse(int argc, char **argv, const struct cli_option *const *lists, struct arena *a,
    struct cli_parsed *out, struct fault *f)
{
	size_t n = argc > 0 ? (size_t)argc : 0;
	struct reader r = { .lists = lists };
	bool options = true, used;
	enum rc rc = RC_OK;

	r.out.given = ARENA_NEW_ARRAY(a, struct cli_given, n + 1);
	r.out.words = ARENA_NEW_ARRAY(a, const char *, n + 1);
	for (size_t i = 0; i < n && rc == RC_OK; i++) {
		const char *word = argv[i];
		if (!options || word[0] != '-' || word[1] == '\0') {
			r.out.words[r.out.n_words++] = word;
		} else if (strcmp(word, "--") == 0) {
			options = false;
		} else {
			rc = take_dashed(&r, word, i + 1 < n ? argv[i + 1] : NULL, &used, f);
			i += used;
		}
	}
	if (rc == RC_OK)
		*out = r.out;
	return rc;
}

const char *
cli_option_each(const struct cli_parsed *p, const char *name, size_t *at)
{
	while (*at < p->n_given) {
		const struct cli_given *g = &p->given[(*at)++];
		if (strcmp(g->option->name, name) == 0)
			return g->value;
	}
	return NULL;
}

const char *
cli_option_get(const struct cli_parsed *p, const char *name)
{
	size_t at = 0;

	return cli_option_each(p, name, &at);
}

bool
cli_option_is_given(const struct cli_parsed *p, const char *name)
{
	for (size_t i = 0; i < p->n_given; i++) {
		if (strcmp(p->given[i].option->name, name) == 0)
			return true;
	}
	return false;
}

size_t
cli_option_count(const struct cli_parsed *p, const struct cli_option *list)
{
	size_t n = 0;

	for (const struct cli_option *o = list; o->name != NULL; o++) {
		for (size_t i = 0; i < p->n_given; i++)
			n += p->given[i].option == o;
	}
	return n;
}
