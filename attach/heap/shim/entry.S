/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/shim/entry.S - the way into the shim: one stub per hooked function, and the common slow path.
 *
 * A stub runs in place of a function's first instructions, on every call, and ends in a copy of those
 * instructions (the trampoline, filled at attach) that jumps back behind them. It jumps in and jumps out: the stack
 * pointer never moves, so that stacks, exceptions and unwinders see what they always saw. The very first instruction
 * may have been executed already (attach/heap/inject/patch_first.h): then what lies before the stub has taken it back.
 *
 * A stub has two ways in. The upper one keeps every register and the flags: whoever calls the function directly may have been
 * compiled with the knowledge of what it leaves alone (gcc -fipa-ra, LTO, conventions of its own). What it needs itself
 * it puts where the slow path's frame will have it, below the return address: at a function's entry these 128 bytes are nobody's,
 * and no signal touches them (System V psABI "The Stack Frame"). The lower one, for functions that nobody in their object
 * calls directly, spoils rax, r10, r11 and the flags, which no caller expects to survive (psABI "Register Usage").
 *
 * The countdown is one unsigned subtraction in memory: a signal handler that allocates in between finds it
 * before or after, never halfway. The thread pointer is asked of the processor and not read from memory: what it
 * points to need not be there.
 */
#include "attach/heap/shim/shim_proto.h"

	.section .image, "a", @progbits
	.globl shim_image
	.hidden shim_image
shim_image:
	.zero	CPROF_SHIM_IMAGE_BYTES

	.section .stubs, "a", @progbits /* struct cprof_shim_stub, one per stub */
	.section .entry, "ax", @progbits

/* A field of the frame that the slow path will make, while the stack pointer is at the return address. */
#define KEPT(field) ((field) - CPROF_SHIM_FRAME_RET)(%rsp)

/* rax = this thread's slot; flags: equal if the slot is ours. Uses r11. */
.macro FIND_SLOT
	rdfsbase %r11
	movabs	$CPROF_SHIM_HASH, %rax
	imul	%r11, %rax
	shr	$(64 - CPROF_SHIM_SLOTS_LOG2 - CPROF_SHIM_SLOT_SHIFT), %rax
	and	$(((1 << CPROF_SHIM_SLOTS_LOG2) - 1) << CPROF_SHIM_SLOT_SHIFT), %eax
	add	shim_image + CPROF_SHIM_IMAGE_SLOTS(%rip), %rax
	cmp	%r11, (%rax)
.endm

/*
 * Only calls of some sizes are wanted (-heap-size): then, at attach, a jump to here takes the place of the first instruction
 * of FIND_SLOT, which is made up for; who does not want that pays nothing for it. Other sizes go on to the function.
 */
.macro SIEVE size, back, pass
	mov	\size, %rax
	sub	shim_image + CPROF_SHIM_IMAGE_SIZE_MIN(%rip), %rax
	cmp	shim_image + CPROF_SHIM_IMAGE_SIZE_SPAN(%rip), %rax
	ja	\pass
again_\@:
	rdfsbase %r11
.if . - again_\@ != CPROF_SHIM_SIEVE_JUMP
	.error "the jump to the sieve is as long as what it takes the place of"
.endif
	jmp	\back + CPROF_SHIM_SIEVE_JUMP
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

/* Saves what the fast path uses. r10 only where that is used; the slow path's frame wants it in any case. */
.macro KEEP r10=0
	mov	%rax, KEPT(CPROF_SHIM_FRAME_RAX)
	mov	%r11, KEPT(CPROF_SHIM_FRAME_R11)
.if \r10
	mov	%r10, KEPT(CPROF_SHIM_FRAME_R10)
.endif
	lahf
	seto	%al
	mov	%eax, KEPT(CPROF_SHIM_FRAME_STATUS)
.endm

/* ah as lahf left it, al 1 where there was an overflow: 127 more is one then, and none otherwise. */
.macro SET_STATUS
	add	$127, %al
	sahf
.endm

.macro GIVE_BACK r10=0
	mov	KEPT(CPROF_SHIM_FRAME_STATUS), %eax
	SET_STATUS
.if \r10
	mov	KEPT(CPROF_SHIM_FRAME_R10), %r10
