/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/shim/shim_proto.h - what the injected code and cprof-attach say to each other: layouts, nothing else.
 *
 * The only header that attach/heap/shim/ includes. The target gets two mappings:
 *
 *   code (r-x)  struct cprof_shim_image, then the machine code: stubs, slow path. Written once, before
 *               any jump leads to it; it names every byte changed in the target, so that -repair needs
 *               nothing else.
 *   data (rw-)  struct cprof_shim_data, private, zero in forked children (MADV_WIPEONFORK), where zero
 *               means: do nothing.
 *
 * All sizes but that of `live` are constants, so no index computed by the code can leave the mapping, even
 * if the data turns to zeros in the middle (a fork from a signal handler).
 */
#ifndef CPROF_ATTACH_HEAP_SHIM_SHIM_PROTO_H
#define CPROF_ATTACH_HEAP_SHIM_SHIM_PROTO_H

#define CPROF_SHIM_SLOTS_LOG2   12
#define CPROF_SHIM_SLOT_SHIFT   7 /* a slot is 128 bytes: two cache lines, fetched as a pair */
#define CPROF_SHIM_FILTER_LOG2  16
#define CPROF_SHIM_FILTER_SHIFT 48
#define CPROF_SHIM_HASH         0x9e3779b97f4a7c15

#define CPROF_SHIM_SLOT_LEFT      8
#define CPROF_SHIM_SLOT_MARK_SP   16
#define CPROF_SHIM_SLOT_MARK_RET  24
#define CPROF_SHIM_SLOT_MARK_SIZE 32
#define CPROF_SHIM_SLOT_MARK_STUB 40

/* Offsets in struct cprof_shim_image that the assembly needs. */
#define CPROF_SHIM_IMAGE_DATA      16
#define CPROF_SHIM_IMAGE_SLOTS     48
#define CPROF_SHIM_IMAGE_FILTER    56
#define CPROF_SHIM_IMAGE_SIZE_MIN  368
#define CPROF_SHIM_IMAGE_SIZE_SPAN 376
#define CPROF_SHIM_IMAGE_ENTRIES   512
#define CPROF_SHIM_IMAGE_BYTES     16384
#define CPROF_SHIM_ENTRY_SHIFT     4 /* an entry is 16 bytes */
#define CPROF_SHIM_MAX_ENTRIES     144

/* And in the data, at whose start it is: struct cprof_shim_control. */
#define CPROF_SHIM_CONTROL_INSIDE 72

/* Offsets in struct shim_frame of shim.c, which the assembly makes on the stack; all its fields have 8 bytes. */
#define CPROF_SHIM_FRAME_RESULT 0
#define CPROF_SHIM_FRAME_TARGET 8
#define CPROF_SHIM_FRAME_ARG(i) (104 + 8 * (i))
#define CPROF_SHIM_FRAME_RBX    152
#define CPROF_SHIM_FRAME_FLAGS  200 /* of these the direction and the alignment check count */
#define CPROF_SHIM_FRAME_STATUS 208 /* the other flags, by lahf and seto */
#define CPROF_SHIM_FRAME_R10    216
#define CPROF_SHIM_FRAME_R11    224
#define CPROF_SHIM_FRAME_RAX    232
#define CPROF_SHIM_FRAME_INDEX  240
#define CPROF_SHIM_FRAME_RET    248
#define CPROF_SHIM_FRAME_BYTES  256

/* The frame's index says which stub it was, of which kind, and why it went the slow way. */
#define CPROF_SHIM_INDEX_STUB_MASK  0xff
#define CPROF_SHIM_INDEX_KIND_SHIFT 8
#define CPROF_SHIM_INDEX_KIND_MASK  0xff
#define CPROF_SHIM_INDEX_WHY_SHIFT  16

/* How many calls of originals can be under way at once, and be known of. */
#define CPROF_SHIM_FLIGHTS_LOG2 10

/* Room behind a stub for the first and the displaced instructions and the jump back. */
#define CPROF_SHIM_TRAMPOLINE_BYTES 64

