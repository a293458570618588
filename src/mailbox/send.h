/* Sending a message of our own through one relay version, right away and beside the queue: for
 * probes, which must go the way that mail goes and are no mail.
 *
 * A sender keeps one connection and opens it when it is needed; one that could not be opened is not
 * tried again, since every try is a login. Loop thread only. */
#pragma once

#include "base/arena.h"
#include "mailbox/service.h"
#include "smtp/client.h"

struct mailbox_sender;
struct relay_book;

/* What became of one message. `verdict` is valid during the call. */
typedef void mailbox_sent_fn(void *arg, const struct smtp_verdict *verdict);

/* `book` has the version; a reference is taken. */
struct mailbox_sender *mailbox_sender_new(
    struct mailbox_service *s, struct relay_book *book, struct version_id version);
/* Nothing is called any more; a message under way is broken off. Takes NULL; nulls the pointer. */
void mailbox_sender_free(struct mailbox_sender **s);
bool mailbox_sender_is_busy(const struct mailbox_sender *s);
/* One at a time. `from` and `to` are paths without angle brackets, `content` ASCII with CRLF; all
 * are copied. `on_sent` comes once, not before the call has returned. */
void mailbox_sender_send(struct mailbox_sender *s, struct str from, struct str to,
    struct str content, mailbox_sent_fn *on_sent, void *arg);