.endif
	mov	KEPT(CPROF_SHIM_FRAME_R11), %r11
	mov	KEPT(CPROF_SHIM_FRAME_RAX), %rax
.endm

/* Where the lower way in was taken, what is kept is anything: nobody minds. */
.macro GO_SLOW why, kind, to, r10=0
.ifeq \r10
	mov	%r10, KEPT(CPROF_SHIM_FRAME_R10)
.endif
	movq	$(index | (\kind << CPROF_SHIM_INDEX_KIND_SHIFT) | (\why << CPROF_SHIM_INDEX_WHY_SHIFT)), KEPT(CPROF_SHIM_FRAME_INDEX)
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
	KEEP
light_\@:
find_\@:
	FIND_SLOT
	jne	miss_\@
.if \mark
	REMEMBER_UNLESS_JUMPED_TO \size
.endif
	sub	\size, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
restore_\@:
	GIVE_BACK
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, \kind, slow_alloc
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, \kind, slow_alloc
sieve_\@:
	SIEVE \size, find_\@, restore_\@
	.pushsection .stubs
	.long	stub_\@, light_\@, restore_\@, trampoline_\@, \kind, find_\@, sieve_\@
	.popsection
	.set index, index + 1
.endm

.macro STUB_CALLOC
	UNDO
stub_\@:
	KEEP 1
light_\@:
	mov	%rdi, %r10
	imul	%rsi, %r10
	jo	miss_\@
find_\@:
	FIND_SLOT
	jne	miss_\@
	sub	%r10, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
restore_\@:
	GIVE_BACK 1
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, CPROF_SHIM_CALLOC, slow_alloc, 1
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, CPROF_SHIM_CALLOC, slow_alloc, 1
sieve_\@:
	SIEVE %r10, find_\@, restore_\@
	.pushsection .stubs
	.long	stub_\@, light_\@, restore_\@, trampoline_\@, CPROF_SHIM_CALLOC, find_\@, sieve_\@
	.popsection
	.set index, index + 1
.endm

/* realloc(NULL, size) often goes on to malloc by a jump: the mark tells malloc's slow path. xallocx does not care. */
.macro STUB_REALLOC kind=CPROF_SHIM_REALLOC
	UNDO
stub_\@:
	KEEP
light_\@:
	LOOK_AT_FILTER %rdi
	jne	filter_\@
find_\@:
	FIND_SLOT
	jne	miss_\@
	test	%rdi, %rdi
	jnz	1f
	REMEMBER_UNLESS_JUMPED_TO %rsi
1:	sub	%rsi, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
restore_\@:
	GIVE_BACK
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, \kind, slow_alloc
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, \kind, slow_alloc
filter_\@:
	GO_SLOW CPROF_SHIM_WHY_FILTER, \kind, slow_alloc
sieve_\@:
	SIEVE %rsi, find_\@, restore_\@
	.pushsection .stubs
	.long	stub_\@, light_\@, restore_\@, trampoline_\@, \kind, find_\@, sieve_\@
	.popsection
	.set index, index + 1
.endm

.macro STUB_FREE
	UNDO
stub_\@:
	KEEP
light_\@:
	LOOK_AT_FILTER %rdi
	jne	filter_\@
restore_\@:
	GIVE_BACK
trampoline_\@:
	TRAMPOLINE
filter_\@:
	GO_SLOW CPROF_SHIM_WHY_FILTER, CPROF_SHIM_FREE, slow_free
	.pushsection .stubs
	.long	stub_\@, light_\@, restore_\@, trampoline_\@, CPROF_SHIM_FREE, 0, 0
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
	KEEP 1
light_\@:
	POOL_OLD
	POOL_SIZE
	jo	miss_\@
find_\@:
	FIND_SLOT
	jne	miss_\@
	REMEMBER_UNLESS_JUMPED_TO %r10
	sub	%r10, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
restore_\@:
	GIVE_BACK 1
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, CPROF_SHIM_POOL, slow_alloc, 1
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, CPROF_SHIM_POOL, slow_alloc, 1
sieve_\@:
	SIEVE %r10, find_\@, restore_\@
	.pushsection .stubs
	.long	stub_\@, light_\@, restore_\@, trampoline_\@, CPROF_SHIM_POOL, find_\@, sieve_\@
	.popsection
	.set index, index + 1
