/* Just enough of HTTP/1.1: requests of our own, and answers that carry a Content-Length. */
#include "load_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "load.h"
#include "load_wire.h"

void
load_http_request(
    struct load_buf *out, const struct load_opts *o, uint64_t serial, const char *text)
{
	char json[512];
	int head = snprintf(json, sizeof(json),
	    "{\"from\":\"%s\",\"to\":[\"%s%llu@bench.example\"],\"subject\":\"Message %llu\",\"text\":\"",
	    o->from, o->prefix, (unsigned long long)serial, (unsigned long long)serial);

	if (head < 0 || (size_t)head >= sizeof(json))
		load_die("an address is too long");
	size_t body = o->size > (size_t)head + 2 ? o->size - (size_t)head - 2 : 0;
	load_buf_addf(out,
	    "POST /emails HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	    o->key, (size_t)head + body + 2);
	load_buf_add(out, json, (size_t)head);
	load_buf_add(out, text, body);
	load_buf_add(out, "\"}", 2);
}

int
load_http_answer(struct load_buf *in)
{
	char *p = in->p + in->start;
	size_t have = in->end - in->start;
	char *end = have > 0 ? memmem(p, have, "\r\n\r\n", 4) : NULL;
	size_t length = 0;

	if (end == NULL)
		return 0;
	if (have < 12 || memcmp(p, "HTTP/1.1 ", 9) != 0)
		return -1;
	for (char *line = memchr(p, '\n', (size_t)(end - p)); line != NULL;
	     line = memchr(line + 1, '\n', (size_t)(end - line - 1)))
		if (strncasecmp(line + 1, "Content-Length:", 15) == 0)
			length = strtoul(line + 16, NULL, 10);
	size_t whole = (size_t)(end - p) + 4 + length;
	if (have < whole)
		return 0;
	in->start += whole;
	return (int)strtol(p + 9, NULL, 10);
}
