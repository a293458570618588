/* The names of things that outlive a call: 64-bit numbers that the store hands out.
 *
 * Each kind is a struct of its own, so that a recipient cannot be passed where a message is wanted.
 * Ids travel between threads and to disk, where pointers would not survive. They are values; zero
 * names nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
struct msg_id        { uint64_t v; }; /* one accepted message */
struct rcpt_id       { uint64_t v; }; /* one recipient of one message: what is queued and counted */
struct account_id    { uint64_t v; };
struct group_id      { uint64_t v; }; /* all recipients that every route treats alike */
struct relay_id      { uint64_t v; };
struct version_id    { uint64_t v; }; /* one immutable set of a relay's settings */
struct credential_id { uint64_t v; };
struct conn_id       { uint64_t v; }; /* one connection, in or out; unique within the process */
/* clang-format on */

/* Whether `a` and `b`, ids of one kind, name the same thing. Kinds do not mix. */
#define ID_EQ(a, b)                                                                                \
	__extension__({                                                                            \
		__typeof__(a) ida_ = (a);                                                          \
		__typeof__(ida_) idb_ = (b);                                                       \
		ida_.v == idb_.v;                                                                  \
	})
#define ID_IS_NONE(a) ((a).v == 0)