/* The jump to a stub's sieve. */
#define CPROF_SHIM_SIEVE_JUMP 5

/* Room before it, for one that takes back what the first instruction did, and flows into the stub. */
#define CPROF_SHIM_UNDO_BYTES 8

/* What a stub takes the size from, and what it means. */
#define CPROF_SHIM_ARG0           0 /* malloc(size), operator new */
#define CPROF_SHIM_ARG1           1 /* memalign(alignment, size) */
#define CPROF_SHIM_CALLOC         2 /* (n, size) */
#define CPROF_SHIM_REALLOC        3 /* (old, size) */
#define CPROF_SHIM_POSIX_MEMALIGN 4 /* (out, alignment, size) */
#define CPROF_SHIM_FREE           5 /* (old, ...) */
#define CPROF_SHIM_POOL           6 /* any other: struct cprof_shim_pool says what is where */
#define CPROF_SHIM_POOL_REALLOC   7
#define CPROF_SHIM_POOL_FREE      8
#define CPROF_SHIM_XALLOC         9 /* (old, size, ...): in place, or not at all; returns the size it has */
#define CPROF_SHIM_KINDS          10

/*
 * A pool's stub begins with room for instructions that are made at attach: first rax = the old block, then r10 = the
 * size, with the overflow flag set where a product does not fit.
 */
#define CPROF_SHIM_POOL_OLD_BYTES  3
#define CPROF_SHIM_POOL_SIZE_BYTES 10

/* Why a stub went the slow way. */
#define CPROF_SHIM_WHY_FIRED  0 /* the countdown was taken down and is through */
#define CPROF_SHIM_WHY_MISS   1 /* the slot is another thread's; nothing was counted */
#define CPROF_SHIM_WHY_FILTER 2 /* the old block may be a sampled one; nothing was counted */

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

#define CPROF_SHIM_MAGIC   0x31306d6968737063ull /* "cpshim01", little endian */
#define CPROF_SHIM_VERSION 6

#define CPROF_SHIM_MAX_RANGES 16
#define CPROF_SHIM_QUANTILES  4096
#define CPROF_SHIM_CELLS      1024
#define CPROF_SHIM_NEAR                                                                            \
	128 /* of them, the first: taken before others, so that they stay in the caches */
#define CPROF_SHIM_STACK_BYTES 16384
#define CPROF_SHIM_OTHER_BYTES 8192 /* of them, at most, for another stack */
#define CPROF_SHIM_SWITCHES    4
#define CPROF_SHIM_LASTING     3
#define CPROF_SHIM_PROBES      32           /* live[]: how far from its place an entry may be */
#define CPROF_SHIM_DORMANT     (1ull << 62) /* a countdown that never ends */
#define CPROF_SHIM_FULL_LIMIT  65536 /* samples lost in a row before the shim goes to sleep */
/* The same where every call is a sample: so long each that is lost is counted. About a second of allocating. */
#define CPROF_SHIM_FULL_LIMIT_EVERY (1u << 22)
#define CPROF_SHIM_EVERY            1 /* period: every call is recorded */

struct cprof_shim_range {
	uint64_t start, end;
};

/* One changed place in the target's text: enough to put it back, and to see whether it still is that place. */
struct cprof_shim_patch {
	uint64_t addr;
	uint64_t map_start, map_dev, map_inode, map_offset;
	uint8_t len; /* of original[] and patched[] that differ in meaning: the jump */
	uint8_t pad[7];
	uint8_t original[8];
	uint8_t patched[8];
};

static inline int cprof_shim_frees(unsigned kind)
{
	return kind == CPROF_SHIM_FREE || kind == CPROF_SHIM_POOL_FREE;
}

struct cprof_shim_entry {
	uint64_t trampoline; /* the displaced instructions, then the rest of the function */
	uint64_t
		call; /* what the slow path calls: the trampoline, or for a function that throws, its sister's */
};

