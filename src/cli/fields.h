/* Options that become the fields of a JSON body.
 *
 * `relay add --max-connections 5` is {"max_connections": 5}: a row for each option says under which
 * name and in which form its value goes to the service. What is not given is not sent, so the same
 * rows serve for adding (the service has the defaults) and for editing (the rest stays). */
#pragma once

#include <stdbool.h>

#include "codec/json_writer.h"

struct cli;

enum cli_field_form {
	CLI_FIELD_TEXT,
	CLI_FIELD_NUMBER, /* whole, up to 32 bits */
	CLI_FIELD_LIST,   /* an array of all values; commas separate too; one empty value: [] */
	CLI_FIELD_PAIRS,  /* OLD=NEW: an object */
	CLI_FIELD_FLAG,   /* true; or yes and no, where the option has a value */
};

struct cli_field {
	const char *option;
	const char *name;
	enum cli_field_form form;
};

/* Writes the members for all options that were given; the object is open. False, said on standard
 * error, when a value is none. *n_out: how many there were. */
bool cli_fields_write(
    struct cli *c, struct json_writer *w, const struct cli_field *rows, size_t n, size_t *n_out);
