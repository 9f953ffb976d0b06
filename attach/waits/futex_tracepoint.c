/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/futex_tracepoint.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/file.h"

/* Numbers count up as the kernel links its events; the system calls' lie together, futex about here. */
#define CACHE_FILE "tracepoints"
#define GUESS      520u
#define ID_MAX     8192u
#define BATCH      48u
#define CALLS      5u
#define RING_SIZE  ((size_t)8192) /* a header page and a data page */

/* ---- tracefs ---- */

static uint64_t read_id(const char *root, const char *event)
{
	char path[128];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "%s/events/syscalls/%s/id", root, event);
	struct cprof_error *err = cprof_file_read(path, 64, &text);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	return strtoull(cprof_buffer_text(&text), NULL, 10);
}

static bool from_tracefs(struct cprof_futex_tracepoints *ret)
{
	static const char *const roots[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		*ret = (struct cprof_futex_tracepoints){
			.enter_futex = read_id(roots[i], "sys_enter_futex"),
			.exit_futex = read_id(roots[i], "sys_exit_futex"),
			.enter_waitv = read_id(roots[i], "sys_enter_futex_waitv"),
			.exit_waitv = read_id(roots[i], "sys_exit_futex_waitv"),
			.how = "tracefs",
		};
		if (ret->enter_futex && ret->exit_futex)
			return true;
	}
	return false;
}

/* ---- cache: numbers hold until the next boot ---- */

static void boot_id(char *id, size_t n)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_error_free(cprof_file_read("/proc/sys/kernel/random/boot_id", 64, &text));
	snprintf(id, n, "%.36s", cprof_buffer_text(&text));
}

static bool from_cache(struct cprof_futex_tracepoints *ret)
{
	char id[40], seen[40];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	CPROF_AUTO(free) char *dir = cprof_cache_dir_default();
	if (!dir)
		return false;
	struct cprof_error *err = cprof_cache_dir_read(dir, CACHE_FILE, 256, &text);
	cprof_error_free(err);
	unsigned long long at[4];
	if (err || sscanf(cprof_buffer_text(&text), "%39s %llu %llu %llu %llu", seen, &at[0],
			  &at[1], &at[2], &at[3]) != 5)
		return false;
	boot_id(id, sizeof(id));
	*ret = (struct cprof_futex_tracepoints){ .enter_futex = at[0],
						 .exit_futex = at[1],
						 .enter_waitv = at[2],
						 .exit_waitv = at[3],
						 .how = "cache" };
	return strcmp(seen, id) == 0 && ret->enter_futex && ret->exit_futex;
}

/* What cannot be written is probed again the next time. */
static void to_cache(const struct cprof_futex_tracepoints *ids)
{
	char id[40];
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	CPROF_AUTO(free) char *dir = cprof_cache_dir_default();
	if (!dir)
		return;
	boot_id(id, sizeof(id));
	cprof_buffer_printf(
		&line, "%s %llu %llu %llu %llu\n", id, (unsigned long long)ids->enter_futex,
		(unsigned long long)ids->exit_futex, (unsigned long long)ids->enter_waitv,
		(unsigned long long)ids->exit_waitv);
	if (!line.failed)
		cprof_error_free(cprof_cache_dir_write(dir, CACHE_FILE, &line));
}

/* ---- probing ---- */

struct probe {
	uint32_t id;
	int fd;
	uint64_t before, counted;
};

