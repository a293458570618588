/* Bytes that never change once shared, counted by reference across threads: the content of a
 * message.
 *
 * Filled by one owner, then frozen by sharing it; from then on everybody reads. Every blob's bytes
 * count against one process-wide budget, so that content in flight cannot outgrow memory: admission
 * asks blob_budget_has before it starts a message. Atomic reference count; no locks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct blob {
	_Atomic int32_t refs;
	size_t n;
	char p[];
};

/* `n` uninitialised bytes with one reference, for the caller to fill. */
struct blob *blob_new(size_t n);
struct blob *blob_from(struct str s);
/* Grows or shrinks a blob that nobody else has a reference to; bytes up to the smaller size stay.
 * The pointer given is dead. For a filler that does not know the size beforehand. */
struct blob *blob_resize(struct blob *b, size_t n);
struct blob *blob_ref(struct blob *b);
/* Drops one reference; the last one frees. Takes NULL; nulls the pointer. Serves with AUTO. */
void blob_unref(struct blob **b);

static inline struct str
blob_str(const struct blob *b)
{
	return (struct str){ b->p, b->n };
}

/* Bytes held by all living blobs. */
size_t blob_total_bytes(void);
/* The ceiling that admission holds blobs to; set once at start. Default 256 MB. */
void blob_budget_set(size_t bytes);
/* Whether `n` more bytes fit. Advice for admission: allocation itself never refuses. */
bool blob_budget_has(size_t n);
