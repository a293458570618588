/* A message on its way from a request to the writer. */
#pragma once

#include "api/private.h"
#include "mail/address.h"
#include "submit/submit.h"

/* What is to be submitted; everything lives in the call's arena. */
struct api_email {
	struct mail_addr sender;
	struct submit_rcpt *rcpts;
	size_t n_rcpts;
	struct str content; /* CRLF lines */
};

/* From JSON: {"from","to","subject","text","html" ...}. May be called on the pool. RC_INVALID with
 * a fault that names the field. */
enum rc api_email_compose(const struct json *body, size_t bytes_max, struct arena *a,
    struct api_email *out, struct fault *f);
/* From a raw message and the query's from and to. */
enum rc api_email_raw(const struct http_request *r, size_t bytes_max, struct arena *a,
    struct api_email *out, struct fault *f);
/* Judges, prepares, and has the writer keep it; the call is answered with {"id"} when it is kept.
 */
void api_email_submit(struct api_call *c, const struct api_email *m);

/* Adds the addresses of `value`, a list as in a To field, once each. */
struct api_rcpts {
	struct submit_rcpt *v;
	size_t n;
	size_t cap;
};
enum rc api_rcpts_add(
    struct api_rcpts *to, const char *field, struct str value, struct arena *a, struct fault *f);
