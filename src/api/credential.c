/* Credentials: who may log in by SMTP AUTH.
 *
 * A secret is generated and shown once, or taken over as it is so that programs need change nothing
 * but host and port. Only its verifier is kept. Making that of a chosen secret takes a tenth of a
 * second by design, so it is made in the pool before the transaction. */
#include "api/account.h"

#include "account/book.h"
#include "api/books.h"
#include "base/mem.h"
#include "crypto/password.h"
#include "crypto/token.h"

#define USER_MAX 320

static const char *const fields[] = { "user", "account", "from", "networks", "stream", "options",
	"secret", "note" };

struct credential_task {
	struct str secret;   /* as it was given */
	struct str verifier; /* empty: the secret stays */
	char generated[TOKEN_SECRET_SIZE];
	struct str paused; /* of pause and resume */
};

/* ---- showing ---- */

static void
put_credential(struct json_writer *w, const struct api_accounts *accounts,
    const struct store_credential_row *row)
{
	json_writer_object(w);
	json_writer_put_str(w, "user", row->name);
	json_writer_put_str(w, "account", api_accounts_name(accounts, row->account));
	api_put_words(w, "from", row->senders);
	api_put_words(w, "networks", row->networks);
	api_put_text(w, "stream",
	    row->has_stream ? str_from(mail_stream_name(row->stream)) : (struct str){ 0 });
	api_put_words(w, "options", row->options);
	json_writer_put_bool(w, "paused", row->paused.n != 0);
	api_put_text(w, "paused_why", row->paused);
	api_put_text(w, "note", row->note);
	api_put_time(w, "created_at", row->created_us);
}

static enum rc
read_all(struct store_reader *r, struct arena *a, struct api_accounts *accounts,
    struct store_credential_row **rows, uint32_t *n, struct fault *f)
{
	enum rc rc = api_accounts_read(r, a, accounts, f);

	return rc == RC_OK ? store_config_credential_list(r, a, rows, n, f) : rc;
}

static enum rc
find(struct store_credential_row *rows, uint32_t n, struct str user,
    struct store_credential_row **out, struct fault *f)
{
	for (uint32_t i = 0; i < n; i++) {
		if (str_eq_nocase(rows[i].name, user)) {
			*out = &rows[i];
			return RC_OK;
		}
	}
	return fault_set(f, RC_NOT_FOUND,
	    "there is no credential '%.*s'; 'posthouse credential list' shows them all",
	    STR_ARG(str_sub(user, 0, 64)));
}

static enum rc
put_all(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_accounts accounts = { 0 };
	struct store_credential_row *rows;
	uint32_t n;
	enum rc rc = read_all(r, &c->arena, &accounts, &rows, &n, f);

	if (rc != RC_OK)
		return rc;
	api_list_begin(&c->json);
	for (uint32_t i = 0; i < n; i++) {
		put_credential(&c->json, &accounts, &rows[i]);
		json_writer_end(&c->json);
	}
	api_list_end(&c->json, false);
	return RC_OK;
}

static enum rc
put_one(struct api_call *c, struct store_reader *r, struct fault *f)
{
	const struct credential_task *t = c->data;
	struct api_accounts accounts = { 0 };
	struct store_credential_row *rows, *row;
	uint32_t n;
	enum rc rc = read_all(r, &c->arena, &accounts, &rows, &n, f);

	if (rc == RC_OK)
		rc = find(rows, n, c->name, &row, f);
	if (rc != RC_OK)
		return rc;
	put_credential(&c->json, &accounts, row);
	if (t != NULL && t->generated[0] != '\0')
		json_writer_put_str(&c->json, "secret", str_from(t->generated));
	json_writer_end(&c->json);
	return RC_OK;
}

void
api_credential_list(struct api_call *c)
{
	api_answer_from(c, put_all);
}

void
api_credential_show(struct api_call *c)
{
	api_answer_from(c, put_one);
}

/* ---- the secret ---- */

static enum rc
make_verifier(struct api_call *c, struct fault *f)
{
	struct credential_task *t = c->data;
	AUTO(buf_wipe) struct buf text = { 0 };
	struct password_verifier v;
	enum password_kind kind = PASSWORD_CHOSEN;

	if (t->secret.p == NULL) {
		token_secret(t->generated);
		t->secret = str_from(t->generated);
		kind = PASSWORD_GENERATED;
	}
	enum rc rc = password_make(t->secret, kind, true, &v);
	if (rc == RC_INVALID)
		return fault_set(f, RC_INVALID,
		    "secret must have 1 to %d bytes and no control characters", PASSWORD_MAX);
	if (rc != RC_OK)
		return fault_set(
		    f, rc, "there is not enough memory just now; try again in a moment");
	buf_init(&text, PASSWORD_TEXT_MAX);
	password_format(&v, &text);
	t->verifier = arena_str(&c->arena, buf_str(&text));
	mem_wipe(&v, sizeof(v));
	return RC_OK;
}

