/* Reading JSON: a wrapper around jansson, which no other file sees.
 *
 * struct json is never defined: a pointer to one is a json_t, and the two casts below are the only
 * crossings. jansson recurses as deep as its input nests (up to 2048), so depth is bounded before
 * it sees the text. Its own errors are kept, with line and column, since they are good. */
#include "codec/json.h"

#include <jansson.h>
#include <string.h>

#include "base/check.h"
#include "codec/json_writer.h"

static inline const json_t *
inside(const struct json *v)
{
	return (const json_t *)(const void *)v;
}

static inline const struct json *
outside(const json_t *j)
{
	return (const struct json *)(const void *)j;
}

/* jansson's iterators change nothing, but do not say so in their types. */
static inline json_t *
unconst(const struct json *v)
{
	const union {
		const struct json *v;
		json_t *j;
	} both = { .v = v };

	return both.j;
}

static bool
is_too_deep(struct str s)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return true;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

enum rc
json_parse(struct str text, size_t bytes_max, struct json **out, struct fault *f)
{
	json_error_t e;

	if (text.n > bytes_max)
		return fault_set(
		    f, RC_LIMIT, "JSON of %zu bytes, at most %zu are read", text.n, bytes_max);
	if (is_too_deep(text))
		return fault_set(f, RC_LIMIT, "JSON is nested more than %u deep", JSON_DEPTH_MAX);
	json_t *j = json_loadb(text.n != 0 ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &e);
	if (j == NULL)
		return fault_set(f, RC_INVALID, "not valid JSON at line %d, column %d: %s", e.line,
		    e.column, e.text);
	*out = (struct json *)(void *)j;
	return RC_OK;
}

void
json_free(struct json **doc)
{
	if (*doc != NULL)
		json_decref(unconst(*doc));
	*doc = NULL;
}

enum json_kind
json_kind(const struct json *v)
{
	switch (json_typeof(inside(v))) {
	case JSON_OBJECT: return JSON_KIND_OBJECT;
	case JSON_ARRAY: return JSON_KIND_ARRAY;
	case JSON_STRING: return JSON_KIND_STR;
	case JSON_INTEGER: return JSON_KIND_INT;
	case JSON_REAL: return JSON_KIND_REAL;
	case JSON_TRUE:
	case JSON_FALSE: return JSON_KIND_BOOL;
	case JSON_NULL:
	default: return JSON_KIND_NULL;
	}
}

const char *
json_kind_name(enum json_kind kind)
{
	switch (kind) {
	case JSON_KIND_NULL: return "null";
	case JSON_KIND_BOOL: return "true or false";
	case JSON_KIND_INT: return "a whole number";
	case JSON_KIND_REAL: return "a number";
	case JSON_KIND_STR: return "a string";
	case JSON_KIND_ARRAY: return "an array";
	case JSON_KIND_OBJECT: return "an object";
	}
	UNREACHABLE();
}

/* "[12]" at *path: the number, and *path behind it. */
static size_t
take_index(const char **path)
{
	const char *p = *path + 1;
	size_t i = 0;

	ASSERT(ascii_is_digit(*p));
	for (; ascii_is_digit(*p); p++)
		i = i * 10 + (size_t)(*p - '0');
	ASSERT(*p == ']');
	*path = p + 1;
	return i;
}

const struct json *
json_at(const struct json *v, const char *path)
{
	const json_t *j = inside(v);

	while (j != NULL && *path != '\0') {
		if (*path == '[') {
			j = json_array_get(j, take_index(&path));
		} else {
			size_t n = strcspn(path, ".[");
			ASSERT(n != 0);
			j = json_object_getn(j, path, n);
			path += n;
		}
		if (*path == '.')
			path++;
	}
	return j != NULL && !json_is_null(j) ? outside(j) : NULL;
}

static enum rc
wrong_kind(const char *path, const char *want, const struct json *v, struct fault *f)
{
	return fault_set(
	    f, RC_INVALID, "`%s` must be %s, not %s", path, want, json_kind_name(json_kind(v)));
}

enum rc
json_opt_str(const struct json *v, const char *path, struct str *out, struct fault *f)
{
	const struct json *at = json_at(v, path);

	if (at == NULL)
		return RC_OK;
	if (json_kind(at) != JSON_KIND_STR)
		return wrong_kind(path, json_kind_name(JSON_KIND_STR), at, f);
	*out = json_str(at);
	return RC_OK;
}

enum rc
json_opt_bool(const struct json *v, const char *path, bool *out, struct fault *f)
{
	const struct json *at = json_at(v, path);

	if (at == NULL)
		return RC_OK;
	if (json_kind(at) != JSON_KIND_BOOL)
		return wrong_kind(path, json_kind_name(JSON_KIND_BOOL), at, f);
	*out = json_bool(at);
	return RC_OK;
}

enum rc
json_opt_int(
    const struct json *v, const char *path, int64_t min, int64_t max, int64_t *out, struct fault *f)
{
	const struct json *at = json_at(v, path);
	int64_t i = 0;

	if (at == NULL)
		return RC_OK;
	if (json_kind(at) == JSON_KIND_INT) {
		i = json_integer_value(inside(at));
	} else if (json_kind(at) == JSON_KIND_REAL) {
		double d = json_real_value(inside(at));
		/* Within 2^53 a double that is whole is exactly that number. */
		if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0) ||
		    (double)(int64_t)d != d)
			return wrong_kind(path, json_kind_name(JSON_KIND_INT), at, f);
		i = (int64_t)d;
	} else {
		return wrong_kind(path, json_kind_name(JSON_KIND_INT), at, f);
	}
	if (i < min || i > max)
		return fault_set(f, RC_INVALID, "`%s` must be %lld to %lld, not %lld", path,
		    (long long)min, (long long)max, (long long)i);
	*out = i;
	return RC_OK;
}

