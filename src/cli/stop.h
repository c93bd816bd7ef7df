/* stop.h - signals that ask a run to stop.
 *
 *   stop_install → stop_running → (stop_wait)* → stop_finished
 *
 * First SIGINT, SIGTERM or SIGHUP: stop_flag is set, stop_wait wakes up, and a clock of three seconds starts. Second
 * one, or the clock: the program leaves at once with status 130, saying that this is safe and how to go on. Before
 * stop_running nothing is at stake and the first one leaves. A SIGHUP that was ignored (nohup) stays ignored.
 */
#ifndef DOCROW_STOP_H
#define DOCROW_STOP_H

#include <stdbool.h>

/* `way_on`: what to run to go on; copied. Signals that end a program are taken over. */
void stop_install(const char *way_on);
/* From here on there is work to finish first. */
void stop_running(void);
/* Waits for a signal (also SIGWINCH), at most so many milliseconds. */
void stop_wait(int milliseconds);
/* True once, when the first stop signal has come. */
bool stop_is_new(void);
/* The clock starts again, for what is written after a stop. */
void stop_wind_clock(void);
/* The work is over: signals do what they do by default. */
void stop_finished(void);

/* What every command wants: no SIGPIPE, no core files with documents and passwords in them (optimised builds). */
void stop_prepare_process(void);

/* After a stop, when everything is said: closing connections may not take longer than a second (a source that does
 * not answer would hold the program); then it leaves with this status. Does nothing when no stop was asked for. */
void stop_close_within_a_second(int status);

#endif
