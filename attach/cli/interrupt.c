#include "attach/cli/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ABORTED 130 /* 128 + SIGINT, as a shell reports it */

/* A signal handler can reach nothing but globals. */
static int event_fd = -1;
static atomic_int asked, held;
static const char *_Atomic unlink_path;

static void handle(int signal_no)
{
	(void)signal_no;
	int saved = errno;
	uint64_t one = 1;
	if (write(event_fd, &one, sizeof(one)) < 0) {
		/* Only a full counter can fail, and then the descriptor is readable already. */
	}
	if (atomic_fetch_add(&asked, 1) >= 1 && !atomic_load(&held)) {
		const char *path = atomic_load(&unlink_path);
		if (path)
			unlink(path);
		_exit(ABORTED);
	}
	errno = saved;
}

struct cprof_error *cprof_interrupt_init(int *ret_fd)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event_fd < 0)
		return cprof_error_os(errno, "eventfd");
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction before;
		/* nohup(1) and background jobs ignore a signal on purpose. */
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* ulimit -f: write(2) says EFBIG */
	*ret_fd = event_fd;
	return NULL;
}

int cprof_interrupt_count(void)
{
	return atomic_load(&asked);
}

void cprof_interrupt_unlink(const char *path)
{
	atomic_store(&unlink_path, path);
}

void cprof_interrupt_hold(bool hold)
{
	atomic_fetch_add(&held, hold ? 1 : -1);
}
