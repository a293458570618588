/* Fields of requests and answers that many nouns share. */
#include "api/private.h"

#include "base/mem.h"

void
api_put_time(struct json_writer *w, const char *key, int64_t wall_us)
{
	char text[CLOCK_TEXT_SIZE];

	if (wall_us <= 0 || wall_us == TIME_NEVER) {
		json_writer_put_null(w, key);
		return;
	}
	clock_format(wall_us, text);
	json_writer_put_str(w, key, str_from(text));
}

void
api_put_text(struct json_writer *w, const char *key, struct str s)
{
	if (s.n == 0)
		json_writer_put_null(w, key);
	else
		json_writer_put_str(w, key, s);
}

bool
api_next_word(struct str *rest, struct str *word_out)
{
	const char *between = " ,\n\r\t";
	size_t n = 0;

	while (rest->n > 0 && strchr(between, rest->p[0]) != NULL)
		*rest = str_skip(*rest, 1);
	if (rest->n == 0)
		return false;
	while (n < rest->n && strchr(between, rest->p[n]) == NULL)
		n++;
	*word_out = str_sub(*rest, 0, n);
	*rest = str_skip(*rest, n);
	return true;
}

void
api_put_words(struct json_writer *w, const char *key, struct str list)
{
	struct str word;

	json_writer_put_array(w, key);
	while (api_next_word(&list, &word))
		json_writer_str(w, word);
	json_writer_end(w);
}

void
api_list_begin(struct json_writer *w)
{
	json_writer_object(w);
	json_writer_put_str(w, "object", STR("list"));
	json_writer_put_array(w, "data");
}

void
api_list_end(struct json_writer *w, bool has_more)
{
	json_writer_end(w);
	json_writer_put_bool(w, "has_more", has_more);
	json_writer_end(w);
}

static enum rc
add_words(struct buf *b, const char *key, const struct json *v, struct fault *f)
{
	struct str rest = json_str(v);
	struct str word;

	if (json_kind(v) != JSON_KIND_STR)
		return fault_set(f, RC_INVALID, "%s must be a list of strings, but holds %s", key,
		    json_kind_name(json_kind(v)));
	while (api_next_word(&rest, &word)) {
		if (str_has_byte(word, '\0'))
			return fault_set(f, RC_INVALID, "%s holds a NUL byte", key);
		if (buf_len(b) != 0)
			buf_add_byte(b, '\n');
		buf_add(b, word);
	}
	return RC_OK;
}

enum rc
api_get_words(
    const struct json *body, const char *key, struct arena *a, struct str *out, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };
	const struct json *v = json_at(body, key);
	enum rc rc = RC_OK;

	if (v == NULL)
		return RC_OK;
	buf_init(&b, 65536);
	if (json_kind(v) == JSON_KIND_ARRAY) {
		for (size_t i = 0; i < json_count(v) && rc == RC_OK; i++)
			rc = add_words(&b, key, json_item(v, i), f);
	} else {
		rc = add_words(&b, key, v, f);
	}
	if (rc == RC_OK && !buf_is_ok(&b))
		rc = fault_set(f, RC_INVALID, "%s is too long; 64 KB are allowed", key);
	if (rc == RC_OK)
		*out = arena_str(a, buf_str(&b));
	return rc;
}

enum rc
api_need_str(const struct json *body, const char *key, struct str *out, struct fault *f)
{
	struct fault own = { 0 };
	enum rc rc = json_get_str(body, key, out, &own);

	return rc == RC_OK ? RC_OK : fault_set(f, RC_INVALID, "%s", own.text);
}

enum rc
api_check_name(const char *what, struct str name, struct fault *f)
{
	if (name.n == 0 || name.n > 64)
		return fault_set(f, RC_INVALID, "%s must have 1 to 64 characters", what);
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (!ascii_is_alnum(c) && c != '-' && c != '_' && c != '.')
			return fault_set(f, RC_INVALID,
			    "%s '%.*s' may hold letters, digits, '-', '_' and '.' only", what,
			    STR_ARG(str_sub(name, 0, 80)));
	}
	return RC_OK;
}

enum rc
api_check_text(const char *what, struct str text, size_t max, struct fault *f)
{
	if (text.n > max)
		return fault_set(f, RC_INVALID, "%s is too long; %zu bytes are allowed", what, max);
	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
			return fault_set(f, RC_INVALID, "%s holds a control character", what);
	}
	return RC_OK;
}

/* ---- times ---- */

static bool
digits(struct str *s, size_t n, int *out)
{
	int v = 0;

	if (s->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!ascii_is_digit(s->p[i]))
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	*s = str_skip(*s, n);
	*out = v;
	return true;
}

static bool
one_of(struct str *s, const char *set)
{
	if (s->n == 0 || s->p[0] == '\0' || strchr(set, s->p[0]) == NULL)
		return false;
	*s = str_skip(*s, 1);
	return true;
}

/* Days since the epoch of a date of the Gregorian calendar. */
static int64_t
days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool
read_zone(struct str *s, int64_t *offset_us)
{
	int hour, minute;

	if (one_of(s, "Zz")) {
		*offset_us = 0;
		return true;
	}
	int sign = s->n > 0 && s->p[0] == '-' ? -1 : 1;
	if (!one_of(s, "+-") || !digits(s, 2, &hour) || !one_of(s, ":") || !digits(s, 2, &minute))
		return false;
	*offset_us = sign * (HOURS(hour) + MINUTES(minute));
	return hour < 24 && minute < 60;
}

static bool
read_time(struct str s, int64_t *out)
{
	int year, month, day, hour, minute, second;
	int64_t fraction = 0, zone;

	if (!digits(&s, 4, &year) || !one_of(&s, "-") || !digits(&s, 2, &month) ||
	    !one_of(&s, "-") || !digits(&s, 2, &day) || !one_of(&s, "Tt ") ||
	    !digits(&s, 2, &hour) || !one_of(&s, ":") || !digits(&s, 2, &minute) ||
	    !one_of(&s, ":") || !digits(&s, 2, &second))
		return false;
	if (one_of(&s, ".")) {
		int64_t unit = SECONDS(1);
		int digit;
		while (digits(&s, 1, &digit)) {
			unit /= 10;
			fraction += digit * unit;
		}
	}
	if (!read_zone(&s, &zone) || s.n != 0)
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
	    minute > 59 || second > 60)
		return false;
	*out = DAYS(days_of(year, month, day)) + HOURS(hour) + MINUTES(minute) + SECONDS(second) +
	       fraction - zone;
	return true;
}

enum rc
api_parse_time(struct str text, int64_t *wall_us_out, struct fault *f)
{
	if (!read_time(text, wall_us_out))
		return fault_set(f, RC_INVALID,
		    "'%.*s' is no time; write it like 2026-11-23T07:48:33Z",
		    STR_ARG(str_sub(text, 0, 60)));
	return RC_OK;
}

enum rc
api_limit(const struct api_call *c, uint32_t *out, struct fault *f)
{
	struct str text = http_query(c->request, "limit");
	uint64_t n = 50;

	if (text.n != 0 && (str_to_u64(text, &n) != RC_OK || n < 1 || n > 500))
		return fault_set(f, RC_INVALID, "limit must be a number from 1 to 500");
	*out = (uint32_t)n;
	return RC_OK;
}
