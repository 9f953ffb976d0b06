/*
 * attach/heap/shim/entry.S - the way into the shim: one stub per hooked function, and the common slow path.
 *
 * A stub runs in place of a function's first instructions, on every call, and ends in a copy of those
 * instructions (the trampoline, filled at attach) that jumps back behind them. It jumps in and jumps out: nothing is
 * pushed, so that stacks, exceptions and unwinders see what they always saw. It may use rax, r10 and r11,
 * which no caller expects to survive a call (System V psABI "Register Usage"). The very first instruction may have
 * been executed already (attach/heap/inject/patch_first.h): then what lies before the stub has taken it back.
 *
 * The countdown is one unsigned subtraction in memory: a signal handler that allocates in between finds it
 * before or after, never halfway.
 */
#include "attach/heap/shim/shim_proto.h"

	.section .image, "a", @progbits
	.globl shim_image
	.hidden shim_image
shim_image:
	.zero	CPROF_SHIM_IMAGE_BYTES

	.section .stubs, "a", @progbits /* struct cprof_shim_stub, one per stub */
	.text

/* rax = this thread's slot; flags: equal if the slot is ours. Uses r11. */
.macro FIND_SLOT
	mov	%fs:0, %r11
	movabs	$CPROF_SHIM_HASH, %rax
	imul	%r11, %rax
	shr	$(64 - CPROF_SHIM_SLOTS_LOG2 - CPROF_SHIM_SLOT_SHIFT), %rax
	and	$(((1 << CPROF_SHIM_SLOTS_LOG2) - 1) << CPROF_SHIM_SLOT_SHIFT), %eax
	add	shim_image + CPROF_SHIM_IMAGE_SLOTS(%rip), %rax
	cmp	%r11, (%rax)
.endm

/* Flags: not equal if a sampled block may be at the address in \ptr. Uses rax and r11. */
.macro LOOK_AT_FILTER ptr
	movabs	$CPROF_SHIM_HASH, %r11
	imul	\ptr, %r11
	shr	$CPROF_SHIM_FILTER_SHIFT, %r11
	mov	shim_image + CPROF_SHIM_IMAGE_FILTER(%rip), %rax
	cmpb	$0, (%rax, %r11)
.endm

.macro REMEMBER size
	mov	(%rsp), %r11
	mov	%rsp, CPROF_SHIM_SLOT_MARK_SP(%rax)
	mov	%r11, CPROF_SHIM_SLOT_MARK_RET(%rax)
	mov	\size, CPROF_SHIM_SLOT_MARK_SIZE(%rax)
	movq	$index, CPROF_SHIM_SLOT_MARK_STUB(%rax)
.endm

/* Not over the mark of another function that came here by a jump. */
.macro REMEMBER_UNLESS_JUMPED_TO size
	mov	(%rsp), %r11
	cmp	%rsp, CPROF_SHIM_SLOT_MARK_SP(%rax)
	jne	mark_\@
	cmp	%r11, CPROF_SHIM_SLOT_MARK_RET(%rax)
	jne	mark_\@
	cmp	\size, CPROF_SHIM_SLOT_MARK_SIZE(%rax)
	jne	mark_\@
	cmpq	$index, CPROF_SHIM_SLOT_MARK_STUB(%rax)
	jne	marked_\@
mark_\@:
	REMEMBER \size
marked_\@:
.endm

.macro GO_SLOW why, kind, to
	mov	$(index | (\kind << CPROF_SHIM_INDEX_KIND_SHIFT) | (\why << CPROF_SHIM_INDEX_WHY_SHIFT)), %eax
	jmp	\to
.endm

/* The displaced instructions are copied here. It is never executed before that. */
.macro TRAMPOLINE
	.fill	CPROF_SHIM_TRAMPOLINE_BYTES, 1, 0x90
.endm

/* Where the function's first instruction stayed in front of the jump, what takes it back is copied to the end of this. */
.macro UNDO
	.p2align 6
	.fill	CPROF_SHIM_UNDO_BYTES, 1, 0x90
