/* From the fields of a request to a message.
 *
 * Addresses are read by the same parser as header fields, so "Ann <ann@example.com>" and lists with
 * commas are welcome everywhere. Options travel as X-Posthouse fields of the message, which
 * submission reads and removes: there is one way of choosing them, whatever the door. */
#include "api/email.h"

#include "codec/base64.h"
#include "crypto/random.h"
#include "mail/compose.h"
#include "mail/field.h"
#include "mail/mailbox.h"

#define PEOPLE_MAX      1000
#define ATTACHMENTS_MAX 200
#define FIELDS_MAX      100

static const char *const fields[] = { "from", "to", "cc", "bcc", "reply_to", "subject", "text",
	"html", "headers", "attachments", "stream", "tag", "tags", "scheduled_at" };

struct composing {
	const struct json *body;
	struct arena *a;
	struct mail_compose m;
	struct mail_compose_field *fields;
	struct mail_compose_part *parts;
	struct api_rcpts rcpts;
};

/* ---- people ---- */

enum rc
api_rcpts_add(
    struct api_rcpts *to, const char *field, struct str value, struct arena *a, struct fault *f)
{
	struct mail_mailbox_list list;
	const char *why;

	if (mail_mailbox_parse(value, a, &list, &why) != RC_OK)
		return fault_set(f, RC_INVALID, "%s: '%.*s' is no address: %s", field,
		    STR_ARG(str_sub(value, 0, 80)), why);
	for (size_t i = 0; i < list.n; i++) {
		bool known = false;
		for (size_t k = 0; k < to->n && !known; k++)
			known = mail_addr_eq(&to->v[k].addr, &list.v[i].addr);
		if (known)
			continue;
		if (to->n == to->cap) {
			to->cap = to->cap != 0 ? to->cap * 2 : 8;
			struct submit_rcpt *more = ARENA_NEW_ARRAY(a, struct submit_rcpt, to->cap);
			if (to->n != 0)
				memcpy(more, to->v, to->n * sizeof(*more));
			to->v = more;
		}
		to->v[to->n++].addr = list.v[i].addr;
	}
	return RC_OK;
}

static enum rc
add_people(struct composing *k, const char *field, struct str value,
    struct mail_compose_people *out, struct fault *f)
{
	struct mail_mailbox_list list;
	const char *why;

	if (mail_mailbox_parse(value, k->a, &list, &why) != RC_OK)
		return fault_set(f, RC_INVALID, "%s: '%.*s' is no address: %s", field,
		    STR_ARG(str_sub(value, 0, 80)), why);
	if (out->n + list.n > PEOPLE_MAX)
		return fault_set(f, RC_INVALID, "%s has more than %d addresses", field, PEOPLE_MAX);
	struct mail_compose_person *v =
	    ARENA_NEW_ARRAY(k->a, struct mail_compose_person, out->n + list.n);
	if (out->n != 0)
		memcpy(v, out->v, out->n * sizeof(*v));
	for (size_t i = 0; i < list.n; i++) {
		v[out->n + i].display = header_value_clean(k->a, list.v[i].display);
		v[out->n + i].addr = list.v[i].addr;
	}
	out->v = v;
	out->n += list.n;
	return RC_OK;
}

/* A string or an array of them. */
static enum rc
get_people(struct composing *k, const char *field, struct mail_compose_people *out, struct fault *f)
{
	const struct json *v = json_at(k->body, field);
	enum rc rc = RC_OK;

	if (v == NULL)
		return RC_OK;
	if (json_kind(v) == JSON_KIND_STR)
		return add_people(k, field, json_str(v), out, f);
	if (json_kind(v) != JSON_KIND_ARRAY)
		return fault_set(
		    f, RC_INVALID, "%s must be an address or a list of addresses", field);
	for (size_t i = 0; i < json_count(v) && rc == RC_OK; i++) {
		const struct json *one = json_item(v, i);
		if (json_kind(one) != JSON_KIND_STR)
			return fault_set(
			    f, RC_INVALID, "%s must be an address or a list of addresses", field);
		rc = add_people(k, field, json_str(one), out, f);
	}
	return rc;
}

