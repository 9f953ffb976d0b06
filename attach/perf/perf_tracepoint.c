/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_tracepoint.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach/perf/perf_event.h"
#include "attach/perf/perf_host.h"
#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/work.h"

#define ID_MAX 4096u
#define BATCH  24u                        /* numbers on each side of the guess, in a round */
#define ROUNDS (ID_MAX / 2 / (2 * BATCH)) /* then there are none */
#define CALLS  5u
#define ENTER_RAW                                                                                  \
	(16 +                                                                                      \
	 2 * sizeof(uint64_t)) /* bytes of an entry with two arguments; a return has one value */
#define VALUE_AT       16u     /* in the record: its argument or its result */
#define LINE_MAX_BYTES 256

/* ---- tracefs ---- */

static const char *const roots[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
#define N_ROOTS (sizeof(roots) / sizeof(roots[0]))

static uint64_t read_id(const char *root, const char *group, const char *name)
{
	char path[160];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "%s/events/%s/%s/id", root, group, name);
	struct cprof_error *err = cprof_file_read(path, 64, &text);
	const uint64_t id = err ? 0 : strtoull(cprof_buffer_text(&text), NULL, 10);
	cprof_error_free(err);
	return id;
}

static bool from_tracefs(struct cprof_perf_tracepoint *points, size_t n)
{
	bool any = false;
	for (size_t r = 0; r < N_ROOTS && !any; r++) {
		for (size_t i = 0; i < n; i++) {
			points[i].id = read_id(roots[r], "syscalls", points[i].name);
			any = any || points[i].id;
		}
	}
	return any;
}

uint64_t cprof_perf_tracepoint_id(const char *group, const char *name)
{
	uint64_t id = 0;
	for (size_t r = 0; r < N_ROOTS && !id; r++)
		id = read_id(roots[r], group, name);
	return id;
}

bool cprof_perf_tracepoints_readable(void)
{
	char path[64];
	bool readable = false;
	for (size_t r = 0; r < N_ROOTS && !readable; r++) {
		snprintf(path, sizeof(path), "%s/events", roots[r]);
		readable = access(path, R_OK | X_OK) == 0;
	}
	return readable;
}

/* ---- what was found since the machine was started ---- */

/* "BOOT ID ID ..." with as many as are looked for. */
static void put_line(const struct cprof_perf_tracepoint *points, size_t n, bool ids,
		     struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer boot = { 0 };
	cprof_error_free(cprof_file_read("/proc/sys/kernel/random/boot_id", 64, &boot));
	cprof_buffer_printf(out, "%.36s", cprof_buffer_text(&boot));
	for (size_t i = 0; i < n && ids; i++)
		cprof_buffer_printf(out, " %" PRIu64, points[i].id);
}

static bool from_cache(struct cprof_perf_tracepoint *points, size_t n, const char *file)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 }, boot = { 0 };
	CPROF_AUTO(free) char *dir = cprof_cache_dir_default();
	struct cprof_error *err =
		dir ? cprof_cache_dir_read(dir, file, LINE_MAX_BYTES, &text) : NULL;
	put_line(points, n, false, &boot);
	cprof_error_free(err);
	if (!dir || err || !boot.len || text.len <= boot.len ||
	    memcmp(text.data, boot.data, boot.len) != 0)
		return false;
	bool any = false;
	char *at = (char *)text.data + boot.len;
	for (size_t i = 0; i < n; i++) {
		points[i].id = strtoull(at, &at, 10);
		any = any || points[i].id;
	}
	return any;
}

/* What cannot be written is tried again the next time. */
static void to_cache(const struct cprof_perf_tracepoint *points, size_t n, const char *file)
{
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	CPROF_AUTO(free) char *dir = cprof_cache_dir_default();
	put_line(points, n, true, &line);
	if (dir && !line.failed)
		cprof_error_free(cprof_cache_dir_write(dir, file, &line));
}

/* ---- trying, in a process of its own ---- */

struct tried {
	unsigned id;
	int fd;
	uint64_t before, counted;
};

struct probe {
	struct cprof_perf_tracepoint *points;
	size_t n;
	struct tried all[ID_MAX + 1];
	size_t n_all;
	unsigned denied;
};

static struct perf_event_attr attr_of(unsigned id)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(struct perf_event_attr),
		.config = id,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_RAW,
		.exclude_kernel = 1,
	};
}

static bool was_opened(const struct probe *probe, unsigned id)
{
	for (size_t i = 0; i < probe->n_all; i++) {
		if (probe->all[i].id == id)
			return true;
	}
	return false;
}

static void open_one(struct probe *probe, unsigned id)
{
	struct perf_event_attr attr = attr_of(id);
	if (probe->n_all == ID_MAX || was_opened(probe, id))
		return;
	const int fd = cprof_perf_event_open(&attr, 0, -1, -1);
	if (fd >= 0)
		probe->all[probe->n_all++] = (struct tried){ .id = id, .fd = fd };
	else if (errno == EACCES || errno == EPERM)
		probe->denied++;
}

