#include "base/ahead.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define NICENESS 10   /* a tenth of a processor where everybody wants one */
#define HEAD     4096 /* a page of its own for what the two tell each other */

struct cprof_ahead_piece {
	struct head {
		_Atomic size_t made; /* 0: not yet */
	} * head;                    /* owned; of the mapping that both see, before the room */
	uint8_t *room;
	size_t cap;
};

/* ---- pieces ---- */

struct cprof_ahead_piece *cprof_ahead_add(struct cprof_ahead *ahead, cprof_ahead_fn *fn, void *ctx,
					  size_t cap)
{
	if (ahead->n_jobs == CPROF_AHEAD_MAX || !cap || cap > SIZE_MAX - HEAD)
		return NULL;
	struct cprof_ahead_piece *piece = calloc(1, sizeof(*piece));
	if (!piece)
		return NULL;
	uint8_t *map = mmap(NULL, HEAD + cap, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		free(piece);
		return NULL;
	}
	*piece = (struct cprof_ahead_piece){ (struct head *)map, map + HEAD, cap };
	ahead->jobs[ahead->n_jobs++] = (struct cprof_ahead_job){ fn, ctx, piece };
	return piece;
}

uint8_t *cprof_ahead_piece_bytes(const struct cprof_ahead_piece *piece, size_t *ret_n)
{
	*ret_n = atomic_load_explicit(&piece->head->made, memory_order_acquire);
	return *ret_n ? piece->room : NULL;
}

void cprof_ahead_piece_free(struct cprof_ahead_piece *piece)
{
	if (!piece)
		return;
	munmap(piece->head, HEAD + piece->cap);
	free(piece);
}

/* ---- the child ---- */

_Noreturn static void work(const struct cprof_ahead *ahead, pid_t parent)
{
	/* All signals stay blocked: Ctrl-C is for the parent, whose handler and descriptors are here too. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "cprof-ahead");
	setpriority(PRIO_PROCESS, 0, NICENESS);
	for (size_t i = 0; i < ahead->n_jobs && getppid() == parent; i++) {
		const struct cprof_ahead_job *job = &ahead->jobs[i];
		size_t made = job->fn(job->ctx, job->piece->room, job->piece->cap);
		atomic_store_explicit(&job->piece->head->made, made, memory_order_release);
	}
	_exit(0);
}

void cprof_ahead_start(struct cprof_ahead *ahead)
{
	if (!ahead->n_jobs || cprof_ahead_busy(ahead))
		return;
	sigset_t all, before;
	pid_t parent = getpid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t child = fork();
	if (child == 0)
		work(ahead, parent);
	sigprocmask(SIG_SETMASK, &before, NULL);
	ahead->child = child < 0 ? 0 : child;
	ahead->n_jobs = 0;
}

static uint64_t cpu_of(const struct rusage *usage)
{
	return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * CPROF_NS_PER_S +
	       (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000;
}

bool cprof_ahead_busy(struct cprof_ahead *ahead)
{
	struct rusage usage;
	if (!ahead->child)
		return false;
	pid_t got = wait4(ahead->child, NULL, WNOHANG, &usage);
	if (got == 0 || (got < 0 && errno == EINTR))
		return true;
	if (got == ahead->child)
		ahead->cpu_ns += cpu_of(&usage);
	ahead->child = 0;
	return false;
}

void cprof_ahead_stop(struct cprof_ahead *ahead)
{
	ahead->n_jobs = 0;
	if (!cprof_ahead_busy(ahead))
		return;
	kill(ahead->child, SIGKILL);
	/* It ends when it next runs; who waits for that is the system, should we be gone by then. */
	cprof_ahead_busy(ahead);
}
