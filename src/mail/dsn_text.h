/* The words of a delivery report that people read. */
#pragma once

struct buf;
struct mail_dsn;

/* Appends the text, in UTF-8, lines ended by CRLF and wrapped at 72 columns but for what others
 * wrote. */
void mail_dsn_text_add(struct buf *b, const struct mail_dsn *d);
/* The subject line, ASCII. */
const char *mail_dsn_text_subject(const struct mail_dsn *d);
