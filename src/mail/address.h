/* One mail address: what stands in MAIL FROM and RCPT TO.
 *
 * A `struct mail_addr` is built only by mail_addr_parse and therefore cannot hold CR, LF, NUL or
 * any other control character, nor an unbalanced quote: formatting one into a command or a header
 * injects nothing. It is a value whose strings live in the arena given to the parser.
 *
 * The local part is kept by its meaning, without quotes and backslashes, so "a.b"@x and a.b@x are
 * one address; quotes come back on formatting where the grammar needs them. Local parts are
 * compared byte by byte (only the receiving system knows whether case matters), domains without
 * regard to case and alphabet: a domain keeps its A-label form beside the one it was written in,
 * and that is what is compared. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct arena;
struct buf;

/* RFC 5321 §4.5.3.1: octets, as written on the wire. */
#define MAIL_ADDR_LOCAL_MAX  64
#define MAIL_ADDR_DOMAIN_MAX 255
#define MAIL_ADDR_MAX        254

struct mail_addr {
	struct str local;        /* unquoted; may be empty (`""@x`) */
	struct str domain;       /* ASCII letters lowered; U-labels if it came so; brackets stay */
	struct str domain_ascii; /* the same as A-labels; equal to `domain` where that is ASCII */
	bool is_null;            /* the null reverse-path "<>"; both parts are empty */
	bool needs_utf8;         /* a byte of either part is not ASCII: only for SMTPUTF8 peers */
	bool quoted;             /* the local part is no dot-string and is written in quotes */
	bool literal;            /* the domain is an address literal */
};

enum mail_addr_flags {
	MAIL_ADDR_ASCII = 0,
	MAIL_ADDR_UTF8 = 1,       /* RFC 6531: SMTPUTF8 was asked for (a C `true` means the same) */
	MAIL_ADDR_POSTMASTER = 2, /* a bare "postmaster" is an address, with an empty domain */
};

/* Parses `path`, which stands without angle brackets and without source route (RFC 5321 §4.1.2, RFC
 * 6531 §3.3). `flags` is a set of enum mail_addr_flags. The empty path is the null address; callers
 * that cannot take it ask `is_null`. RC_INVALID, *out untouched and *why_out (never NULL then) a
 * half sentence for the reply, when it is no address. */
enum rc mail_addr_parse(
    struct str path, unsigned flags, struct arena *a, struct mail_addr *out, const char **why_out);

/* The same address for a peer without SMTPUTF8: the domain becomes A-labels. RC_INVALID, *out
 * untouched, when the local part is not ASCII, since that cannot be converted (RFC 6530 §8). The
 * result shares `a`'s strings. */
enum rc mail_addr_to_ascii(const struct mail_addr *a, struct mail_addr *out);

/* Appends the path without angle brackets, quoted where needed; nothing for the null address. */
void mail_addr_format(struct buf *b, const struct mail_addr *a);

/* A copy whose strings live in `to`. */
struct mail_addr mail_addr_copy(struct arena *to, const struct mail_addr *a);

bool mail_addr_eq(const struct mail_addr *a, const struct mail_addr *b);
/* Equal addresses hash alike. */
uint64_t mail_addr_hash(const struct mail_addr *a, uint64_t seed);
