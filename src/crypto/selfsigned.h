/* A first TLS certificate, so that a fresh installation offers TLS before anybody bought or ordered
 * one.
 *
 * Self-signed, P-256, ten years, for one host name and for localhost, 127.0.0.1 and ::1. Clients
 * must be told to trust it. Blocking calls, for start and commands. */
#pragma once

#include "base/rc.h"
#include "base/str.h"

struct buf;
struct fault;

/* Long enough for either PEM. */
#define SELFSIGNED_PEM_MAX 8192

/* Appends a new private key (PKCS #8) and a certificate for it, both PEM. `host` is a host name or
 * an address literal without brackets. RC_INVALID: it is neither. The caller wipes `key_pem_out`.
 */
enum rc selfsigned_make(
    struct str host, struct buf *cert_pem_out, struct buf *key_pem_out, struct fault *f);

/* Makes both files, each 0600 and atomically, the key first. A key file that is there already is
 * kept and the certificate made for it, so a start that was cut off between the two is completed by
 * the next. RC_EXISTS: there is a certificate already, nothing was changed; RC_DENIED, RC_INVALID:
 * the key file cannot be used; RC_IO. */
enum rc selfsigned_write(
    struct str host, const char *cert_path, const char *key_path, struct fault *f);
