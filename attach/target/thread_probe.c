/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/thread_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

struct probe {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done, abandoned;
	char dir[96];
};

static void probe_free(struct probe *probe)
{
	pthread_cond_destroy(&probe->changed);
	pthread_mutex_destroy(&probe->lock);
	free(probe);
}

/* At most `n` bytes from `offset` on; how many came. Also an error is an answer. */
static size_t ask(const struct probe *probe, const char *file, uint64_t offset, char *buf, size_t n)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", probe->dir, file);
	CPROF_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : pread(fd, buf, n, (off_t)offset);
	return got > 0 ? (size_t)got : 0;
}

static void *probe_run(void *arg)
{
	struct probe *probe = arg;
	char line[32];
	uint64_t start;
	line[ask(probe, "maps", 0, line, sizeof(line) - 1)] = 0;
	/* An address that is mapped: for another one the kernel would take the lock for writing. */
	if (sscanf(line, "%" SCNx64 "-", &start) == 1)
		ask(probe, "mem", start, line, 1);
	pthread_mutex_lock(&probe->lock);
	probe->done = true;
	bool abandoned = probe->abandoned;
	pthread_cond_signal(&probe->changed);
	pthread_mutex_unlock(&probe->lock);
	if (abandoned)
		probe_free(probe);
	return NULL;
}

static struct probe *probe_new(const char *dir)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	pthread_condattr_t attr;
	if (!probe)
		return NULL;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&probe->lock, NULL);
	pthread_cond_init(&probe->changed, &attr);
	pthread_condattr_destroy(&attr);
	snprintf(probe->dir, sizeof(probe->dir), "%s", dir);
	return probe;
}

bool cprof_thread_probe_answers(const char *dir, uint64_t wait_ns)
{
	struct probe *probe = probe_new(dir);
	pthread_t thread;
	if (!probe)
		return true; /* nothing known against it */
	if (pthread_create(&thread, NULL, probe_run, probe) != 0) {
		probe_free(probe);
		return true;
	}
	pthread_detach(thread);
	uint64_t end_ns = cprof_clock_mono_ns() + wait_ns;
	const struct timespec end = { .tv_sec = (time_t)(end_ns / CPROF_NS_PER_S),
				      .tv_nsec = (long)(end_ns % CPROF_NS_PER_S) };
	int status = 0;
	pthread_mutex_lock(&probe->lock);
	while (!probe->done && status != ETIMEDOUT)
		status = pthread_cond_timedwait(&probe->changed, &probe->lock, &end);
	bool done = probe->done;
	probe->abandoned = !done;
	pthread_mutex_unlock(&probe->lock);
	if (done)
		probe_free(probe);
	return done;
}
