/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/remote.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

#define RED_ZONE   128u
#define XSTATE_MAX 16384u /* AVX-512 needs 2.7 KB, AMX 11 KB */
#define FIT_BEST   3
#define CANDIDATES 64u /* threads that are asked before we give up: all stand still meanwhile */

#define SUSPEND_SECCOMP (1u << 21) /* PTRACE_O_SUSPEND_SECCOMP, which musl's header has not */

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

#define XSTATE_MAGIC1 0x46505853u
#define XSTATE_MAGIC2 0x46505845u
#define FX_SW_OFFSET  464u

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

/* Not by int $0x80, which 64-bit programs may use too: how such a call goes on the kernel keeps to itself. */
static bool in_syscall_insn(const struct cprof_ptrace *trace, const struct cprof_tracee *thread)
{
	uint8_t insn[2] = { 0 };
	cprof_error_free(
		cprof_ptrace_read(trace, thread->regs.rip - sizeof(insn), insn, sizeof(insn)));
	return insn[0] == 0x0f && insn[1] == 0x05;
}

/* Best is one in a system call that simply starts over; see restart() for those that do not quite. */
static int fitness(const struct cprof_ptrace *trace, const struct cprof_tracee *thread)
{
	if ((int64_t)thread->regs.orig_rax < 0)
		return in_rseq(trace, thread) ? 0 : 2;
	if (!in_syscall_insn(trace, thread))
		return 0;
	return (int64_t)thread->regs.rax == -516 ? 1 : FIT_BEST;
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

	struct fx_sw sw = { .magic1 = XSTATE_MAGIC1,
			    .extended_size = (uint32_t)n_xstate + 4,
			    .xstate_size = (uint32_t)n_xstate };
	sw.xfeatures = features;
	memcpy(xstate + FX_SW_OFFSET, &sw, sizeof(sw));
	uint32_t magic2 = XSTATE_MAGIC2;
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

/* ---- borrowing ---- */

/*
 * Its seccomp filter is not to bar what we checked to be harmless. Only while the thread is in our hands: it runs nothing
 * of its own from here to the moment that takes this back, and if we are killed the kernel takes it back with the tracer.
 * Refused without CAP_SYS_ADMIN: then the calls meet the filter.
 */
static void suspend_filter(const struct cprof_remote *remote, bool suspended)
{
	const uintptr_t options = CPROF_PTRACE_OPTIONS | (suspended ? SUSPEND_SECCOMP : 0);
	ptrace(PTRACE_SETOPTIONS, remote->thread->tid, NULL, (void *)options);
}

static void clear_slack(struct cprof_remote *remote)
{
	static const uint8_t zeros[CPROF_REMOTE_SLACK_BYTES];
	if (remote->slack_used && !cprof_remote_slack_awaited(remote->trace, remote->gadgets.slack))
		cprof_error_free(cprof_ptrace_write(remote->trace, remote->gadgets.slack, zeros,
						    sizeof(zeros)));
	remote->slack_used = false;
}

static struct cprof_error *write_frame(struct cprof_remote *remote)
{
	size_t n = 0;
	CPROF_AUTO(free) uint8_t *image = malloc(sizeof(struct frame) + XSTATE_MAX + 256);
	if (!image)
		return cprof_error_no_memory();
	struct cprof_error *err = make_frame(remote, image, &n);
	if (!err && remote->gadgets.slack) {
		remote->slack_used = true; /* also after an error: some of it may be there */
		err = cprof_ptrace_write(remote->trace, remote->gadgets.slack, cprof_remote_slack,
					 sizeof(cprof_remote_slack));
	}
	return err ? err : cprof_ptrace_write(remote->trace, remote->stack, image, n);
}

/*
 * Whether calls are dispatched is seen when one is made: the trap is a SIGSYS that stops before it is delivered, and then
 * it is taken away. One and the same instruction makes the call and the way back, so that this says something of both.
 */
static struct cprof_error *try_out(struct cprof_remote *remote)
{
	int64_t result;
	const uint64_t none[6] = { 0 };
	return cprof_remote_syscall(remote, SYS_getpid, none, &result);
}

static struct cprof_error *borrow(struct cprof_remote *remote, struct cprof_tracee *thread,
				  bool untold)
{
	remote->thread = thread;
	remote->kept = thread->regs;
	remote->untold = untold;
	if (untold && !remote->gadgets.pop_rax)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "whether thread %d has its system calls handed to a handler "
				       "cannot be told on this kernel",
				       (int)thread->tid);
	if (untold)
		remote->gadgets.sigreturn = remote->gadgets.slack = 0;
	if (ptrace(PTRACE_GETSIGMASK, thread->tid, (void *)8, &remote->mask) < 0)
		return cprof_error_os(errno, "PTRACE_GETSIGMASK of thread %d", (int)thread->tid);
	struct cprof_error *err = write_frame(remote);
	remote->suspended = !err && cprof_remote_permit_filtered(remote->trace, thread);
	if (remote->suspended)
		suspend_filter(remote, true);
	return !err && untold ? try_out(remote) : err;
}