/* ---- reading a request ---- */

static enum rc
check_user(struct str user, struct fault *f)
{
	if (user.n == 0 || user.n > USER_MAX)
		return fault_set(f, RC_INVALID, "user must have 1 to %d bytes", USER_MAX);
	for (size_t i = 0; i < user.n; i++) {
		unsigned char ch = (unsigned char)user.p[i];
		if (ch <= ' ' || ch == 0x7f || ch == '/')
			return fault_set(f, RC_INVALID,
			    "user '%.*s' may not hold blanks, slashes or control characters",
			    STR_ARG(str_sub(user, 0, 80)));
	}
	return RC_OK;
}

static enum rc
get_options(struct api_call *c, struct store_credential_row *row, struct fault *f)
{
	struct str list = { 0 }, rest, word;
	struct buf b;
	unsigned set;

	if (json_at(c->body, "options") == NULL)
		return RC_OK;
	enum rc rc = api_get_words(c->body, "options", &c->arena, &list, f);
	if (rc != RC_OK)
		return rc;
	buf_init(&b, 4096);
	for (rest = list; api_next_word(&rest, &word);)
		buf_addf(&b, "%s%.*s", buf_len(&b) != 0 ? "," : "", STR_ARG(word));
	row->options = arena_str(&c->arena, buf_str(&b));
	buf_done(&b);
	return api_books_options(row->options, &set, f);
}

static enum rc
get_credential(struct api_call *c, const struct api_accounts *accounts,
    struct store_credential_row *row, struct fault *f)
{
	struct str account = { 0 }, stream = { 0 };
	struct store_account_row *owner;
	enum rc rc = json_opt_str(c->body, "account", &account, f);

	if (rc == RC_OK && account.n != 0) {
		rc = api_accounts_find(accounts, account, &owner, f);
		if (rc != RC_OK)
			return RC_INVALID;
		row->account = owner->id;
	}
	if (rc == RC_OK)
		rc = api_get_words(c->body, "from", &c->arena, &row->senders, f);
	if (rc == RC_OK)
		rc = account_senders_check(row->senders, f);
	if (rc == RC_OK)
		rc = api_get_words(c->body, "networks", &c->arena, &row->networks, f);
	if (rc == RC_OK)
		rc = account_networks_check(row->networks, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "stream", &stream, f);
	if (rc == RC_OK && json_at(c->body, "stream") != NULL) {
		row->has_stream = stream.n != 0;
		if (stream.n != 0 && !mail_stream_parse(stream, &row->stream))
			rc = fault_set(f, RC_INVALID, "stream must be transactional or bulk");
	}
	if (rc == RC_OK)
		rc = get_options(c, row, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "note", &row->note, f);
	return rc;
}

/* ---- changing ---- */

static enum rc
add(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	const struct credential_task *t = c->data;
	struct store_credential_row row = { .name = c->name,
		.account = ACCOUNT_LOCAL,
		.verifier = t->verifier,
		.created_us = clock_wall_us() };
	struct store_credential_row *rows = NULL, *same;
	struct api_accounts accounts = { 0 };
	uint32_t n = 0;
	enum rc rc = api_accounts_keep_local(tx, &c->arena, f);

	if (rc == RC_OK)
		rc = read_all(store_tx_reader(tx), &c->arena, &accounts, &rows, &n, f);
	if (rc == RC_OK && find(rows, n, row.name, &same, NULL) == RC_OK)
		rc = fault_set(f, RC_EXISTS,
		    "there is a credential '%.*s' already; change it with 'posthouse credential edit'",
		    STR_ARG(row.name));
	if (rc == RC_OK)
		rc = get_credential(c, &accounts, &row, f);
	if (rc == RC_OK)
		rc = store_config_credential_put(tx, &row, f);
	if (rc == RC_OK)
		rc = api_accounts_judge(tx, f);
	return rc == RC_OK ? api_audit(c, tx, "credential.add", row.name, row.note, f) : rc;
}

