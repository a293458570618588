/* The schema, in numbered steps that only go forward.
 *
 * `PRAGMA user_version` says which step a database has reached. Each missing step runs in a
 * transaction of its own; before the first one that changes existing data, the database is copied
 * to `PATH.before-N.bak`. */
#pragma once

#include <stddef.h>

#include "base/fault.h"

struct store_db;

struct store_migration {
	int number; /* 1, 2, 3 ... */
	const char *name;
	const char *sql;
};

/* Made from migrations/NNNN_name.sql at build time. */
extern const struct store_migration store_migrations[];
extern const size_t store_migrations_count;

/* Brings `db`, whose file is `path`, to the last of `steps`. RC_INVALID: it is newer than that. */
enum rc store_migrate(struct store_db *db, const char *path, const struct store_migration *steps,
    size_t n, struct fault *fault);
