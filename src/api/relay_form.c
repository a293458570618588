/* The settings of a relay as people send them.
 *
 * What can be judged by itself is judged here, with the field's name; what depends on other rows
 * (names taken, lists that contradict each other, clear text to the world) is judged by the relay
 * book that is built from the changed rows before they are kept. */
#include "api/relay.h"

#include "crypto/seal.h"
#include "relay/provider.h"
#include "relay/settings.h"

#define SECRET_MAX 4096

static const char *const fields[] = { "name", "host", "port", "tls", "tls_name", "ca_file", "user",
	"secret", "auth", "from", "rewrite_from", "bounces", "max_connections", "rate",
	"daily_quota", "max_recipients", "provider", "note", "allow_plaintext" };

/* ---- kinds of fields ---- */

static enum rc
get_text(const struct json *body, const char *key, size_t max, struct str *out, bool *seen,
    struct fault *f)
{
	struct str s = { 0 };

	if (json_at(body, key) == NULL)
		return RC_OK;
	enum rc rc = api_need_str(body, key, &s, f);
	if (rc == RC_OK)
		rc = api_check_text(key, s, max, f);
	if (rc == RC_OK) {
		*out = str_trim(s);
		*seen = true;
	}
	return rc;
}

static enum rc
get_count(const struct json *body, const char *key, int64_t max, uint32_t *out, bool *seen,
    struct fault *f)
{
	int64_t n = 0;

	if (json_at(body, key) == NULL)
		return RC_OK;
	enum rc rc = json_get_int(body, key, 0, max, &n, f);
	if (rc == RC_OK) {
		*out = (uint32_t)n;
		*seen = true;
	}
	return rc;
}

static enum rc
get_words(const struct json *body, const char *key, struct arena *a, struct str *out, bool *seen,
    struct fault *f)
{
	*seen |= json_at(body, key) != NULL;
	return api_get_words(body, key, a, out, f);
}

/* ---- single fields ---- */

static enum rc
get_rate(const struct json *body, struct api_relay_form *form, struct fault *f)
{
	struct relay_rate rate = { 0 };
	struct str text = { 0 };

	if (json_at(body, "rate") == NULL)
		return RC_OK;
	enum rc rc = api_need_str(body, "rate", &text, f);
	if (rc != RC_OK)
		return rc;
	bool none = text.n == 0 || str_eq_nocase(text, STR("none"));
	if (!none && relay_rate_parse(text, &rate) != RC_OK)
		return fault_set(f, RC_INVALID,
		    "rate '%.*s' must look like 10/s, 200/m, 5000/h, 300/d, or be \"none\"",
		    STR_ARG(str_sub(text, 0, 40)));
	form->v.rate_count = rate.count;
	form->v.rate_per_s = rate.per_s;
	form->has_limits = true;
	return RC_OK;
}

static enum rc
get_tls(const struct json *body, struct arena *a, struct api_relay_form *form, struct fault *f)
{
	enum relay_tls tls;
	struct str text = { 0 };
	bool seen = false;
	enum rc rc = get_text(body, "tls", 32, &text, &seen, f);

	if (rc != RC_OK || !seen)
		return rc;
	if (!relay_tls_parse(text, &tls))
		return fault_set(f, RC_INVALID,
		    "tls '%.*s' must be implicit (also called ssl), starttls or none",
		    STR_ARG(text));
	form->v.tls = arena_str(a, str_from(relay_tls_name(tls)));
	form->has_way = true;
	return RC_OK;
}

static enum rc
get_auth(const struct json *body, struct arena *a, struct api_relay_form *form, struct fault *f)
{
	enum relay_auth auth;
	struct str text = { 0 };
	bool seen = false;
	enum rc rc = get_text(body, "auth", 32, &text, &seen, f);

	if (rc != RC_OK || !seen)
		return rc;
	if (text.n == 0)
		text = STR("any");
	if (!relay_auth_parse(text, &auth))
		return fault_set(f, RC_INVALID,
		    "auth '%.*s' must be any, plain, login, cram-md5, scram-sha-256 or xoauth2",
		    STR_ARG(text));
	form->v.auth = arena_str(a, str_from(relay_auth_name(auth)));
	form->has_way = true;
	return RC_OK;
}

