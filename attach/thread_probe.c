#include "attach/thread_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

struct probe {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done, abandoned;
	char path[128];
};

static void probe_free(struct probe *probe)
{
	pthread_cond_destroy(&probe->changed);
	pthread_mutex_destroy(&probe->lock);
	free(probe);
}

static void *probe_run(void *arg)
{
	struct probe *probe = arg;
	char byte;
	int fd = open(probe->path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = read(fd, &byte, 1);
		(void)n; /* also an error is an answer */
		close(fd);
	}
	pthread_mutex_lock(&probe->lock);
	probe->done = true;
	bool abandoned = probe->abandoned;
	pthread_cond_signal(&probe->changed);
	pthread_mutex_unlock(&probe->lock);
	if (abandoned)
		probe_free(probe);
	return NULL;
}

static struct probe *probe_new(const char *path)
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
	snprintf(probe->path, sizeof(probe->path), "%s", path);
	return probe;
}

bool cprof_thread_probe_answers(const char *path, uint64_t wait_ns)
{
	struct probe *probe = probe_new(path);
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
