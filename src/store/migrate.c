/* A step and its number commit together, so a crash leaves a database between two steps, never
 * inside one. The copy is made with VACUUM INTO, which reads one consistent state whatever the WAL
 * holds. */
#include "store/migrate.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "store/db.h"

static enum rc
read_version(struct store_db *db, int64_t *out, struct fault *fault)
{
	return store_db_value(db, store_db_stmt(db, "PRAGMA user_version"), 0, out, fault);
}

static enum rc
copy_before(struct store_db *db, const char *path, int64_t version, struct fault *fault)
{
	char to[4096];

	snprintf(to, sizeof(to), "%s.before-%lld.bak", path, (long long)version + 1);
	/* One left by a run that failed later is made anew. */
	unlink(to);
	sqlite3_stmt *st = store_db_stmt(db, "VACUUM INTO ?1");
	store_db_text(st, 1, str_from(to));
	enum rc rc = store_db_run(db, st, fault);
	if (rc == RC_OK)
		log_event(LOG_INFO, NULL, "store.copied", "copied the database to %s", to);
	return rc;
}

static enum rc
run_step(struct store_db *db, const struct store_migration *step, struct fault *fault)
{
	char set[64];
	enum rc rc = store_db_begin(db, fault);

	if (rc == RC_OK)
		rc = store_db_exec(db, step->sql, fault);
	snprintf(set, sizeof(set), "PRAGMA user_version=%d", step->number);
	if (rc == RC_OK)
		rc = store_db_exec(db, set, fault);
	if (rc == RC_OK)
		rc = store_db_commit(db, fault);
	if (rc != RC_OK)
		store_db_rollback(db);
	return rc;
}

enum rc
store_migrate(struct store_db *db, const char *path, const struct store_migration *steps, size_t n,
    struct fault *fault)
{
	int64_t version;
	enum rc rc = read_version(db, &version, fault);

	if (rc != RC_OK)
		return rc;
	if (version > (int64_t)n)
		return fault_set(fault, RC_INVALID,
		    "%s is of version %lld and this program knows %zu: use the newer program, or export "
		    "the waiting mail with it",
		    path, (long long)version, n);
	if (version > 0 && version < (int64_t)n)
		rc = copy_before(db, path, version, fault);
	for (size_t i = (size_t)version; i < n && rc == RC_OK; i++) {
		rc = run_step(db, &steps[i], fault);
		if (rc == RC_OK)
			log_event(LOG_INFO, NULL, "store.migrated", "database brought to %s",
			    steps[i].name);
	}
	return rc;
}
