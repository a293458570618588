/* One walk over the rows; each form has its writer. */
#include "cli/fields.h"

#include "cli/private.h"

static bool
write_number(struct cli *c, struct json_writer *w, const struct cli_field *f)
{
	uint64_t n;

	if (!cli_input_number(c, f->option, 0, UINT32_MAX, &n))
		return false;
	json_writer_put_uint(w, f->name, n);
	return true;
}

static bool
write_list(struct cli *c, struct json_writer *w, const struct cli_field *f)
{
	const char *value;
	size_t at = 0;

	json_writer_put_array(w, f->name);
	while ((value = cli_option_each(&c->args, f->option, &at)) != NULL) {
		struct str rest = str_from(value), item;
		while (str_cut(&rest, ',', &item)) {
			item = str_trim(item);
			if (item.n != 0)
				json_writer_str(w, item);
		}
	}
	json_writer_end(w);
	return true;
}

/* A key that comes twice would not be JSON, so it is found out here. */
static bool
write_pairs(struct cli *c, struct json_writer *w, const struct cli_field *f)
{
	const char *value, *other;
	size_t at = 0;

	json_writer_put_object(w, f->name);
	while ((value = cli_option_each(&c->args, f->option, &at)) != NULL) {
		struct str all = str_from(value);
		size_t equals = str_find(all, '='), before = 0;
		struct str key = str_sub(all, 0, equals);
		if (all.n == 0)
			continue;
		if (equals == all.n || equals == 0 || equals + 1 == all.n) {
			cli_screen_fail(CLI_USAGE,
			    "--%s %s: OLD=NEW is wanted, such as shop@a.example=you@b.example",
			    f->option, value);
			return false;
		}
		while ((other = cli_option_each(&c->args, f->option, &before)) != NULL &&
		       other != value) {
			struct str o = str_from(other);
			if (!str_eq(str_sub(o, 0, str_find(o, '=')), key))
				continue;
			cli_screen_fail(
			    CLI_USAGE, "--%s is given twice for %.*s", f->option, STR_ARG(key));
			return false;
		}
		json_writer_key(w, key);
		json_writer_str(w, str_skip(all, equals + 1));
	}
	json_writer_end(w);
	return true;
}

static bool
write_flag(struct cli *c, struct json_writer *w, const struct cli_field *f)
{
	struct str value = str_from(cli_option_get(&c->args, f->option));
	bool yes = value.n == 0 || str_eq_nocase(value, STR("yes"));

	if (!yes && !str_eq_nocase(value, STR("no"))) {
		cli_screen_fail(
		    CLI_USAGE, "--%s %.*s: yes or no is wanted", f->option, STR_ARG(value));
		return false;
	}
	json_writer_put_bool(w, f->name, yes);
	return true;
}

static bool
write_one(struct cli *c, struct json_writer *w, const struct cli_field *f)
{
	switch (f->form) {
	case CLI_FIELD_TEXT:
		json_writer_put_str(w, f->name, str_from(cli_option_get(&c->args, f->option)));
		return true;
	case CLI_FIELD_NUMBER: return write_number(c, w, f);
	case CLI_FIELD_LIST: return write_list(c, w, f);
	case CLI_FIELD_PAIRS: return write_pairs(c, w, f);
	case CLI_FIELD_FLAG: return write_flag(c, w, f);
	}
	return true;
}

bool
cli_fields_write(
    struct cli *c, struct json_writer *w, const struct cli_field *rows, size_t n, size_t *n_out)
{
	size_t given = 0;

	for (size_t i = 0; i < n; i++) {
		if (!cli_option_is_given(&c->args, rows[i].option))
			continue;
		if (!write_one(c, w, &rows[i]))
			return false;
		given++;
	}
	*n_out = given;
	return true;
}
