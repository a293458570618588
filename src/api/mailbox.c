/* Mailboxes that are read over IMAP: settings, and a check that logs in.
 *
 * Nothing of a change depends on the books, so nothing is published: whoever reads mailboxes reads
 * their rows when it begins. Secrets go in sealed and never come out. */
#include "api/mailbox.h"

#include "codec/ip.h"
#include "crypto/seal.h"
#include "mail/address.h"
#include "mailbox/keys.h"
#include "mailbox/service.h"
#include "relay/book.h"
#include "relay/settings.h"
#include "store/config_relay.h"

#define SECRET_MAX 8192

static const char *const fields[] = { "name", "host", "port", "tls", "tls_name", "ca_file", "user",
	"secret", "auth", "address", "for", "receive", "smtp_relay", "note" };

struct mailbox_task {
	struct store_mailbox_row row;
	struct str secret; /* p == NULL: not said */
	struct store_mailbox_row *rows;
	uint32_t n;
	struct mailbox_check *check;
};

static struct mailbox_task *
task_of(struct api_call *c)
{
	if (c->data == NULL)
		c->data = ARENA_NEW(&c->arena, struct mailbox_task);
	return c->data;
}

enum rc
api_mailbox_find(struct store_reader *r, struct str name, struct arena *a,
    struct store_mailbox_row *out, struct fault *f)
{
	struct store_mailbox_row *rows;
	uint32_t n;
	enum rc rc = store_config_mailbox_list(r, a, &rows, &n, f);

	if (rc != RC_OK)
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		if (str_eq_nocase(rows[i].name, name)) {
			*out = rows[i];
			return RC_OK;
		}
	}
	return fault_set(f, RC_NOT_FOUND,
	    "there is no mailbox '%.*s'; 'posthouse mailbox list' shows them all",
	    STR_ARG(str_sub(name, 0, 64)));
}

/* ---- showing ---- */

static const char *
purpose(const struct store_mailbox_row *row)
{
	if (row->for_probe && row->for_bounces)
		return "both";
	return row->for_bounces ? "bounces" : "probe";
}

static void
put_mailbox(struct json_writer *w, const struct store_mailbox_row *row)
{
	json_writer_object(w);
	json_writer_put_str(w, "name", row->name);
	json_writer_put_str(w, "host", row->host);
	json_writer_put_uint(w, "port", row->port);
	json_writer_put_str(w, "tls", row->tls);
	api_put_text(w, "tls_name", row->tls_name);
	api_put_text(w, "ca_file", row->ca_file);
	json_writer_put_str(w, "user", row->user);
	json_writer_put_bool(w, "has_secret", row->secret.n != 0);
	json_writer_put_str(w, "auth", row->auth);
	json_writer_put_str(w, "address", row->address);
	json_writer_put_str(w, "for", str_from(purpose(row)));
	api_put_words(w, "receive", row->receive);
	api_put_text(w, "smtp_relay", row->smtp_relay);
	api_put_text(w, "note", row->note);
	api_put_time(w, "created_at", row->created_us);
	api_put_time(w, "looked_at", row->looked_us);
	api_put_text(w, "trouble", row->trouble);
	json_writer_end(w);
}

static enum rc
put_all(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct store_mailbox_row *rows;
	uint32_t n;
	enum rc rc = store_config_mailbox_list(r, &c->arena, &rows, &n, f);

	if (rc != RC_OK)
		return rc;
	api_list_begin(&c->json);
	for (uint32_t i = 0; i < n; i++)
		put_mailbox(&c->json, &rows[i]);
	api_list_end(&c->json, false);
	return RC_OK;
}

void
api_mailbox_list(struct api_call *c)
{
	api_answer_from(c, put_all);
}

static enum rc
put_one(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct store_mailbox_row row;
	enum rc rc = api_mailbox_find(r, c->name, &c->arena, &row, f);

	if (rc == RC_OK)
		put_mailbox(&c->json, &row);
	return rc;
}

void
api_mailbox_show(struct api_call *c)
{
	api_answer_from(c, put_one);
}

/* ---- reading what comes in ---- */

