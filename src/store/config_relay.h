/* Relays, their versions, routes, and the daily counters of logins.
 *
 * Conventions as in config_account.h. A relay version is immutable once inserted, but for what
 * takes effect at once (note, limits, secret) and what its server announced. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "mail/ids.h"
#include "store/op.h"
#include "store/reader.h"

struct store_relay_row {
	struct relay_id id;
	struct str name;  /* unique */
	struct str state; /* "active", "paused", "retired" */
	struct str state_why;
	struct version_id version; /* the one in use; none yet */
	struct str note;
	int64_t created_us;
};

enum rc store_config_relay_put(
    struct store_tx *tx, struct store_relay_row *row, struct fault *fault);
/* With its versions. History that names them stays. RC_DENIED: a route still names it. */
enum rc store_config_relay_remove(struct store_tx *tx, struct relay_id id, struct fault *fault);
enum rc store_config_relay_list(struct store_reader *r, struct arena *a,
    struct store_relay_row **rows_out, uint32_t *n_out, struct fault *fault);

struct store_relay_version_row {
	struct version_id id;
	struct relay_id relay;
	uint32_t number; /* 1, 2 ... within the relay; given out by the insert */
	struct str host;
	uint16_t port;
	struct str tls; /* "implicit", "starttls", "none" */
	struct str tls_name;
	struct str ca_file;
	struct str user;
	struct str secret;   /* sealed bytes */
	struct str auth;     /* mechanism; empty: any */
	struct str senders;  /* list; empty: carries every sender */
	struct str rewrites; /* list of OLD=NEW */
	struct str provider;
	struct str allow_plaintext; /* the reason; empty: not allowed */
	struct str bounces;
	uint32_t max_connections; /* 0: default */
	uint32_t max_recipients;  /* of one transaction; 0: default */
	uint32_t rate_count;      /* messages in rate_per_s seconds; 0: no limit */
	uint32_t rate_per_s;
	uint32_t daily_quota; /* 0: none */
	struct str note;
	int64_t created_us;
	/* What the server announced when it was last spoken to. */
	bool caps_seen, caps_smtputf8, caps_eight_bit, caps_dsn;
	uint64_t caps_size_bytes;
};

/* Inserts; id and number are filled in. */
enum rc store_config_relay_version_add(
    struct store_tx *tx, struct store_relay_version_row *row, struct fault *fault);
/* Updates note, limits (max_*, rate_*, daily_quota) and secret of row->id. */
enum rc store_config_relay_version_tune(
    struct store_tx *tx, const struct store_relay_version_row *row, struct fault *fault);
/* Updates caps_* of row->id. */
enum rc store_config_relay_version_caps(
    struct store_tx *tx, const struct store_relay_version_row *row, struct fault *fault);
/* Of one relay, or of all (none), oldest first. */
enum rc store_config_relay_version_list(struct store_reader *r, struct relay_id relay,
    struct arena *a, struct store_relay_version_row **rows_out, uint32_t *n_out,
    struct fault *fault);

struct store_route_row {
	uint64_t id;
	struct str name; /* unique */
	struct relay_id relay;
	/* What must hold; zero and empty: anything. */
	struct account_id account;
	struct str sender; /* an address or @domain */
	struct str rcpt_domain;
	bool by_stream;
	enum stream stream;
	bool is_default;
	bool for_bounces; /* for mail from the null sender */
	struct str note;
	int64_t created_us;
};

enum rc store_config_route_put(
    struct store_tx *tx, struct store_route_row *row, struct fault *fault);
enum rc store_config_route_remove(struct store_tx *tx, uint64_t id, struct fault *fault);
enum rc store_config_route_list(struct store_reader *r, struct arena *a,
    struct store_route_row **rows_out, uint32_t *n_out, struct fault *fault);

struct store_login_day_row {
	struct version_id version;
	struct str login;
	int64_t day; /* since the epoch, as the provider counts days */
	uint64_t count;
};

/* Sets the counter to row->count. */
enum rc store_config_login_day_put(
    struct store_tx *tx, const struct store_login_day_row *row, struct fault *fault);
/* Of `since_day` and later. */
enum rc store_config_login_day_list(struct store_reader *r, int64_t since_day, struct arena *a,
    struct store_login_day_row **rows_out, uint32_t *n_out, struct fault *fault);
/* Deletes those before `day`. */
enum rc store_config_login_day_prune(struct store_tx *tx, int64_t day, struct fault *fault);
