/* A whole server session under arbitrary bytes, time and owners.
 *
 * The first bytes choose settings and how the owner behaves; the rest is what the client sends, in
 * pieces, with time going by and answers arriving in between. The states' own facts are audited
 * after every step; beyond them this checks that replies are replies, that messages keep their
 * promises and that nothing is left behind. */
#include "smtp/server_fake.h"

#include "base/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct smtp_server *server;
	const uint8_t *data;
	size_t size;
	struct smtp_server_ticket open[4]; /* questions answered late */
	size_t n_open;
	bool closed;
} play;

static uint8_t
next(void)
{
	if (play.size == 0)
		return 0;
	play.size--;
	return *play.data++;
}

/* Yes, no, later or hang up, as the input says. */
static void
decide(struct smtp_server_session *s, struct smtp_server_ticket t)
{
	static const struct smtp_server_reply no = { 550, { 5, 7, 1 },
		STR_INIT("No\r\n250 really\nnot") };
	static const struct smtp_server_reply bye = { 421, { 4, 7, 0 }, STR_INIT("Bye") };

	switch (next() % 16) {
	case 0: smtp_server_answer(play.server, t, &no); return;
	case 1: smtp_server_answer(play.server, t, &bye); return;
	case 2: smtp_server_drop(s); return;
	case 3:
	case 4:
		if (play.n_open < COUNT_OF(play.open)) {
			play.open[play.n_open++] = t;
			return;
		}
		break;
	default: break;
	}
	smtp_server_answer(play.server, t, NULL);
}

static void
on_connect(struct smtp_server_session *s, struct smtp_server_ticket t, void *arg)
{
	(void)arg;
	decide(s, t);
}

static void
on_stage(struct smtp_server_session *s, struct smtp_server_ticket t, enum smtp_server_stage stage,
    void *arg)
{
	(void)stage;
	(void)arg;
	decide(s, t);
}

static void
lookup_credential(
    struct smtp_server_session *s, struct smtp_server_ticket t, struct str user, void *arg)
{
	(void)s;
	(void)user;
	(void)arg;
	smtp_server_answer_credential(play.server, t, NULL);
}

static void
verify_password(struct smtp_server_session *s, struct smtp_server_ticket t, struct str user,
    struct str secret, void *arg)
{
	(void)s;
	(void)user;
	(void)secret;
	(void)arg;
	smtp_server_answer_secret(play.server, t, next() % 2 == 0);
}

static void
on_mail(struct smtp_server_session *s, struct smtp_server_ticket t,
    const struct smtp_server_message *m, void *arg)
{
	(void)arg;
	ASSERT(m->n_rcpts == 0);
	decide(s, t);
}

static void
on_rcpt(struct smtp_server_session *s, struct smtp_server_ticket t,
    const struct smtp_server_message *m, const struct smtp_server_rcpt *rcpt, void *arg)
{
	(void)m;
	(void)arg;
	ASSERT(!rcpt->addr.is_null);
	decide(s, t);
}

static void
on_content_begin(struct smtp_server_session *s, struct smtp_server_ticket t,
    const struct smtp_server_message *m, uint64_t size_hint, void *arg)
{
	(void)size_hint;
	(void)arg;
	ASSERT(m->n_rcpts != 0);
	if (next() % 2 == 0)
		smtp_server_prefix(s, STR("Received: by fuzz\r\n"));
	decide(s, t);
}

static void
on_message(struct smtp_server_session *s, struct smtp_server_ticket t,
    struct smtp_server_message *m, void *arg)
{
	struct str all = blob_str(m->content);
	struct str content = str_skip(all, m->prefix_bytes);

	(void)arg;
	ASSERT(m->n_rcpts != 0 && m->header_bytes <= content.n && all.n >= m->prefix_bytes);
	ASSERT(!str_has_byte(content, '\0'));
	for (size_t i = 0; i < content.n; i++) {
		if (content.p[i] == '\r')
			ASSERT(i + 1 < content.n && content.p[i + 1] == '\n');
		if (content.p[i] == '\n')
			ASSERT(i > 0 && content.p[i - 1] == '\r');
	}
	smtp_server_message_free(&m);
	decide(s, t);
}

static void
on_closed(struct smtp_server_session *s, void *arg)
{
	(void)s;
	(void)arg;
	ASSERT(!play.closed);
	play.closed = true;
}

static const struct smtp_server_ops ops = {
	.on_connect = on_connect,
	.on_stage = on_stage,
	.lookup_credential = lookup_credential,
	.verify_password = verify_password,
	.on_mail = on_mail,
	.on_rcpt = on_rcpt,
	.on_content_begin = on_content_begin,
	.on_message = on_message,
	.on_closed = on_closed,
};

static struct smtp_server_opts
choose_opts(void)
{
	struct smtp_server_opts opts = smtp_server_opts_default(STR("fuzz.test"));
	static char context[1];
	uint8_t bits = next();

	opts.auth_required = (bits & 1) != 0;
	opts.auth_requires_tls = (bits & 2) != 0;
	opts.normalize = (bits & 4) != 0;
	if ((bits & 8) != 0)
		opts.tls = (struct tls_ctx *)(void *)context;
	if ((bits & 16) != 0)
		opts.max_size = 64;
	if ((bits & 32) != 0)
		opts.max_header = 32;
	if ((bits & 64) != 0)
		opts.extensions = SMTP_SERVER_EVERYTHING & ~(unsigned)next();
	opts.max_rcpts = 3;
	opts.max_commands = 200;
	opts.max_errors = 20;
	return opts;
}

/* Every line of what was said begins with a code and ends with CRLF. */
static void
check_replies(void)
{
	struct str said = buf_str(&fake.out), line;

	ASSERT(said.n == 0 || str_ends(said, STR("\r\n")));
	while (said.n != 0 && str_cut(&said, '\n', &line)) {
		ASSERT(line.n >= 5 && line.p[line.n - 1] == '\r');
		ASSERT(line.p[0] >= '2' && line.p[0] <= '5' && ascii_is_digit(line.p[1]));
		ASSERT(ascii_is_digit(line.p[2]) && (line.p[3] == ' ' || line.p[3] == '-'));
		ASSERT(!str_has_byte(str_sub(line, 0, line.n - 1), '\r'));
	}
	buf_clear(&fake.out);
}

static void
answer_one(void)
{
	if (play.n_open == 0)
		return;
	smtp_server_answer(play.server, play.open[--play.n_open], NULL);
	fake_turn();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&play, 0, sizeof(play));
	play.data = data;
	play.size = size;
	fake_start();
	struct smtp_server_opts opts = choose_opts();
	struct smtp_server_peer peer = { .trusted = next() % 2 == 0 };
	play.server = smtp_server_new(NULL, &opts, &ops, NULL);
	smtp_server_accept(play.server, -1, &peer);
	fake_ready();
	/* A byte above 0xf0 is an event; others are the length of what is sent next. */
	while (play.size != 0 && !play.closed) {
		uint8_t what = next();
		if (what >= 0xf8) {
			answer_one();
		} else if (what >= 0xf4) {
			fake_wait(SECONDS(150));
		} else if (what == 0xf3) {
			smtp_server_drain(play.server);
			fake_turn();
		} else if (what == 0xf2) {
			fake_hang_up();
		} else {
			size_t n = what < play.size ? what : play.size;
			struct str piece = { (const char *)play.data, n };
			play.data += n;
			play.size -= n;
			fake_send(piece);
		}
		check_replies();
	}
	smtp_server_free(&play.server);
	ASSERT(play.closed && blob_total_bytes() == 0);
	fake_end();
	return 0;
}