static uint64_t count_of(int fd)
{
	uint64_t value = 0;
	return read(fd, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

/*
 * How many bytes a record of it has besides its head tells an entry, with its arguments, from a return; an only argument is as
 * long as a result, and is told by its value.
 */
static bool is_entry(int fd, void (*call)(void))
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct perf_event_mmap_page *ring =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return false;
	call();
	uint32_t raw = 0;
	uint64_t value = 0;
	const char *record = (const char *)ring + page + sizeof(struct perf_event_header);
	if (__atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE) > sizeof(struct perf_event_header))
		memcpy(&raw, record, sizeof(raw));
	if (raw >= VALUE_AT + sizeof(value))
		memcpy(&value, record + sizeof(raw) + VALUE_AT, sizeof(value));
	munmap(ring, 2 * page);
	return raw >= ENTER_RAW || value == CPROF_PERF_TRACEPOINT_ARGUMENT;
}

static void try_call(struct probe *probe, struct cprof_perf_tracepoint *point)
{
	for (size_t i = 0; i < probe->n_all; i++)
		probe->all[i].before = count_of(probe->all[i].fd);
	for (unsigned i = 0; i < CALLS; i++)
		point->call();
	for (size_t i = 0; i < probe->n_all; i++)
		probe->all[i].counted = count_of(probe->all[i].fd) - probe->all[i].before;
	for (size_t i = 0; i < probe->n_all; i++) {
		if (probe->all[i].counted == CALLS &&
		    is_entry(probe->all[i].fd, point->call) != point->is_return)
			point->id = probe->all[i].id;
	}
}

static bool all_found(const struct probe *probe)
{
	for (size_t i = 0; i < probe->n; i++) {
		if (!probe->points[i].id)
			return false;
	}
	return true;
}

/* From the guess outwards. */
static void open_around(struct probe *probe, unsigned guess, unsigned round)
{
	for (unsigned i = round * BATCH; i < (round + 1) * BATCH; i++) {
		if (guess + i <= ID_MAX)
			open_one(probe, guess + i);
		if (guess > i + 1)
			open_one(probe, guess - 1 - i);
	}
}

static void try_round(struct probe *probe, unsigned round)
{
	for (size_t i = 0; i < probe->n; i++) {
		if (!probe->points[i].id)
			open_around(probe, probe->points[i].guess, round);
	}
	for (size_t i = 0; i < probe->n; i++) {
		if (!probe->points[i].id)
			try_call(probe, &probe->points[i]);
	}
}

static struct cprof_error *in_child(void *ctx, int stop_fd, int ask_fd,
				    struct cprof_buffer *ret_bytes)
{
	struct probe *probe = ctx;
	(void)stop_fd;
	(void)ask_fd;
	cprof_perf_host_raise_files(ID_MAX);
	for (unsigned round = 0; round < ROUNDS && !all_found(probe); round++)
		try_round(probe, round);
	if (!probe->n_all && probe->denied)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_DENIED, "system calls may not be traced"),
			"lower kernel.perf_event_paranoid to 2, or run as root");
	for (size_t i = 0; i < probe->n; i++)
		cprof_buffer_append(ret_bytes, &probe->points[i].id, sizeof(uint64_t));
	return NULL;
}

static void take_ids(const struct cprof_buffer *bytes, struct cprof_perf_tracepoint *points,
		     size_t n)
{
	for (size_t i = 0; i < n && (i + 1) * sizeof(uint64_t) <= bytes->len; i++)
		memcpy(&points[i].id, bytes->data + i * sizeof(uint64_t), sizeof(uint64_t));
}

struct cprof_error *cprof_perf_tracepoints_probe(struct cprof_perf_tracepoint *points, size_t n)
{
	CPROF_AUTO(free) struct probe *probe = calloc(1, sizeof(*probe));
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_work work;
	if (!probe)
		return cprof_error_no_memory();
	probe->points = points;
	probe->n = n;
	for (size_t i = 0; i < n; i++)
		points[i].id = 0;
	struct cprof_error *err = cprof_work_start("cprof-probe", in_child, probe, -1, &work);
	if (err)
		return err;
	struct pollfd fd = { .fd = work.reader.fd, .events = POLLIN };
	while (!cprof_work_reader_take(&work.reader))
		poll(&fd, 1, -1);
	err = cprof_work_reader_finish(&work.reader, &bytes);
	cprof_work_end(&work);
	if (!err)
		take_ids(&bytes, points, n);
	return err;
}

struct cprof_error *cprof_perf_tracepoints_find(struct cprof_perf_tracepoint *points, size_t n,
						const char *file)
{
	if (from_tracefs(points, n) || from_cache(points, n, file))
		return NULL;
	struct cprof_error *err = cprof_perf_tracepoints_probe(points, n);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (points[i].id) {
			to_cache(points, n, file);
			return NULL;
		}
	}
	return cprof_error_new(CPROF_ERR_UNSUPPORTED, "this kernel has no tracepoint %s",
			       points[0].name);
}