static int open_id(uint32_t id)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = id,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_RAW,
		.exclude_kernel = 1,
		.wakeup_events = 1,
	};
	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static uint64_t count(int fd)
{
	uint64_t value = 0;
	return read(fd, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

static void call_futex(void)
{
	uint32_t word = 0;
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void call_waitv(void)
{
	syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0);
}

/* The raw part of an entry holds six arguments, that of an exit one result. */
static bool is_enter(int fd, void (*call)(void))
{
	struct perf_event_mmap_page *ring =
		mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return false;
	call();
	uint32_t raw_bytes = 0;
	if (__atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE) >=
	    sizeof(struct perf_event_header) + 4)
		memcpy(&raw_bytes, (const char *)ring + 4096 + sizeof(struct perf_event_header),
		       sizeof(raw_bytes));
	munmap(ring, RING_SIZE);
	return raw_bytes >= 16 + 4 * sizeof(uint64_t);
}

/* Which of the open ones count when `call` is made. */
static void find_pair(struct probe *probes, size_t n, void (*call)(void), uint64_t *enter,
		      uint64_t *exit_id)
{
	for (size_t i = 0; i < n; i++)
		probes[i].before = count(probes[i].fd);
	for (unsigned i = 0; i < CALLS; i++)
		call();
	/* First all counts: finding out which is which makes calls too. */
	for (size_t i = 0; i < n; i++)
		probes[i].counted = count(probes[i].fd) - probes[i].before;
	for (size_t i = 0; i < n; i++) {
		if (probes[i].counted == CALLS)
			*(is_enter(probes[i].fd, call) ? enter : exit_id) = probes[i].id;
	}
}

struct probed {
	uint64_t ids[4];
	uint32_t opened, denied;
};

/* In the child: from the guess outwards until both calls are known; then one round more is enough for waitv. */
static void probe_outwards(struct probed *result)
{
	static struct probe probes[ID_MAX];
	size_t n = 0;
	unsigned rounds_left = ID_MAX / BATCH;
	for (unsigned distance = 0; distance < ID_MAX && rounds_left; distance += BATCH / 2) {
		for (unsigned i = distance; i < distance + BATCH / 2; i++) {
			const uint32_t pair[] = { GUESS + i, GUESS - 1 - i };
			for (size_t side = 0; side < 2; side++) {
				if (pair[side] == 0 || pair[side] > ID_MAX)
					continue;
				int fd = open_id(pair[side]);
				if (fd >= 0)
					probes[n++] = (struct probe){ .id = pair[side], .fd = fd };
				else if (errno == EACCES || errno == EPERM)
					result->denied++;
			}
		}
		find_pair(probes, n, call_futex, &result->ids[0], &result->ids[1]);
		find_pair(probes, n, call_waitv, &result->ids[2], &result->ids[3]);
		if (result->ids[0] && result->ids[1])
			rounds_left = result->ids[2] && result->ids[3] ? 1
				      : rounds_left < 2                ? 1
								       : 2;
		rounds_left--;
	}
	result->opened = (uint32_t)n;
}

static void run_after_fork(int fd)
{
	struct rlimit files;
	struct probed result = { 0 };
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	probe_outwards(&result);
	ssize_t written = write(fd, &result, sizeof(result));
	(void)written; /* nobody left to tell */
	close(fd);
}

/* Twice forked, so that nobody has to wait for the child that closes tracepoints for seconds. */
static pid_t fork_probe(const int *pipe_fds)
{
	pid_t child = fork();
	if (child != 0)
		return child;
	if (fork() == 0) {
		close(pipe_fds[0]);
		run_after_fork(pipe_fds[1]);
	}
	_exit(0);
}

struct cprof_error *cprof_futex_tracepoints_probe(struct cprof_futex_tracepoints *ret)
{
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return cprof_error_os(errno, "pipe for probing tracepoints");
	CPROF_AUTO(close) int in = pipe_fds[0];
	pid_t child = fork_probe(pipe_fds);
	int why = errno;
	close(pipe_fds[1]);
	if (child < 0)
		return cprof_error_os(why, "fork for probing tracepoints");
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;

	struct probed result;
	ssize_t n;
	while ((n = read(in, &result, sizeof(result))) < 0 && errno == EINTR)
		continue;
	if (n != (ssize_t)sizeof(result))
		return cprof_error_new(CPROF_ERR_OS, "the child that probes tracepoints died");
	if (!result.opened && result.denied) {
		struct cprof_error *err = cprof_error_new(
			CPROF_ERR_DENIED, "system call tracepoints may not be opened");
		return cprof_error_hint(err,
					"lower kernel.perf_event_paranoid to 2, or run as root");
	}
	if (!result.ids[0] || !result.ids[1])
		return cprof_error_new(
			CPROF_ERR_UNSUPPORTED,
			"no tracepoint counts futex calls (%u of those tried could be "
			"opened)",
			result.opened);
	*ret = (struct cprof_futex_tracepoints){ .enter_futex = result.ids[0],
						 .exit_futex = result.ids[1],
						 .enter_waitv = result.ids[2],
						 .exit_waitv = result.ids[3],
						 .how = "probing" };
	return NULL;
}

struct cprof_error *cprof_futex_tracepoints_find(struct cprof_futex_tracepoints *ret)
{
	if (from_tracefs(ret) || from_cache(ret))
		return NULL;
	struct cprof_error *err = cprof_futex_tracepoints_probe(ret);
	if (!err)
		to_cache(ret);
	return err;
}
