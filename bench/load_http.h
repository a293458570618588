/* The load generator's HTTP: `POST /emails` on kept connections, one request at a time on each. */
#pragma once

#include <stdint.h>

struct load_buf;
struct load_opts;

/* Adds a request that sends message `serial`, with `text` (opts->size bytes, of which the JSON may
 * take less) as its body. */
void load_http_request(
    struct load_buf *out, const struct load_opts *opts, uint64_t serial, const char *text);
/* Takes the next answer off `in`: its status; 0: not all there yet; -1: not HTTP. */
int load_http_answer(struct load_buf *in);