enum rc
json_opt_array(const struct json *v, const char *path, const struct json **out, struct fault *f)
{
	const struct json *at = json_at(v, path);

	if (at == NULL)
		return RC_OK;
	if (json_kind(at) != JSON_KIND_ARRAY)
		return wrong_kind(path, json_kind_name(JSON_KIND_ARRAY), at, f);
	*out = at;
	return RC_OK;
}

enum rc
json_opt_object(const struct json *v, const char *path, const struct json **out, struct fault *f)
{
	const struct json *at = json_at(v, path);

	if (at == NULL)
		return RC_OK;
	if (json_kind(at) != JSON_KIND_OBJECT)
		return wrong_kind(path, json_kind_name(JSON_KIND_OBJECT), at, f);
	*out = at;
	return RC_OK;
}

/* Whether there is anything at `path`; the fault says that it is missing otherwise. */
static enum rc
require(const struct json *v, const char *path, struct fault *f)
{
	if (json_at(v, path) == NULL)
		return fault_set(f, RC_NOT_FOUND, "`%s` is missing", path);
	return RC_OK;
}

enum rc
json_get_str(const struct json *v, const char *path, struct str *out, struct fault *f)
{
	enum rc rc = require(v, path, f);

	return rc != RC_OK ? rc : json_opt_str(v, path, out, f);
}

enum rc
json_get_bool(const struct json *v, const char *path, bool *out, struct fault *f)
{
	enum rc rc = require(v, path, f);

	return rc != RC_OK ? rc : json_opt_bool(v, path, out, f);
}

enum rc
json_get_int(
    const struct json *v, const char *path, int64_t min, int64_t max, int64_t *out, struct fault *f)
{
	enum rc rc = require(v, path, f);

	return rc != RC_OK ? rc : json_opt_int(v, path, min, max, out, f);
}

enum rc
json_get_array(const struct json *v, const char *path, const struct json **out, struct fault *f)
{
	enum rc rc = require(v, path, f);

	return rc != RC_OK ? rc : json_opt_array(v, path, out, f);
}

enum rc
json_get_object(const struct json *v, const char *path, const struct json **out, struct fault *f)
{
	enum rc rc = require(v, path, f);

	return rc != RC_OK ? rc : json_opt_object(v, path, out, f);
}

struct str
json_str(const struct json *v)
{
	const json_t *j = inside(v);

	return json_is_string(j) ? str_make(json_string_value(j), json_string_length(j)) : STR("");
}

double
json_number(const struct json *v)
{
	return json_number_value(inside(v));
}

bool
json_bool(const struct json *v)
{
	return json_typeof(inside(v)) == JSON_TRUE;
}

size_t
json_count(const struct json *v)
{
	const json_t *j = inside(v);

	return json_is_array(j) ? json_array_size(j) : json_object_size(j);
}

const struct json *
json_item(const struct json *array, size_t i)
{
	return outside(json_array_get(inside(array), i));
}

bool
json_next(const struct json *object, void **it, struct str *key, const struct json **value)
{
	json_t *j = unconst(object);

	*it = *it == NULL ? json_object_iter(j) : json_object_iter_next(j, *it);
	if (*it == NULL)
		return false;
	*key = str_make(json_object_iter_key(*it), json_object_iter_key_len(*it));
	*value = outside(json_object_iter_value(*it));
	return true;
}

enum rc
json_only(const struct json *object, const char *const *names, size_t n, struct fault *f)
{
	const struct json *value;
	struct str key;
	void *it = NULL;

	while (json_next(object, &it, &key, &value)) {
		size_t i = 0;
		while (i < n && !str_eq(key, str_from(names[i])))
			i++;
		if (i == n)
			return fault_set(f, RC_INVALID, "`%.*s` is not a known field",
			    (int)(key.n < 64 ? key.n : 64), key.p);
	}
	return RC_OK;
}

void
json_write(const struct json *v, struct json_writer *w)
{
	const struct json *value;
	struct str key;
	void *it = NULL;

	switch (json_kind(v)) {
	case JSON_KIND_NULL: json_writer_null(w); break;
	case JSON_KIND_BOOL: json_writer_bool(w, json_bool(v)); break;
	case JSON_KIND_INT: json_writer_int(w, json_integer_value(inside(v))); break;
	case JSON_KIND_REAL: json_writer_real(w, json_number(v)); break;
	case JSON_KIND_STR: json_writer_str(w, json_str(v)); break;
	case JSON_KIND_ARRAY:
		json_writer_array(w);
		for (size_t i = 0; i < json_count(v); i++)
			json_write(json_item(v, i), w);
		json_writer_end(w);
		break;
	case JSON_KIND_OBJECT:
		json_writer_object(w);
		while (json_next(v, &it, &key, &value)) {
			json_writer_key(w, key);
			json_write(value, w);
		}
		json_writer_end(w);
		break;
	}
}