static void
write_add(struct api_call *c)
{
	api_change(c, add, put_one);
}

void
api_credential_add(struct api_call *c)
{
	struct credential_task *t = ARENA_NEW(&c->arena, struct credential_task);
	struct fault f = { 0 };
	enum rc rc = json_only(c->body, fields, COUNT_OF(fields), &f);

	c->data = t;
	c->status = 201;
	if (rc == RC_OK)
		rc = api_need_str(c->body, "user", &c->name, &f);
	if (rc == RC_OK)
		rc = check_user(c->name, &f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "secret", &t->secret, &f);
	if (rc != RC_OK)
		api_fail_with(c, &f);
	else
		api_work(c, make_verifier, write_add);
}

/* Loads the credential that c->name names. */
static enum rc
load_one(struct api_call *c, struct store_tx *tx, struct api_accounts *accounts,
    struct store_credential_row **row, struct fault *f)
{
	struct store_credential_row *rows;
	uint32_t n;
	enum rc rc = read_all(store_tx_reader(tx), &c->arena, accounts, &rows, &n, f);

	return rc == RC_OK ? find(rows, n, c->name, row, f) : rc;
}

static enum rc
edit(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	const struct credential_task *t = c->data;
	struct store_credential_row *row;
	struct api_accounts accounts = { 0 };
	enum rc rc = load_one(c, tx, &accounts, &row, f);

	if (rc == RC_OK)
		rc = get_credential(c, &accounts, row, f);
	if (rc != RC_OK)
		return rc;
	if (t->verifier.n != 0)
		row->verifier = t->verifier;
	rc = store_config_credential_put(tx, row, f);
	if (rc == RC_OK)
		rc = api_accounts_judge(tx, f);
	return rc == RC_OK ? api_audit(c, tx, "credential.edit", row->name, row->note, f) : rc;
}

static void
write_edit(struct api_call *c)
{
	api_change(c, edit, put_one);
}

void
api_credential_edit(struct api_call *c)
{
	struct credential_task *t = ARENA_NEW(&c->arena, struct credential_task);
	struct fault f = { 0 };
	enum rc rc = json_only(c->body, fields, COUNT_OF(fields), &f);

	c->data = t;
	if (rc == RC_OK && json_at(c->body, "user") != NULL)
		rc = fault_set(
		    &f, RC_INVALID, "user cannot be changed; add a credential under the new name");
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "secret", &t->secret, &f);
	if (rc != RC_OK)
		api_fail_with(c, &f);
	else if (t->secret.p != NULL)
		api_work(c, make_verifier, write_edit);
	else
		write_edit(c);
}

static enum rc
drop(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct store_credential_row *row;
	struct api_accounts accounts = { 0 };
	enum rc rc = load_one(c, tx, &accounts, &row, f);

	if (rc == RC_OK)
		rc = store_config_credential_remove(tx, row->id, f);
	return rc == RC_OK ? api_audit(c, tx, "credential.remove", c->name, (struct str){ 0 }, f)
			   : rc;
}

void
api_credential_remove(struct api_call *c)
{
	api_change(c, drop, NULL);
}

static enum rc
set_paused(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	const struct credential_task *t = c->data;
	struct store_credential_row *row = NULL;
	struct api_accounts accounts = { 0 };
	const char *what = t->paused.n != 0 ? "credential.pause" : "credential.resume";
	enum rc rc = load_one(c, tx, &accounts, &row, f);

	if (rc != RC_OK)
		return rc;
	ASSERT(row != NULL);
	row->paused = t->paused;
	rc = store_config_credential_put(tx, row, f);
	return rc == RC_OK ? api_audit(c, tx, what, row->name, t->paused, f) : rc;
}

void
api_credential_pause(struct api_call *c)
{
	struct credential_task *t = ARENA_NEW(&c->arena, struct credential_task);
	struct fault f = { 0 };
	enum rc rc = c->body != NULL ? json_opt_str(c->body, "why", &t->paused, &f) : RC_OK;

	c->data = t;
	if (rc == RC_OK)
		rc = api_check_text("why", t->paused, 200, &f);
	if (t->paused.n == 0)
		t->paused = STR("paused by an operator");
	if (rc != RC_OK)
		api_fail_with(c, &f);
	else
		api_change(c, set_paused, put_one);
}

void
api_credential_resume(struct api_call *c)
{
	c->data = ARENA_NEW(&c->arena, struct credential_task);
	api_change(c, set_paused, put_one);
}
