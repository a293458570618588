/* Verdicts: from the rule that matches, or from a table where there was no reply.
 *
 * The data decide what a reply means; this file holds what no row may break: a 4xx never bounces,
 * and only a recipient or the content can make a bounce (promise P3; gen_replies.py refuses rows
 * that say otherwise).
 *
 * A secret that worked today and is refused now is more often the server's hiccup than a changed
 * secret: the one wait without which a refused login would stay paused is given here. */
#include "relay/attribute.h"

#include "base/check.h"
#include "base/clock.h"
#include "relay/provider.h"
#include "relay/rule.h"
#include "relay/wait.h"

#define WORKED_TODAY_WAIT SECONDS(60)
/* What a text without any code is judged as. */
#define CODE_OF_NO_CODE   550

static const char *const stage_names[] = {
	[RELAY_STAGE_CONNECT] = "connect",
	[RELAY_STAGE_TLS] = "tls",
	[RELAY_STAGE_GREETING] = "greeting",
	[RELAY_STAGE_EHLO] = "ehlo",
	[RELAY_STAGE_AUTH] = "auth",
	[RELAY_STAGE_MAIL] = "mail",
	[RELAY_STAGE_RCPT] = "rcpt",
	[RELAY_STAGE_DATA] = "data",
	[RELAY_STAGE_DOT] = "dot",
	[RELAY_STAGE_UNKNOWN] = "unknown",
};
static_assert(COUNT_OF(stage_names) == RELAY_STAGE_COUNT, "every stage has a name");

static const char *const blame_names[] = {
	[RELAY_BLAME_RELAY] = "relay",
	[RELAY_BLAME_IDENTITY] = "identity",
	[RELAY_BLAME_RECIPIENT] = "recipient",
	[RELAY_BLAME_CONTENT] = "content",
	[RELAY_BLAME_CAPACITY] = "capacity",
	[RELAY_BLAME_UNKNOWN] = "unknown",
};
static_assert(COUNT_OF(blame_names) == RELAY_BLAME_COUNT, "every blame has a name");

static const char *const action_names[] = {
	[RELAY_ACTION_BOUNCE] = "bounce",
	[RELAY_ACTION_DEFER] = "defer",
	[RELAY_ACTION_SLOW] = "slow",
	[RELAY_ACTION_PAUSE_RELAY] = "pause-relay",
	[RELAY_ACTION_PAUSE_LOGIN] = "pause-login",
	[RELAY_ACTION_HOLD_SENDER] = "hold-sender",
};
static_assert(COUNT_OF(action_names) == RELAY_ACTION_COUNT, "every action has a name");

static const char *const certainty_names[] = {
	[RELAY_CERTAIN] = "certain",
	[RELAY_LIKELY] = "likely",
	[RELAY_GUESS] = "guess",
};
static_assert(COUNT_OF(certainty_names) == RELAY_CERTAINTY_COUNT, "every certainty has a name");

