/* Accounts. `local`, the account of trusted networks and of the admin key, is always there and has
 * id 1: before any other account is added, its row is. */
#include "api/account.h"

#include "account/book.h"
#include "api/books.h"
#include "store/config_relay.h"
#include "store/query_queue.h"

enum rc
api_accounts_judge(struct store_tx *tx, struct fault *f)
{
	AUTO(account_book_unref) struct account_book *book = NULL;

	return api_books_read(store_tx_reader(tx), NULL, &book, f);
}

enum rc
api_accounts_read(
    struct store_reader *r, struct arena *a, struct api_accounts *out, struct fault *f)
{
	enum rc rc = store_config_account_list(r, a, &out->rows, &out->n, f);
	bool has_local = false;

	for (uint32_t i = 0; rc == RC_OK && i < out->n; i++)
		has_local |= ID_EQ(out->rows[i].id, ACCOUNT_LOCAL);
	if (rc != RC_OK || has_local)
		return rc;
	struct store_account_row *rows = ARENA_NEW_ARRAY(a, struct store_account_row, out->n + 1);
	rows[0] = (struct store_account_row){ .id = ACCOUNT_LOCAL, .name = STR("local") };
	if (out->n != 0)
		memcpy(rows + 1, out->rows, out->n * sizeof(*rows));
	*out = (struct api_accounts){ rows, out->n + 1 };
	return RC_OK;
}

enum rc
api_accounts_find(const struct api_accounts *all, struct str name, struct store_account_row **out,
    struct fault *f)
{
	for (uint32_t i = 0; i < all->n; i++) {
		if (str_eq_nocase(all->rows[i].name, name)) {
			*out = &all->rows[i];
			return RC_OK;
		}
	}
	return fault_set(f, RC_NOT_FOUND,
	    "there is no account '%.*s'; add it with 'posthouse account add'",
	    STR_ARG(str_sub(name, 0, 64)));
}

struct str
api_accounts_name(const struct api_accounts *all, struct account_id id)
{
	for (uint32_t i = 0; i < all->n; i++)
		if (ID_EQ(all->rows[i].id, id))
			return all->rows[i].name;
	return STR("?");
}

enum rc
api_accounts_keep_local(struct store_tx *tx, struct arena *a, struct fault *f)
{
	struct store_account_row *rows;
	struct store_account_row local = { .name = STR("local"), .created_us = clock_wall_us() };
	uint32_t n;
	enum rc rc = store_config_account_list(store_tx_reader(tx), a, &rows, &n, f);

	if (rc != RC_OK || n != 0)
		return rc;
	rc = store_config_account_put(tx, &local, f);
	ASSERT(rc != RC_OK || ID_EQ(local.id, ACCOUNT_LOCAL));
	return rc;
}

/* ---- showing ---- */

static enum rc
put_account(struct api_call *c, struct store_reader *r, const struct store_account_row *row,
    struct fault *f)
{
	struct json_writer *w = &c->json;
	struct store_totals t = { 0 };
	enum rc rc = store_query_totals(r, row->id, &t, f);

	json_writer_object(w);
	json_writer_put_str(w, "name", row->name);
	json_writer_put_bool(w, "paused", row->disabled);
	api_put_text(w, "note", row->note);
	json_writer_put_uint(w, "accepted", t.accepted);
	json_writer_put_uint(w, "sent", t.sent);
	json_writer_put_uint(w, "queued", t.queued);
	api_put_time(w, "created_at", row->created_us);
	json_writer_end(w);
	return rc;
}

static enum rc
put_all(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_accounts all = { 0 };
	enum rc rc = api_accounts_read(r, &c->arena, &all, f);

	if (rc != RC_OK)
		return rc;
	api_list_begin(&c->json);
	for (uint32_t i = 0; i < all.n && rc == RC_OK; i++)
		rc = put_account(c, r, &all.rows[i], f);
	api_list_end(&c->json, false);
	return rc;
}

static enum rc
put_one(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_accounts all = { 0 };
	struct store_account_row *row;
	enum rc rc = api_accounts_read(r, &c->arena, &all, f);

	if (rc == RC_OK)
		rc = api_accounts_find(&all, c->name, &row, f);
	return rc == RC_OK ? put_account(c, r, row, f) : rc;
}

void
api_account_list(struct api_call *c)
{
	api_answer_from(c, put_all);
}

/* ---- changing ---- */

static enum rc
add(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	static const char *const fields[] = { "name", "note" };
	struct store_account_row row = { .created_us = clock_wall_us() };
	struct store_account_row *same;
	struct api_accounts all = { 0 };
	enum rc rc = json_only(c->body, fields, COUNT_OF(fields), f);

	if (rc == RC_OK)
		rc = api_need_str(c->body, "name", &row.name, f);
	if (rc == RC_OK)
		rc = api_check_name("name", row.name, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "note", &row.note, f);
	if (rc == RC_OK)
		rc = api_accounts_keep_local(tx, &c->arena, f);
	if (rc == RC_OK)
		rc = api_accounts_read(store_tx_reader(tx), &c->arena, &all, f);
	if (rc == RC_OK && api_accounts_find(&all, row.name, &same, NULL) == RC_OK)
		rc = fault_set(f, RC_EXISTS,
		    "there is an account '%.*s' already; take another name", STR_ARG(row.name));
	if (rc == RC_OK)
		rc = store_config_account_put(tx, &row, f);
	if (rc == RC_OK)
		rc = api_accounts_judge(tx, f);
	if (rc != RC_OK)
		return rc;
	c->name = row.name;
	return api_audit(c, tx, "account.add", row.name, row.note, f);
}

