/* stop.c - see stop.h. The handlers call nothing but what POSIX allows in handlers. */
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sys.h"

#define PATIENCE_SECONDS 3

static volatile sig_atomic_t stops, running, told;
static int wake[2] = {-1, -1};
static char leave_text[2048], late_text[2048], nothing_text[] = "docrow: stopped before anything was done\n";

static void say(const char *text)
{
	ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

	(void)ignored;
}

static void leave(const char *text)
{
	atomic_store(&stop_flag, 2);
	say(text);
	_exit(130);
}

static void wake_up(void)
{
	ssize_t ignored = write(wake[1], "x", 1);

	(void)ignored;
}

static void on_stop(int sig)
{
	int saved = errno;

	if (!running)
		leave(nothing_text);
	if (++stops > 1)
		leave(leave_text);
	atomic_store(&stop_flag, 1);
	alarm(PATIENCE_SECONDS);
	wake_up();
	errno = saved;
}

static void on_alarm(int sig)
{
	leave(late_text);
}

static void on_resize(int sig)
{
	int saved = errno;

	wake_up();
	errno = saved;
}

static void handle(int sig, void (*handler)(int))
{
	struct sigaction old, new = {.sa_handler = handler, .sa_flags = SA_RESTART};

	sigemptyset(&new.sa_mask);
	if (sig == SIGHUP && sigaction(sig, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
		return;
	sigaction(sig, &new, NULL);
}

void stop_install(const char *way_on)
{
	snprintf(leave_text, sizeof(leave_text),
		 "docrow: left at once; that is safe, unfinished work is taken up again by\n  %.1800s\n", way_on);
	snprintf(late_text, sizeof(late_text),
		 "docrow: the work in hand did not end in time and is left; that is safe, it is taken up again by\n"
		 "  %.1800s\n",
		 way_on);
	if (wake[0] < 0 && pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
		wake[0] = wake[1] = -1; /* stop_wait then only waits its time out */
	handle(SIGINT, on_stop);
	handle(SIGTERM, on_stop);
	handle(SIGHUP, on_stop);
	handle(SIGALRM, on_alarm);
	handle(SIGWINCH, on_resize);
}

void stop_running(void)
{
	running = 1;
}

void stop_wait(int milliseconds)
{
	struct pollfd p = {.fd = wake[0], .events = POLLIN};
	char drop[64];

	if (poll(&p, 1, milliseconds) > 0)
		while (read(wake[0], drop, sizeof(drop)) > 0)
			;
}

bool stop_is_new(void)
{
	if (stops == 0 || told)
		return false;
	told = 1;
	return true;
}

void stop_wind_clock(void)
{
	alarm(PATIENCE_SECONDS);
}

static volatile sig_atomic_t last_status;

static void on_last_alarm(int sig)
{
	_exit(last_status);
}

void stop_close_within_a_second(int status)
{
	if (!stop_requested())
		return;
	last_status = status;
	handle(SIGALRM, on_last_alarm);
	alarm(1);
}

void stop_finished(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGALRM};

	alarm(0);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WATCHED 1
#endif
#endif

/* libmongoc keeps counters in shared memory, and a killed process would leave the file there. Older versions make it
 * when they are loaded, before main; then its name is taken away. */
static void leave_no_counters(void)
{
	char name[32];

	setenv("MONGOC_DISABLE_SHM", "1", 0);
	snprintf(name, sizeof(name), "/mongoc-%d", (int)getpid());
	shm_unlink(name);
}

void stop_prepare_process(void)
{
	signal(SIGPIPE, SIG_IGN);
	leave_no_counters();
#if defined(__OPTIMIZE__) && !defined(WATCHED)
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
#endif
}
