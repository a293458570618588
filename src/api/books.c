/* A relay that is retired or has no version in use is left out, with the routes that name it; a
 * pause by hand does not show here, since the desk keeps it. Account 1 is `local`, the account of
 * trusted networks: always there. */
#include "api/books.h"

#include "account/book.h"
#include "base/arena.h"
#include "relay/book.h"
#include "store/config_account.h"
#include "store/config_changeover.h"
#include "store/config_relay.h"
#include "store/config_system.h"

/* ---- relays ---- */

struct relay_rows {
	struct store_relay_row *relays;
	struct store_relay_version_row *versions;
	struct store_route_row *routes;
	uint32_t n_relays, n_versions, n_routes;
	struct store_changeover_list changeovers;
};

static enum rc
read_relay_rows(struct store_reader *r, struct arena *a, struct relay_rows *out, struct fault *f)
{
	enum rc rc = store_config_relay_list(r, a, &out->relays, &out->n_relays, f);

	if (rc == RC_OK)
		rc = store_config_relay_version_list(
		    r, (struct relay_id){ 0 }, a, &out->versions, &out->n_versions, f);
	if (rc == RC_OK)
		rc = store_config_route_list(r, a, &out->routes, &out->n_routes, f);
	out->changeovers = (struct store_changeover_list){ .only_open = true };
	if (rc == RC_OK)
		rc = store_config_changeover_list(r, &out->changeovers, a, f);
	return rc;
}

static struct relay_version_row
version_row(const struct store_relay_version_row *v)
{
	struct relay_version_row out = {
		.id = v->id,
		.relay = v->relay,
		.number = v->number,
		.host = v->host,
		.port = v->port,
		.tls_name = v->tls_name,
		.ca_file = v->ca_file,
		.user = v->user,
		.secret = v->secret,
		.senders = v->senders,
		.rewrites = v->rewrites,
		.bounces = v->bounces,
		.max_connections = v->max_connections,
		.rate = { v->rate_count, v->rate_per_s },
		.daily_quota = v->daily_quota,
		.max_recipients = v->max_recipients,
		.provider = v->provider,
		.allow_plaintext = v->allow_plaintext,
		.caps = { v->caps_seen, v->caps_smtputf8, v->caps_eight_bit, v->caps_dsn,
		    v->caps_size_bytes },
	};

	if (!relay_tls_parse(v->tls, &out.tls))
		out.tls = RELAY_TLS_IMPLICIT;
	if (!relay_auth_parse(v->auth, &out.auth))
		out.auth = RELAY_AUTH_ANY;
	return out;
}

static bool
is_used(const struct relay_rows *rows, struct relay_id id)
{
	for (uint32_t i = 0; i < rows->n_relays; i++) {
		if (ID_EQ(rows->relays[i].id, id))
			return !ID_IS_NONE(rows->relays[i].version) &&
			       !str_eq(rows->relays[i].state, STR("retired"));
	}
	return false;
}

static void
convert(struct arena *a, const struct relay_rows *in, struct relay_book_rows *out)
{
	struct relay_row *relays = ARENA_NEW_ARRAY(a, struct relay_row, in->n_relays);
	struct relay_version_row *versions =
	    ARENA_NEW_ARRAY(a, struct relay_version_row, in->n_versions);
	struct relay_route_row *routes = ARENA_NEW_ARRAY(a, struct relay_route_row, in->n_routes);

	for (uint32_t i = 0; i < in->n_relays; i++) {
		const struct store_relay_row *r = &in->relays[i];
		if (is_used(in, r->id))
			relays[out->relay_count++] =
			    (struct relay_row){ r->id, r->name, r->version };
	}
	for (uint32_t i = 0; i < in->n_versions; i++) {
		if (is_used(in, in->versions[i].relay))
			versions[out->version_count++] = version_row(&in->versions[i]);
	}
	for (uint32_t i = 0; i < in->n_routes; i++) {
		const struct store_route_row *r = &in->routes[i];
		if (!is_used(in, r->relay))
			continue;
		routes[out->route_count++] = (struct relay_route_row){
			.id = { r->id },
			.relay = r->relay,
			.account = r->account,
			.sender = r->sender,
			.rcpt_domain = r->rcpt_domain,
			.by_stream = r->by_stream,
			.stream = r->stream,
			.is_default = r->is_default,
			.for_bounces = r->for_bounces,
		};
	}
	struct relay_move_row *moves = ARENA_NEW_ARRAY(a, struct relay_move_row, in->changeovers.n);
	for (uint32_t i = 0; i < in->changeovers.n; i++) {
		const struct store_changeover_row *c = &in->changeovers.rows[i];
		moves[out->move_count++] =
		    (struct relay_move_row){ c->id, c->from, c->to, c->routes, c->machine };
	}
	out->moves = moves;
	out->relays = relays;
	out->versions = versions;
	out->routes = routes;
}