/* {"OLD":"NEW"}, or words OLD=NEW. */
static enum rc
get_rewrites(const struct json *body, struct arena *a, struct api_relay_form *form, struct fault *f)
{
	const struct json *v = json_at(body, "rewrite_from");
	AUTO(buf_done) struct buf b = { 0 };
	struct str key;
	const struct json *to;
	void *it = NULL;

	if (v == NULL || json_kind(v) != JSON_KIND_OBJECT)
		return get_words(body, "rewrite_from", a, &form->v.rewrites, &form->has_way, f);
	buf_init(&b, 65536);
	while (json_next(v, &it, &key, &to)) {
		struct str rest = key, word = { 0 };
		if (json_kind(to) != JSON_KIND_STR || !api_next_word(&rest, &word) || rest.n != 0)
			return fault_set(f, RC_INVALID,
			    "rewrite_from must map an old sender to a new one, such as {\"*\":\"me@example.com\"}");
		buf_addf(&b, "%s%.*s=%.*s", buf_len(&b) != 0 ? "\n" : "", STR_ARG(word),
		    STR_ARG(str_trim(json_str(to))));
	}
	if (!buf_is_ok(&b))
		return fault_set(f, RC_INVALID, "rewrite_from is too long; 64 KB are allowed");
	form->v.rewrites = arena_str(a, buf_str(&b));
	form->has_way = true;
	return RC_OK;
}

static enum rc
get_provider(const struct json *body, struct api_relay_form *form, struct fault *f)
{
	bool seen = false;
	struct str name = { 0 };
	enum rc rc = get_text(body, "provider", 64, &name, &seen, f);

	if (rc != RC_OK || !seen)
		return rc;
	if (name.n != 0 && relay_provider_named(name) == NULL)
		return fault_set(f, RC_INVALID,
		    "provider '%.*s' is not known; leave it out and it is told from the host",
		    STR_ARG(name));
	form->v.provider = name;
	form->has_way = true;
	return RC_OK;
}

static enum rc
get_secret(const struct json *body, struct api_relay_form *form, struct fault *f)
{
	struct str s = { 0 };

	if (json_at(body, "secret") == NULL)
		return RC_OK;
	enum rc rc = api_need_str(body, "secret", &s, f);
	if (rc == RC_OK && (s.n == 0 || s.n > SECRET_MAX))
		rc = fault_set(f, RC_INVALID, "secret must have 1 to %d bytes", SECRET_MAX);
	if (rc == RC_OK)
		form->secret = s;
	form->has_way = true;
	return rc;
}

/* ---- all of them ---- */

static enum rc
get_place(const struct json *body, struct api_relay_form *form, struct fault *f)
{
	struct store_relay_version_row *v = &form->v;
	uint32_t port = v->port;
	enum rc rc = get_text(body, "host", 253, &v->host, &form->has_way, f);

	if (rc == RC_OK)
		rc = get_count(body, "port", 65535, &port, &form->has_way, f);
	if (rc == RC_OK)
		rc = get_text(body, "tls_name", 253, &v->tls_name, &form->has_way, f);
	if (rc == RC_OK)
		rc = get_text(body, "ca_file", 1024, &v->ca_file, &form->has_way, f);
	if (rc == RC_OK)
		rc = get_text(body, "user", 320, &v->user, &form->has_way, f);
	if (rc == RC_OK)
		rc = get_text(body, "bounces", 64, &v->bounces, &form->has_way, f);
	if (rc == RC_OK)
		rc = get_text(body, "allow_plaintext", 500, &v->allow_plaintext, &form->has_way, f);
	v->port = (uint16_t)port;
	return rc;
}

