/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unwind PERF_DATA PID - walk the samples of a perf.data file (perf record --call-graph dwarf) of a process
 * that still runs, with our unwinder and with elfutils' libdwfl, in one program and on the same bytes.
 *
 * Prints "key value" lines for tests/bench/unwind.py: times are CPU time of this process.
 */
#include <elfutils/libdwfl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"
#include "cprof/unwind.h"
#include "tests/tools/live_memory.h"

#define SAMPLES_MAX 20000
#define FRAMES_MAX  512
#define ROUNDS      10
#define DWFL_ROUNDS 4 /* both take the best time of each sample: other programs run too */

struct sample {
	struct cprof_regs regs;
	uint64_t size;
	const uint8_t *stack;
};

static struct sample samples[SAMPLES_MAX];
static size_t n_samples;
static struct perf_event_attr attr;

static uint64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- perf.data ---- */

static uint64_t u64_at(const uint8_t *at)
{
	uint64_t value;
	memcpy(&value, at, 8);
	return value;
}

/* Registers in the order of attr's mask, which has more of them than we ask for. */
static void take_regs(const uint8_t *at, struct cprof_regs *regs)
{
	const struct cprof_arch *arch = cprof_arch_host();
	uint64_t values[64], mask = attr.sample_regs_user;
	size_t n = 0, from = 0;
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(mask >> bit & 1))
			continue;
		if (arch->perf_regs_mask >> bit & 1)
			values[n++] = u64_at(at + 8 * from);
		from++;
	}
	cprof_arch_regs_from_perf(arch, values, regs);
}

static void take_sample(const uint8_t *at)
{
	static const uint64_t one_word[] = { PERF_SAMPLE_IDENTIFIER, PERF_SAMPLE_IP,
					     PERF_SAMPLE_TID,        PERF_SAMPLE_TIME,
					     PERF_SAMPLE_ADDR,       PERF_SAMPLE_ID,
					     PERF_SAMPLE_STREAM_ID,  PERF_SAMPLE_CPU,
					     PERF_SAMPLE_PERIOD };
	for (size_t i = 0; i < sizeof(one_word) / sizeof(one_word[0]); i++)
		at += attr.sample_type & one_word[i] ? 8 : 0;
	if (attr.sample_type & PERF_SAMPLE_CALLCHAIN)
		at += 8 + 8 * u64_at(at);
	if (u64_at(at) == PERF_SAMPLE_REGS_ABI_NONE || n_samples == SAMPLES_MAX)
		return;
	struct sample *sample = &samples[n_samples++];
	take_regs(at + 8, &sample->regs);
	at += 8 + 8 * (size_t)__builtin_popcountll(attr.sample_regs_user);
	uint64_t size = u64_at(at);
	sample->stack = at + 8;
	sample->size = size ? u64_at(at + 8 + size) : 0;
}

static void read_perf_data(const struct cprof_buffer *file)
{
	const uint8_t *bytes = file->data;
	if (file->len < 104 || memcmp(bytes, "PERFILE2", 8) != 0) {
		fprintf(stderr, "not a perf.data file\n");
		exit(1);
	}
	uint64_t attrs = u64_at(bytes + 24), data = u64_at(bytes + 40), size = u64_at(bytes + 48);
	memcpy(&attr, bytes + attrs, sizeof(attr) < 112 ? sizeof(attr) : 112);
	for (uint64_t at = data; at + 8 <= data + size;) {
		struct perf_event_header header;
		memcpy(&header, bytes + at, sizeof(header));
		if (header.size < 8)
			break;
		if (header.type == PERF_RECORD_SAMPLE)
			take_sample(bytes + at + 8);
		at += header.size;
	}
}

/* ---- ours ---- */

static bool copy_read(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct sample *sample = ctx;
	uint64_t start = sample->regs.r[7];
	if (addr < start || addr - start > sample->size || n > sample->size - (addr - start))
		return false;
	memcpy(buf, sample->stack + (addr - start), n);
	return true;
}

/* Samples are walked where the kernel has just written them, so their bytes are brought near first. */
static uint8_t near[65536];
static uint64_t best_ns[SAMPLES_MAX];

static uint64_t mono_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void forget_times(void)
{
	memset(best_ns, 0xff, sizeof(best_ns));
}

static uint64_t sum_times(void)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n_samples; i++)
		sum += best_ns[i];
	return sum;
}

static void walk_all(struct cprof_unwinder *unwinder, struct cprof_maps *maps, size_t n)
{
	static struct cprof_frame frames[FRAMES_MAX];
	for (size_t i = 0; i < n; i++) {
		struct cprof_stack stack = { .frames = frames, .cap = FRAMES_MAX };
		struct sample sample = samples[i];
		memcpy(near, sample.stack, sample.size);
		sample.stack = near;
		const struct cprof_memory copy = { copy_read, &sample };
		const struct cprof_unwind_input input = { .maps = maps,
							  .regs = &sample.regs,
							  .stack = &copy,
							  .copy = near,
							  .copy_addr = sample.regs.r[7],
							  .copy_size = sample.size };
		uint64_t start = mono_ns();
		cprof_unwind(unwinder, &input, &stack);
		uint64_t took = mono_ns() - start;
		best_ns[i] = took < best_ns[i] ? took : best_ns[i];
	}
}

