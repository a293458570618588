/* Reading JSON (RFC 8259), strictly: UTF-8, no duplicate keys, no NUL in strings, bounded size and
 * depth.
 *
 * A document is parsed whole and read through `const struct json *`, which stands for any value in
 * it. Values belong to their document and live as long as it does; so do the views of their
 * strings. Nothing changes a document once it is parsed.
 *
 * Fields are named by paths: keys joined by dots, items of arrays by number in brackets, as in
 * "to[0].email". A path comes from our own code, so a malformed one is our bug. The texts in faults
 * name the whole path and what belongs there; they are meant for whoever wrote the JSON. JSON is
 * written with codec/json_writer.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/str.h"

struct json;
struct json_writer;

enum json_kind {
	JSON_KIND_NULL,
	JSON_KIND_BOOL,
	JSON_KIND_INT,
	JSON_KIND_REAL,
	JSON_KIND_STR,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT
};

#define JSON_DEPTH_MAX 64u /* nothing deeper is ever read or written */

/* Parses the whole of `text`, which must be an object or an array of at most `bytes_max` bytes.
 * RC_LIMIT: too large or nested too deep; RC_INVALID: not JSON, the fault says where. *out is freed
 * with json_free. */
enum rc json_parse(struct str text, size_t bytes_max, struct json **out, struct fault *f);
/* Takes NULL; serves with AUTO. */
void json_free(struct json **doc);

enum json_kind json_kind(const struct json *v);
/* "a string", "a number" ... for texts. */
const char *json_kind_name(enum json_kind kind);

/* The value at `path` below `v`, or NULL where there is none. A null counts as none. */
const struct json *json_at(const struct json *v, const char *path);

/* Required fields. RC_NOT_FOUND where there is none (null is none), RC_INVALID where it is of
 * another kind or out of range; *out is untouched then. An integer may be written 5 or 5.0. */
enum rc json_get_str(const struct json *v, const char *path, struct str *out, struct fault *f);
enum rc json_get_bool(const struct json *v, const char *path, bool *out, struct fault *f);
enum rc json_get_int(const struct json *v, const char *path, int64_t min, int64_t max, int64_t *out,
    struct fault *f);
enum rc json_get_array(
    const struct json *v, const char *path, const struct json **out, struct fault *f);
enum rc json_get_object(
    const struct json *v, const char *path, const struct json **out, struct fault *f);

/* Optional fields: as above, but RC_OK with *out untouched where there is none. */
enum rc json_opt_str(const struct json *v, const char *path, struct str *out, struct fault *f);
enum rc json_opt_bool(const struct json *v, const char *path, bool *out, struct fault *f);
enum rc json_opt_int(const struct json *v, const char *path, int64_t min, int64_t max, int64_t *out,
    struct fault *f);
enum rc json_opt_array(
    const struct json *v, const char *path, const struct json **out, struct fault *f);
enum rc json_opt_object(
    const struct json *v, const char *path, const struct json **out, struct fault *f);

/* A value by itself: empty, 0 and false for what is of another kind. */
struct str json_str(const struct json *v);
double json_number(const struct json *v);
bool json_bool(const struct json *v);

/* Members of an array or object, 0 for anything else. */
size_t json_count(const struct json *v);
const struct json *json_item(const struct json *array, size_t i); /* NULL behind the end */

/* Walks an object in the order written: `void *it = NULL; while (json_next(v, &it, &key, &value))`.
 * What is no object has no members. */
bool json_next(const struct json *object, void **it, struct str *key, const struct json **value);

/* Checks that `object` has no key but `names` (n of them). RC_INVALID names the first stranger. */
enum rc json_only(const struct json *object, const char *const *names, size_t n, struct fault *f);

/* Writes the value again. */
void json_write(const struct json *v, struct json_writer *w);
