/* The receiving end of the load generator: an SMTP server that takes everything and notes when. */
#pragma once

struct load;

/* Listens on load->opts.receive and serves in a thread of its own until the process ends. Ends the
 * program when it cannot. */
void load_receive_start(struct load *load);
