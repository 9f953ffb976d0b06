/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/arch.h"
#include "cprof/buffer.h"

struct perf_event_attr cprof_perf_event_bpf_output(uint64_t more)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(struct perf_event_attr),
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW |
			       PERF_SAMPLE_REGS_USER | more,
		.sample_regs_user = cprof_arch_host()->perf_regs_mask,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
}

int cprof_perf_event_open(struct perf_event_attr *attr, pid_t pid, int cpu, int group_fd)
{
	return (int)syscall(SYS_perf_event_open, attr, pid, cpu, group_fd, PERF_FLAG_FD_CLOEXEC);
}

/* perf_event_open(2): one page for the header, then 2^n pages. */
static size_t round_ring(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), rounded = page;
	while (rounded < bytes)
		rounded *= 2;
	return rounded;
}

struct cprof_error *cprof_perf_event_map(int fd, size_t bytes, size_t least,
					 struct cprof_perf_event_ring **ret_ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *memory = MAP_FAILED;
	least = round_ring(least);
	bytes = round_ring(bytes) * 2;
	do {
		bytes /= 2;
		memory = mmap(NULL, page + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	} while (memory == MAP_FAILED && (errno == EPERM || errno == ENOMEM) && bytes > least);
	if (memory == MAP_FAILED) {
		struct cprof_error *err =
			cprof_error_os(errno, "map a ring of %zu KiB", bytes / 1024);
		return cprof_error_hint(err, "raise kernel.perf_event_mlock_kb or ulimit -l, or "
					     "lower -stack-bytes");
	}
	struct cprof_perf_event_ring *ring = calloc(1, sizeof(*ring));
	if (!ring) {
		munmap(memory, page + bytes);
		return cprof_error_no_memory();
	}
	ring->fd = fd;
	ring->map_bytes = page + bytes;
	ring->ring.meta = memory;
	ring->ring.data = (const uint8_t *)memory + page;
	ring->ring.size = bytes;
	*ret_ring = ring;
	return NULL;
}

void cprof_perf_event_unmap(struct cprof_perf_event_ring *ring)
{
	if (!ring)
		return;
	munmap(ring->ring.meta, ring->map_bytes);
	close(ring->fd);
	free(ring);
}

uint64_t cprof_perf_event_lost(int fd)
{
	uint64_t values[2]; /* value, lost */
	return read(fd, values, sizeof(values)) == sizeof(values) ? values[1] : 0;
}

int cprof_perf_event_paranoid(void)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err =
		cprof_file_read("/proc/sys/kernel/perf_event_paranoid", 64, &text);
	int level = err ? 2 : atoi(cprof_buffer_text(&text));
	cprof_error_free(err);
	return level;
}

struct cprof_error *cprof_perf_event_refused(int os_errno, const char *what)
{
	struct cprof_error *err = cprof_error_os(os_errno, "%s: perf_event_open", what);
	int paranoid = cprof_perf_event_paranoid();
	switch (os_errno) {
	case EACCES:
	case EPERM:
		if (paranoid > 2)
			return cprof_error_hint(
				err,
				"kernel.perf_event_paranoid is %d: set it to 2 "
				"(sysctl kernel.perf_event_paranoid=2), run as root, or "
				"give cprof-attach CAP_PERFMON",
				paranoid);
		return cprof_error_hint(err,
					"run as the process's user or as root, or give "
					"cprof-attach CAP_PERFMON and CAP_SYS_PTRACE "
					"(kernel.perf_event_paranoid is %d)",
					paranoid);
	case ENOENT:
	case EOPNOTSUPP:
	case ENODEV:
		err->code = CPROF_ERR_UNSUPPORTED;
		return cprof_error_hint(err,
					"this machine cannot count that event (virtual machines "
					"often have no processor counters); -event list prints "
					"what it can");
	case EMFILE:
	case ENFILE:
		return cprof_error_hint(err, "raise ulimit -n");
	case EBUSY:
		return cprof_error_hint(err, "another program holds the counter");
	default:
		return err;
	}
}
