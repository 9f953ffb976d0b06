#include "attach/target/remote.h"

#include <cpuid.h>
#include <errno.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

#define RED_ZONE   128u
#define XSTATE_MAX 16384u /* AVX-512 needs 2.7 KB, AMX 11 KB */

/* What the kernel reads back in rt_sigreturn; the names are those of its uapi headers. */
struct frame {
	uint64_t pretcode;
	uint64_t uc_flags, uc_link;
	uint64_t ss_sp;
	uint32_t ss_flags, ss_pad;
	uint64_t ss_size;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
	uint64_t sigmask;
	uint8_t siginfo[128];
};
_Static_assert(offsetof(struct frame, ip) == 8 + 40 + 16 * 8, "struct rt_sigframe");
_Static_assert(offsetof(struct frame, sigmask) == 8 + 40 + 256, "struct rt_sigframe");

#define UC_FP_XSTATE         1u
#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u
/* A mode that sigaltstack(2) does not know: the kernel then leaves the alternate stack as it is. */
#define SS_LEAVE_ALONE 0x40u

#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u
#define FX_SW_OFFSET     464u

struct fx_sw {
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size, padding[7];
};

/* ---- a stack with room ---- */

/*
 * The main thread's stack, or one whose thread pointer lies above the stack pointer in the same mapping with
 * an inaccessible page below, which is how C libraries lay out threads. On any other stack (coroutines) the
 * bytes below may be somebody's.
 */
static bool has_room(const struct cprof_maps *maps, const struct user_regs_struct *regs)
{
	const struct cprof_map *map = cprof_maps_find(maps, regs->rsp);
	if (!map || !(map->prot & PROT_WRITE))
		return false;
	if (strcmp(map->path, "[stack]") == 0)
		return true; /* writing below it makes it grow, as the thread's own pushes would */
	if (regs->fs_base <= regs->rsp || regs->fs_base >= map->end)
		return false;
	const struct cprof_map *below = cprof_maps_find(maps, map->start - 1);
	return below && below->prot == 0 &&
	       regs->rsp - map->start > sizeof(struct frame) + XSTATE_MAX + RED_ZONE + 1024;
}

/*
 * Is it in a restartable sequence? The kernel sends such a thread to its abort address when it comes back from a
 * stop, but not if it sees other registers meanwhile: it would go on in the middle, wrongly. rseq(2).
 */
static bool in_rseq(const struct cprof_ptrace *trace, const struct cprof_tracee *thread)
{
	struct {
		uint64_t pointer;
		uint32_t size, signature, flags, pad;
	} config;
	uint64_t section = 0;

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, thread->tid, (void *)sizeof(config), &config) <
		    0 ||
	    !config.pointer)
		return false;
	struct cprof_error *err =
		cprof_ptrace_read(trace, config.pointer + 8, &section, sizeof(section));
	cprof_error_free(err);
	return err || section;
}

/* Best is one in a system call that simply starts over; see restart() for those that do not quite. */
static int fitness(const struct cprof_ptrace *trace, const struct cprof_tracee *thread)
{
	if ((int64_t)thread->regs.orig_rax < 0)
		return in_rseq(trace, thread) ? 0 : 2;
	return (int64_t)thread->regs.rax == -516 ? 1 : 3;
}

static struct cprof_tracee *choose(struct cprof_ptrace *trace, const struct cprof_maps *maps)
{
	struct cprof_tracee *best = NULL;
	int best_fitness = 0;
	for (size_t i = 0; i < trace->n; i++) {
		struct cprof_tracee *thread = &trace->threads[i];
		if (thread->state != CPROF_TRACEE_STOPPED || !has_room(maps, &thread->regs))
			continue;
		int fit = fitness(trace, thread);
		if (fit > best_fitness) {
			best = thread;
			best_fitness = fit;
		}
		if (best_fitness == 3)
			break;
	}
	return best;
}

/* ---- the frame ---- */

/* What the thread would find itself doing if the kernel restarted its system call: only for the frame. */
static void restart(const struct user_regs_struct *regs, uint64_t *ret_ip, uint64_t *ret_ax)
{
	*ret_ip = regs->rip;
	*ret_ax = regs->rax;
	if ((int64_t)regs->orig_rax < 0)
		return;
	switch ((int64_t)regs->rax) {
	case -512: /* ERESTARTSYS */
	case -513: /* ERESTARTNOINTR */
	case -514: /* ERESTARTNOHAND */
	case -516: /* ERESTART_RESTARTBLOCK: begins anew, since rt_sigreturn drops what was left */
		*ret_ip -= 2;
		*ret_ax = regs->orig_rax;
		break;
	default:
		break;
	}
}