.endm

.macro STUB_POOL_REALLOC
	UNDO
stub_\@:
	KEEP 1
light_\@:
	POOL_OLD
	POOL_SIZE
	jo	miss_\@
	LOOK_AT_FILTER %rax
	jne	filter_\@
find_\@:
	FIND_SLOT
	jne	miss_\@
	REMEMBER_UNLESS_JUMPED_TO %r10
	sub	%r10, CPROF_SHIM_SLOT_LEFT(%rax)
	jbe	fired_\@
restore_\@:
	GIVE_BACK 1
trampoline_\@:
	TRAMPOLINE
fired_\@:
	GO_SLOW CPROF_SHIM_WHY_FIRED, CPROF_SHIM_POOL_REALLOC, slow_alloc, 1
miss_\@:
	GO_SLOW CPROF_SHIM_WHY_MISS, CPROF_SHIM_POOL_REALLOC, slow_alloc, 1
filter_\@:
	GO_SLOW CPROF_SHIM_WHY_FILTER, CPROF_SHIM_POOL_REALLOC, slow_alloc, 1
sieve_\@:
	SIEVE %r10, find_\@, restore_\@
	.pushsection .stubs
	.long	stub_\@, light_\@, restore_\@, trampoline_\@, CPROF_SHIM_POOL_REALLOC, find_\@, sieve_\@
	.popsection
	.set index, index + 1
.endm

.macro STUB_POOL_FREE
	UNDO
stub_\@:
	KEEP
light_\@:
	POOL_OLD
	LOOK_AT_FILTER %rax
	jne	filter_\@
restore_\@:
	GIVE_BACK
trampoline_\@:
	TRAMPOLINE
filter_\@:
	GO_SLOW CPROF_SHIM_WHY_FILTER, CPROF_SHIM_POOL_FREE, slow_free
	.pushsection .stubs
	.long	stub_\@, light_\@, restore_\@, trampoline_\@, CPROF_SHIM_POOL_FREE, 0, 0
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

#define DIRECTION 0x400	/* bits of rflags */
#define ALIGNMENT 0x40000

/* Changes no other flag, and takes the others as they are at this moment: a debugger may be stepping us. */
.macro SET_ALIGNMENT
	pushfq
	orl	$ALIGNMENT, (%rsp)
	popfq
.endm

/*
 * The C code wants strings to go upwards, and none of its accesses may be checked for alignment. `flags` holds what
 * they were.
 */
.macro SET_OWN_FLAGS flags
	cld
	testl	$ALIGNMENT, \flags
	jz	1f
	pushfq
	andl	$~ALIGNMENT, (%rsp)
	popfq
1:
.endm

.macro SET_THEIR_FLAGS flags
	testl	$(DIRECTION | ALIGNMENT), \flags
	jz	2f
	testl	$DIRECTION, \flags
	jz	1f
	std
1:	testl	$ALIGNMENT, \flags
	jz	2f
	SET_ALIGNMENT
2:
.endm

/*
 * Makes a struct shim_frame (shim.c, which checks the offsets), from its end down: the return address is there already,
 * the stub put the index, rax, r11, r10 and the status flags below it. Then the other flags, the saved registers from r15
 * down to rbx, the arguments from r9 down to rdi, room for the shim's own. 256 bytes with the return address of a call from
 * here: a stack pointer that was at a multiple of anything up to that is at one again in the function.
 */
.macro SAVE
	lea	KEPT(CPROF_SHIM_FRAME_STATUS), %rsp
	pushfq
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
	sub	$CPROF_SHIM_FRAME_ARG(0), %rsp
	SET_OWN_FLAGS CPROF_SHIM_FRAME_FLAGS(%rsp)
.endm

