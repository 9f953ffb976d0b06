/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/remote_gadgets.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/target/thread_proc.h"
#include "base/cleanup.h"

#define SEARCH_STEP   ((size_t)1 << 20)
#define SYSCALL_BYTES 2u /* 0f 05 */

/* The two ways to write mov $15, %eax; syscall. */
static const uint8_t long_form[] = { 0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05 };
static const uint8_t short_form[] = { 0xb8, 15, 0, 0, 0, 0x0f, 0x05 };

static uint64_t search(const uint8_t *bytes, size_t n, const uint8_t *want, size_t n_want,
		       uint64_t addr)
{
	const uint8_t *found = memmem(bytes, n, want, n_want);
	return found ? addr + (uint64_t)(found - bytes) : 0;
}

static void search_map(const struct cprof_maps *maps, const struct cprof_map *map, uint8_t *buf,
		       struct cprof_remote_gadgets *found)
{
	static const uint8_t syscall_ret[] = { 0x0f, 0x05, 0xc3 };
	static const uint8_t pop_rax[] = { 0x58, 0xc3 };

	for (uint64_t at = map->start; at < map->end; at += SEARCH_STEP - 16) {
		size_t n = map->end - at < SEARCH_STEP ? (size_t)(map->end - at) : SEARCH_STEP;
		if (!maps->memory.read(maps->memory.ctx, at, buf, n))
			return;
		if (!found->syscall_ret)
			found->syscall_ret = search(buf, n, syscall_ret, sizeof(syscall_ret), at);
		if (!found->sigreturn)
			found->sigreturn = search(buf, n, long_form, sizeof(long_form), at);
		if (!found->sigreturn)
			found->sigreturn = search(buf, n, short_form, sizeof(short_form), at);
		if (!found->pop_rax)
			found->pop_rax = search(buf, n, pop_rax, sizeof(pop_rax), at);
		if (found->syscall_ret && found->sigreturn)
			return;
	}
}

const uint8_t cprof_remote_slack[CPROF_REMOTE_SLACK_BYTES] = {
	0xb8, 15, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x0b, 'c', 'p', 'r', 'o', 'f', '-', 'r',
};

static bool is_text_file(const struct cprof_map *map)
{
	return (map->prot & (PROT_READ | PROT_EXEC)) == (PROT_READ | PROT_EXEC) && map->inode;
}

/* The end of a text mapping where nothing is but padding. */
static uint64_t find_slack(const struct cprof_maps *maps)
{
	static const uint8_t zeros[4 * CPROF_REMOTE_SLACK_BYTES];
	uint8_t bytes[sizeof(zeros)];
	for (size_t i = 0; i < maps->n_sorted; i++) {
		const struct cprof_map *map = maps->sorted[i];
		if (is_text_file(map) &&
		    maps->memory.read(maps->memory.ctx, map->end - sizeof(bytes), bytes,
				      sizeof(bytes)) &&
		    memcmp(bytes, zeros, sizeof(bytes)) == 0)
			return map->end - CPROF_REMOTE_SLACK_BYTES;
	}
	return 0;
}

bool cprof_remote_slack_awaited(const struct cprof_ptrace *trace, uint64_t slack)
{
	for (size_t i = 0; i < trace->n; i++) {
		const struct cprof_tracee *thread = &trace->threads[i];
		uint64_t ret = 0;
		if (thread->state == CPROF_TRACEE_RUNNING)
			return true;
		if (thread->state != CPROF_TRACEE_STOPPED)
			continue;
		cprof_error_free(cprof_ptrace_read(trace, thread->regs.rsp, &ret, sizeof(ret)));
		if (ret == slack || thread->regs.rip - slack < CPROF_REMOTE_SLACK_BYTES)
			return true;
	}
	return false;
}

bool cprof_remote_clear_slack(const struct cprof_ptrace *trace, const struct cprof_maps *maps)
{
	static const uint8_t zeros[CPROF_REMOTE_SLACK_BYTES];
	uint8_t bytes[CPROF_REMOTE_SLACK_BYTES];
	bool found = false;
	for (size_t i = 0; i < maps->n_sorted; i++) {
		const struct cprof_map *map = maps->sorted[i];
		uint64_t at = map->end - sizeof(bytes);
		if (!is_text_file(map))
			continue;
		struct cprof_error *err = cprof_ptrace_read(trace, at, bytes, sizeof(bytes));
		if (!err && memcmp(bytes, cprof_remote_slack, sizeof(bytes)) == 0 &&
		    !cprof_remote_slack_awaited(trace, at)) {
			err = cprof_ptrace_write(trace, at, zeros, sizeof(zeros));
			found = true;
		}
		cprof_error_free(err);
	}
	return found;
}

