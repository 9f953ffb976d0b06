/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prefetch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child_files.h"
#include "base/clock.h"

#define NICENESS 10   /* a tenth of a processor where everybody wants one */
#define STOP_MS  2000 /* a child that is killed has its turn, or hangs in the kernel */
#define HEAD     4096 /* a page of its own for what the two tell each other */

struct cprof_prefetch_piece {
	struct head {
		_Atomic size_t made; /* 0: not yet */
	} * head;                    /* owned; of the mapping that both see, before the room */
	uint8_t *room;
	size_t cap;
};

/* ---- pieces ---- */

struct cprof_prefetch_piece *cprof_prefetch_add(struct cprof_prefetch *prefetch,
						cprof_prefetch_fn *fn, void *ctx, size_t cap)
{
	if (prefetch->n_jobs == CPROF_PREFETCH_MAX || !cap || cap > SIZE_MAX - HEAD)
		return NULL;
	struct cprof_prefetch_piece *piece = calloc(1, sizeof(*piece));
	if (!piece)
		return NULL;
	uint8_t *map = mmap(NULL, HEAD + cap, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		free(piece);
		return NULL;
	}
	*piece = (struct cprof_prefetch_piece){ (struct head *)map, map + HEAD, cap };
	prefetch->jobs[prefetch->n_jobs++] = (struct cprof_prefetch_job){ fn, ctx, piece };
	return piece;
}

uint8_t *cprof_prefetch_piece_bytes(const struct cprof_prefetch_piece *piece, size_t *ret_n)
{
	*ret_n = atomic_load_explicit(&piece->head->made, memory_order_acquire);
	return *ret_n ? piece->room : NULL;
}

void cprof_prefetch_piece_free(struct cprof_prefetch_piece *piece)
{
	if (!piece)
		return;
	munmap(piece->head, HEAD + piece->cap);
	free(piece);
}

/* ---- the child ---- */

_Noreturn static void work(const struct cprof_prefetch *prefetch, pid_t parent)
{
	/* All signals stay blocked: Ctrl-C is for the parent, whose handler and descriptors are here too. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "cprof-prefetch");
	cprof_child_files_only(-1);
	setpriority(PRIO_PROCESS, 0, NICENESS);
	for (size_t i = 0; i < prefetch->n_jobs && getppid() == parent; i++) {
		const struct cprof_prefetch_job *job = &prefetch->jobs[i];
		size_t made = job->fn(job->ctx, job->piece->room, job->piece->cap);
		atomic_store_explicit(&job->piece->head->made, made, memory_order_release);
	}
	_exit(0);
}

void cprof_prefetch_start(struct cprof_prefetch *prefetch)
{
	if (!prefetch->n_jobs || cprof_prefetch_busy(prefetch))
		return;
	sigset_t all, before;
	pid_t parent = getpid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t child = fork();
	if (child == 0)
		work(prefetch, parent);
	sigprocmask(SIG_SETMASK, &before, NULL);
	prefetch->child = child < 0 ? 0 : child;
	prefetch->n_jobs = 0;
}

static uint64_t cpu_of(const struct rusage *usage)
{
	return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * CPROF_NS_PER_S +
	       (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000;
}

bool cprof_prefetch_busy(struct cprof_prefetch *prefetch)
{
	struct rusage usage;
	if (!prefetch->child)
		return false;
	pid_t got = wait4(prefetch->child, NULL, WNOHANG, &usage);
	if (got == 0 || (got < 0 && errno == EINTR))
		return true;
	if (got == prefetch->child)
		prefetch->cpu_ns += cpu_of(&usage);
	prefetch->child = 0;
	return false;
}

/* Until it is gone, and with it what it still held of ours where it had not begun yet. */
static void wait_for(pid_t child)
{
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, child, 0u), .events = POLLIN };
	if (end.fd < 0)
		return;
	(void)poll(&end, 1, STOP_MS);
	close(end.fd);
}

void cprof_prefetch_stop(struct cprof_prefetch *prefetch)
{
	prefetch->n_jobs = 0;
	if (!cprof_prefetch_busy(prefetch))
		return;
	setpriority(PRIO_PROCESS, (id_t)prefetch->child, 0); /* where we may: it ends sooner */
	kill(prefetch->child, SIGKILL);
	wait_for(prefetch->child);
	cprof_prefetch_busy(prefetch);
}