/* One argument of a function, of those in registers: 0 is rdi, 5 is r9. */
struct cprof_shim_operand {
	uint8_t arg; /* CPROF_SHIM_NO_ARG: there is none */
	uint8_t low; /* 1: only its lower 32 bits count, it is an int */
};
#define CPROF_SHIM_ARGS   6
#define CPROF_SHIM_NO_ARG 0xff

/* What the arguments of a pool's function mean: -heap-hook, and what fits no other kind. */
struct cprof_shim_pool {
	struct cprof_shim_operand size, times; /* their product; without size: `bytes` */
	struct cprof_shim_operand old;         /* the block to be freed or moved */
	uint8_t untracked;                     /* 1: nobody will free its blocks one by one */
	uint8_t pad;
	uint32_t bytes; /* of every block, or of each of `size` pieces; 0: not given; below 2^31 */
};

/*
 * A call from a stack of its own (a goroutine's) to the thread's. `at` being where its return address `ret` lies, the word at
 * `at` + owner is whose stack it was, that at `at` + depth how deep it was, and that at the owner + high where it ends.
 */
struct cprof_shim_switch {
	uint64_t ret;
	uint8_t owner, depth, high;
	uint8_t pad[5];
};

/* Written by us, read by the shim and by -repair; the machine code follows at CPROF_SHIM_IMAGE_BYTES. */
struct cprof_shim_image {
	uint64_t magic;
	uint32_t version;
	uint32_t image_bytes; /* of the whole code mapping */
	uint64_t data;        /* address of struct cprof_shim_data */
	uint64_t data_bytes;
	uint64_t live_mask; /* entries in live[] - 1 */
	uint32_t
		retired; /* 1: all bytes are as they were, and it stays only because somebody may return into it */
	uint32_t n_ranges;
	uint64_t slots;  /* address of data->slots */
	uint64_t filter; /* address of data->filter */

	/* Who did this, for the next one who comes along. */
	uint64_t tool_pid, tool_start_ticks, tool_pidns;
	uint64_t nonce; /* this session's; data->control.magic is the same while it lasts */
	uint32_t n_patches;
	uint32_t index; /* of this code mapping among those of the session */
	uint64_t
		entry_end; /* offset: the code of entry.S is before it, and that in which control.inside counts behind it */

	/* Return addresses in these ranges: a call of the allocator by itself, counted already. */
	struct cprof_shim_range ranges[CPROF_SHIM_MAX_RANGES];
	/* Only calls that ask for size_min to size_min + size_span bytes are counted: 0 and UINT64_MAX are all of them. */
	uint64_t size_min, size_span;
	uint64_t n_switches;
	struct cprof_shim_switch switches[CPROF_SHIM_SWITCHES];
	uint8_t pad[CPROF_SHIM_IMAGE_ENTRIES - 128 - 16 * CPROF_SHIM_MAX_RANGES - 8 -
		    16 * CPROF_SHIM_SWITCHES];

	struct cprof_shim_entry entries[CPROF_SHIM_MAX_ENTRIES];
	struct cprof_shim_pool pools[CPROF_SHIM_MAX_ENTRIES]; /* by the same index */
	struct cprof_shim_patch patches[CPROF_SHIM_MAX_ENTRIES];
};

/* At the end of the built blob: where its stubs are, as offsets from its start; then offset and length of this list. */
struct cprof_shim_stub {
	uint32_t stub;    /* the way in that keeps all registers; */
	uint32_t light;   /* and the one that does not: a pool's own code begins here */
	uint32_t restore; /* for the first: gives them back, and flows into the */
	uint32_t trampoline;
	uint32_t kind;
	uint32_t find;  /* where a jump to the sieve goes, if only some sizes are wanted; 0: none */
	uint32_t sieve; /* and where that leads */
};