static enum rc
get_all_people(struct composing *k, struct fault *f)
{
	struct mail_compose_people from = { 0 }, bcc = { 0 };
	const struct mail_compose_people *all[] = { &k->m.to, &k->m.cc, &bcc };
	enum rc rc = get_people(k, "from", &from, f);

	if (rc == RC_OK && from.n != 1)
		rc = fault_set(f, RC_INVALID,
		    from.n == 0 ? "from is missing: the sender's address"
				: "from must be one address");
	if (rc != RC_OK)
		return rc;
	ASSERT(from.v != NULL);
	k->m.from = from.v[0];
	if (rc == RC_OK)
		rc = get_people(k, "to", &k->m.to, f);
	if (rc == RC_OK)
		rc = get_people(k, "cc", &k->m.cc, f);
	if (rc == RC_OK)
		rc = get_people(k, "bcc", &bcc, f);
	if (rc == RC_OK)
		rc = get_people(k, "reply_to", &k->m.reply_to, f);
	if (rc != RC_OK)
		return rc;
	k->rcpts.cap = k->m.to.n + k->m.cc.n + bcc.n;
	k->rcpts.v = ARENA_NEW_ARRAY(k->a, struct submit_rcpt, k->rcpts.cap);
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		for (size_t p = 0; p < all[i]->n; p++) {
			bool known = false;
			for (size_t q = 0; q < k->rcpts.n && !known; q++)
				known = mail_addr_eq(&k->rcpts.v[q].addr, &all[i]->v[p].addr);
			if (!known)
				k->rcpts.v[k->rcpts.n++].addr = all[i]->v[p].addr;
		}
	}
	if (k->rcpts.n == 0)
		return fault_set(f, RC_INVALID, "to is missing: at least one recipient");
	return RC_OK;
}

/* ---- header fields ---- */

static enum rc
add_field(struct composing *k, struct str name, struct str value, struct fault *f)
{
	struct mail_compose_field *to = &k->fields[k->m.field_count];

	if (k->m.field_count == FIELDS_MAX)
		return fault_set(f, RC_INVALID, "headers has more than %d fields", FIELDS_MAX - 3);
	if (header_value_parse(value, &to->value) != RC_OK)
		return fault_set(f, RC_INVALID,
		    "headers: the value of '%.*s' holds a control character",
		    STR_ARG(str_sub(name, 0, 64)));
	to->name = name;
	k->m.field_count++;
	return RC_OK;
}

static enum rc
get_headers(struct composing *k, struct fault *f)
{
	const struct json *object = NULL, *value;
	struct str name;
	void *it = NULL;
	enum rc rc = json_opt_object(k->body, "headers", &object, f);

	while (rc == RC_OK && object != NULL && json_next(object, &it, &name, &value)) {
		if (json_kind(value) != JSON_KIND_STR)
			return fault_set(f, RC_INVALID,
			    "headers: the value of '%.*s' must be a string",
			    STR_ARG(str_sub(name, 0, 64)));
		rc = add_field(k, name, json_str(value), f);
	}
	return rc;
}

static enum rc
get_option(struct composing *k, const char *field, const char *header, struct fault *f)
{
	struct str value = { 0 };
	enum stream stream;
	enum rc rc = json_opt_str(k->body, field, &value, f);

	if (rc != RC_OK || value.n == 0)
		return rc;
	if (str_eq(str_from(field), STR("stream")) && !mail_stream_parse(value, &stream))
		return fault_set(f, RC_INVALID, "stream must be transactional or bulk");
	return add_field(k, str_from(header), value, f);
}

