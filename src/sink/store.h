/* What the sink keeps of the messages it takes: files, and lines in a file of counts.
 *
 * One for each loop. Lines collect in memory until sink_store_flush writes them, all of them in one
 * system call, so that several loops can append to one file; the replies to those messages must
 * wait for that. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/str.h"

struct smtp_server_message;

struct sink_store {
	int count_fd; /* -1: no counting. Borrowed: one for all loops */
	int keep_fd;  /* -1: no keeping. A directory, likewise borrowed */
	unsigned loop;
	bool rewrite_message_id;
	uint64_t n; /* messages so far */
	struct buf lines;
	struct buf message; /* a message whose Message-ID is another now */
};

void sink_store_init(struct sink_store *st, int count_fd, int keep_fd, unsigned loop);
void sink_store_done(struct sink_store *st);
/* Room for the name of a message, NUL included. */
#define SINK_NAME_SIZE 56
/* Keeps `m` and adds its lines; the file is there when this returns, whole, under its name. RC_IO.
 */
enum rc sink_store_add(struct sink_store *st, const struct smtp_server_message *m,
    char name_out[static SINK_NAME_SIZE], struct fault *f);
bool sink_store_is_dirty(const struct sink_store *st);
/* Writes the lines there are. RC_IO: the last ones may be cut. */
enum rc sink_store_flush(struct sink_store *st, struct fault *f);
