/* A reader: one read-only connection to the store, for one thread at a time (the pool's).
 *
 * A read transaction is bounded to STORE_READ_BUDGET_US, since an open one keeps the WAL from being
 * reused: listing functions stop there and say where to continue. Writes of the same moment may or
 * may not be seen. */
#pragma once

#include "base/arena.h"
#include "base/blob.h"
#include "base/clock.h"
#include "base/fault.h"
#include "mail/ids.h"
#include "store/message.h"

struct store;
struct store_reader;
struct store_tx;

#define STORE_READ_BUDGET_US MS(100)

enum rc store_reader_new(struct store *s, struct store_reader **out, struct fault *fault);
/* Takes NULL; nulls the pointer. Before store_close. */
void store_reader_free(struct store_reader **r);
/* Reads inside a STORE_CALL, on the writer's own connection; valid as long as `tx`. */
struct store_reader *store_tx_reader(struct store_tx *tx);

/* The content of message `id` into a new blob with one reference. `at` is where it was when the
 * caller learnt of it; when the store has moved it since, it is looked up. RC_NOT_FOUND: no longer
 * kept. RC_IO: it cannot be read or its checksum is wrong (the fault says so). */
enum rc store_reader_content(struct store_reader *r, struct msg_id id, struct store_content at,
    struct blob **out, struct fault *fault);