static enum rc
get_limits(const struct json *body, struct api_relay_form *form, struct fault *f)
{
	struct store_relay_version_row *v = &form->v;
	bool *seen = &form->has_limits;
	enum rc rc = get_count(body, "max_connections", 1000, &v->max_connections, seen, f);

	if (rc == RC_OK)
		rc = get_count(body, "max_recipients", 10000, &v->max_recipients, seen, f);
	if (rc == RC_OK)
		rc = get_count(body, "daily_quota", 1000000000, &v->daily_quota, seen, f);
	if (rc == RC_OK)
		rc = get_rate(body, form, f);
	if (rc == RC_OK)
		rc = get_text(body, "note", 1000, &form->note, &form->has_note, f);
	return rc;
}

/* Ports have their usual protection and the other way round; without either it is the stronger. */
static void
fill_in(struct api_relay_form *form, bool tls_said)
{
	struct store_relay_version_row *v = &form->v;

	if (!tls_said && v->tls.n == 0)
		v->tls = v->port == 0 || v->port == 465 || v->port == 994 ? STR("implicit")
									  : STR("starttls");
	if (v->port == 0)
		v->port = str_eq(v->tls, STR("implicit")) ? 465
			  : str_eq(v->tls, STR("none"))   ? 25
							  : 587;
	if (v->auth.n == 0)
		v->auth = STR("any");
}

enum rc
api_relay_form_read(const struct json *body, bool is_new, struct arena *a,
    struct api_relay_form *form, struct fault *f)
{
	struct str user_before = form->v.user;
	enum rc rc = json_only(body, fields, COUNT_OF(fields), f);

	if (rc == RC_OK && is_new)
		rc = api_need_str(body, "name", &form->name, f);
	if (rc == RC_OK && is_new)
		rc = api_check_name("name", form->name, f);
	if (rc == RC_OK && !is_new && json_at(body, "name") != NULL)
		rc = fault_set(
		    f, RC_INVALID, "name cannot be changed; add a relay under the new name");
	if (rc == RC_OK)
		rc = get_place(body, form, f);
	if (rc == RC_OK)
		rc = get_tls(body, a, form, f);
	if (rc == RC_OK)
		rc = get_auth(body, a, form, f);
	if (rc == RC_OK)
		rc = get_words(body, "from", a, &form->v.senders, &form->has_way, f);
	if (rc == RC_OK)
		rc = get_rewrites(body, a, form, f);
	if (rc == RC_OK)
		rc = get_provider(body, form, f);
	if (rc == RC_OK)
		rc = get_secret(body, form, f);
	if (rc == RC_OK)
		rc = get_limits(body, form, f);
	if (rc != RC_OK)
		return rc;
	if (form->v.host.n == 0)
		return fault_set(
		    f, RC_INVALID, "host is missing: the name or address of the SMTP server");
	bool user_changed = !str_eq(user_before, form->v.user);
	if (form->v.user.n != 0 && user_changed && form->secret.p == NULL)
		return fault_set(f, RC_INVALID, "secret is missing: what %.*s logs in with",
		    STR_ARG(form->v.user));
	if (form->secret.p != NULL && form->v.user.n == 0)
		return fault_set(f, RC_INVALID, "user is missing: whom the secret belongs to");
	fill_in(form, json_at(body, "tls") != NULL);
	return RC_OK;
}

enum rc
api_relay_seal(
    struct api_call *c, struct relay_id relay, struct str secret, struct str *out, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct str where = arena_strf(&c->arena, "relay %llu", (unsigned long long)relay.v);

	buf_init(&b, SECRET_MAX + SEAL_OVERHEAD);
	if (seal_close(c->api->opts.seal, secret, where, &b) != RC_OK)
		return fault_set(f, RC_INVALID, "secret must have 1 to %d bytes", SECRET_MAX);
	*out = arena_str(&c->arena, buf_str(&b));
	return RC_OK;
}
