/* Shared by the files of api/: a call and how it walks through the threads.
 *
 * A handler starts on the main thread and takes its next step with one of
 *
 *	api_work     pool     what computes for long
 *	api_read     pool     a reader of the store
 *	api_write    writer   a transaction: all or nothing, the audit entry included
 *	api_order    dispatcher
 *	api_ask      a service on the background thread
 *	api_publish  main     the settings have been handed to everybody
 *
 * and names what runs on the main thread when that is done. A step that fails ends the call with
 * its fault: RC_INVALID 422, RC_NOT_FOUND 404, RC_EXISTS 409, RC_DENIED 403, anything else 503. A
 * call ends with api_done or api_fail, after which it is gone. Only one thread has a call at a
 *time, so its arena and buffer need no lock. */
#pragma once

#include "api/api.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "http/server.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "mail/ids.h"
#include "mail/stream.h"
#include "store/op.h"
#include "store/store.h"

struct api_call;
struct api_endpoint;
struct api_view;
struct api_watch;
struct store_reader;

#define API_MAGIC        0xa9120001u
#define API_CALL_MAGIC   0xa912ca11u

#define API_READERS_KEPT 4
#define API_RATE_SAMPLES 13
#define API_RATE_EVERY   SECONDS(5)

/* Counters as they were, for rates. */
struct api_sample {
	int64_t at_us; /* monotonic; 0: none */
	uint64_t received;
	uint64_t sent;
};

struct api {
	uint32_t magic;
	struct api_opts opts;
	struct arena arena; /* copies of what opts points at */
	struct list calls;
	struct mailbox *from_pool;
	struct mailbox *from_writer;
	struct mailbox *from_dispatcher;
	struct mailbox *from_services;
	struct mailbox *from_asked;                     /* answers to api_ask */
	struct store_reader *readers[API_READERS_KEPT]; /* idle ones */
	size_t n_readers;
	struct api_sample samples[API_RATE_SAMPLES]; /* a ring */
	size_t next_sample;
	struct loop_timer sampler;
	struct api_watch *alarms;
	bool draining;
	void (*on_idle)(void *arg); /* while draining, until it was called */
	void *on_idle_arg;
	bool stopping;
};

/* One call less; perhaps the last one that api_drain waits for. */
void api_tell_idle(struct api *a);

typedef void api_step(struct api_call *c);
typedef enum rc api_work_fn(struct api_call *c, struct fault *f);
typedef enum rc api_read_fn(struct api_call *c, struct store_reader *r, struct fault *f);
typedef enum rc api_write_fn(struct api_call *c, struct store_tx *tx, struct fault *f);
typedef void api_order_fn(struct api_call *c, struct deliver *d);

struct api_hop;

struct api_call {
	uint32_t magic;
	struct api *api;
	struct list link;             /* of the api */
	struct http_request *request; /* NULL: the api's own, nobody waits for an answer */
	const struct api_endpoint *endpoint;
	struct arena arena;
	struct arena page; /* for the rows of one page; cleared by who uses it */
	struct str name;   /* what stands for {} in the path */
	struct str who;    /* for the audit */
	struct json *body;
	struct relay_book *relays; /* as in force when the call began; one reference */
	struct api_view *view;     /* after api_look (api/view.h) */
	void *data;                /* the handler's, in the arena */
	struct buf out;            /* the answer */
	struct json_writer json;   /* writes to `out` */
	unsigned status;
	const char *type;
	struct fault fault;
	struct str hint;
	struct api_hop *hop;
	api_step *then;
	void (*ended)(struct api_call *c); /* instead of an answer; own calls only */
};

/* ---- call.c ---- */
struct api_call *api_call_new(struct api *a, struct http_request *r);
void api_work(struct api_call *c, api_work_fn *run, api_step *then);
void api_read(struct api_call *c, api_read_fn *run, api_step *then);
void api_write(struct api_call *c, api_write_fn *run, api_step *then);
void api_order(struct api_call *c, api_order_fn *run, api_step *then);
/* Posts `request` to a service; the answer is in it when `then` runs. `drop` frees it where the
 * call has come to its end meanwhile. */
void api_ask(struct api_call *c, struct mailbox *service, struct mailbox_request *request,
    void (*drop)(struct mailbox_request *request), api_step *then);
