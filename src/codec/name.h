/* Names of hosts and domains, in the one form that goes to DNS, TLS and SMTP.
 *
 * `struct host_name` comes from its parser only: lower case, A-labels for anything beyond ASCII
 * (RFC 5891, mapped as UTS 46 says, non-transitional), no dot at the end, at most 253 bytes. It
 * cannot hold CR, LF, NUL or a blank, so it can be written anywhere. It is a plain value without an
 * owner. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define NAME_MAX_BYTES 253u

struct host_name {
	uint8_t n;
	char z[NAME_MAX_BYTES + 1]; /* NUL-terminated */
};

/* Reads a name in ASCII or UTF-8; one dot at the end is borne with, underscores too, since names of
 * hosts in the field have them. False, with a few words in *why_out, for what is no name; an IPv4
 * address is none, nor is anything else whose last label is a number. */
NODISCARD bool name_parse(struct str s, struct host_name *out, const char **why_out);

static inline struct str
name_str(const struct host_name *h)
{
	return str_make(h->z, h->n);
}
bool name_eq(const struct host_name *a, const struct host_name *b);

/* Whether `h` is `parent` or lies below it. */
bool name_is_within(const struct host_name *h, const struct host_name *parent);

/* The registrable domain that `h` belongs to by the Public Suffix List: "a.b.example.co.uk" to
 * "example.co.uk". False if there is none: `h` is a public suffix itself. */
NODISCARD bool name_registrable(const struct host_name *h, struct host_name *out);

/* Appends the name for people to read, A-labels turned back into UTF-8; as it is where that fails.
 */
void name_add_display(struct buf *b, const struct host_name *h);
