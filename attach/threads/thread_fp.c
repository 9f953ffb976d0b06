#include "attach/threads/thread_fp.h"

#include <string.h>
#include <sys/mman.h>

#include "attach/threads/thread_resolve.h"

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

/* Can a call have returned to `ra`? `*ret_target` is where a direct one went, else 0. */
static bool after_call(struct cprof_thread_resolver *resolver, uint64_t ra, uint64_t *ret_target)
{
	uint8_t code[CALL_MAX];
	bool direct;
	int32_t offset;
	*ret_target = 0;
	const struct cprof_map *map = cprof_maps_find(&resolver->process->maps, ra - 1);
	if (!map || !(map->prot & PROT_EXEC) || ra - map->start < CALL_MAX ||
	    !resolver->memory.read(resolver->memory.ctx, ra - CALL_MAX, code, sizeof(code)) ||
	    !cprof_thread_fp_call_length(code, CALL_MAX, &direct, &offset))
		return false;
	if (direct)
		*ret_target = ra + (uint64_t)(int64_t)offset;
	return true;
}

static uint64_t word_at(const struct cprof_thread *thread, size_t offset)
{
	uint64_t word;
	memcpy(&word, thread->stack + offset, sizeof(word));
	return word;
}

/* Walk with `fp` as the frame pointer; true if that reaches the root. Failed tries do not count as truncated stacks. */
static struct cprof_error *try_fp(struct cprof_thread_resolver *resolver,
				  struct cprof_session_sample *sample, struct cprof_regs *regs,
				  uint64_t fp, struct cprof_session_stack *stack, bool *ret_good)
{
	const struct cprof_arch *arch = cprof_arch_host();
	struct cprof_run_log *log = cprof_session_log(resolver->session);
	uint64_t truncated = log->counts.truncated;
	regs->r[arch->fp] = fp;
	regs->valid |= 1ull << arch->fp;
	sample->regs = regs;
	struct cprof_error *err = cprof_session_walk(resolver->session, sample, stack);
	*ret_good = !err && stack->stop == CPROF_STOP_ROOT;
	log->counts.truncated = *ret_good ? truncated - 1 : truncated;
	return err;
}

struct search {
	struct cprof_thread_resolver *resolver;
	struct cprof_thread *thread;
	struct cprof_session_sample *sample;
	struct cprof_session_stack *stack;
	uint64_t function; /* start of the function whose frame pointer is wanted; 0 unknown */
	bool found;
};

/* One pass over the stack: with `proven` only candidates that a direct call of the function proves. */
static struct cprof_error *pass(struct search *search, bool proven)
{
	struct cprof_thread *thread = search->thread;
	unsigned tries = 0;
	size_t first = (8 - thread->stack_addr % 8) % 8;
	for (size_t at = first; at + 16 <= thread->n_stack && tries < CANDIDATES_MAX; at += 8) {
		uint64_t target, fp = thread->stack_addr + at;
		if (fp < thread->regs.r[cprof_arch_host()->sp] ||
		    !after_call(search->resolver, word_at(thread, at + 8), &target))
			continue;
		if (proven && (!target || target != search->function))
			continue;
		struct cprof_regs regs = thread->regs;
		struct cprof_error *err = try_fp(search->resolver, search->sample, &regs, fp,
						 search->stack, &search->found);
		tries++;
		if (err)
			return err;
		if (search->found) {
			thread->regs = regs;
			return NULL;
		}
	}
	return NULL;
}

struct cprof_error *cprof_thread_fp_search(struct cprof_thread_resolver *resolver,
					   struct cprof_thread *thread,
					   struct cprof_session_sample *sample,
					   struct cprof_session_stack *stack)
{
	const struct cprof_arch *arch = cprof_arch_host();
	/* The last frame is the session's marker; the one before it lacks the frame pointer. */
	if (arch->ra_in_register || thread->regs.valid >> arch->fp & 1 || stack->n < 2 ||
	    thread->n_stack < 16)
		return NULL;
	struct cprof_thread_name name;
	struct cprof_error *err =
		cprof_thread_names_get(resolver->names, stack->frames[stack->n - 2].addr, &name);
	if (err)
		return err;
	struct search search = { resolver, thread, sample, stack, name.function_start, false };
	if (search.function)
		err = pass(&search, true);
	if (!err && !search.found)
		err = pass(&search, false);
	if (err)
		return err;
	thread->fp_searched = search.found;
	if (search.found)
		return NULL;
	/* Walk once more as it was: the frames of the last try are in the session's array now. */
	struct cprof_run_log *log = cprof_session_log(resolver->session);
	uint64_t truncated = log->counts.truncated;
	sample->regs = &thread->regs;
	err = cprof_session_walk(resolver->session, sample, stack);
	log->counts.truncated = truncated;
	return err;
}
