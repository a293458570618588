#include "api/alarm_post.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json_writer.h"
#include "loop/pool.h"
#include "net/fetch.h"

#define ANSWER_MAX 4096
#define BODY_MAX   65536

struct alarm_post {
	struct pool_job job;
	struct arena arena;
	struct str url;
	struct str subject;
	struct str text;
};

static void
write_body(const struct alarm_post *p, struct buf *b)
{
	struct json_writer w;

	json_writer_init(&w, b);
	json_writer_object(&w);
	json_writer_put_str(&w, "subject", p->subject);
	json_writer_put_str(&w, "text", p->text);
	json_writer_end(&w);
	json_writer_done(&w);
}

static void
post(struct pool_job *job)
{
	struct alarm_post *p = CONTAINER_OF(job, struct alarm_post, job);
	AUTO(buf_done) struct buf body = { 0 };
	AUTO(buf_done) struct buf answer = { 0 };
	struct fault f = { 0 };
	unsigned status = 0;

	buf_init(&body, BODY_MAX);
	buf_init(&answer, ANSWER_MAX);
	write_body(p, &body);
	struct net_fetch_request r = {
		.method = "POST",
		.url = p->url.p,
		.type = STR("application/json"),
		.body = buf_str(&body),
		.answer_max = ANSWER_MAX,
		.timeout_us = SECONDS(10),
	};
	enum rc rc = net_fetch(&r, &status, &answer, &f);
	if (rc != RC_OK)
		log_event(LOG_WARN, NULL, "alarm.url", "the alarm could not be posted to %s: %s",
		    p->url.p, f.text);
	else if (status > 299)
		log_event(LOG_WARN, NULL, "alarm.url", "%s answered an alarm with status %u",
		    p->url.p, status);
	arena_done(&p->arena);
	free(p);
}

void
api_alarm_post(struct pool *pool, struct str url, struct str subject, struct str text)
{
	struct alarm_post *p = MEM_NEW(struct alarm_post);

	p->url = arena_str(&p->arena, url);
	p->subject = arena_str(&p->arena, subject);
	p->text = arena_str(&p->arena, str_sub(text, 0, BODY_MAX / 8));
	p->job.run = post;
	pool_post(pool, &p->job);
}