static enum rc
get_text(const struct json *body, const char *key, size_t max, struct str *out, struct fault *f)
{
	struct str s = { 0 };

	if (json_at(body, key) == NULL)
		return RC_OK;
	enum rc rc = api_need_str(body, key, &s, f);
	if (rc == RC_OK)
		rc = api_check_text(key, s, max, f);
	if (rc == RC_OK)
		*out = str_trim(s);
	return rc;
}

static bool
is_loopback(struct str host)
{
	struct ip ip;

	return str_eq_nocase(host, STR("localhost")) ||
	       (ip_parse(host, &ip) == RC_OK && ip_is_loopback(&ip));
}

/* Ports have their usual protection and the other way round. */
static enum rc
get_tls(const struct json *body, struct arena *a, struct store_mailbox_row *row, struct fault *f)
{
	enum relay_tls tls = RELAY_TLS_IMPLICIT;
	struct str text = row->tls;
	int64_t port = row->port;
	enum rc rc = get_text(body, "tls", 32, &text, f);

	if (rc == RC_OK)
		rc = json_opt_int(body, "port", 1, 65535, &port, f);
	if (rc != RC_OK)
		return rc;
	if (text.n == 0)
		tls = port == 143 ? RELAY_TLS_STARTTLS : RELAY_TLS_IMPLICIT;
	else if (!relay_tls_parse(text, &tls))
		return fault_set(f, RC_INVALID,
		    "tls '%.*s' must be implicit (also called ssl), starttls or none",
		    STR_ARG(text));
	if (tls == RELAY_TLS_NONE && !is_loopback(row->host))
		return fault_set(f, RC_INVALID,
		    "a mailbox beyond this machine is only read inside TLS; use implicit or starttls");
	if (port == 0)
		port = tls == RELAY_TLS_IMPLICIT ? 993 : 143;
	row->tls = arena_str(a, str_from(relay_tls_name(tls)));
	row->port = (uint16_t)port;
	return RC_OK;
}

static enum rc
get_purpose(const struct json *body, struct store_mailbox_row *row, struct fault *f)
{
	struct str text = { 0 };
	enum rc rc = get_text(body, "for", 32, &text, f);

	if (rc != RC_OK || text.n == 0)
		return rc;
	row->for_probe = str_eq_nocase(text, STR("probe")) || str_eq_nocase(text, STR("both"));
	row->for_bounces = str_eq_nocase(text, STR("bounces")) || str_eq_nocase(text, STR("both"));
	if (!row->for_probe && !row->for_bounces)
		return fault_set(
		    f, RC_INVALID, "for '%.*s' must be probe, bounces or both", STR_ARG(text));
	return RC_OK;
}

static enum rc
get_auth(const struct json *body, struct store_mailbox_row *row, struct fault *f)
{
	enum rc rc = get_text(body, "auth", 32, &row->auth, f);

	if (rc != RC_OK)
		return rc;
	if (row->auth.n == 0)
		row->auth = STR("password");
	if (!str_eq(row->auth, STR("password")) && !str_eq(row->auth, STR("xoauth2")))
		return fault_set(
		    f, RC_INVALID, "auth '%.*s' must be password or xoauth2", STR_ARG(row->auth));
	return RC_OK;
}

static enum rc
check_address(const char *key, struct str address, struct arena *a, struct fault *f)
{
	struct mail_addr addr;
	const char *why = "it is empty";

	if (address.n != 0 && mail_addr_parse(address, MAIL_ADDR_ASCII, a, &addr, &why) == RC_OK)
		return RC_OK;
	return fault_set(f, RC_INVALID, "%s '%.*s' is no address: %s", key,
	    STR_ARG(str_sub(address, 0, 80)), why);
}

