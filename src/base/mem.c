#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

static _Noreturn void
out_of_memory(void)
{
	static const char msg[] = "posthouse: out of memory; the queue is safe on disk\n";

	if (write(STDERR_FILENO, msg, sizeof(msg) - 1) < 0)
		abort();
	abort();
}

void *
mem_zalloc(size_t n)
{
	void *p = calloc(1, n != 0 ? n : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *
mem_zalloc_array(size_t count, size_t size)
{
	void *p = calloc(count != 0 ? count : 1, size);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *
mem_realloc(void *p, size_t n)
{
	p = realloc(p, n != 0 ? n : 1);
	if (p == NULL)
		out_of_memory();
	return p;
}

char *
mem_dup0(const char *p, size_t n)
{
	ASSERT(n < SIZE_MAX);
	char *d = mem_realloc(NULL, n + 1);

	if (n != 0)
		memcpy(d, p, n);
	d[n] = '\0';
	return d;
}

void *
mem_unconst(const void *p)
{
	return (void *)(uintptr_t)p; /* NOLINT(performance-no-int-to-ptr): meant, and only here */
}

void
mem_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}
