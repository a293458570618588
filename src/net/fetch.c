/* libcurl's easy interface, one handle for each request.
 *
 * The answer's ceiling is kept by the buffer: a write that does not fit ends the transfer. What
 * libcurl says is turned into an rc by a table; for a Unix socket that could not be connected to,
 * the system's errno tells "not there" from "not allowed" and "nobody listens". */
#include "net/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "codec/ip.h"
#include "net/private.h"

#define ANSWER_MAX   (64u << 20)
#define TIMEOUT      SECONDS(60)
#define CONNECT_WAIT SECONDS(15)

static size_t
on_bytes(char *p, size_t size, size_t n, void *arg)
{
	struct fetch_transfer *t = arg;

	n *= size;
	if (n > t->left)
		return 0;
	t->left -= n;
	buf_add(t->answer, str_make(p, n));
	return buf_is_ok(t->answer) ? n : 0;
}

/* Where libcurl is about to connect to: nothing inside, when only public addresses will do. */
static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct fetch_transfer *t = arg;
	struct net_addr addr;
	struct ip ip;

	(void)purpose;
	if (t->public_only) {
		if (!net_addr_from_sockaddr(&to->addr, to->addrlen, &addr)) {
			t->was_refused = true;
			return CURL_SOCKET_BAD;
		}
		memcpy(ip.b, addr.ip, sizeof(ip.b));
		if (!ip_is_public(&ip)) {
			t->was_refused = true;
			return CURL_SOCKET_BAD;
		}
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static struct curl_slist *
add_header(struct curl_slist *list, const char *name, struct str value)
{
	struct buf line;

	ASSERT(value.n == 0 || value.p != NULL);
	buf_init(&line, 64 << 10);
	buf_addf(&line, "%s: ", name);
	for (size_t i = 0; i < value.n; i++) {
		if ((unsigned char)value.p[i] >= 0x20 && value.p[i] != 0x7f)
			buf_add_byte(&line, value.p[i]);
	}
	struct curl_slist *more = curl_slist_append(list, buf_cstr(&line));
	buf_wipe(&line);
	ASSERT(more != NULL);
	return more;
}

static struct curl_slist *
make_headers(const struct net_fetch_request *r)
{
	/* No waiting for "100 Continue": the body is sent at once. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	ASSERT(list != NULL);
	if (r->body.p != NULL)
		list = add_header(list, "Content-Type",
		    r->type.n != 0 ? r->type : STR("application/octet-stream"));
	for (size_t i = 0; i < r->n_headers; i++)
		list = add_header(list, r->headers[i].name, r->headers[i].value);
	if (r->bearer != NULL) {
		struct buf value;
		buf_init(&value, 8 << 10);
		buf_addf(&value, "Bearer %s", r->bearer);
		list = add_header(list, "Authorization", buf_str(&value));
		buf_wipe(&value);
	}
	return list;
}

static void
set_up(CURL *curl, const struct net_fetch_request *r, struct fetch_transfer *t)
{
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->why);
	curl_easy_setopt(curl, CURLOPT_URL, r->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "posthouse/" POSTHOUSE_VERSION);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(CONNECT_WAIT / 1000));
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(t->timeout_us / 1000));
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	if (r->ca_file != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, r->ca_file);
	if (r->unix_socket != NULL)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
	if (r->unix_socket != NULL || r->public_only)
		curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	if (r->public_only) {
		curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open);
		curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, t);
	}
	if (r->body.p != NULL) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body.p);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method != NULL ? r->method : "GET");
}

void
fetch_transfer_init(struct fetch_transfer *t, const struct net_fetch_request *r, struct buf *answer)
{
	*t = (struct fetch_transfer){ .curl = curl_easy_init(),
		.headers = make_headers(r),
		.answer = answer,
		.left = r->answer_max != 0 ? r->answer_max : ANSWER_MAX,
		.timeout_us = r->timeout_us > 0 ? r->timeout_us : TIMEOUT,
		.public_only = r->public_only };
	ASSERT(t->curl != NULL);
	set_up(t->curl, r, t);
}

void
fetch_transfer_done(struct fetch_transfer *t)
{
	curl_slist_free_all(t->headers);
	curl_easy_cleanup(t->curl);
	*t = (struct fetch_transfer){ 0 };
}

static enum rc
tell_connect(const struct fetch_transfer *t, struct fault *f)
{
	long sys = 0;

	if (t->was_refused)
		return fault_set(f, RC_DENIED,
		    "its address is in a private network, where nothing is fetched from");
	(void)curl_easy_getinfo(t->curl, CURLINFO_OS_ERRNO, &sys);
	if (sys == ENOENT || sys == ENOTDIR)
		return fault_set(f, RC_NOT_FOUND, "there is no such socket");
	if (sys == EACCES || sys == EPERM)
		return fault_set(f, RC_DENIED, "this user may not use the socket");
	return fault_set(f, RC_CLOSED, "nobody listens there");
}

/* Why no answer came. */
static enum rc
tell(CURLcode code, const struct fetch_transfer *t, struct fault *f)
{
	const char *why = t->why[0] != '\0' ? t->why : curl_easy_strerror(code);

	switch (code) {
	case CURLE_COULDNT_CONNECT: return tell_connect(t, f);
	case CURLE_COULDNT_RESOLVE_HOST: return fault_set(f, RC_DNS, "%s", why);
	case CURLE_OPERATION_TIMEDOUT:
		return fault_set(f, RC_TIMEOUT, "no answer within %lld seconds",
		    (long long)(t->timeout_us / SECONDS(1)));
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE: return fault_set(f, RC_TLS, "%s", why);
	case CURLE_WRITE_ERROR: return fault_set(f, RC_LIMIT, "the answer is too large");
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL: return fault_set(f, RC_INVALID, "%s", why);
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR: return fault_set(f, RC_IO, "the connection was lost: %s", why);
	default: return fault_set(f, RC_IO, "%s", why);
	}
}

enum rc
fetch_transfer_end(const struct fetch_transfer *t, int code, unsigned *status_out, struct fault *f)
{
	long status = 0;

	if (code != CURLE_OK)
		return tell((CURLcode)code, t, f);
	(void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	*status_out = (unsigned)status;
	return RC_OK;
}

enum rc
net_fetch(
    const struct net_fetch_request *r, unsigned *status_out, struct buf *answer, struct fault *f)
{
	struct fetch_transfer t;

	fetch_transfer_init(&t, r, answer);
	enum rc rc = fetch_transfer_end(&t, (int)curl_easy_perform(t.curl), status_out, f);
	fetch_transfer_done(&t);
	return rc;
}

void
net_fetch_encode(struct buf *b, struct str s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
			buf_add_byte(b, c);
			continue;
		}
		buf_add_byte(b, '%');
		buf_add_byte(b, hex[(unsigned char)c >> 4]);
		buf_add_byte(b, hex[(unsigned char)c & 15]);
	}
}
