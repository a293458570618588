/* Shared by the two files that read reports; nobody else includes it. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "mail/report.h"

/* What was found in the parts of a mail. */
struct report_parts {
	struct arena *a;
	struct str content;  /* the mail */
	struct str status;   /* message/delivery-status, decoded */
	struct str returned; /* header of what came back */
	struct buf text;     /* words for people, UTF-8, lines ended by LF */
	unsigned parts;
};

/* Adds a recipient; NULL when there are enough. */
struct mail_report_rcpt *report_add(struct mail_report *r, struct arena *a);

/* report_text.c: an informal report. RC_NOT_FOUND: it is none. */
enum rc report_read_text(struct report_parts *p, struct mail_report *out);
/* Appends `html` as text: tags go, blocks end lines, the usual entities are read. */
void report_add_html(struct buf *b, struct str html);
/* The id behind the first "Message-ID:" that begins a line of `text`; empty without. */
struct str report_find_message_id(struct str text);
