/* Joining a local program that speaks SMTP on its pipes with the service: `sendmail -bs`.
 *
 * Programs write a whole conversation in one go, with bare line ends, as sendmail has always let
 * them; the service, which takes nothing before its turn, gets it command by command with CRLF. */
#pragma once

#include "base/fault.h"
#include "base/str.h"

/* Runs until either side is done: replies to the last command have been written by then. RC_CLOSED:
 * nobody listens at `server` (ADDRESS:PORT). RC_IO: the service hung up in the middle. */
enum rc cli_join(struct str server, int in, int out, struct fault *f);