/* Other services take a list of names and values; the first value is the tag here. */
static enum rc
get_tags(struct composing *k, struct fault *f)
{
	struct str value = { 0 };
	const struct json *tags = NULL;
	enum rc rc = json_opt_array(k->body, "tags", &tags, f);

	if (rc == RC_OK && json_count(tags) != 0 && json_at(k->body, "tag") == NULL)
		rc = api_need_str(k->body, "tags[0].value", &value, f);
	if (rc != RC_OK || value.n == 0)
		return rc;
	return add_field(k, STR("X-Posthouse-Tag"), value, f);
}

static enum rc
get_fields(struct composing *k, struct fault *f)
{
	struct str subject = { 0 };
	enum rc rc = json_opt_str(k->body, "subject", &subject, f);

	k->fields = ARENA_NEW_ARRAY(k->a, struct mail_compose_field, FIELDS_MAX);
	k->m.fields = k->fields;
	if (rc == RC_OK && header_value_parse(subject, &k->m.subject) != RC_OK)
		rc = fault_set(
		    f, RC_INVALID, "subject holds a line end or another control character");
	if (rc == RC_OK)
		rc = get_headers(k, f);
	if (rc == RC_OK)
		rc = get_option(k, "stream", "X-Posthouse-Stream", f);
	if (rc == RC_OK)
		rc = get_option(k, "tag", "X-Posthouse-Tag", f);
	if (rc == RC_OK)
		rc = get_tags(k, f);
	if (rc == RC_OK)
		rc = get_option(k, "scheduled_at", "X-Posthouse-Send-At", f);
	return rc;
}

/* ---- parts ---- */

static enum rc
get_attachment(struct composing *k, const struct json *from, size_t i, struct fault *f)
{
	struct mail_compose_part *to = &k->parts[i];
	struct str content = { 0 };
	struct buf b;
	enum rc rc = json_opt_str(from, "filename", &to->name, f);

	if (rc == RC_OK)
		rc = json_opt_str(from, "content_type", &to->type, f);
	if (rc == RC_OK)
		rc = json_opt_str(from, "content_id", &to->content_id, f);
	if (rc == RC_OK && json_at(from, "path") != NULL)
		rc = fault_set(f, RC_INVALID,
		    "attachments[%zu]: nothing is fetched from a path; send the content in base64",
		    i);
	if (rc == RC_OK)
		rc = api_need_str(from, "content", &content, f);
	if (rc != RC_OK)
		return rc;
	buf_init(&b, content.n + 4);
	if (!base64_decode_mime(&b, content)) {
		buf_done(&b);
		return fault_set(f, RC_INVALID, "attachments[%zu].content is not base64", i);
	}
	to->content = arena_str(k->a, buf_str(&b));
	buf_done(&b);
	return RC_OK;
}

static enum rc
get_parts(struct composing *k, struct fault *f)
{
	const struct json *list = NULL;
	enum rc rc = json_opt_str(k->body, "text", &k->m.text, f);

	if (rc == RC_OK)
		rc = json_opt_str(k->body, "html", &k->m.html, f);
	if (rc == RC_OK)
		rc = json_opt_array(k->body, "attachments", &list, f);
	if (rc != RC_OK)
		return rc;
	size_t n = json_count(list);
	if (n > ATTACHMENTS_MAX)
		return fault_set(
		    f, RC_INVALID, "attachments has more than %d parts", ATTACHMENTS_MAX);
	if (k->m.text.p == NULL && k->m.html.p == NULL && n == 0)
		return fault_set(f, RC_INVALID, "text or html is missing: what the message says");
	k->parts = ARENA_NEW_ARRAY(k->a, struct mail_compose_part, n);
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = get_attachment(k, json_item(list, i), i, f);
	k->m.parts = k->parts;
	k->m.part_count = n;
	return rc;
}

enum rc
api_email_compose(const struct json *body, size_t bytes_max, struct arena *a, struct api_email *out,
    struct fault *f)
{
	struct composing k = { .body = body, .a = a };
	AUTO(buf_done) struct buf b = { 0 };
	const char *why = "";
	enum rc rc;

