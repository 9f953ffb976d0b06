/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk_stacks PID [SAMPLES [STACK_BYTES [CAP [libdwfl]]]] - sample every thread of PID, walk each stack at once, and
 * print every distinct one: "COUNT STOP frame;frame;..." innermost first. What is special about a frame stands behind its
 * name: ~ guessed, + from the live process, ! not a return address. The table of counts goes to stderr.
 *
  With "libdwfl" elfutils' own walk is
 * printed instead, for comparison.
 *
 * The unwinder alone, with no profile in between: what the tests of whole frame lists look at.
 */
#include <dirent.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cprof/symbolizer.h"
#include "cprof/unwind.h"
#include "tests/tools/live_memory.h"

#define THREADS_MAX 64
#define RING_PAGES  256u
#define SECONDS_MAX 20

static size_t cap = 512;
static unsigned wanted = 100;
static uint32_t stack_bytes = 32768;

struct copy {
	uint64_t start, size;
	const uint8_t *bytes;
};

static bool copy_read(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct copy *copy = ctx;
	if (addr < copy->start || addr - copy->start > copy->size ||
	    n > copy->size - (addr - copy->start))
		return false;
	memcpy(buf, copy->bytes + (addr - copy->start), n);
	return true;
}

static struct perf_event_mmap_page *ring_open(pid_t tid, int *ret_fd)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000003,
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.sample_regs_user = cprof_arch_host()->perf_regs_mask,
		.sample_stack_user = stack_bytes,
		.exclude_kernel = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
		.exclude_callchain_user = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return NULL;
	void *ring = mmap(NULL, (RING_PAGES + 1) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	*ret_fd = fd;
	return ring == MAP_FAILED ? NULL : ring;
}

/* ---- distinct stacks ---- */

struct distinct {
	char *text;
	unsigned count;
};
static struct distinct *seen;
static size_t n_seen;

static void count_stack(const char *text)
{
	for (size_t i = 0; i < n_seen; i++) {
		if (strcmp(seen[i].text, text) == 0) {
			seen[i].count++;
			return;
		}
	}
	seen = realloc(seen, (n_seen + 1) * sizeof(*seen));
	seen[n_seen++] = (struct distinct){ strdup(text), 1 };
}

static const char *name_of(struct cprof_symbolizer *symbolizer, const struct cprof_maps *maps,
			   const struct cprof_frame *frame)
{
	const struct cprof_symbol_frame *names;
	size_t n;
	if (cprof_symbolizer_addr(symbolizer, maps, (struct cprof_map *)(uintptr_t)frame->map,
				  cprof_code_addr_lookup(frame->code), &names, &n))
		exit(1);
	return names[n - 1].name;
}

static void print_stack(FILE *out, struct cprof_symbolizer *symbolizer,
			const struct cprof_maps *maps, const struct cprof_stack *stack)
{
	fprintf(out, "%s ", cprof_stop_name(stack->stop));
	for (size_t i = 0; i < stack->len; i++) {
		const struct cprof_frame *frame = &stack->frames[i];
		fprintf(out, "%s%s%s%s%s", i ? ";" : "", name_of(symbolizer, maps, frame),
			frame->how == CPROF_FRAME_GUESS ? "~" : "", frame->live ? "+" : "",
			i && !frame->code.is_return ? "!" : "");
	}
}

/* ---- elfutils ---- */

static Dwfl *dwfl; /* NULL: our own walk */
static const struct copy *dwfl_copy;
static const struct cprof_regs *dwfl_regs;

static pid_t next_thread(Dwfl *of, void *arg, void **thread)
{
	if (*thread)
		return 0;
	*thread = arg;
	return dwfl_pid(of);
}

static bool get_thread(Dwfl *of, pid_t tid, void *arg, void **thread)
{
	(void)of;
	(void)tid;
	*thread = arg;
	return true;
}

static bool memory_read(Dwfl *of, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	(void)of;
	(void)arg;
	return copy_read((void *)(uintptr_t)dwfl_copy, addr, result, sizeof(*result));
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	(void)arg;
	Dwarf_Word words[17];
	memcpy(words, dwfl_regs->r, 16 * sizeof(words[0]));
	words[16] = dwfl_regs->pc;
	return dwfl_thread_state_registers(thread, 0, 17, words);
}

