/* What the files of crypto/ share and nobody else sees: OpenSSL's digests, fetched once.
 *
 * An algorithm named anew for each use is looked up in OpenSSL's provider tables under a lock,
 * which costs more than hashing a short text. */
#pragma once

struct evp_md_st;

enum hash_kind { HASH_SHA256, HASH_SHA1, HASH_MD5, HASH_KIND_COUNT };

/* The digest, or NULL when OpenSSL's configuration does not offer it. Any thread; never freed. */
const struct evp_md_st *hash_digest(enum hash_kind kind);