.endm

.set index, 0

.macro STUB_SIZE kind, size, mark=0
	UNDO
stub_\@:
	FIND_SLOT
	jne	miss_\@
.if \mark
	REMEMBER_UNLESS_JUMPED_TO \size
.endif
	sub	\size, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, \kind, slow_alloc
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, \kind, slow_alloc
	.pushsection .stubs
	.long	stub_\@, trampoline_\@, \kind
	.popsection
	.set index, index + 1
.endm

.macro STUB_CALLOC
	UNDO
stub_\@:
	mov	%rdi, %r10
	imul	%rsi, %r10
	jo	miss_\@
	FIND_SLOT
	jne	miss_\@
	sub	%r10, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, CPROF_SHIM_CALLOC, slow_alloc
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, CPROF_SHIM_CALLOC, slow_alloc
	.pushsection .stubs
	.long	stub_\@, trampoline_\@, CPROF_SHIM_CALLOC
	.popsection
	.set index, index + 1
.endm

/* realloc(NULL, size) often goes on to malloc by a jump: the mark tells malloc's slow path. xallocx does not care. */
.macro STUB_REALLOC kind=CPROF_SHIM_REALLOC
	UNDO
stub_\@:
	LOOK_AT_FILTER %rdi
	jne	filter_\@
	FIND_SLOT
	jne	miss_\@
	test	%rdi, %rdi
	jnz	1f
	REMEMBER_UNLESS_JUMPED_TO %rsi
1:	sub	%rsi, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, \kind, slow_alloc
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, \kind, slow_alloc
filter_\@:
	GO_SLOW CPROF_SHIM_WHY_FILTER, \kind, slow_alloc
	.pushsection .stubs
	.long	stub_\@, trampoline_\@, \kind
	.popsection
	.set index, index + 1
.endm

.macro STUB_FREE
	UNDO
stub_\@:
	LOOK_AT_FILTER %rdi
	jne	filter_\@
trampoline_\@:
	TRAMPOLINE
filter_\@:
	GO_SLOW CPROF_SHIM_WHY_FILTER, CPROF_SHIM_FREE, slow_free
	.pushsection .stubs
	.long	stub_\@, trampoline_\@, CPROF_SHIM_FREE
	.popsection
	.set index, index + 1
.endm

/*
 * Any arguments. A pool often hands a large request on to malloc, by a jump even: the mark tells malloc's slow path, as
 * for realloc.
 */
.macro POOL_SIZE
	.fill	CPROF_SHIM_POOL_SIZE_BYTES, 1, 0x90
.endm

.macro POOL_OLD
	.fill	CPROF_SHIM_POOL_OLD_BYTES, 1, 0x90
.endm

.macro STUB_POOL
	UNDO
stub_\@:
	POOL_OLD
	POOL_SIZE
	jo	miss_\@
	FIND_SLOT
	jne	miss_\@
	REMEMBER_UNLESS_JUMPED_TO %r10
	sub	%r10, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, CPROF_SHIM_POOL, slow_alloc
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, CPROF_SHIM_POOL, slow_alloc
	.pushsection .stubs
	.long	stub_\@, trampoline_\@, CPROF_SHIM_POOL
	.popsection
	.set index, index + 1
.endm

.macro STUB_POOL_REALLOC
	UNDO
stub_\@:
	POOL_OLD
	POOL_SIZE
	jo	miss_\@
	LOOK_AT_FILTER %rax
	jne	filter_\@
	FIND_SLOT
	jne	miss_\@
	REMEMBER_UNLESS_JUMPED_TO %r10
	sub	%r10, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, CPROF_SHIM_POOL_REALLOC, slow_alloc
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, CPROF_SHIM_POOL_REALLOC, slow_alloc
filter_\@:
	GO_SLOW CPROF_SHIM_WHY_FILTER, CPROF_SHIM_POOL_REALLOC, slow_alloc
	.pushsection .stubs
	.long	stub_\@, trampoline_\@, CPROF_SHIM_POOL_REALLOC
	.popsection
	.set index, index + 1