static enum rc
read_relays(struct store_reader *r, struct relay_book **out, struct fault *f)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct relay_rows in = { 0 };
	struct relay_book_rows rows = { 0 };
	struct str had;
	enum rc rc = read_relay_rows(r, &a, &in, f);

	if (rc != RC_OK)
		return rc;
	convert(&a, &in, &rows);
	rows.had_relay = in.n_relays != 0 ||
			 store_config_setting_get(r, STR("had-relay"), &a, &had, NULL) == RC_OK;
	return relay_book_new(&rows, out, f);
}

/* ---- accounts ---- */

static const struct {
	const char *name;
	unsigned bit;
} option_names[] = {
	{ "stream", ACCOUNT_OPTION_STREAM },
	{ "tag", ACCOUNT_OPTION_TAG },
	{ "doubt", ACCOUNT_OPTION_DOUBT },
	{ "deadline", ACCOUNT_OPTION_DEADLINE },
	{ "send-at", ACCOUNT_OPTION_SEND_AT },
	{ "all", ACCOUNT_OPTIONS_ALL },
	{ "none", 0 },
};

enum rc
api_books_options(struct str text, unsigned *out, struct fault *f)
{
	struct str rest = text;
	struct str word;
	unsigned set = 0;

	while (str_cut(&rest, ',', &word)) {
		size_t i = 0;
		word = str_trim(word);
		if (word.n == 0)
			continue;
		while (i < COUNT_OF(option_names) &&
		       !str_eq_nocase(word, str_from(option_names[i].name)))
			i++;
		if (i == COUNT_OF(option_names))
			return fault_set(f, RC_INVALID,
			    "'%.*s' is no option; choose among stream, tag, doubt, deadline, send-at, all, none",
			    STR_ARG(word));
		set |= option_names[i].bit;
	}
	*out = set;
	return RC_OK;
}

static enum rc
read_accounts(struct store_reader *r, struct account_book **out, struct fault *f)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct store_account_row *accounts = NULL;
	struct store_credential_row *credentials = NULL;
	uint32_t n_accounts = 0, n_credentials = 0;
	enum rc rc = store_config_account_list(r, &a, &accounts, &n_accounts, f);

	if (rc == RC_OK)
		rc = store_config_credential_list(r, &a, &credentials, &n_credentials, f);
	if (rc != RC_OK)
		return rc;
	struct account_row *to = ARENA_NEW_ARRAY(&a, struct account_row, n_accounts + 1);
	struct account_credential_row *creds =
	    ARENA_NEW_ARRAY(&a, struct account_credential_row, n_credentials);
	size_t n = 0;
	bool has_local = false;
	for (uint32_t i = 0; i < n_accounts; i++) {
		has_local |= ID_EQ(accounts[i].id, ACCOUNT_LOCAL);
		to[n++] =
		    (struct account_row){ accounts[i].id, accounts[i].name, accounts[i].disabled };
	}
	if (!has_local)
		to[n++] = (struct account_row){ ACCOUNT_LOCAL, STR("local"), false };
	for (uint32_t i = 0; i < n_credentials && rc == RC_OK; i++) {
		const struct store_credential_row *c = &credentials[i];
		creds[i] = (struct account_credential_row){ .id = c->id,
			.account = c->account,
			.user = c->name,
			.verifier = c->verifier,
			.senders = c->senders,
			.networks = c->networks,
			.has_stream = c->has_stream,
			.stream = c->stream,
			.paused = c->paused.n != 0 };
		rc = api_books_options(c->options, &creds[i].options, f);
	}
	if (rc != RC_OK)
		return rc;
	return account_book_new(to, n, creds, n_credentials, out, f);
}

enum rc
api_books_read(struct store_reader *r, struct relay_book **relays_out,
    struct account_book **accounts_out, struct fault *f)
{
	AUTO(relay_book_unref) struct relay_book *relays = NULL;
	enum rc rc = relays_out != NULL ? read_relays(r, &relays, f) : RC_OK;

	if (rc == RC_OK && accounts_out != NULL)
		rc = read_accounts(r, accounts_out, f);
	if (rc == RC_OK && relays_out != NULL)
		*relays_out = TAKE(relays);
	return rc;
}