static enum rc
get_addresses(
    const struct json *body, struct arena *a, struct store_mailbox_row *row, struct fault *f)
{
	struct str rest, word;
	enum rc rc = get_text(body, "address", 320, &row->address, f);

	if (rc == RC_OK)
		rc = api_get_words(body, "receive", a, &row->receive, f);
	if (rc == RC_OK && row->address.n == 0 && str_has_byte(row->user, '@'))
		row->address = row->user;
	if (rc == RC_OK && row->address.n == 0)
		return fault_set(
		    f, RC_INVALID, "address is missing: where mail for this mailbox goes to");
	if (rc == RC_OK)
		rc = check_address("address", row->address, a, f);
	rest = row->receive;
	while (rc == RC_OK && api_next_word(&rest, &word))
		rc = check_address("receive", word, a, f);
	return rc;
}

static enum rc
get_secret(const struct json *body, struct str *out, struct fault *f)
{
	struct str s = { 0 };

	if (json_at(body, "secret") == NULL)
		return RC_OK;
	enum rc rc = api_need_str(body, "secret", &s, f);
	if (rc == RC_OK && (s.n == 0 || s.n > SECRET_MAX))
		return fault_set(f, RC_INVALID, "secret must have 1 to %d bytes", SECRET_MAX);
	if (rc == RC_OK)
		*out = s;
	return rc;
}

/* Over what is in t->row, which is zero for a new mailbox. */
static enum rc
read_form(struct api_call *c, struct mailbox_task *t, bool is_new, struct fault *f)
{
	struct store_mailbox_row *row = &t->row;
	const struct json *b = c->body;
	struct str host_before = row->host, user_before = row->user;
	enum rc rc = json_only(b, fields, COUNT_OF(fields), f);

	if (rc == RC_OK && is_new)
		rc = api_need_str(b, "name", &row->name, f);
	if (rc == RC_OK && is_new)
		rc = api_check_name("name", row->name, f);
	if (rc == RC_OK && !is_new && json_at(b, "name") != NULL)
		rc = fault_set(
		    f, RC_INVALID, "name cannot be changed; add a mailbox under the new name");
	if (rc == RC_OK)
		rc = get_text(b, "host", 253, &row->host, f);
	if (rc == RC_OK && row->host.n == 0)
		rc = fault_set(f, RC_INVALID, "host is missing: the name of the IMAP server");
	if (rc == RC_OK)
		rc = get_tls(b, &c->arena, row, f);
	if (rc == RC_OK)
		rc = get_text(b, "tls_name", 253, &row->tls_name, f);
	if (rc == RC_OK)
		rc = get_text(b, "ca_file", 1024, &row->ca_file, f);
	if (rc == RC_OK)
		rc = get_text(b, "user", 320, &row->user, f);
	if (rc == RC_OK && row->user.n == 0)
		rc = fault_set(f, RC_INVALID, "user is missing: whom to log in as");
	if (rc == RC_OK)
		rc = get_auth(b, row, f);
	if (rc == RC_OK)
		rc = get_addresses(b, &c->arena, row, f);
	if (rc == RC_OK)
		rc = get_purpose(b, row, f);
	if (rc == RC_OK)
		rc = get_text(b, "smtp_relay", 64, &row->smtp_relay, f);
	if (rc == RC_OK)
		rc = get_text(b, "note", 1000, &row->note, f);
	if (rc == RC_OK)
		rc = get_secret(b, &t->secret, f);
	bool moved = !str_eq_nocase(host_before, row->host) || !str_eq(user_before, row->user);
	/* The old secret must not go to another server, or to another login. */
	if (rc == RC_OK && moved && t->secret.p == NULL)
		rc = fault_set(
		    f, RC_INVALID, "secret is missing: what %.*s logs in with", STR_ARG(row->user));
	return rc;
}

static enum rc
seal_secret(struct api_call *c, struct mailbox_task *t, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };
	char bound[MAILBOX_KEYS_BOUND_SIZE];

	if (t->secret.p == NULL)
		return RC_OK;
	mailbox_keys_bound(t->row.id, bound);
	buf_init(&b, SECRET_MAX + SEAL_OVERHEAD);
	if (seal_close(c->api->opts.seal, t->secret, str_from(bound), &b) != RC_OK)
		return fault_set(f, RC_INVALID, "secret must have 1 to %d bytes", SECRET_MAX);
	t->row.secret = arena_str(&c->arena, buf_str(&b));
	return RC_OK;
}