	buf_init(&b, bytes_max);
	rc = json_only(body, fields, COUNT_OF(fields), f);
	if (rc == RC_OK)
		rc = get_all_people(&k, f);
	if (rc == RC_OK)
		rc = get_fields(&k, f);
	if (rc == RC_OK)
		rc = get_parts(&k, f);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_INVALID : rc;
	k.m.unique = arena_strf(a, "%016llx%016llx", (unsigned long long)random_u64(),
	    (unsigned long long)random_u64());
	rc = mail_compose(&b, &k.m, &why);
	if (rc == RC_LIMIT)
		return fault_set(f, RC_INVALID,
		    "the message is larger than the %zu bytes that are taken here", bytes_max);
	if (rc != RC_OK)
		return fault_set(f, RC_INVALID, "%s", why);
	*out = (struct api_email){ k.m.from.addr, k.rcpts.v, k.rcpts.n, arena_str(a, buf_str(&b)) };
	return RC_OK;
}

/* ---- raw messages ---- */

static enum rc
add_query_option(const struct http_request *r, const char *key, const char *header, struct buf *b,
    struct fault *f)
{
	struct header_value value;
	struct str text = http_query(r, key);

	if (text.n == 0)
		return RC_OK;
	if (header_value_parse(text, &value) != RC_OK)
		return fault_set(f, RC_INVALID, "%s holds a control character", key);
	mail_field_add(b, str_from(header), value);
	return RC_OK;
}

/* Lines from a file end as its system likes; on the wire they end with CRLF. */
static void
add_lines(struct buf *b, struct str text)
{
	size_t at = 0;

	while (at < text.n) {
		struct str rest = str_skip(text, at);
		size_t n = 0;
		while (n < rest.n && rest.p[n] != '\n' && rest.p[n] != '\r')
			n++;
		buf_add(b, str_sub(rest, 0, n));
		at += n;
		if (at == text.n)
			break;
		at += text.p[at] == '\r' && at + 1 < text.n && text.p[at + 1] == '\n' ? 2 : 1;
		buf_add(b, STR("\r\n"));
	}
}

enum rc
api_email_raw(const struct http_request *r, size_t bytes_max, struct arena *a,
    struct api_email *out, struct fault *f)
{
	struct api_rcpts rcpts = { 0 };
	struct str from = http_query(r, "from"), to;
	AUTO(buf_done) struct buf b = { 0 };
	const char *why;
	size_t at = 0;
	enum rc rc = RC_OK;

	buf_init(&b, bytes_max);
	if (from.p == NULL)
		return fault_set(
		    f, RC_INVALID, "from is missing in the query: the envelope sender");
	if (mail_addr_parse(from, MAIL_ADDR_UTF8, a, &out->sender, &why) != RC_OK)
		return fault_set(f, RC_INVALID, "from: '%.*s' is no address: %s",
		    STR_ARG(str_sub(from, 0, 80)), why);
	while (rc == RC_OK && http_query_next(r, "to", &at, &to))
		rc = api_rcpts_add(&rcpts, "to", to, a, f);
	if (rc == RC_OK && rcpts.n == 0)
		rc = fault_set(f, RC_INVALID, "to is missing in the query: at least one recipient");
	if (rc == RC_OK && r->body.n == 0)
		rc = fault_set(f, RC_INVALID, "the body is empty: it must be the message");
	if (rc == RC_OK)
		rc = add_query_option(r, "stream", "X-Posthouse-Stream", &b, f);
	if (rc == RC_OK)
		rc = add_query_option(r, "tag", "X-Posthouse-Tag", &b, f);
	if (rc == RC_OK)
		rc = add_query_option(r, "scheduled_at", "X-Posthouse-Send-At", &b, f);
	if (rc != RC_OK)
		return rc;
	add_lines(&b, r->body);
	if (!buf_is_ok(&b))
		return fault_set(f, RC_INVALID,
		    "the message is larger than the %zu bytes that are taken here", bytes_max);
	out->rcpts = rcpts.v;
	out->n_rcpts = rcpts.n;
	out->content = arena_str(a, buf_str(&b));
	return RC_OK;
}