static struct cprof_error *consider(struct cprof_remote *remote, struct cprof_tracee *thread,
				    const struct cprof_remote_calls *calls)
{
	bool untold;
	struct cprof_error *err =
		cprof_remote_permit(remote->trace, thread, &remote->gadgets, calls, &untold);
	if (err)
		return err;
	const struct cprof_remote_gadgets gadgets = remote->gadgets;
	err = borrow(remote, thread, untold);
	if (!err)
		return NULL;
	cprof_remote_end(remote);
	remote->gadgets = gadgets;
	remote->thread = NULL;
	return err;
}

struct cprof_error *cprof_remote_begin(struct cprof_remote *remote, struct cprof_ptrace *trace,
				       const struct cprof_remote_gadgets *gadgets,
				       const struct cprof_maps *maps,
				       const struct cprof_remote_calls *calls, bool *ret_again)
{
	struct cprof_error *first = NULL;
	unsigned asked = 0;
	*ret_again = false;
	*remote = (struct cprof_remote){ .trace = trace, .gadgets = *gadgets };
	for (int fit = FIT_BEST; fit > 0; fit--) {
		for (size_t i = 0; i < trace->n && asked < CANDIDATES; i++) {
			struct cprof_tracee *thread = &trace->threads[i];
			if (thread->state != CPROF_TRACEE_STOPPED ||
			    !has_room(maps, &thread->regs) || fitness(trace, thread) != fit)
				continue;
			struct cprof_error *err = consider(remote, thread, calls);
			if (!err) {
				cprof_error_free(first);
				return NULL;
			}
			asked++;
			if (first)
				cprof_error_free(err);
			else
				first = err;
		}
	}
	if (first)
		return first;
	*ret_again = true;
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "no thread of process %d is on a stack with known room",
			       (int)trace->pid);
}

/* ---- the calls ---- */

static struct cprof_error *depart(struct cprof_remote *remote, struct user_regs_struct *regs)
{
	/* Registers first: with them the frame is the way back, and the mask is in it. */
	struct cprof_error *err = cprof_ptrace_set_regs(remote->thread, regs);
	if (err || remote->away)
		return err;
	remote->away = true;
	/* A trap whose signal is blocked would cost the process its handler: force_sig_info() of the kernel. */
	uint64_t all = remote->untold ? ~(1ull << (SIGSYS - 1)) : UINT64_MAX;
	if (ptrace(PTRACE_SETSIGMASK, remote->thread->tid, (void *)8, &all) < 0)
		return cprof_error_os(errno, "PTRACE_SETSIGMASK of thread %d",
				      (int)remote->thread->tid);
	return NULL;
}

struct cprof_error *cprof_remote_syscall(struct cprof_remote *remote, long number,
					 const uint64_t args[6], int64_t *ret_result)
{
	struct user_regs_struct regs = remote->kept;
	if (remote->thread->state != CPROF_TRACEE_STOPPED)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "thread %d has not come back from the system call before",
				       (int)remote->thread->tid);
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

/*
 * Back to an event stop, where it was: only on the way out of one does the kernel restart the system call that it was in. It
 * executes nothing in between. A SIGSYS that caught our call goes no further.
 */
static bool bring_home(struct cprof_remote *remote)
{
	struct cprof_tracee *thread = remote->thread;
	ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL);
	struct cprof_error *err = cprof_ptrace_run(thread, PTRACE_CONT, true);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	ptrace(PTRACE_SETSIGMASK, thread->tid, (void *)8, &remote->mask);
	cprof_error_free(cprof_ptrace_set_regs(thread, &remote->kept));
	return true;
}

void cprof_remote_end(struct cprof_remote *remote)
{
	struct cprof_tracee *thread = remote->thread;
	if (!thread || thread->state != CPROF_TRACEE_STOPPED)
		return; /* it has ended, or is on its way back by itself, for which it needs all that is there */
	if (remote->away && !bring_home(remote))
		return;
	remote->away = false;
	if (remote->suspended)
		suspend_filter(remote, false);
	remote->suspended = false;
	clear_slack(remote);
}
