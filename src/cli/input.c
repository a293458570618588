/* What commands are given besides words: files, numbers, times. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/private.h"
#include "cli/words.h"
#include "codec/duration.h"

enum rc
cli_input_read(const char *path, struct buf *out, struct fault *f)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	enum rc rc = RC_OK;

	if (fd < 0)
		return fault_sys(
		    f, errno == ENOENT ? RC_NOT_FOUND : RC_IO, "%s cannot be read", path);
	while (rc == RC_OK) {
		char piece[64 << 10];
		ssize_t n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = fault_sys(f, RC_IO, "%s cannot be read", path);
		if (n <= 0)
			break;
		buf_add(out, str_make(piece, (size_t)n));
		mem_wipe(piece, (size_t)n);
		if (!buf_is_ok(out))
			rc =
			    fault_set(f, RC_LIMIT, "%s is larger than %zu bytes", path, out->limit);
	}
	if (!is_stdin)
		close(fd);
	return rc;
}

bool
cli_input_number(const struct cli *c, const char *option, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *text = cli_option_get(&c->args, option);
	uint64_t n;

	if (text == NULL || str_to_u64(str_from(text), &n) != RC_OK || n < min || n > max) {
		cli_screen_fail(CLI_USAGE, "--%s %s: a whole number from %llu to %llu is wanted",
		    option, text != NULL ? text : "", (unsigned long long)min,
		    (unsigned long long)max);
		return false;
	}
	*out = n;
	return true;
}

struct str
cli_input_time(struct cli *c, const char *option, bool ahead)
{
	struct str text = str_from(cli_option_get(&c->args, option));
	char out[CLOCK_TEXT_SIZE];
	const char *why;
	uint64_t span;
	int64_t us;

	if (duration_parse(text, &span, &why)) {
		us = ahead ? c->now_us + (int64_t)span : c->now_us - (int64_t)span;
	} else if (!cli_words_parse_time(text, &us)) {
		cli_screen_fail(CLI_USAGE,
		    "--%s %.*s: write a span such as 2h or 7d, a day such as 2026-11-23, or a time such as "
		    "2026-11-23T08:00:00Z",
		    option, STR_ARG(text));
		return (struct str){ 0 };
	}
	clock_format(us > 0 ? us : 0, out);
	return arena_str(&c->arena, str_from(out));
}