static void bench_ours(pid_t pid)
{
	struct cprof_modules modules;
	struct cprof_maps maps;
	struct cprof_unwinder *unwinder;
	struct cprof_unwind_stats cold, warm;
	uint64_t start = cpu_ns();
	cprof_modules_init(&modules);
	cprof_maps_init(&maps, pid, (struct cprof_memory){ live_read, &pid });
	if (cprof_maps_refresh(&maps) || cprof_unwinder_new(cprof_arch_host(), &modules, &unwinder))
		exit(1);
	size_t first = 0;
	do {
		walk_all(unwinder, &maps, ++first);
		cprof_unwinder_stats(unwinder, &cold);
	} while (!cold.stops[CPROF_STOP_ROOT] && first < n_samples);
	printf("ours_first_full_stack_us %.0f\n", (double)(cpu_ns() - start) / 1e3);
	walk_all(unwinder, &maps, n_samples);
	printf("ours_cold_us %.0f\n", (double)(cpu_ns() - start) / 1e3);
	cprof_unwinder_stats(unwinder, &cold);
	forget_times();
	for (int round = 0; round < ROUNDS; round++)
		walk_all(unwinder, &maps, n_samples);
	uint64_t best = sum_times();
	cprof_unwinder_stats(unwinder, &warm);
	uint64_t frames = (warm.frames - cold.frames) / ROUNDS;
	printf("ours_frames %" PRIu64 "\nours_warm_ns %" PRIu64 "\n", frames, best);
	printf("ours_root %" PRIu64 "\n",
	       (warm.stops[CPROF_STOP_ROOT] - cold.stops[CPROF_STOP_ROOT]) / ROUNDS);
	printf("ours_misses %" PRIu64 "\nours_late_misses %" PRIu64 "\nours_rules %" PRIu64
	       "\nours_cache_kb %" PRIu64 "\n",
	       cold.cache_misses, warm.cache_misses - cold.cache_misses, warm.cache_rules,
	       warm.cache_bytes / 1024);
	cprof_unwinder_free(unwinder);
	cprof_maps_deinit(&maps);
	cprof_modules_deinit(&modules);
}

/* ---- libdwfl: one Dwfl kept for the process, as careful users of it do ---- */

static const struct sample *current;
static uint64_t dwfl_frames;

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
	if (*thread)
		return 0;
	*thread = arg;
	return dwfl_pid(dwfl);
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread)
{
	(void)dwfl;
	(void)tid;
	*thread = arg;
	return true;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	(void)dwfl;
	(void)arg;
	return copy_read((void *)(uintptr_t)current, addr, result, sizeof(*result));
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	(void)arg;
	Dwarf_Word words[17];
	memcpy(words, current->regs.r, 16 * sizeof(words[0]));
	words[16] = current->regs.pc;
	return dwfl_thread_state_registers(thread, 0, 17, words);
}

static const Dwfl_Thread_Callbacks thread_callbacks = { .next_thread = next_thread,
							.get_thread = get_thread,
							.memory_read = memory_read,
							.set_initial_registers = set_registers };

static int on_frame(Dwfl_Frame *frame, void *arg)
{
	Dwarf_Addr pc;
	unsigned *depth = arg;
	if (!dwfl_frame_pc(frame, &pc, NULL))
		return DWARF_CB_ABORT;
	dwfl_frames++;
	return ++*depth < FRAMES_MAX ? DWARF_CB_OK : DWARF_CB_ABORT;
}

static int no_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
			const char *file, const char *link, GElf_Word crc, char **path)
{
	(void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc;
	*path = NULL;
	return -1;
}

static void dwfl_walk_all(Dwfl *dwfl, pid_t pid)
{
	static struct sample sample;
	for (size_t i = 0; i < n_samples; i++) {
		unsigned depth = 0;
		sample = samples[i];
		memcpy(near, sample.stack, sample.size);
		sample.stack = near;
		current = &sample;
		uint64_t start = mono_ns();
		dwfl_getthread_frames(dwfl, pid, on_frame, &depth);
		uint64_t took = mono_ns() - start;
		best_ns[i] = took < best_ns[i] ? took : best_ns[i];
	}
}

static void bench_libdwfl(pid_t pid)
{
	static const Dwfl_Callbacks callbacks = { .find_elf = dwfl_linux_proc_find_elf,
						  .find_debuginfo = no_debuginfo };
	uint64_t start = cpu_ns();
	Dwfl *dwfl = dwfl_begin(&callbacks);
	if (dwfl_linux_proc_report(dwfl, pid) != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0 ||
	    !dwfl_attach_state(dwfl, NULL, pid, &thread_callbacks, &samples[0])) {
		fprintf(stderr, "libdwfl: %s\n", dwfl_errmsg(-1));
		exit(1);
	}
	dwfl_walk_all(dwfl, pid);
	printf("dwfl_cold_us %.0f\n", (double)(cpu_ns() - start) / 1e3);
	dwfl_frames = 0;
	forget_times();
	for (int round = 0; round < DWFL_ROUNDS; round++)
		dwfl_walk_all(dwfl, pid);
	printf("dwfl_warm_ns %" PRIu64 "\ndwfl_frames %" PRIu64 "\n", sum_times(),
	       dwfl_frames / DWFL_ROUNDS);
	dwfl_end(dwfl);
}

int main(int argc, char **argv)
{
	CPROF_AUTO(buffer) struct cprof_buffer file = { 0 };
	if (argc != 3) {
		fprintf(stderr, "usage: unwind PERF_DATA PID\n");
		return 2;
	}
	struct cprof_error *err = cprof_file_read(argv[1], (size_t)2 << 30, &file);
	if (err) {
		fprintf(stderr, "unwind: %s\n", err->message);
		return 1;
	}
	read_perf_data(&file);
	printf("samples %zu\n", n_samples);
	if (!n_samples)
		return 1;
	bench_ours((pid_t)atoi(argv[2]));
	bench_libdwfl((pid_t)atoi(argv[2]));
	return 0;
}
