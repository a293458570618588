/* Where the service of this machine is, for programs that are not told: `sendmail` and `mailq`.
 *
 * The environment wins over /etc/posthouse/posthouse.conf (or the file in POSTHOUSE_CONFIG), that
 * over what a package installs. */
#pragma once

#include "base/arena.h"
#include "base/str.h"

/* The data directory: POSTHOUSE_DATA, else `data` of the settings, else /var/lib/posthouse. */
struct str cli_place_data(struct arena *a);
/* The first address that takes mail by SMTP: POSTHOUSE_SMTP, else `smtp` of the settings, else
 * 127.0.0.1:2525; ADDRESS:PORT. */
struct str cli_place_smtp(struct arena *a);
/* The value of `key` in the settings' text, the last one where it comes several times; empty where
 * it does not. */
struct str cli_place_find(struct str settings, struct str key);
/* The domain of this machine's users: /etc/mailname, else the host's full name. */
struct str cli_place_domain(struct arena *a);
/* An address to connect to, where `listen` says "everywhere". */
struct str cli_place_reachable(struct arena *a, struct str listen);
