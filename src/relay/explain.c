/* The reply is taken apart, judged as any refusal is, and the verdict put into words from small
 * tables. */
#include "relay/explain.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "codec/json_writer.h"
#include "relay/provider.h"

/* In the order of the enums, English and Chinese. */
static const char *const faults[RELAY_BLAME_COUNT][2] = {
	[RELAY_BLAME_RELAY] = { "the next server's, or our login or address there",
	    "下一台服务器，或我们在那里的登录或地址" },
	[RELAY_BLAME_IDENTITY] = { "the sender's: not allowed there, or not proven",
	    "发件人：在那里不被允许，或未得到证明" },
	[RELAY_BLAME_RECIPIENT] = { "the recipient's address", "收件地址" },
	[RELAY_BLAME_CONTENT] = { "this message's", "这封邮件本身" },
	[RELAY_BLAME_CAPACITY] = { "nobody's: too much or too fast for now",
	    "并无过错：只是此刻太多或太快" },
	[RELAY_BLAME_UNKNOWN] = { "not known", "未知" },
};

static const char *const doings[RELAY_ACTION_COUNT][2] = {
	[RELAY_ACTION_BOUNCE] = { "The message bounces: it is final for this recipient.",
	    "退信：对该收件人不再重试。" },
	[RELAY_ACTION_DEFER] = { "This recipient waits and is tried again.",
	    "该收件人的邮件等待并重试。" },
	[RELAY_ACTION_SLOW] = { "The mail waits, and less is sent through this login.",
	    "邮件等待，并降低此登录的发信速度。" },
	[RELAY_ACTION_PAUSE_RELAY] = { "The relay is paused and its mail waits; nothing bounces.",
	    "暂停该中继，邮件等待，不会退信。" },
	[RELAY_ACTION_PAUSE_LOGIN] = { "The login is paused and its mail waits; nothing bounces.",
	    "暂停该登录，邮件等待，不会退信。" },
	[RELAY_ACTION_HOLD_SENDER] = { "Mail of this sender waits; nothing bounces, and nobody else is held up.",
	    "该发件人的邮件等待，不会退信，也不影响其他发件人。" },
};

static const char *const certainties[RELAY_CERTAINTY_COUNT][2] = {
	[RELAY_CERTAIN] = { "these words are known", "原文已知" },
	[RELAY_LIKELY] = { "told from common words or the enhanced code",
	    "根据常见措辞或扩展状态码判断" },
	[RELAY_GUESS] = { "a guess from the code alone", "仅根据状态码推测" },
};

bool
relay_lang_parse(struct str name, enum relay_lang *out)
{
	bool whole = name.n == 2 || (name.n > 2 && !ascii_is_alnum(name.p[2]));

	if (whole && str_starts_nocase(name, STR("zh")))
		*out = RELAY_LANG_ZH;
	else if (whole && str_starts_nocase(name, STR("en")))
		*out = RELAY_LANG_EN;
	else
		return false;
	return true;
}

const char *
relay_lang_name(enum relay_lang lang)
{
	return lang == RELAY_LANG_ZH ? "zh" : "en";
}

enum rc
relay_explain(struct str reply, struct str provider, struct str stage, struct str lang,
    struct relay_explanation *out, struct fault *f)
{
	struct relay_explanation e = { .lang = RELAY_LANG_EN };
	enum relay_stage at = RELAY_STAGE_UNKNOWN;
	const struct relay_provider *p = relay_provider_named(provider);

	if (str_trim(reply).n == 0)
		return fault_set(f, RC_INVALID,
		    "reply is missing: the server's words, such as \"550 5.7.1 Relaying denied\"");
	if (reply.n > RELAY_EXPLAIN_MAX)
		return fault_set(f, RC_INVALID,
		    "reply is too long; %d bytes are enough for any reply", RELAY_EXPLAIN_MAX);
	if (p == NULL)
		p = relay_provider_of_host(provider);
	if (p == NULL && provider.n != 0)
		return fault_set(f, RC_INVALID,
		    "provider '%.*s' is not known; leave it out, or write a name such as netease, qq, gmail, m365, or the "
		    "server's host name",
		    STR_ARG(str_sub(provider, 0, 64)));
	if (stage.n != 0 && !relay_stage_parse(stage, &at))
		return fault_set(f, RC_INVALID,
		    "stage '%.*s' must be connect, tls, greeting, ehlo, auth, mail, rcpt, data, dot or unknown",
		    STR_ARG(str_sub(stage, 0, 32)));
	if (lang.n != 0 && !relay_lang_parse(lang, &e.lang))
		return fault_set(
		    f, RC_INVALID, "lang '%.*s' must be en or zh", STR_ARG(str_sub(lang, 0, 32)));
	relay_facts_read(reply, p != NULL ? str_from(p->name) : (struct str){ 0 }, &e.facts);
	e.facts.stage = at;
	relay_attribute(&e.facts, &e.verdict);
	e.cause = e.lang == RELAY_LANG_ZH ? e.verdict.cause_zh : e.verdict.cause;
	e.remedy = e.lang == RELAY_LANG_ZH ? e.verdict.remedy_zh : e.verdict.remedy;
	e.fault = faults[e.verdict.blame][e.lang];
	e.doing = doings[e.verdict.action][e.lang];
	e.certain = certainties[e.verdict.certainty][e.lang];
	*out = e;
	return RC_OK;
}

static void
put_text(struct json_writer *w, const char *key, const char *text)
{
	if (text[0] != '\0')
		json_writer_put_str(w, key, str_from(text));
	else
		json_writer_put_null(w, key);
}

void
relay_explain_write(const struct relay_explanation *e, struct json_writer *w)
{
	const struct relay_verdict *v = &e->verdict;
	const struct smtp_enhanced *s = &e->facts.enhanced;
	char enhanced[24] = "";

	if (s->cls != 0)
		(void)snprintf(
		    enhanced, sizeof(enhanced), "%u.%u.%u", s->cls, s->subject, s->detail);
	json_writer_object(w);
	put_text(w, "provider", v->provider);
	if (e->facts.code != 0)
		json_writer_put_uint(w, "code", e->facts.code);
	else
		json_writer_put_null(w, "code");
	put_text(w, "enhanced", enhanced);
	put_text(w, "tag", v->tag);
	put_text(w, "cause", e->cause);
	put_text(w, "remedy", e->remedy);
	put_text(w, "attribution", relay_blame_name(v->blame));
	put_text(w, "action", relay_action_name(v->action));
	if (v->wait_us > 0)
		json_writer_put_int(w, "retry_after_s", v->wait_us / SECONDS(1));
	else
		json_writer_put_null(w, "retry_after_s");
	put_text(w, "certainty", relay_certainty_name(v->certainty));
	put_text(w, "lang", relay_lang_name(e->lang));
	json_writer_end(w);
}