/* A relay that is named must be there. */
static enum rc
check_relay(struct api_call *c, struct str name, struct fault *f)
{
	if (name.n == 0 || relay_book_relay_named(c->relays, name) != NULL)
		return RC_OK;
	return fault_set(f, RC_INVALID,
	    "there is no relay '%.*s' to send as this mailbox; 'posthouse relay list' shows them all",
	    STR_ARG(str_sub(name, 0, 64)));
}

/* ---- changes ---- */

static enum rc
put_row(struct api_call *c, struct store_reader *r, struct fault *f)
{
	const struct mailbox_task *t = c->data;

	(void)r;
	(void)f;
	put_mailbox(&c->json, &t->row);
	return RC_OK;
}

static enum rc
add(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct mailbox_task *t = c->data;
	struct store_mailbox_row same;
	enum rc rc;

	if (api_mailbox_find(store_tx_reader(tx), t->row.name, &c->arena, &same, NULL) == RC_OK)
		return fault_set(f, RC_EXISTS,
		    "there is a mailbox '%.*s' already; change it with 'posthouse mailbox edit', or take "
		    "another name",
		    STR_ARG(same.name));
	t->row.id = 0;
	rc = store_config_mailbox_put(tx, &t->row, f);
	if (rc == RC_OK)
		rc = seal_secret(c, t, f);
	if (rc == RC_OK)
		rc = store_config_mailbox_put(tx, &t->row, f);
	return rc == RC_OK ? api_audit(c, tx, "mailbox.add", t->row.name, t->row.note, f) : rc;
}

void
api_mailbox_add(struct api_call *c)
{
	struct mailbox_task *t = task_of(c);
	struct fault f = { 0 };

	t->row.for_probe = true;
	t->row.created_us = clock_wall_us();
	c->status = 201;
	if (read_form(c, t, true, &f) != RC_OK || check_relay(c, t->row.smtp_relay, &f) != RC_OK)
		api_fail_with(c, &f);
	else
		api_change_quietly(c, add, put_row);
}

static enum rc
edit(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct mailbox_task *t = c->data;
	enum rc rc = api_mailbox_find(store_tx_reader(tx), c->name, &c->arena, &t->row, f);

	t->secret = (struct str){ 0 };
	if (rc == RC_OK)
		rc = read_form(c, t, false, f);
	if (rc == RC_OK)
		rc = check_relay(c, t->row.smtp_relay, f);
	if (rc == RC_OK)
		rc = seal_secret(c, t, f);
	if (rc == RC_OK)
		rc = store_config_mailbox_put(tx, &t->row, f);
	return rc == RC_OK ? api_audit(c, tx, "mailbox.edit", t->row.name, t->row.note, f) : rc;
}

void
api_mailbox_edit(struct api_call *c)
{
	(void)task_of(c);
	api_change_quietly(c, edit, put_row);
}

/* The relay whose version in use has its bounces read there; empty: none. */
static enum rc
find_user(
    struct store_reader *r, struct str mailbox, struct arena *a, struct str *out, struct fault *f)
{
	struct store_relay_row *relays = NULL;
	struct store_relay_version_row *versions = NULL;
	struct relay_id all = { 0 };
	uint32_t n = 0, n_versions = 0;
	enum rc rc = store_config_relay_list(r, a, &relays, &n, f);

	if (rc == RC_OK)
		rc = store_config_relay_version_list(r, all, a, &versions, &n_versions, f);
	for (uint32_t i = 0; i < n && rc == RC_OK; i++)
		for (uint32_t k = 0; k < n_versions; k++)
			if (ID_EQ(versions[k].id, relays[i].version) &&
			    str_eq_nocase(versions[k].bounces, mailbox))
				*out = relays[i].name;
	return rc;
}