/* All but rsp, and rbx, rbp and r12 to r15, which the C code has left as they were. */
.macro RESTORE
	mov	CPROF_SHIM_FRAME_ARG(0)(%rsp), %rdi
	mov	CPROF_SHIM_FRAME_ARG(1)(%rsp), %rsi
	mov	CPROF_SHIM_FRAME_ARG(2)(%rsp), %rdx
	mov	CPROF_SHIM_FRAME_ARG(3)(%rsp), %rcx
	mov	CPROF_SHIM_FRAME_ARG(4)(%rsp), %r8
	mov	CPROF_SHIM_FRAME_ARG(5)(%rsp), %r9
	mov	CPROF_SHIM_FRAME_R10(%rsp), %r10
	mov	CPROF_SHIM_FRAME_R11(%rsp), %r11
	SET_THEIR_FLAGS CPROF_SHIM_FRAME_FLAGS(%rsp)
	mov	CPROF_SHIM_FRAME_STATUS(%rsp), %eax
	SET_STATUS
	mov	CPROF_SHIM_FRAME_RAX(%rsp), %rax
.endm

/* On to the function itself, as if nothing had been here. Where it is takes the place of the index. */
.macro PASS
	movzbl	CPROF_SHIM_FRAME_INDEX(%rsp), %eax	/* CPROF_SHIM_INDEX_STUB_MASK */
	shl	$CPROF_SHIM_ENTRY_SHIFT, %eax
	lea	shim_image + CPROF_SHIM_IMAGE_ENTRIES(%rip), %r11
	mov	(%r11, %rax), %rax
	mov	%rax, CPROF_SHIM_FRAME_INDEX(%rsp)
	RESTORE
	lea	CPROF_SHIM_FRAME_RET(%rsp), %rsp
	jmp	*KEPT(CPROF_SHIM_FRAME_INDEX)
.endm

/* What the function left in the registers that the C code does not preserve: all of it may be meant for its caller. */
#define LEFT_FLAGS 0
#define LEFT(i)    (8 * (i))	/* r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax from 1 on */
#define LEFT_BYTES 80

.macro SAVE_LEFT
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	pushfq
	SET_OWN_FLAGS LEFT_FLAGS(%rsp)
.endm

.macro RESTORE_LEFT
	SET_THEIR_FLAGS LEFT_FLAGS(%rsp)
	mov	LEFT_FLAGS(%rsp), %ecx
	mov	%cl, %ah
	shr	$11, %ecx	/* overflow */
	and	$1, %ecx
	mov	%cl, %al
	SET_STATUS
	mov	LEFT(1)(%rsp), %r11
	mov	LEFT(2)(%rsp), %r10
	mov	LEFT(3)(%rsp), %r9
	mov	LEFT(4)(%rsp), %r8
	mov	LEFT(5)(%rsp), %rdi
	mov	LEFT(6)(%rsp), %rsi
	mov	LEFT(7)(%rsp), %rdx
	mov	LEFT(8)(%rsp), %rcx
	mov	LEFT(9)(%rsp), %rax
.endm

/*
 * The C code is entered and left here only, and all of it lies between these two: with nobody counted inside, what looks like
 * somebody who was interrupted in it is a leftover. Whoever never comes back stays counted.
 */
.macro GO_INSIDE
	mov	shim_image + CPROF_SHIM_IMAGE_DATA(%rip), %r11
	lock incq CPROF_SHIM_CONTROL_INSIDE(%r11)
.endm

.macro COME_OUT
	mov	shim_image + CPROF_SHIM_IMAGE_DATA(%rip), %r11
	lock decq CPROF_SHIM_CONTROL_INSIDE(%r11)
.endm

	.p2align 4
slow_alloc:
	SAVE
	GO_INSIDE
	mov	%rsp, %rdi
	call	shim_enter
	COME_OUT
	test	%eax, %eax
	jz	pass_alloc
	RESTORE
	call	*CPROF_SHIM_FRAME_TARGET(%rsp)
	SAVE_LEFT
	mov	%rax, LEFT_BYTES + CPROF_SHIM_FRAME_RESULT(%rsp)
	GO_INSIDE
	lea	LEFT_BYTES(%rsp), %rdi
	call	shim_leave
	COME_OUT
	test	%eax, %eax
	jnz	again_alloc
	RESTORE_LEFT
	lea	LEFT_BYTES + CPROF_SHIM_FRAME_RET(%rsp), %rsp
	ret
again_alloc:
	lea	LEFT_BYTES(%rsp), %rsp
pass_alloc:
	PASS

	.p2align 4
slow_free:
	SAVE
	GO_INSIDE
	mov	%rsp, %rdi
	call	shim_free
	COME_OUT
	PASS

	.section .note.GNU-stack, "", @progbits