static const struct {
	enum relay_blame blame;
	enum relay_action action;
	int64_t wait_us;
	const char *cause;
	const char *remedy;
	const char *cause_zh;
	const char *remedy_zh;
} troubles[] = {
	[RELAY_TROUBLE_NONE] = { RELAY_BLAME_UNKNOWN, RELAY_ACTION_DEFER, 0,
	    "Nobody knows what went wrong; it is tried again.", "",
	    "没有人知道出了什么问题，将会重试。", "" },
	[RELAY_TROUBLE_OUR_SIDE] = { RELAY_BLAME_UNKNOWN, RELAY_ACTION_DEFER, 0,
	    "The network or the name service on our own side does not work.",
	    "Check this machine's network and resolver.", "我们这一侧的网络或域名解析出现故障。",
	    "检查本机的网络和 DNS 解析。" },
	[RELAY_TROUBLE_DNS] = { RELAY_BLAME_RELAY, RELAY_ACTION_DEFER, 0,
	    "The relay's host name cannot be looked up just now.",
	    "If it lasts, check the host name and the name servers of its domain.",
	    "暂时无法解析中继的主机名。", "若持续出现，请检查主机名及其域名的 DNS 服务器。" },
	[RELAY_TROUBLE_NO_HOST] = { RELAY_BLAME_RELAY, RELAY_ACTION_PAUSE_RELAY, 0,
	    "The relay's host name does not exist.", "Correct --host with posthouse relay edit.",
	    "中继的主机名不存在。", "用 posthouse relay edit 更正 --host。" },
	[RELAY_TROUBLE_CONNECT] = { RELAY_BLAME_RELAY, RELAY_ACTION_DEFER, 0,
	    "The relay cannot be reached at this port.",
	    "Check host and port, and whether a firewall blocks it; if the relay is down, wait.",
	    "无法连接到中继的这个端口。",
	    "检查主机和端口，以及是否被防火墙拦截；若中继宕机，请等待。" },
	[RELAY_TROUBLE_TIMEOUT] = { RELAY_BLAME_RELAY, RELAY_ACTION_DEFER, 0,
	    "The relay did not answer in time.",
	    "If it lasts, check host and port, and whether a firewall blocks it.",
	    "中继没有及时应答。", "若持续出现，请检查主机和端口，以及是否被防火墙拦截。" },
	[RELAY_TROUBLE_CLOSED] = { RELAY_BLAME_RELAY, RELAY_ACTION_DEFER, 0,
	    "The relay hung up in the middle of the conversation.",
	    "If it lasts, tell the relay's administrator.", "中继在会话中途断开了连接。",
	    "若持续出现，请告知中继的管理员。" },
	[RELAY_TROUBLE_TLS] = { RELAY_BLAME_RELAY, RELAY_ACTION_DEFER, 0,
	    "The TLS handshake with the relay failed.",
	    "Check that --tls fits the port: implicit for 465, starttls for 587.",
	    "与中继的 TLS 握手失败。",
	    "检查 --tls 与端口是否相符：465 用 implicit，587 用 starttls。" },
	[RELAY_TROUBLE_CERTIFICATE] = { RELAY_BLAME_RELAY, RELAY_ACTION_PAUSE_RELAY, 0,
	    "The relay's certificate does not prove its name, so nothing was sent.",
	    "Renew the certificate there, or correct --host, --tls-name or --ca-file.",
	    "中继的证书不能证明其名称，因此没有发送任何内容。",
	    "请对方更新证书，或更正 --host、--tls-name、--ca-file。" },
	[RELAY_TROUBLE_NO_STARTTLS] = { RELAY_BLAME_RELAY, RELAY_ACTION_PAUSE_RELAY, 0,
	    "The relay does not offer STARTTLS, so nothing was sent.",
	    "Use --tls implicit with port 465, or have TLS switched on there.",
	    "中继不提供 STARTTLS，因此没有发送任何内容。",
	    "改用 --tls implicit 和 465 端口，或请对方开启 TLS。" },
	[RELAY_TROUBLE_NO_AUTH] = { RELAY_BLAME_RELAY, RELAY_ACTION_PAUSE_LOGIN, 0,
	    "The relay offers no way to log in that we may use.",
	    "Choose a mechanism that it offers with --auth, or another port.",
	    "中继没有提供我们可用的登录方式。", "用 --auth 选择它提供的方式，或换一个端口。" },
	[RELAY_TROUBLE_NO_SMTPUTF8] = { RELAY_BLAME_CONTENT, RELAY_ACTION_BOUNCE, 0,
	    "The message has a non-ASCII address, which the relay cannot take.",
	    "Write to an ASCII address, or use a relay with SMTPUTF8.",
	    "邮件含有非 ASCII 地址，中继无法接收。",
	    "改用 ASCII 地址，或使用支持 SMTPUTF8 的中继。" },
	[RELAY_TROUBLE_TOO_BIG] = { RELAY_BLAME_CONTENT, RELAY_ACTION_BOUNCE, 0,
	    "The message is larger than the relay takes.",
	    "Send a link instead of the attachment, or use a relay that takes more.",
	    "邮件大小超过中继上限。", "不发附件，改发下载链接，或使用上限更高的中继。" },
	[RELAY_TROUBLE_PROTOCOL] = { RELAY_BLAME_RELAY, RELAY_ACTION_DEFER, 0,
	    "What answers there does not speak SMTP.",
	    "Check host and port, and that --tls fits the port.", "对方应答的不是 SMTP。",
	    "检查主机和端口，以及 --tls 与端口是否相符。" },
};
static_assert(COUNT_OF(troubles) == RELAY_TROUBLE_COUNT, "every trouble has a verdict");

