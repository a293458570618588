/* The face of `sendmail`, for cron, PHP, mail(1) and everything else that pipes mail to it.
 *
 *	sendmail [-t] [-i] [-f SENDER] [-F NAME] [-N WHEN] [-R full|hdrs] [-V ENVID] [RECIPIENT ...]
 *	sendmail -bs	speaks SMTP on standard input and output
 *	sendmail -bp	prints the queue, as `mailq`
 *
 * Other options of sendmail are taken and mean nothing here. The message is handed over by the
 * control socket; a user who may not use that is served by SMTP on loopback. Exit statuses are
 *those of sysexits.h: EX_TEMPFAIL when the service is down, so that the caller keeps the mail. */
#pragma once

int cli_sendmail_main(int argc, char **argv);
