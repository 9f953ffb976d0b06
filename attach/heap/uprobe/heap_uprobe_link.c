/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_uprobe_link.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/perf/perf_event.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

/* enum bpf_attach_type: Linux commits 89ae89f53d20 (v6.6) and d920179b3d48 (v6.13); linux/bpf.h here is older. */
#define TRACE_UPROBE_MULTI   48
#define TRACE_UPROBE_SESSION 57

/* ---- multi ---- */

/* union bpf_attr, "struct { ... } link_create" with its uprobe_multi part; as of v6.6. */
struct multi_link {
	uint32_t program, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t n, multi_flags, pid, pad;
};

static int load_for(enum bpf_attach_type type)
{
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	/* Not const: libbpf 1.5 writes to it. */
	struct bpf_prog_load_opts options = { .sz = sizeof(options), .expected_attach_type = type };
	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "GPL", nothing,
			     sizeof(nothing) / sizeof(nothing[0]), &options);
}

static int load_nothing(void)
{
	return load_for(TRACE_UPROBE_MULTI);
}

/*
 * Before v6.10 a multi link that was made for a process saw one thread of it only (Linux commit 46ba0e49b642, "bpf: fix
 * multi-uprobe PID filtering logic"). What came with v6.13 tells a kernel that has that mended: a session, for which
 * a file is asked for that is not there, so that nothing comes of it.
 */
static bool sees_all_threads(void)
{
	static const char path[] = "/proc/self/fd/none";
	const uint64_t offset = 0;
	CPROF_AUTO(close) int program = load_for(TRACE_UPROBE_SESSION);
	struct multi_link attr = {
		.program = (uint32_t)program,
		.attach_type = TRACE_UPROBE_SESSION,
		.path = (uint64_t)(uintptr_t)path,
		.offsets = (uint64_t)(uintptr_t)&offset,
		.n = 1,
	};
	return program >= 0 && syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)) < 0 &&
	       errno == ENOENT;
}

static int attach_multi(int program, const char *path, const struct cprof_heap_uprobe_spots *spots,
			pid_t tid, int *fds, size_t *n, uint32_t *failed)
{
	struct multi_link attr = {
		.program = (uint32_t)program,
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uint64_t)(uintptr_t)path,
		.offsets = (uint64_t)(uintptr_t)spots->offsets,
		.ref_ctr_offsets = (uint64_t)(uintptr_t)spots->counters,
		.cookies = (uint64_t)(uintptr_t)spots->cookies,
		.n = spots->n,
		.pid = (uint32_t)tid,
	};
	(void)failed; /* the kernel does not say */
	if (!sees_all_threads())
		return EINVAL;
	const int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		return errno;
	fds[(*n)++] = fd;
	return 0;
}

/* ---- perf ---- */

int cprof_heap_uprobe_event(const char *path, uint64_t offset, uint64_t counter, pid_t tid)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err =
		cprof_file_read("/sys/bus/event_source/devices/uprobe/type", 64, &text);
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = (uint32_t)strtoul(cprof_buffer_text(&text), NULL, 10),
		.uprobe_path = (uint64_t)(uintptr_t)path,
		.probe_offset = offset,
		.config = counter << 32, /* .../devices/uprobe/format/ref_ctr_offset */
	};
	const int why = err ? err->os_errno : 0;
	cprof_error_free(err);
	errno = why;
	return why ? -1 : cprof_perf_event_open(&attr, tid, -1, -1);
}

/* A link holds its event; without one the kernel would not hand the cookie to the program. */
static int attach_event(int program, int event, uint64_t cookie, int *ret_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .perf_event.bpf_cookie = cookie);
	const int fd = bpf_link_create(program, event, BPF_PERF_EVENT, &options);
	if (fd < 0)
		return errno;
	ioctl(event, PERF_EVENT_IOC_ENABLE, 0);
	*ret_fd = fd;
	return 0;
}

static int attach_perf(int program, const char *path, const struct cprof_heap_uprobe_spots *spots,
		       pid_t tid, int *fds, size_t *n, uint32_t *failed)
{
	for (uint32_t i = 0; i < spots->n; i++) {
		int *fd = &fds[*n];
		const int event =
			cprof_heap_uprobe_event(path, spots->offsets[i], spots->counters[i], tid);
		if (event < 0) {
			*failed = i;
			return errno;
		}
		fds[(*n)++] = event;
		const int why = attach_event(program, event, spots->cookies[i], fd);
		if (why)
			return why;
		close(event);
	}
	return 0;
}

const struct cprof_heap_uprobe_way cprof_heap_uprobe_ways[] = {
	{ "multi", TRACE_UPROBE_MULTI, true, load_nothing, attach_multi },
	{ "perf", 0, false, NULL, attach_perf },
};
const size_t cprof_heap_uprobe_n_ways =
	sizeof(cprof_heap_uprobe_ways) / sizeof(cprof_heap_uprobe_ways[0]);