/* Components that a process gets only when it asks for them: AMX's tiles. */
#define XFEATURE_DYNAMIC (3ull << 17)

/*
 * How much of the register set belongs into a signal frame. ptrace shows the largest layout there is; a frame that says so
 * for a process that never asked for AMX is taken for a broken one, and all beyond SSE would be lost. The layout
 * is the CPU's: CPUID leaf 0x0d (Intel SDM volume 1, "Enumeration of CPU support for XSAVE").
 */
static size_t frame_bytes(const uint8_t *xstate, size_t n, uint64_t *ret_features)
{
	uint64_t features, in_use;
	size_t end = 576; /* x87, SSE and the header */
	memcpy(&features, xstate + FX_SW_OFFSET, sizeof(features));
	memcpy(&in_use, xstate + 512, sizeof(in_use));
	if (!(in_use & XFEATURE_DYNAMIC))
		features &= ~XFEATURE_DYNAMIC;
	for (unsigned i = 2; i < 63; i++) {
		unsigned size, offset, c, d;
		if (!(features >> i & 1))
			continue;
		__cpuid_count(0x0d, i, size, offset, c, d);
		if (size && (size_t)offset + size <= n && (size_t)offset + size > end)
			end = (size_t)offset + size;
	}
	*ret_features = features;
	return end;
}

static struct cprof_error *read_xstate(pid_t tid, uint8_t *buf, size_t *ret_n)
{
	struct iovec io = { buf, XSTATE_MAX };
	if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)NT_X86_XSTATE, &io) < 0)
		return cprof_error_os(errno, "read the vector registers of thread %d", (int)tid);
	if (io.iov_len < 576 || io.iov_len > XSTATE_MAX - 64)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "vector state of %zu bytes",
				       (size_t)io.iov_len);
	*ret_n = io.iov_len;
	return NULL;
}

/* The bytes at remote->frame: struct frame, then (64-byte aligned) the vector state. */
static struct cprof_error *make_frame(struct cprof_remote *remote, uint8_t *image, size_t *ret_n)
{
	const struct user_regs_struct *r = &remote->kept;
	CPROF_AUTO(free) uint8_t *xstate = calloc(1, XSTATE_MAX);
	if (!xstate)
		return cprof_error_no_memory();
	size_t n_xstate;
	uint64_t features;
	struct cprof_error *err = read_xstate(remote->thread->tid, xstate, &n_xstate);
	if (err)
		return err;
	n_xstate = frame_bytes(xstate, n_xstate, &features);

	/* Two words more below the frame: pop %rax; ret takes the number of rt_sigreturn and goes to the syscall. */
	bool by_hand = !remote->gadgets.sigreturn;
	const uint64_t prefix[2] = { remote->gadgets.pop_rax, SYS_rt_sigreturn };
	size_t n_prefix = by_hand ? sizeof(prefix) : 0;

	uint64_t top = (r->rsp - RED_ZONE - n_xstate - 64) & ~63ull;
	/* At the return address of a call: 8 below a multiple of 16. */
	remote->frame = ((top - sizeof(struct frame)) & ~15ull) - 8;
	remote->stack = remote->frame - n_prefix;

	struct fx_sw sw = { .magic1 = FP_XSTATE_MAGIC1,
			    .extended_size = (uint32_t)n_xstate + 4,
			    .xstate_size = (uint32_t)n_xstate };
	sw.xfeatures = features;
	memcpy(xstate + FX_SW_OFFSET, &sw, sizeof(sw));
	uint32_t magic2 = FP_XSTATE_MAGIC2;
	memcpy(xstate + n_xstate, &magic2, sizeof(magic2));

	struct frame frame = {
		.pretcode = by_hand ? remote->gadgets.syscall_ret : remote->gadgets.sigreturn,
		.uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
		.ss_flags = SS_LEAVE_ALONE,
		.r8 = r->r8,
		.r9 = r->r9,
		.r10 = r->r10,
		.r11 = r->r11,
		.r12 = r->r12,
		.r13 = r->r13,
		.r14 = r->r14,
		.r15 = r->r15,
		.di = r->rdi,
		.si = r->rsi,
		.bp = r->rbp,
		.bx = r->rbx,
		.dx = r->rdx,
		.cx = r->rcx,
		.sp = r->rsp,
		.flags = r->eflags,
		.cs = (uint16_t)r->cs,
		.ss = (uint16_t)r->ss,
		.fpstate = top,
		.sigmask = remote->mask,
	};
	restart(r, &frame.ip, &frame.ax);
	memcpy(image, prefix, n_prefix);
	image += n_prefix;
	memcpy(image, &frame, sizeof(frame));
	memset(image + sizeof(frame), 0, top - remote->frame - sizeof(frame));
	memcpy(image + (top - remote->frame), xstate, n_xstate + 4);
	*ret_n = n_prefix + (size_t)(top - remote->frame) + n_xstate + 4;
	return NULL;
}