.endm

.macro STUB_POOL_FREE
	UNDO
stub_\@:
	POOL_OLD
	LOOK_AT_FILTER %rax
	jne	filter_\@
trampoline_\@:
	TRAMPOLINE
filter_\@:
	GO_SLOW CPROF_SHIM_WHY_FILTER, CPROF_SHIM_POOL_FREE, slow_free
	.pushsection .stubs
	.long	stub_\@, trampoline_\@, CPROF_SHIM_POOL_FREE
	.popsection
	.set index, index + 1
.endm

.macro STUBS number, kind:vararg
.rept \number
	\kind
.endr
.endm

	STUBS 30, STUB_SIZE CPROF_SHIM_ARG0, %rdi
	STUBS 16, STUB_SIZE CPROF_SHIM_ARG1, %rsi, 1
	STUBS 8, STUB_CALLOC
	STUBS 14, STUB_REALLOC
	STUBS 2, STUB_REALLOC CPROF_SHIM_XALLOC
	STUBS 4, STUB_SIZE CPROF_SHIM_POSIX_MEMALIGN, %rdx
	STUBS 26, STUB_FREE
	STUBS 14, STUB_POOL
	STUBS 20, STUB_POOL_REALLOC
	STUBS 10, STUB_POOL_FREE
.if index > CPROF_SHIM_MAX_ENTRIES
	.error "more stubs than entries"
.endif

/*
 * Makes a struct shim_frame (shim.c, which checks the offsets), from its end down: the return address is there already,
 * then the index, the saved registers from r15 down to rbx, the arguments from r9 down to rdi, room for the shim's own.
 */
.macro SAVE
	push	%rax
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbp
	push	%rbx
	push	%r9
	push	%r8
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	sub	$CPROF_SHIM_FRAME_ARG(0), %rsp	/* and now it is aligned to 16 */
.endm

.macro RESTORE_ARGUMENTS
	mov	CPROF_SHIM_FRAME_ARG(0)(%rsp), %rdi
	mov	CPROF_SHIM_FRAME_ARG(1)(%rsp), %rsi
	mov	CPROF_SHIM_FRAME_ARG(2)(%rsp), %rdx
	mov	CPROF_SHIM_FRAME_ARG(3)(%rsp), %rcx
	mov	CPROF_SHIM_FRAME_ARG(4)(%rsp), %r8
	mov	CPROF_SHIM_FRAME_ARG(5)(%rsp), %r9
.endm

.macro DROP
	add	$CPROF_SHIM_FRAME_RET, %rsp
.endm

/* On to the function itself, as if nothing had been here. */
.macro PASS
	mov	CPROF_SHIM_FRAME_INDEX(%rsp), %eax
	RESTORE_ARGUMENTS
	movzbl	%al, %eax		/* CPROF_SHIM_INDEX_STUB_MASK */
	shl	$CPROF_SHIM_ENTRY_SHIFT, %eax
	lea	shim_image + CPROF_SHIM_IMAGE_ENTRIES(%rip), %r11
	mov	(%r11, %rax), %r11
	DROP
	jmp	*%r11
.endm

	.p2align 4
slow_alloc:
	SAVE
	mov	%rsp, %rdi
	call	shim_enter
	test	%rax, %rax
	jz	1f
	RESTORE_ARGUMENTS
	call	*%rax
	mov	%rax, CPROF_SHIM_FRAME_RESULT(%rsp)
	mov	%rsp, %rdi
	call	shim_leave
	test	%eax, %eax
	jnz	1f
	mov	CPROF_SHIM_FRAME_RESULT(%rsp), %rax
	DROP
	ret
1:	PASS

	.p2align 4
slow_free:
	SAVE
	mov	%rsp, %rdi
	call	shim_free
	PASS

	.section .note.GNU-stack, "", @progbits
