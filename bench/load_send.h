/* The sending end of the load generator: SMTP sessions, as many at a time as asked. */
#pragma once

struct load;

/* Sends what load->opts asks for and returns when it is done: messages accepted or refused, or
 * `behind` reached, or the connections held for `idle_s`. Fills the sender's part of `load`. */
void load_send_run(struct load *load);
