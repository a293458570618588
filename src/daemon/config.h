/* The settings of the process: posthouse.conf, the environment, the command line.
 *
 * `key = value` lines with # comments; POSTHOUSE_KEY (dashes as underscores); --key value. The
 * command line wins over the environment, that over the file. Everything else (relays, accounts
 * ...) lives in the service and is changed through its API. Settings are rows in config_rows.def:
 * key, default, kind, help; the same rows make the commented posthouse.conf and the manual's table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/log.h"
#include "codec/ip.h"
#include "net/addr.h"
#include "queue/retry.h"

struct buf;

struct daemon_addrs {
	struct net_addr *v;
	size_t n;
};

struct daemon_config {
	struct arena arena; /* owns everything below */
	const char *data;
	const char *hostname;
	struct daemon_addrs smtp, smtps, http, https;
	const char *tls_cert, *tls_key; /* NULL: self-signed in `data` */
	struct cidr *trusted;
	size_t n_trusted;
	bool auth_requires_tls;
	bool http_beyond_loopback;
	bool normalize; /* bare CR and LF from trusted networks become CRLF */
	uint64_t max_message_size;
	uint32_t max_recipients;
	uint32_t max_connections; /* in, in all */
	uint32_t max_connections_per_address;
	uint32_t loops;
	const char *admin_key_file;
	int64_t retain_content_us, retain_history_us;
	struct queue_retry_schedule retry;
	int64_t expire_after_us;
	int64_t delay_notice_after_us; /* 0: none */
	int64_t mailbox_poll_us;
	int64_t shutdown_timeout_us;
	uint64_t content_memory; /* budget for content in flight, bytes */
	uint32_t window;         /* recipients in memory */
	uint64_t min_free_disk;
	enum log_level log_level;
	enum log_format log_format;
};

/* Reads all sources. `argv` holds the words behind the command: --config FILE, --key value or
 * --key=value. RC_INVALID with file and line, or the option, what is wrong, and the nearest valid
 * key. Without --config, /etc/posthouse/posthouse.conf is read where it exists. */
enum rc daemon_config_load(int argc, char **argv, struct daemon_config *out, struct fault *f);
/* The same from a text alone, with the defaults for what it leaves out; `name` stands for the file
 * in errors. */
enum rc daemon_config_parse(
    struct str text, const char *name, struct daemon_config *out, struct fault *f);
void daemon_config_done(struct daemon_config *c);
/* Every setting with default and help, as a commented file. */
void daemon_config_print(struct buf *out);