const char *
relay_stage_name(enum relay_stage stage)
{
	ASSERT((size_t)stage < RELAY_STAGE_COUNT);
	return stage_names[stage];
}

bool
relay_stage_parse(struct str name, enum relay_stage *out)
{
	for (size_t i = 0; i < RELAY_STAGE_COUNT; i++) {
		if (str_eq_nocase(name, str_from(stage_names[i]))) {
			*out = (enum relay_stage)i;
			return true;
		}
	}
	return false;
}

const char *
relay_blame_name(enum relay_blame blame)
{
	ASSERT((size_t)blame < RELAY_BLAME_COUNT);
	return blame_names[blame];
}

const char *
relay_action_name(enum relay_action action)
{
	ASSERT((size_t)action < RELAY_ACTION_COUNT);
	return action_names[action];
}

const char *
relay_certainty_name(enum relay_certainty certainty)
{
	ASSERT((size_t)certainty < RELAY_CERTAINTY_COUNT);
	return certainty_names[certainty];
}

static bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Length of a tag at the head of `s`: "MI:SFQ", "[TSS04]" or "SC-001"; 0 when there is none. */
static size_t
tag_at(struct str s)
{
	size_t n = 1;
	bool digit = false;

	if (s.n >= 6 && is_upper(s.p[0]) && is_upper(s.p[1])) {
		if (s.p[2] == ':' && is_upper(s.p[3]) && is_upper(s.p[4]) && is_upper(s.p[5]) &&
		    (s.n == 6 || !ascii_is_alnum(s.p[6])))
			return 6;
		if (s.p[2] == '-' && ascii_is_digit(s.p[3]) && ascii_is_digit(s.p[4]) &&
		    ascii_is_digit(s.p[5]) && (s.n == 6 || !ascii_is_alnum(s.p[6])))
			return 6;
	}
	if (s.n == 0 || s.p[0] != '[' || s.n < 3 || !is_upper(s.p[1]))
		return 0;
	for (; n < s.n && (is_upper(s.p[n]) || ascii_is_digit(s.p[n])); n++)
		digit |= ascii_is_digit(s.p[n]);
	return digit && n < s.n && s.p[n] == ']' && n - 1 < RELAY_TAG_SIZE ? n + 1 : 0;
}

/* The first tag in `text`, without brackets. */
static void
find_tag(struct str text, char out[static RELAY_TAG_SIZE])
{
	out[0] = '\0';
	for (size_t at = 0; at < text.n; at++) {
		size_t n =
		    at > 0 && ascii_is_alnum(text.p[at - 1]) ? 0 : tag_at(str_skip(text, at));
		struct str tag = str_sub(text, at, n);
		if (n == 0)
			continue;
		if (tag.p[0] == '[')
			tag = str_sub(tag, 1, n - 2);
		ASSERT(tag.n < RELAY_TAG_SIZE);
		memcpy(out, tag.p, tag.n);
		out[tag.n] = '\0';
		return;
	}
}

static void
judge_trouble(enum relay_trouble trouble, struct relay_verdict *out)
{
	*out = (struct relay_verdict){
		.blame = troubles[trouble].blame,
		.action = troubles[trouble].action,
		.certainty = trouble == RELAY_TROUBLE_NONE ? RELAY_GUESS : RELAY_CERTAIN,
		.wait_us = troubles[trouble].wait_us,
		.provider = "",
		.cause = troubles[trouble].cause,
		.remedy = troubles[trouble].remedy,
		.cause_zh = troubles[trouble].cause_zh,
		.remedy_zh = troubles[trouble].remedy_zh,
	};
}

