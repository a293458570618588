/* Only two keys of the settings matter here, so the file is searched, not checked: what is wrong
 * with it is the service's to say. */
#include "cli/place.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/private.h"

#define SETTINGS_FILE "/etc/posthouse/posthouse.conf"
#define SETTINGS_MAX  (1u << 20)

struct str
cli_place_find(struct str settings, struct str key)
{
	struct str line, name, found = { 0 };

	while (str_cut(&settings, '\n', &line)) {
		line = str_trim(str_sub(line, 0, str_find(line, '#')));
		if (!str_has_byte(line, '='))
			continue;
		(void)str_cut(&line, '=', &name);
		if (str_eq(str_trim(name), key))
			found = str_trim(line);
	}
	return found;
}

static struct str
setting(struct arena *a, const char *variable, struct str key, struct str otherwise)
{
	const char *value = getenv(variable), *file = getenv("POSTHOUSE_CONFIG");
	struct str found = { 0 };
	struct buf text;

	if (value != NULL && value[0] != '\0')
		return arena_str(a, str_from(value));
	buf_init(&text, SETTINGS_MAX);
	if (cli_input_read(file != NULL ? file : SETTINGS_FILE, &text, NULL) == RC_OK)
		found = arena_str(a, cli_place_find(buf_str(&text), key));
	buf_done(&text);
	return found.n != 0 ? found : otherwise;
}

struct str
cli_place_data(struct arena *a)
{
	return setting(a, "POSTHOUSE_DATA", STR("data"), STR("/var/lib/posthouse"));
}

struct str
cli_place_reachable(struct arena *a, struct str listen)
{
	size_t colon = str_find_last(listen, ':');
	struct str host = str_sub(listen, 0, colon);

	if (str_eq(host, STR("0.0.0.0")))
		return arena_strf(a, "127.0.0.1%.*s", STR_ARG(str_skip(listen, colon)));
	if (str_eq(host, STR("[::]")))
		return arena_strf(a, "[::1]%.*s", STR_ARG(str_skip(listen, colon)));
	return arena_str(a, listen);
}

struct str
cli_place_smtp(struct arena *a)
{
	struct str all = setting(a, "POSTHOUSE_SMTP", STR("smtp"), STR("127.0.0.1:2525")), first;

	(void)str_cut(&all, ',', &first);
	return cli_place_reachable(a, str_trim(first));
}

struct str
cli_place_domain(struct arena *a)
{
	struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_family = AF_UNSPEC }, *found = NULL;
	char host[256] = "localhost";
	struct str out, line;
	struct buf text;

	buf_init(&text, 4096);
	if (cli_input_read("/etc/mailname", &text, NULL) == RC_OK) {
		struct str all = buf_str(&text);
		(void)str_cut(&all, '\n', &line);
		out = arena_str(a, str_trim(line));
		buf_done(&text);
		if (out.n != 0)
			return out;
	}
	buf_done(&text);
	if (gethostname(host, sizeof(host) - 1) != 0)
		return STR("localhost");
	host[sizeof(host) - 1] = '\0';
	out = arena_str(a, str_from(host));
	if (strchr(host, '.') == NULL && getaddrinfo(host, NULL, &hints, &found) == 0) {
		if (found->ai_canonname != NULL && strchr(found->ai_canonname, '.') != NULL)
			out = arena_str(a, str_from(found->ai_canonname));
		freeaddrinfo(found);
	}
	return out;
}
