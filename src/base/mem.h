/* Heap memory that is there or the process is not: out of memory logs one line and aborts.
 *
 * That is affordable because every size a peer controls is bounded before it is allocated, and
 * because the queue survives an abort. */
#pragma once

#include <stddef.h>

#include "base/compiler.h"

/* `n` zeroed bytes; free with free(). n = 0 gives a unique pointer. */
void *mem_zalloc(size_t n);
/* Like realloc(), never NULL. Grown bytes are not zeroed. */
void *mem_realloc(void *p, size_t n);
/* A NUL-terminated copy of `n` bytes. */
char *mem_dup0(const char *p, size_t n);

#define MEM_NEW(type)          ((type *)mem_zalloc(sizeof(type)))
#define MEM_NEW_ARRAY(type, n) ((type *)mem_zalloc_array((n), sizeof(type)))
void *mem_zalloc_array(size_t count, size_t size);

/* The same address without const, for interfaces that do not change the bytes but do not say so
 * (writev), and for wiping what a view of our own shows. */
void *mem_unconst(const void *p);
/* Wipes `n` bytes so that the compiler cannot leave it out; for secrets. */
void mem_wipe(void *p, size_t n);