static int no_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
			const char *file, const char *link, GElf_Word crc, char **path)
{
	(void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc;
	*path = NULL;
	return -1;
}

static bool dwfl_open(pid_t pid)
{
	static const Dwfl_Callbacks callbacks = { .find_elf = dwfl_linux_proc_find_elf,
						  .find_debuginfo = no_debuginfo };
	static const Dwfl_Thread_Callbacks threads = { .next_thread = next_thread,
						       .get_thread = get_thread,
						       .memory_read = memory_read,
						       .set_initial_registers = set_registers };
	static int anything;
	dwfl = dwfl_begin(&callbacks);
	return dwfl && dwfl_linux_proc_report(dwfl, pid) == 0 &&
	       dwfl_report_end(dwfl, NULL, NULL) == 0 &&
	       dwfl_attach_state(dwfl, NULL, pid, &threads, &anything);
}

static int on_frame(Dwfl_Frame *frame, void *arg)
{
	struct cprof_stack *stack = arg;
	Dwarf_Addr pc;
	bool is_activation;
	if (!dwfl_frame_pc(frame, &pc, &is_activation) || stack->len == stack->cap)
		return DWARF_CB_ABORT;
	stack->frames[stack->len++] = (struct cprof_frame){ .code = { pc, !is_activation } };
	return DWARF_CB_OK;
}

/* A walk without an error ends where libdwfl thinks is the root. */
static void dwfl_walk(const struct cprof_maps *maps, struct cprof_stack *stack)
{
	int status = dwfl_getthread_frames(dwfl, maps->pid, on_frame, stack);
	stack->stop = status == 0 ? CPROF_STOP_ROOT : CPROF_STOP_NO_RULE;
	for (size_t i = 0; i < stack->len; i++)
		stack->frames[i].map =
			cprof_maps_find(maps, cprof_code_addr_lookup(stack->frames[i].code));
}

/* ---- samples ---- */

struct session {
	pid_t pid;
	struct cprof_maps maps;
	struct cprof_modules modules;
	struct cprof_unwinder *unwinder;
	struct cprof_symbolizer *symbolizer;
	struct cprof_frame *frames;
	unsigned n_samples;
};

static void take_sample(struct session *s, const uint8_t *record)
{
	uint64_t abi, size, dynamic;
	struct cprof_regs regs;
	const struct cprof_arch *arch = cprof_arch_host();
	const uint8_t *at = record + sizeof(struct perf_event_header);
	memcpy(&abi, at, 8);
	at += 8;
	if (abi == PERF_SAMPLE_REGS_ABI_NONE)
		return;
	cprof_arch_regs_from_perf(arch, (const uint64_t *)(const void *)at, &regs);
	at += 8ul * arch->n_perf_regs;
	memcpy(&size, at, 8);
	memcpy(&dynamic, at + 8 + size, 8);
	struct copy copy = { regs.r[arch->sp], dynamic, at + 8 };
	const struct cprof_memory stack_memory = { copy_read, &copy };
	const struct cprof_memory live = { live_read, &s->pid };
	const struct cprof_unwind_input input = {
		.maps = &s->maps, .regs = &regs, .stack = &stack_memory, .live = &live
	};
	struct cprof_stack stack = { .frames = s->frames, .cap = cap };
	if (dwfl) {
		dwfl_copy = &copy;
		dwfl_regs = &regs;
		dwfl_walk(&s->maps, &stack);
	} else {
		cprof_unwind(s->unwinder, &input, &stack);
	}
	if (!dwfl && stack.stop == CPROF_STOP_NO_MAP) {
		/* Our mappings may be a moment old. */
		cprof_error_free(cprof_maps_refresh(&s->maps));
		cprof_unwind(s->unwinder, &input, &stack);
	}
	char *text = NULL;
	size_t text_size;
	FILE *out = open_memstream(&text, &text_size);
	print_stack(out, s->symbolizer, &s->maps, &stack);
	fclose(out);
	count_stack(text);
	free(text);
	s->n_samples++;
}

static void drain(struct session *s, struct perf_event_mmap_page *ring)
{
	static uint8_t record[65536 + 4096];
	uint8_t *data = (uint8_t *)ring + ring->data_offset;
	uint64_t head = atomic_load((_Atomic uint64_t *)&ring->data_head), tail = ring->data_tail;
	while (tail < head && s->n_samples < wanted) {
		struct perf_event_header header;
		memcpy(&header, data + tail % ring->data_size, sizeof(header));
		for (size_t i = 0; i < header.size; i++)
			record[i] = data[(tail + i) % ring->data_size];
		if (header.type == PERF_RECORD_SAMPLE)
			take_sample(s, record);
		tail += header.size;
	}
	/* Old samples would be compared with a process that has moved on: begin anew behind them. */
	atomic_store((_Atomic uint64_t *)&ring->data_tail,
		     atomic_load((_Atomic uint64_t *)&ring->data_head));
}

static size_t open_rings(pid_t pid, struct perf_event_mmap_page **rings, struct pollfd *polls)
{
	char path[64];
	size_t n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir)) && n < THREADS_MAX;) {
		pid_t tid = (pid_t)atoi(entry->d_name);
		if (tid <= 0 || !(rings[n] = ring_open(tid, &polls[n].fd)))
			continue;
		polls[n++].events = POLLIN;
	}
	if (dir)
		closedir(dir);
	return n;
}

