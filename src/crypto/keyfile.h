/* Files that hold a key or another secret: readable by their owner alone, there whole or not at
 * all.
 *
 * Blocking calls, meant for start and for commands. */
#pragma once

#include "base/rc.h"
#include "base/str.h"

struct buf;
struct fault;

/* Appends the whole file to `out`. RC_NOT_FOUND: there is none; RC_DENIED: other users may read or
 * change it, which the fault says how to mend; RC_LIMIT: longer than `out` may become; RC_IO. */
enum rc keyfile_read(const char *path, struct buf *out, struct fault *f);

/* Makes the file, mode 0600, and returns when it is on disk: file and directory are synced. Of
 * several that try at once one wins. RC_EXISTS: something has that name already, and is left as it
 * was; RC_IO. */
enum rc keyfile_create(const char *path, struct str content, struct fault *f);
