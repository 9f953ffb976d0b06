#include "attach/heap/uprobe/heap_uprobe_link.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/perf/perf_event.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

/* enum bpf_attach_type: Linux commit d920179b3d48 ("bpf: Add support for uprobe multi session attach") (v6.13). */
#define TRACE_UPROBE_SESSION 57

/* union bpf_attr, "struct { ... } link_create" with its uprobe_multi part; as of v6.6 (linux/bpf.h here is older). */
struct session_link {
	uint32_t program, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t n, multi_flags, pid, pad;
};

static struct cprof_error *attach_session(int program, const char *path,
					  const struct cprof_heap_uprobe_spots *spots, pid_t tid,
					  int *fds, size_t *ret_n)
{
	struct session_link attr = {
		.program = (uint32_t)program,
		.attach_type = TRACE_UPROBE_SESSION,
		.path = (uint64_t)(uintptr_t)path,
		.offsets = (uint64_t)(uintptr_t)spots->offsets,
		.cookies = (uint64_t)(uintptr_t)spots->cookies,
		.n = spots->n,
		.pid = (uint32_t)tid,
	};
	fds[0] = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fds[0] < 0)
		return cprof_error_os(errno, "attach uprobes");
	*ret_n = 1;
	return NULL;
}

static struct cprof_error *pmu_type(uint32_t *ret_type)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err =
		cprof_file_read("/sys/bus/event_source/devices/uprobe/type", 64, &text);
	if (!err)
		*ret_type = (uint32_t)strtoul(cprof_buffer_text(&text), NULL, 10);
	return err;
}

/* A link holds its event; without one the kernel would not hand the cookie to the program. */
static struct cprof_error *attach_event(int program, const struct perf_event_attr *attr,
					uint64_t cookie, pid_t tid, int *ret_fd)
{
	struct perf_event_attr own = *attr;
	CPROF_AUTO(close) int event = cprof_perf_event_open(&own, tid, -1, -1);
	if (event < 0)
		return cprof_error_os(errno, "perf_event_open of a uprobe");
	LIBBPF_OPTS(bpf_link_create_opts, options, .perf_event.bpf_cookie = cookie);
	int fd = bpf_link_create(program, event, BPF_PERF_EVENT, &options);
	if (fd < 0)
		return cprof_error_os(errno, "attach the BPF program to a uprobe");
	/* The link holds the event; without a link the kernel would not hand the cookie to the program. */
	ioctl(event, PERF_EVENT_IOC_ENABLE, 0);
	*ret_fd = fd;
	return NULL;
}

static struct cprof_error *attach_perf(int program, const char *path,
				       const struct cprof_heap_uprobe_spots *spots, pid_t tid,
				       int *fds, size_t *ret_n)
{
	struct perf_event_attr attr = { .size = sizeof(attr),
					.uprobe_path = (uint64_t)(uintptr_t)path };
	size_t n = 0;
	struct cprof_error *err = pmu_type(&attr.type);
	/* The return first: a call that is seen to begin must be seen to end. */
	if (!err && spots->returns) {
		attr.config = 1; /* format/retprobe: config:0 */
		attr.probe_offset = spots->offsets[spots->n - 1];
		err = attach_event(program, &attr, spots->cookies[spots->n - 1], tid, &fds[n]);
		n += !err;
		attr.config = 0;
	}
	for (uint32_t i = 0; !err && i < spots->n; i++) {
		attr.probe_offset = spots->offsets[i];
		err = attach_event(program, &attr, spots->cookies[i], tid, &fds[n]);
		n += !err;
	}
	while (err && n)
		close(fds[--n]);
	*ret_n = n;
	return err;
}

static int open_event(const char *path, uint64_t offset, pid_t tid, bool returns)
{
	struct perf_event_attr attr = { .size = sizeof(attr),
					.config = returns,
					.uprobe_path = (uint64_t)(uintptr_t)path,
					.probe_offset = offset };
	struct cprof_error *err = pmu_type(&attr.type);
	const bool known = !err;
	cprof_error_free(err);
	return known ? cprof_perf_event_open(&attr, tid, -1, -1) : -1;
}

int cprof_heap_uprobe_event(const char *path, uint64_t offset, pid_t tid)
{
	return open_event(path, offset, tid, false);
}

int cprof_heap_uprobe_return_event(const char *path, uint64_t offset, pid_t tid)
{
	return open_event(path, offset, tid, true);
}

const struct cprof_heap_uprobe_way cprof_heap_uprobe_ways[] = {
	{ "session", TRACE_UPROBE_SESSION, false, true, attach_session },
	{ "perf", 0, true, false, attach_perf },
};
const size_t cprof_heap_uprobe_n_ways =
	sizeof(cprof_heap_uprobe_ways) / sizeof(cprof_heap_uprobe_ways[0]);