/* A thread's countdown. Found by the thread pointer's hash; its owner is whoever has this thread pointer. */
struct cprof_shim_slot {
	uint64_t key;  /* thread pointer, 0: free */
	uint64_t left; /* bytes until the next sample, from 1; 0: every call */
	uint64_t mark_sp, mark_ret, mark_size; /* a call that may go on to malloc by a jump */
	uint64_t mark_stub;                    /* and whose it was */
	uint64_t period;                       /* in force when `left` was drawn */
	uint64_t
		busy; /* address of the frame of the slow path that is under way, or 0; believed only with its mark */
	uint32_t random;
	uint32_t pad;
	/*
	 * [start, end) is mapped from the stack pointer up, for a thread whose record says so still: the two words at `record`
	 * are `block` and `block_bytes`. No record: for whoever has its stack pointer in there. end 0: nothing is known.
	 */
	uint64_t stack_start, stack_end;
	uint64_t record, block, block_bytes;
	uint64_t pad2[2];
};

/*
 * A frame of the slow path while the original runs. It may be dead by now (longjmp, a thread that ended): alive it can only be
 * as long as its words on the stack have this sum.
 */
struct cprof_shim_flight {
	uint64_t frame; /* where it is; 0: none */
	uint64_t sum;
	uint64_t thread_pointer;
	uint64_t own; /* 1: it is on that thread's own stack, and ends with the thread */
};

/* Both sides compute it; anything but all the words as they were gives another. */
static inline uint64_t cprof_shim_sum(const uint64_t *words)
{
	uint64_t sum = CPROF_SHIM_HASH;
	for (unsigned i = 0; i < CPROF_SHIM_FRAME_BYTES / 8; i++) {
		sum = (sum ^ words[i]) * CPROF_SHIM_HASH;
		sum ^= sum >> 29;
	}
	return sum;
}

/* A sampled block that lives. */
struct cprof_shim_live {
	uint64_t ptr; /* 0 free, 1 being written */
	uint64_t id;
};

enum { CPROF_SHIM_CELL_FREE, CPROF_SHIM_CELL_TAKEN, CPROF_SHIM_CELL_READY };

/* One sample on its way to us. */
struct cprof_shim_cell {
	uint32_t state;
	uint32_t entry; /* index in image->entries */
	uint64_t id;
	uint64_t ptr, size;
	uint64_t period;
	uint64_t thread_pointer;
	uint64_t sp, ret; /* at the entry of the function: sp points at ret */
	uint64_t rbx, rbp, r12, r13, r14, r15;
	uint32_t
		other_bytes; /* behind these: struct cprof_shim_other and what follows it; 0: nothing */
	uint32_t stack_bytes; /* copied from sp on */
	uint32_t
		bounded; /* the copy ended at the end of a page: the bounds of this stack were not known */
	uint32_t image; /* image->index of the stub */
};

/* The stack from which the thread came to the one that it is on: its bytes from `sp` on follow, to its end at most. */
struct cprof_shim_other {
	uint64_t end_at, end; /* the word that says where it ends: its address, and what it was */
	uint64_t sp;
};

/* How much of CPROF_SHIM_STACK_BYTES is used; more than that: the cell was written by somebody else. */
static inline uint64_t cprof_shim_copied(const struct cprof_shim_cell *cell)
{
	return (uint64_t)cell->stack_bytes + cell->other_bytes;
}

struct cprof_shim_control {
	uint64_t magic; /* image->nonce; anything else: do nothing */
	uint64_t enabled;
	uint64_t period; /* mean bytes between samples; CPROF_SHIM_EVERY */
	uint64_t ticket; /* next sample's id */
	uint64_t lost;   /* samples without a free cell, or without a place in flights[] */
	uint64_t lost_bytes;
	uint64_t table_full;  /* samples without room in live[] */
	uint64_t full_streak; /* set to 0 by us at every visit */
	uint64_t
		nested; /* samples that fell on a call by the allocator itself, or inside the slow path */
	uint64_t
		inside; /* threads in the C code, and those that were interrupted there and never came back */
	/* [start, end) is mapped and stays so until the program ends: a Go program's heap. They grow only. end 0: unused. */
	struct cprof_shim_range lasting[CPROF_SHIM_LASTING];
};