struct cprof_error *cprof_remote_begin(struct cprof_remote *remote, struct cprof_ptrace *trace,
				       const struct cprof_remote_gadgets *gadgets,
				       const struct cprof_maps *maps)
{
	*remote = (struct cprof_remote){ .trace = trace,
					 .gadgets = *gadgets,
					 .thread = choose(trace, maps) };
	if (!remote->thread)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "no thread of process %d is on a stack with known room",
				       (int)trace->pid);
	remote->kept = remote->thread->regs;
	if (ptrace(PTRACE_GETSIGMASK, remote->thread->tid, (void *)8, &remote->mask) < 0)
		return cprof_error_os(errno, "PTRACE_GETSIGMASK of thread %d",
				      (int)remote->thread->tid);
	CPROF_AUTO(free) uint8_t *image = malloc(sizeof(struct frame) + XSTATE_MAX + 256);
	if (!image)
		return cprof_error_no_memory();
	size_t n;
	struct cprof_error *err = make_frame(remote, image, &n);
	if (!err && gadgets->slack)
		err = cprof_ptrace_write(trace, gadgets->slack, cprof_remote_slack,
					 sizeof(cprof_remote_slack));
	if (!err)
		err = cprof_ptrace_write(trace, remote->stack, image, n);
	return err;
}

/* ---- the calls ---- */

static struct cprof_error *depart(struct cprof_remote *remote, struct user_regs_struct *regs)
{
	/* Registers first: with them the frame is the way back, and the mask is in it. */
	struct cprof_error *err = cprof_ptrace_set_regs(remote->thread, regs);
	if (err || remote->away)
		return err;
	remote->away = true;
	uint64_t all = UINT64_MAX;
	if (ptrace(PTRACE_SETSIGMASK, remote->thread->tid, (void *)8, &all) < 0)
		return cprof_error_os(errno, "PTRACE_SETSIGMASK of thread %d",
				      (int)remote->thread->tid);
	return NULL;
}

struct cprof_error *cprof_remote_syscall(struct cprof_remote *remote, long number,
					 const uint64_t args[6], int64_t *ret_result)
{
	struct user_regs_struct regs = remote->kept;
	regs.rip = remote->gadgets.syscall_ret;
	regs.rsp = remote->stack;
	regs.rax = (uint64_t)number;
	regs.orig_rax = UINT64_MAX; /* no system call to restart */
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	regs.eflags &= ~0x100ull; /* TF: somebody's single step is not for here */

	struct cprof_error *err = depart(remote, &regs);
	if (!err)
		err = cprof_ptrace_run(remote->thread, PTRACE_SYSCALL, false); /* at its entry */
	if (!err)
		err = cprof_ptrace_run(remote->thread, PTRACE_SYSCALL, false); /* at its exit */
	if (err)
		return err;
	if (ptrace(PTRACE_GETREGS, remote->thread->tid, NULL, &regs) < 0)
		return cprof_error_os(errno, "PTRACE_GETREGS of thread %d",
				      (int)remote->thread->tid);
	*ret_result = (int64_t)regs.rax;
	return NULL;
}

void cprof_remote_end(struct cprof_remote *remote)
{
	struct cprof_tracee *thread = remote->thread;
	if (!thread || !remote->away || thread->state != CPROF_TRACEE_STOPPED)
		return;
	remote->away = false;
	/*
	 * Back to an event stop, where it was: only on the way out of one does the kernel restart the system
	 * call that it was in. It executes nothing in between.
	 */
	ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL);
	struct cprof_error *err = cprof_ptrace_run(thread, PTRACE_CONT, true);
	if (err) {
		cprof_error_free(err);
		return;
	}
	ptrace(PTRACE_SETSIGMASK, thread->tid, (void *)8, &remote->mask);
	cprof_error_free(cprof_ptrace_set_regs(thread, &remote->kept));
	if (remote->gadgets.slack) {
		const uint8_t zeros[CPROF_REMOTE_SLACK_BYTES] = { 0 };
		cprof_error_free(cprof_ptrace_write(remote->trace, remote->gadgets.slack, zeros,
						    sizeof(zeros)));
	}
}