static void print_all(const struct session *s)
{
	struct cprof_unwind_stats stats;
	for (size_t i = 0; i < n_seen; i++)
		printf("%u %s\n", seen[i].count, seen[i].text);
	cprof_unwinder_stats(s->unwinder, &stats);
	fprintf(stderr, "walks %" PRIu64 " frames %" PRIu64 " guessed %" PRIu64 " live %" PRIu64,
		stats.walks, stats.frames, stats.guessed, stats.live);
	for (int i = 0; i < CPROF_STOP_N; i++) {
		if (stats.stops[i])
			fprintf(stderr, " %s %" PRIu64, cprof_stop_name((enum cprof_stop)i),
				stats.stops[i]);
	}
	fprintf(stderr, " hits %" PRIu64 " misses %" PRIu64 " rules %" PRIu64 "\n",
		stats.cache_hits, stats.cache_misses, stats.cache_rules);
}

static struct cprof_error *session_open(struct session *s)
{
	static const struct cprof_symbolizer_options options = { .no_lines = true };
	cprof_modules_init(&s->modules);
	cprof_maps_init(&s->maps, s->pid, (struct cprof_memory){ live_read, &s->pid });
	struct cprof_error *err = cprof_maps_refresh(&s->maps);
	if (!err)
		err = cprof_unwinder_new(cprof_arch_host(), &s->modules, &s->unwinder);
	if (!err)
		err = cprof_symbolizer_new(&options, &s->modules, &s->symbolizer);
	return err;
}

static void session_close(struct session *s)
{
	cprof_symbolizer_free(s->symbolizer);
	cprof_unwinder_free(s->unwinder);
	cprof_maps_deinit(&s->maps);
	cprof_modules_deinit(&s->modules);
	free(s->frames);
}

int main(int argc, char **argv)
{
	struct perf_event_mmap_page *rings[THREADS_MAX];
	struct pollfd polls[THREADS_MAX];
	struct session s = { .pid = argc > 1 ? (pid_t)atoi(argv[1]) : 0 };
	if (argc > 2)
		wanted = (unsigned)atoi(argv[2]);
	if (argc > 3)
		stack_bytes = (uint32_t)atoi(argv[3]);
	if (argc > 4)
		cap = (size_t)atoi(argv[4]);
	if (argc > 5 && !dwfl_open(s.pid)) {
		fprintf(stderr, "walk_stacks: libdwfl: %s\n", dwfl_errmsg(-1));
		return 1;
	}
	s.frames = calloc(cap, sizeof(*s.frames));
	struct cprof_error *err = session_open(&s);
	if (err) {
		fprintf(stderr, "walk_stacks: %s\n", err->message);
		return 1;
	}
	size_t n = open_rings(s.pid, rings, polls);
	if (!n) {
		fprintf(stderr, "walk_stacks: perf_event_open: %s\n", strerror(errno));
		return 1;
	}
	time_t until = time(NULL) + SECONDS_MAX;
	while (s.n_samples < wanted && time(NULL) < until && poll(polls, n, 1000) >= 0) {
		for (size_t i = 0; i < n; i++)
			drain(&s, rings[i]);
	}
	print_all(&s);
	session_close(&s);
	dwfl_end(dwfl);
	return 0;
}