struct cprof_shim_data {
	struct cprof_shim_control control;
	uint8_t pad[4096 - sizeof(struct cprof_shim_control)];
	/* Edges of the unit exponential's quantiles, 24 fractional bits: quantile[i] = -ln(1 - i/N). */
	uint32_t quantile[CPROF_SHIM_QUANTILES];
	uint8_t filter[1u << CPROF_SHIM_FILTER_LOG2];
	struct cprof_shim_slot slots[1u << CPROF_SHIM_SLOTS_LOG2];
	struct cprof_shim_flight flights[1u << CPROF_SHIM_FLIGHTS_LOG2];
	struct cprof_shim_cell cells[CPROF_SHIM_CELLS];
	uint8_t stacks[CPROF_SHIM_CELLS][CPROF_SHIM_STACK_BYTES];
	struct cprof_shim_live live[]; /* image->live_mask + 1 */
};

_Static_assert(sizeof(struct cprof_shim_slot) == 1u << CPROF_SHIM_SLOT_SHIFT, "slot size");
_Static_assert(offsetof(struct cprof_shim_slot, left) == CPROF_SHIM_SLOT_LEFT, "left");
_Static_assert(offsetof(struct cprof_shim_slot, mark_sp) == CPROF_SHIM_SLOT_MARK_SP, "mark_sp");
_Static_assert(offsetof(struct cprof_shim_slot, mark_ret) == CPROF_SHIM_SLOT_MARK_RET, "mark_ret");
_Static_assert(offsetof(struct cprof_shim_slot, mark_size) == CPROF_SHIM_SLOT_MARK_SIZE,
	       "mark_size");
_Static_assert(offsetof(struct cprof_shim_slot, mark_stub) == CPROF_SHIM_SLOT_MARK_STUB,
	       "mark_stub");
_Static_assert(sizeof(struct cprof_shim_cell) == 128, "cell size");
_Static_assert(sizeof(struct cprof_shim_control) == 128, "control size");
_Static_assert(sizeof(struct cprof_shim_pool) == 12, "pool size");
_Static_assert(sizeof(struct cprof_shim_entry) == 1u << CPROF_SHIM_ENTRY_SHIFT, "entry size");
_Static_assert(sizeof(struct cprof_shim_flight) == 32, "flight size");
_Static_assert(sizeof(struct cprof_shim_stub) == 28, "stub size, which shim.ld divides by");
_Static_assert(CPROF_SHIM_MAX_ENTRIES <= CPROF_SHIM_INDEX_STUB_MASK + 1, "stubs");
_Static_assert(CPROF_SHIM_KINDS <= CPROF_SHIM_INDEX_KIND_MASK + 1, "kinds");
_Static_assert(offsetof(struct cprof_shim_control, inside) == CPROF_SHIM_CONTROL_INSIDE, "inside");
_Static_assert(offsetof(struct cprof_shim_data, control) == 0, "control");
_Static_assert(offsetof(struct cprof_shim_image, data) == CPROF_SHIM_IMAGE_DATA, "data");
_Static_assert(offsetof(struct cprof_shim_image, slots) == CPROF_SHIM_IMAGE_SLOTS, "slots");
_Static_assert(offsetof(struct cprof_shim_image, filter) == CPROF_SHIM_IMAGE_FILTER, "filter");
_Static_assert(offsetof(struct cprof_shim_image, size_min) == CPROF_SHIM_IMAGE_SIZE_MIN, "min");
_Static_assert(offsetof(struct cprof_shim_image, size_span) == CPROF_SHIM_IMAGE_SIZE_SPAN, "span");
_Static_assert(offsetof(struct cprof_shim_image, entries) == CPROF_SHIM_IMAGE_ENTRIES, "entries");
_Static_assert(sizeof(struct cprof_shim_image) <= CPROF_SHIM_IMAGE_BYTES, "image size");
_Static_assert(sizeof(struct cprof_shim_data) % 4096 == 0, "live[] starts a page");

#endif
#endif