static enum rc
edit(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	static const char *const fields[] = { "name", "paused", "note" };
	struct str *name = c->data;
	struct store_account_row *row = NULL, *same;
	struct api_accounts all = { 0 };
	enum rc rc = json_only(c->body, fields, COUNT_OF(fields), f);

	if (rc == RC_OK)
		rc = api_accounts_keep_local(tx, &c->arena, f);
	if (rc == RC_OK)
		rc = api_accounts_read(store_tx_reader(tx), &c->arena, &all, f);
	if (rc == RC_OK)
		rc = api_accounts_find(&all, *name, &row, f);
	if (rc != RC_OK)
		return rc;
	struct str before = row->name;
	rc = json_opt_str(c->body, "name", &row->name, f);
	if (rc == RC_OK)
		rc = api_check_name("name", row->name, f);
	if (rc == RC_OK && !str_eq(before, row->name) && ID_EQ(row->id, ACCOUNT_LOCAL))
		rc = fault_set(f, RC_INVALID, "the account 'local' keeps its name");
	if (rc == RC_OK && api_accounts_find(&all, row->name, &same, NULL) == RC_OK && same != row)
		rc = fault_set(f, RC_EXISTS,
		    "there is an account '%.*s' already; take another name", STR_ARG(row->name));
	if (rc == RC_OK)
		rc = json_opt_bool(c->body, "paused", &row->disabled, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "note", &row->note, f);
	if (rc == RC_OK)
		rc = store_config_account_put(tx, row, f);
	if (rc == RC_OK)
		rc = api_accounts_judge(tx, f);
	if (rc != RC_OK)
		return rc;
	c->name = row->name;
	return api_audit(c, tx, "account.edit", before, row->note, f);
}

static enum rc
drop(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct store_reader *r = store_tx_reader(tx);
	struct store_credential_row *credentials = NULL;
	struct store_account_row *row = NULL;
	struct store_route_row *routes = NULL;
	uint32_t n_routes = 0;
	struct store_totals t = { 0 };
	struct api_accounts all = { 0 };
	uint32_t n = 0;
	enum rc rc = api_accounts_read(r, &c->arena, &all, f);

	if (rc == RC_OK)
		rc = api_accounts_find(&all, c->name, &row, f);
	if (rc == RC_OK)
		rc = store_config_credential_list(r, &c->arena, &credentials, &n, f);
	if (rc == RC_OK)
		rc = store_config_route_list(r, &c->arena, &routes, &n_routes, f);
	if (rc != RC_OK)
		return rc;
	ASSERT(row != NULL);
	rc = store_query_totals(r, row->id, &t, f);
	if (rc != RC_OK)
		return rc;
	if (ID_EQ(row->id, ACCOUNT_LOCAL))
		return fault_set(
		    f, RC_EXISTS, "the account 'local' is always there; pause it instead");
	for (uint32_t i = 0; i < n; i++) {
		if (ID_EQ(credentials[i].account, row->id))
			return fault_set(f, RC_EXISTS,
			    "account '%.*s' has credentials; remove them first, '%.*s' for one",
			    STR_ARG(row->name), STR_ARG(credentials[i].name));
	}
	for (uint32_t i = 0; i < n_routes; i++) {
		if (ID_EQ(routes[i].account, row->id))
			return fault_set(f, RC_EXISTS,
			    "route '%.*s' is for account '%.*s'; remove it first with 'posthouse route remove'",
			    STR_ARG(routes[i].name), STR_ARG(row->name));
	}
	if (t.queued + t.in_doubt + t.captured != 0)
		return fault_set(f, RC_EXISTS,
		    "account '%.*s' has mail that waits; cancel it with 'posthouse queue cancel account=%.*s'",
		    STR_ARG(row->name), STR_ARG(row->name));
	rc = store_config_account_remove(tx, row->id, f);
	if (rc == RC_OK)
		rc = api_accounts_judge(tx, f);
	return rc == RC_OK ? api_audit(c, tx, "account.remove", row->name, (struct str){ 0 }, f)
			   : rc;
}

void
api_account_add(struct api_call *c)
{
	c->status = 201;
	api_change(c, add, put_one);
}

void
api_account_edit(struct api_call *c)
{
	struct str *name = ARENA_NEW(&c->arena, struct str);

	*name = c->name;
	c->data = name;
	api_change(c, edit, put_one);
}

void
api_account_remove(struct api_call *c)
{
	api_change(c, drop, NULL);
}