static void
judge_reply(const struct relay_facts *facts, struct relay_verdict *out)
{
	const struct relay_rule *rule = relay_rule_find(facts);
	const struct relay_provider *provider = relay_provider_named(facts->provider);
	int64_t named = relay_wait_in_text(facts->text);

	*out = (struct relay_verdict){
		.blame = rule->blame,
		.action = rule->action,
		.certainty = rule->certainty,
		.unknown_user = rule->unknown_user && facts->code >= 500,
		.wait_us = named != 0 ? named : SECONDS(rule->wait_s),
		.provider = rule->provider[0] != '\0' ? rule->provider
			    : provider != NULL        ? provider->name
						      : "",
		.cause = rule->cause,
		.remedy = rule->remedy,
		.cause_zh = rule->cause_zh,
		.remedy_zh = rule->remedy_zh,
	};
	if (out->action == RELAY_ACTION_BOUNCE && facts->code < 500)
		out->action = RELAY_ACTION_DEFER;
	find_tag(facts->text, out->tag);
}

void
relay_attribute(const struct relay_facts *facts, struct relay_verdict *out)
{
	struct relay_facts known = *facts;

	if (known.trouble == RELAY_TROUBLE_NONE && known.code == 0 &&
	    known.stage == RELAY_STAGE_UNKNOWN)
		known.code = CODE_OF_NO_CODE;
	if (known.trouble != RELAY_TROUBLE_NONE || known.code == 0)
		judge_trouble(known.trouble, out);
	else if (known.code < 400 || known.code > 599)
		/* A 2xx or 3xx where none can follow. */
		judge_trouble(RELAY_TROUBLE_PROTOCOL, out);
	else
		judge_reply(&known, out);
	if (out->action == RELAY_ACTION_BOUNCE)
		out->wait_us = 0;
	if (out->action == RELAY_ACTION_PAUSE_LOGIN && out->wait_us == 0 && facts->worked_today)
		out->wait_us = WORKED_TODAY_WAIT;
	ASSERT(out->action != RELAY_ACTION_BOUNCE || out->blame == RELAY_BLAME_RECIPIENT ||
	       out->blame == RELAY_BLAME_CONTENT);
}

/* Offset of the first three digits 4xx or 5xx that stand alone as a reply code does; line.n when
 * none do. */
static size_t
find_code(struct str line)
{
	for (size_t at = 0; at + 3 <= line.n; at++) {
		bool alone = at == 0 || str_has_byte(STR(" :;,(\"'\t\n"), line.p[at - 1]);
		if (alone && (line.p[at] == '4' || line.p[at] == '5') &&
		    ascii_is_digit(line.p[at + 1]) && ascii_is_digit(line.p[at + 2]) &&
		    (at + 3 == line.n || str_has_byte(STR(" -\t:,\n"), line.p[at + 3])))
			return at;
	}
	return line.n;
}

void
relay_facts_read(struct str line, struct str provider, struct relay_facts *out)
{
	struct relay_facts facts = { .stage = RELAY_STAGE_UNKNOWN, .provider = provider };
	struct str rest = str_trim(line), after;
	size_t at = find_code(rest);

	/* "4.7.0 text" without a code gives its class away. */
	if (at != rest.n) {
		uint64_t code = 0;
		if (str_to_u64(str_sub(rest, at, 3), &code) == RC_OK)
			facts.code = (uint16_t)code;
		rest = str_skip(rest, at + 3);
		if (rest.n != 0 && str_has_byte(STR("-:,"), rest.p[0]))
			rest = str_skip(rest, 1);
		rest = str_trim(rest);
	}
	after = str_starts(rest, STR("#")) ? str_skip(rest, 1) : rest;
	size_t n = 0;
	while (n < after.n && (ascii_is_digit(after.p[n]) || after.p[n] == '.'))
		n++;
	if (smtp_reply_parse_enhanced(str_sub(after, 0, n), &facts.enhanced)) {
		if (facts.code == 0 && facts.enhanced.cls >= 4)
			facts.code = facts.enhanced.cls == 4 ? 450 : 550;
		if (facts.enhanced.cls == facts.code / 100)
			rest = str_trim(str_skip(after, n));
		else
			facts.enhanced = SMTP_ENHANCED_NONE;
	}
	facts.text = rest;
	*out = facts;
}