static bool has_shadow_stack(pid_t pid)
{
	char text[4096];
	struct cprof_thread_status status;
	return cprof_thread_read(pid, pid, "status", text, sizeof(text)) > 0 &&
	       cprof_thread_status_parse(text, &status) && status.shadow_stack;
}

uint64_t cprof_remote_gadgets_return_ip(const struct cprof_remote_gadgets *gadgets,
					const struct cprof_ptrace *trace)
{
	uint8_t first = 0;
	if (!gadgets->sigreturn)
		return gadgets->syscall_ret + SYSCALL_BYTES;
	cprof_error_free(cprof_ptrace_read(trace, gadgets->sigreturn, &first, 1));
	return gadgets->sigreturn +
	       (first == long_form[0] ? sizeof(long_form) : sizeof(short_form));
}

static bool is_libc(const struct cprof_map *map)
{
	const char *slash = strrchr(map->path, '/');
	const char *name = slash ? slash + 1 : map->path;
	return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-2.", 7) == 0 ||
	       strncmp(name, "ld-musl-", 8) == 0;
}

/*
 * The C library first, which mostly has all, then what is small: a page of text that is read counts as the process's from then on,
 * and a browser has 180 MB of it.
 */
static int by_promise(const void *a_, const void *b_)
{
	const struct cprof_map *a = *(struct cprof_map *const *)a_,
			       *b = *(struct cprof_map *const *)b_;
	const uint64_t a_bytes = a->end - a->start, b_bytes = b->end - b->start;
	if (is_libc(a) != is_libc(b))
		return is_libc(a) ? -1 : 1;
	if (a_bytes != b_bytes)
		return a_bytes < b_bytes ? -1 : 1;
	return a->start < b->start ? -1 : a->start > b->start;
}

/* Files and the vdso only: memory made at run time may be gone by the time it is needed. */
static size_t candidates(const struct cprof_maps *maps, const struct cprof_map **ret)
{
	size_t n = 0;
	for (size_t i = 0; i < maps->n_sorted; i++) {
		const struct cprof_map *map = maps->sorted[i];
		if ((map->prot & (PROT_READ | PROT_EXEC)) == (PROT_READ | PROT_EXEC) &&
		    (map->inode || strcmp(map->path, "[vdso]") == 0))
			ret[n++] = map;
	}
	if (n)
		qsort(ret, n, sizeof(*ret), by_promise);
	return n;
}

struct cprof_error *cprof_remote_find_gadgets(const struct cprof_maps *maps,
					      struct cprof_remote_gadgets *ret_gadgets)
{
	if (has_shadow_stack(maps->pid))
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "process %d uses shadow stacks, which bar the way back "
				       "from an injected call",
				       (int)maps->pid);
	struct cprof_remote_gadgets found = { 0 };
	CPROF_AUTO(free) uint8_t *buf = malloc(SEARCH_STEP);
	CPROF_AUTO(free) const struct cprof_map **all = calloc(maps->n_sorted + 1, sizeof(*all));
	if (!buf || !all)
		return cprof_error_no_memory();
	const size_t n = candidates(maps, all);
	for (size_t i = 0; i < n; i++) {
		search_map(maps, all[i], buf, &found);
		if (found.syscall_ret && found.sigreturn) {
			*ret_gadgets = found;
			return NULL;
		}
	}
	if (found.syscall_ret && !found.pop_rax)
		found.sigreturn = found.slack = find_slack(maps);
	if (found.syscall_ret && (found.pop_rax || found.slack)) {
		*ret_gadgets = found;
		return NULL;
	}
	return cprof_error_new(
		CPROF_ERR_UNSUPPORTED, "process %d has no %s in its text to make system calls with",
		(int)maps->pid, found.syscall_ret ? "signal return" : "system call instruction");
}