static enum rc
drop(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct mailbox_task *t = c->data;
	struct store_reader *r = store_tx_reader(tx);
	struct str user = { 0 };
	enum rc rc = api_mailbox_find(r, c->name, &c->arena, &t->row, f);

	if (rc == RC_OK)
		rc = find_user(r, t->row.name, &c->arena, &user, f);
	if (rc == RC_OK && user.n != 0)
		return fault_set(f, RC_EXISTS,
		    "bounces of relay '%.*s' are read there; name another mailbox first with 'posthouse "
		    "relay edit %.*s --bounces MAILBOX'",
		    STR_ARG(user), STR_ARG(user));
	if (rc == RC_OK)
		rc = store_config_mailbox_remove(tx, t->row.id, f);
	return rc == RC_OK ? api_audit(c, tx, "mailbox.remove", t->row.name, (struct str){ 0 }, f)
			   : rc;
}

void
api_mailbox_remove(struct api_call *c)
{
	(void)task_of(c);
	api_change_quietly(c, drop, NULL);
}

enum rc
api_mailbox_must_exist(struct store_reader *r, struct str name, struct arena *a, struct fault *f)
{
	struct store_mailbox_row row;

	if (name.n == 0)
		return RC_OK;
	enum rc rc = api_mailbox_find(r, name, a, &row, NULL);
	if (rc != RC_NOT_FOUND)
		return rc == RC_OK ? rc : fault_set(f, rc, "the store cannot be read");
	return fault_set(f, RC_INVALID,
	    "there is no mailbox '%.*s' to read bounces in; add it first with 'posthouse mailbox add "
	    "%.*s --host H --user U --for bounces'",
	    STR_ARG(str_sub(name, 0, 64)), STR_ARG(str_sub(name, 0, 64)));
}

/* ---- checking ---- */

static void
put_folders(struct json_writer *w, const struct mailbox_check *k)
{
	json_writer_put_array(w, "folders");
	for (size_t i = 0; i < k->n_folders; i++) {
		const struct mailbox_check_folder *f = &k->folders[i];
		json_writer_object(w);
		json_writer_put_str(w, "name", f->name);
		json_writer_put_str(w, "role", str_from(imap_role_name(f->role)));
		if (f->counted)
			json_writer_put_uint(w, "messages", f->messages);
		else
			json_writer_put_null(w, "messages");
		json_writer_end(w);
	}
	json_writer_end(w);
}

static void
put_check(struct api_call *c, const struct mailbox_check *k)
{
	struct json_writer *w = &c->json;

	json_writer_object(w);
	json_writer_put_str(w, "object", STR("check"));
	json_writer_put_str(w, "mailbox", k->row.name);
	json_writer_put_bool(w, "passed", k->passed);
	api_put_text(
	    w, "stage", k->passed ? (struct str){ 0 } : str_from(imap_stage_name(k->stage)));
	api_put_text(w, "why", k->why);
	api_put_text(w, "greeting", k->greeting);
	api_put_text(w, "tls", k->tls);
	json_writer_put_bool(w, "has_junk", k->has_junk);
	put_folders(w, k);
	json_writer_end(w);
}

static void
drop_check(struct mailbox_request *request)
{
	struct mailbox_ask *ask = CONTAINER_OF(request, struct mailbox_ask, base);
	struct mailbox_check *k = CONTAINER_OF(ask, struct mailbox_check, ask);

	mailbox_check_free(&k);
}

static void
checked(struct api_call *c)
{
	struct mailbox_task *t = c->data;
	AUTO(mailbox_check_free) struct mailbox_check *k = TAKE(t->check);

	if (k->ask.rc != RC_OK) {
		api_fail_with(c, &k->ask.fault);
		return;
	}
	put_check(c, k);
	api_done(c);
}

static void
ask_check(struct api_call *c)
{
	struct mailbox_task *t = c->data;

	api_ask(c, c->api->opts.mailboxes, &t->check->ask.base, drop_check, checked);
}

/* The row whole, in the request's own arena. */
static enum rc
read_for_check(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct mailbox_task *t = c->data;

	t->check = mailbox_check_new();
	enum rc rc = api_mailbox_find(r, c->name, &t->check->arena, &t->check->row, f);
	if (rc != RC_OK)
		mailbox_check_free(&t->check);
	return rc;
}

void
api_mailbox_check(struct api_call *c)
{
	(void)task_of(c);
	api_read(c, read_for_check, ask_check);
}
