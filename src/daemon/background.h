/* The background thread: one loop with a resolver and a dialer, for what takes its time and belongs
 * to no connection of the queue: preflights, probes, mailboxes, tokens, webhooks.
 *
 * It hosts *services*. A service is built by the main thread on this loop before the thread starts,
 * lives there, and is taken down by the main thread after it has ended. Any thread asks something
 * of it by posting a request to the service's own mailbox; a request is a heap struct that begins
 * with a `struct mailbox_item` and is posted back to the `reply` mailbox that it names when it is
 * done. Every request is answered exactly once, at the latest while the service drains.
 *
 *	background_new ─▶ services made, background_host ─▶ background_start ─▶ background_drain
 *	                                                                              │
 *	background_free ◀──────────── store closed ◀──────── background_join ◀────────┘ */
#pragma once

#include "base/compiler.h"
#include "base/fault.h"

struct background;
struct dialer;
struct loop;
struct resolver;

typedef void background_fn(void *service);

/* Main thread. RC_DNS when the system's DNS configuration cannot be read. */
enum rc background_new(struct background **out, struct fault *f);
/* Takes what is hosted down, the last hosted first (`end` of each), then the loop. After
 * background_join, and after the store was closed. Takes NULL; nulls the pointer. */
void background_free(struct background **b);

struct loop *background_loop(const struct background *b);
struct resolver *background_resolver(const struct background *b);
struct dialer *background_dialer(const struct background *b);

/* Hosts `service`, before background_start. `drain` (NULL: nothing to do) runs on the thread, once:
 * from then on the service refuses what is asked, and it breaks off and answers at once what is
 * under way. `end` frees it, on the main thread. */
void background_host(struct background *b, background_fn *drain, background_fn *end, void *service);

void background_start(struct background *b);
/* Lets every service drain, the first hosted first. Any thread, once; does not wait. */
void background_drain(struct background *b);
/* Ends the thread and waits for it; drains first where that was not done. */
void background_join(struct background *b);
