/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_fp.h"

#include <string.h>
#include <sys/mman.h>

#define CALL_MAX       7 /* bytes of the longest call instruction without prefixes that compilers emit */
#define CANDIDATES_MAX 32 /* walks per thread */

/* ModRM of FF /2, the indirect call, with what follows it; 0 if `code` (n bytes) is not exactly that. */
static bool is_indirect_call(const uint8_t *code, unsigned n)
{
	if (n > 2 && code[0] >= 0x40 && code[0] <= 0x4f) { /* REX */
		code++;
		n--;
	}
	if (n < 2 || code[0] != 0xff || (code[1] >> 3 & 7) != 2)
		return false;
	unsigned mod = code[1] >> 6, rm = code[1] & 7, want = 2;
	if (mod == 3)
		return n == 2;
	if (rm == 4)
		want++;
	if (mod == 1)
		want += 1;
	else if (mod == 2 || (mod == 0 && rm == 5))
		want += 4;
	return n == want;
}

unsigned cprof_thread_fp_call_length(const uint8_t *code, unsigned n, bool *ret_direct,
				     int32_t *ret_offset)
{
	*ret_direct = false;
	if (n >= 5 && code[n - 5] == 0xe8) {
		*ret_direct = true;
		memcpy(ret_offset, code + n - 4, sizeof(*ret_offset));
		return 5;
	}
	for (unsigned length = 2; length <= CALL_MAX && length <= n; length++) {
		if (is_indirect_call(code + n - length, length))
			return length;
	}
	return 0;
}

struct search {
	const struct cprof_thread_fp *fp;
	const struct cprof_session_sample *sample; /* as it came: without the frame pointer */
	struct cprof_session_stack *stack;
	uint64_t function; /* start of the function whose frame pointer is wanted; 0 unknown */
	bool found;
};

/* Can a call have returned to `ra`? `*ret_target` is where a direct one went, else 0. */
static bool after_call(const struct search *search, uint64_t ra, uint64_t *ret_target)
{
	const struct cprof_memory *memory = search->fp->memory;
	uint8_t code[CALL_MAX];
	bool direct;
	int32_t offset;
	*ret_target = 0;
	const struct cprof_map *map = cprof_maps_find(&search->sample->process->maps, ra - 1);
	if (!map || !(map->prot & PROT_EXEC) || ra - map->start < CALL_MAX ||
	    !memory->read(memory->ctx, ra - CALL_MAX, code, sizeof(code)) ||
	    !cprof_thread_fp_call_length(code, CALL_MAX, &direct, &offset))
		return false;
	if (direct)
		*ret_target = ra + (uint64_t)(int64_t)offset;
	return true;
}

static uint64_t word_at(const struct cprof_session_sample *sample, size_t offset)
{
	uint64_t word;
	memcpy(&word, (const uint8_t *)sample->stack + offset, sizeof(word));
	return word;
}

/* Walk with `addr` in the frame pointer; found if that reaches the root. Failed tries do not count as truncated stacks. */
static struct cprof_error *try_fp(struct search *search, uint64_t addr)
{
	const struct cprof_arch *arch = cprof_arch_host();
	struct cprof_run_log *log = cprof_session_log(search->fp->session);
	uint64_t truncated = log->counts.truncated;
	struct cprof_regs regs = *search->sample->regs;
	regs.r[arch->fp] = addr;
	regs.valid |= 1ull << arch->fp;
	struct cprof_session_sample sample = *search->sample;
	sample.regs = &regs;
	struct cprof_error *err = cprof_session_walk(search->fp->session, &sample, search->stack);
	search->found = !err && search->stack->stop == CPROF_STOP_ROOT;
	log->counts.truncated = search->found ? truncated - 1 : truncated;
	return err;
}

/* One pass over the stack: with `proven` only candidates that a direct call of the function proves. */
static struct cprof_error *pass(struct search *search, bool proven)
{
	const struct cprof_session_sample *sample = search->sample;
	unsigned tries = 0;
	size_t first = (8 - sample->stack_addr % 8) % 8;
	for (size_t at = first; at + 16 <= sample->n_stack && tries < CANDIDATES_MAX; at += 8) {
		uint64_t target, addr = sample->stack_addr + at;
		if (addr < sample->regs->r[cprof_arch_host()->sp] ||
		    !after_call(search, word_at(sample, at + 8), &target))
			continue;
		if (proven && (!target || target != search->function))
			continue;
		struct cprof_error *err = try_fp(search, addr);
		tries++;
		if (err || search->found)
			return err;
	}
	return NULL;
}

/* The frames of the last try are in the session's array now: make them again what they were. */
static struct cprof_error *walk_again(const struct search *search)
{
	struct cprof_run_log *log = cprof_session_log(search->fp->session);
	uint64_t truncated = log->counts.truncated;
	struct cprof_error *err =
		cprof_session_walk(search->fp->session, search->sample, search->stack);
	log->counts.truncated = truncated;
	return err;
}

struct cprof_error *cprof_thread_fp_search(const struct cprof_thread_fp *fp,
					   const struct cprof_session_sample *sample,
					   struct cprof_session_stack *stack)
{
	const struct cprof_arch *arch = cprof_arch_host();
	/* The last frame is the session's marker; the one before it lacks the frame pointer. */
	if (arch->ra_in_register || sample->regs->valid >> arch->fp & 1 || stack->n < 2 ||
	    sample->n_stack < 16)
		return NULL;
	struct cprof_thread_name name;
	struct cprof_error *err =
		cprof_thread_names_get(fp->names, stack->frames[stack->n - 2].addr, &name);
	if (err)
		return err;
	struct search search = {
		.fp = fp, .sample = sample, .stack = stack, .function = name.function_start
	};
	if (search.function)
		err = pass(&search, true);
	if (!err && !search.found)
		err = pass(&search, false);
	return err || search.found ? err : walk_again(&search);
}