void api_publish(struct api_call *c, api_step *then);
/* Writes, publishes, then answers with what `show` reads (NULL: {"object":"done"}). */
void api_change(struct api_call *c, api_write_fn *change, api_read_fn *show);
/* The same without publishing, for what only the api itself reads. */
void api_change_quietly(struct api_call *c, api_write_fn *change, api_read_fn *show);
/* A read that is the whole answer. */
void api_answer_from(struct api_call *c, api_read_fn *show);
/* Answers with `out`. */
void api_done(struct api_call *c);
/* Answers with {"object":"done"}. */
void api_done_empty(struct api_call *c);
/* Answers with the error, `rc` deciding the status. */
void api_fail(struct api_call *c, enum rc rc, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same with a fault that is there already. */
void api_fail_with(struct api_call *c, const struct fault *f);
/* Calls that came back; mailbox_fn. */
void api_on_pool(void *arg, struct mailbox_item *item);
void api_on_writer(void *arg, struct mailbox_item *item);
void api_on_dispatcher(void *arg, struct mailbox_item *item);
/* Answers of services; preflight_ask.c. */
void api_on_services(void *arg, struct mailbox_item *item);
/* Answers to api_ask. */
void api_on_asked(void *arg, struct mailbox_item *item);
void api_call_free(struct api_call *c);
/* One entry of the audit, in the transaction of the change. `why` and `target` may be empty. */
enum rc api_audit(struct api_call *c, struct store_tx *tx, const char *what, struct str target,
    struct str why, struct fault *f);

/* ---- endpoints.c ---- */
typedef void api_handler(struct api_call *c);
struct api_endpoint {
	enum http_method method;
	const char *pattern; /* segments; "{}" takes any one */
	api_handler *run;
	enum api_body { API_NO_BODY, API_JSON, API_JSON_OPTIONAL, API_RAW } body;
	bool is_open; /* needs no key */
};
/* RC_NOT_FOUND: no such path; RC_DENIED: not with this method. HEAD counts as GET. */
enum rc api_endpoint_find(enum http_method method, struct str path, const struct api_endpoint **out,
    struct str *name_out);

/* ---- the nouns; one file each ---- */
api_handler api_version, api_healthz, api_metrics, api_status;
api_handler api_relay_list, api_relay_add, api_relay_show, api_relay_edit, api_relay_secret,
    api_relay_pause, api_relay_resume, api_relay_remove, api_relay_retire;
api_handler api_relay_check;
api_handler api_route_list, api_route_add, api_route_edit, api_route_remove, api_route_test;
api_handler api_changeover_list, api_changeover_start, api_changeover_plan, api_changeover_show,
    api_changeover_events, api_changeover_hold, api_changeover_resume, api_changeover_confirm,
    api_changeover_revert;
api_handler api_account_list, api_account_add, api_account_edit, api_account_remove;
api_handler api_credential_list, api_credential_add, api_credential_show, api_credential_edit,
    api_credential_remove, api_credential_pause, api_credential_resume;
api_handler api_email_send, api_email_list, api_email_show, api_email_cancel, api_email_retry,
    api_email_release;
api_handler api_queue_show, api_queue_list, api_queue_hold, api_queue_release, api_queue_retry,
    api_queue_cancel, api_queue_resolve;
api_handler api_stats;
api_handler api_explain;
api_handler api_alarm_list, api_alarm_add, api_alarm_remove, api_alarm_test;
api_handler api_audit_list;
api_handler api_mailbox_list, api_mailbox_add, api_mailbox_show, api_mailbox_edit,
    api_mailbox_remove, api_mailbox_check;
api_handler api_probe_start, api_probe_show;

/* A message of POST /emails was kept, or not. */
void api_email_kept(struct api *a, struct store_op *op);

/* ---- words for JSON: fields.c ---- */
/* "created_at": an RFC 3339 time, or null for 0 and TIME_NEVER. */
void api_put_time(struct json_writer *w, const char *key, int64_t wall_us);
/* Text, or null where it is empty. */
void api_put_text(struct json_writer *w, const char *key, struct str s);
/* An array of the words of `list` (blanks, commas, line ends between). */
void api_put_words(struct json_writer *w, const char *key, struct str list);
void api_list_begin(struct json_writer *w);
void api_list_end(struct json_writer *w, bool has_more);
/* The next word of such a list; false at its end. */
bool api_next_word(struct str *rest, struct str *word_out);
/* A field that is an array of strings, or one string of words; joined by line ends, in the arena.
 * *out is untouched where there is none. */
enum rc api_get_words(
    const struct json *body, const char *key, struct arena *a, struct str *out, struct fault *f);
/* A string that must be there; RC_INVALID when it is not. */
enum rc api_need_str(const struct json *body, const char *key, struct str *out, struct fault *f);
/* Names of relays, accounts and the like: 1 to 64 letters, digits and - _ . ; `what` for the text.
 */
enum rc api_check_name(const char *what, struct str name, struct fault *f);
/* Text for people on one line, at most `max` bytes. */
enum rc api_check_text(const char *what, struct str text, size_t max, struct fault *f);
/* RFC 3339, such as "2026-11-23T07:48:33Z" or with "+08:00". */
enum rc api_parse_time(struct str text, int64_t *wall_us_out, struct fault *f);
/* ?limit= (1 to 500, default 50). */
enum rc api_limit(const struct api_call *c, uint32_t *out, struct fault *f);
