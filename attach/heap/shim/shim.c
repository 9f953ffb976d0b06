/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/shim/shim.c - the slow path: what happens in the target for one allocation in half a megabyte.
 *
 * Freestanding: no libc, no thread-local storage, no vector registers, no lock, no system call, nothing that can
 * wait (but for -rate 1, see cell_take). Everything shared is changed with single atomic operations, so a signal
 * handler that allocates in the middle, and a thread that never comes back (longjmp), leave it consistent.
 *
 * In a forked child the data is all zeros (MADV_WIPEONFORK), also from one instruction to the next if a signal
 * handler forked; indices are masked with constants, so zeros are harmless, and a zero magic means: do nothing.
 */
#include "attach/heap/shim/shim_proto.h"

#define DATA   ((struct cprof_shim_data *)(uintptr_t)shim_image.data)
#define HIDDEN __attribute__((visibility("hidden")))

extern const volatile struct cprof_shim_image shim_image HIDDEN;

/* What the assembly makes on the stack (entry.S), lowest address first. */
struct shim_frame {
	uint64_t result; /* of the original function, for shim_leave */
	uint64_t target; /* what is called */
	uint64_t cell;   /* 1: this call is a sample; in shim_leave index + 1 of its cell */
	uint64_t size;
	uint64_t period;
	uint64_t id;
	uint64_t old, old_id; /* realloc of a sampled block: what it was */
	uint64_t flight;      /* index in flights[] */
	uint64_t outer;       /* the slot's `busy` before this one */
	uint64_t spare[3];
	uint64_t arg[CPROF_SHIM_ARGS]; /* rdi, rsi, rdx, rcx, r8, r9 */
	uint64_t rbx, rbp, r12, r13, r14, r15;
	uint64_t flags, status;
	uint64_t r10, r11, rax;
	uint64_t index; /* stub, kind and why: CPROF_SHIM_INDEX_... */
	uint64_t ret;   /* return address of the hooked function */
};

#define AT(field, offset) _Static_assert(offsetof(struct shim_frame, field) == (offset), #field)
AT(result, CPROF_SHIM_FRAME_RESULT);
AT(target, CPROF_SHIM_FRAME_TARGET);
AT(arg[0], CPROF_SHIM_FRAME_ARG(0));
AT(arg[5], CPROF_SHIM_FRAME_ARG(5));
/* These in the order in which SAVE pushes them, from its end. */
AT(rbx, CPROF_SHIM_FRAME_RBX);
AT(rbp, CPROF_SHIM_FRAME_RBX + 8);
AT(r12, CPROF_SHIM_FRAME_RBX + 16);
AT(r13, CPROF_SHIM_FRAME_RBX + 24);
AT(r14, CPROF_SHIM_FRAME_RBX + 32);
AT(r15, CPROF_SHIM_FRAME_RBX + 40);
AT(flags, CPROF_SHIM_FRAME_FLAGS);
AT(status, CPROF_SHIM_FRAME_STATUS);
AT(r10, CPROF_SHIM_FRAME_R10);
AT(r11, CPROF_SHIM_FRAME_R11);
AT(rax, CPROF_SHIM_FRAME_RAX);
AT(index, CPROF_SHIM_FRAME_INDEX);
AT(ret, CPROF_SHIM_FRAME_RET);
_Static_assert(CPROF_SHIM_FRAME_RBX == CPROF_SHIM_FRAME_ARG(CPROF_SHIM_ARGS), "no gap before rbx");
_Static_assert(sizeof(struct shim_frame) == CPROF_SHIM_FRAME_BYTES, "frame size");
_Static_assert(CPROF_SHIM_FRAME_BYTES % 64 == 0, "the stack stays aligned");

/* The parts of a frame's index. */
#define STUB(frame) ((frame)->index & CPROF_SHIM_INDEX_STUB_MASK)
#define KIND(frame) ((frame)->index >> CPROF_SHIM_INDEX_KIND_SHIFT & CPROF_SHIM_INDEX_KIND_MASK)
#define WHY(frame)  ((frame)->index >> CPROF_SHIM_INDEX_WHY_SHIFT)

int shim_enter(struct shim_frame *frame) HIDDEN;
int shim_leave(struct shim_frame *frame) HIDDEN;
void shim_free(struct shim_frame *frame) HIDDEN;

#define SLOT_MASK   ((1u << CPROF_SHIM_SLOTS_LOG2) - 1)
#define FLIGHT_MASK ((1u << CPROF_SHIM_FLIGHTS_LOG2) - 1)

static inline uint64_t thread_pointer(void)
{
	uint64_t tp;
	__asm__("rdfsbase %0" : "=r"(tp));
	return tp;
}

static inline uint64_t hash(uint64_t x)
{
	return x * CPROF_SHIM_HASH;
}

static inline uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline uint64_t add(uint64_t *word, uint64_t n)
{
	return __atomic_fetch_add(word, n, __ATOMIC_RELAXED);
}

static inline int swap(uint64_t *word, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static int awake(const struct cprof_shim_data *data)
{
	return load(&data->control.magic) == shim_image.nonce && load(&data->control.magic) &&
	       load(&data->control.enabled);
}

/* Nobody reads, but it is our own process: blocks go on being freed. A forked child has no magic. */
static int asleep(const struct cprof_shim_data *data)
{
	return load(&data->control.magic) == shim_image.nonce && load(&data->control.magic) &&
	       !load(&data->control.enabled);
}

/* xorshift32; the state is the thread's own, and a lost update costs nothing. */
static uint32_t draw(struct cprof_shim_slot *slot)
{
	uint32_t x = slot->random;
	if (!x)
		x = (uint32_t)(hash(slot->key) >> 32) | 1;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	slot->random = x;
	return x;
}

/*
 * The next gap, exponential with mean `period`, by the table of quantiles: 12 bits choose the step, 20 the place
 * in it. The last step has no end; by the law's lack of memory it is its edge plus a gap drawn afresh.
 */
static void rearm(struct cprof_shim_data *data, struct cprof_shim_slot *slot)
{
	uint64_t period = load(&data->control.period);
	uint64_t units = 0; /* 24 fractional bits */

	store(&slot->period, period);
	if (period <= CPROF_SHIM_EVERY) {
		store(&slot->left, 0);
		return;
	}
	for (int again = 0; again < 4; again++) {
		uint32_t x = draw(slot);
		uint32_t step = x >> 20, part = x & 0xfffff;
		uint64_t low = data->quantile[step];
		if (step == CPROF_SHIM_QUANTILES - 1) {
			units += low;
			continue;
		}
		uint64_t high = data->quantile[step + 1];
		units += low + (((high - low) * part) >> 20);
		break;
	}
	store(&slot->left, (uint64_t)(((unsigned __int128)units * period) >> 24) + 1);
}

/* This thread's slot if it has one, at its place or one of the next seven. */
static struct cprof_shim_slot *slot_known(struct cprof_shim_data *data, uint64_t tp)
{
	uint64_t at = hash(tp) >> (64 - CPROF_SHIM_SLOTS_LOG2);

	for (uint64_t i = 0; i < 8; i++) {
		struct cprof_shim_slot *slot = &data->slots[(at + i) & SLOT_MASK];
		if (load(&slot->key) == tp)
			return slot;
	}
	return 0;
}

/*
 * This thread's slot, or a free one; else the one at its place is taken over, whose owner (dead, most likely) will get
 * another: a countdown begun afresh at any moment is as good. The first is for those without a thread pointer, whatever
 * their number: free slots look like theirs.
 */
static struct cprof_shim_slot *slot_find(struct cprof_shim_data *data, uint64_t tp, int *ret_new)
{
	uint64_t at = hash(tp) >> (64 - CPROF_SHIM_SLOTS_LOG2);
	struct cprof_shim_slot *slot = tp ? slot_known(data, tp) : &data->slots[0];

	*ret_new = !slot || !load(&slot->period);
	if (slot)
		return slot;
	for (uint64_t i = 0; i < 8; i++) {
		slot = &data->slots[(at + i) & SLOT_MASK];
		if (slot != data->slots && !load(&slot->key) && swap(&slot->key, 0, tp))
			return slot;
	}
	slot = &data->slots[at & SLOT_MASK ? at & SLOT_MASK : 1];
	store(&slot->left,
	      CPROF_SHIM_DORMANT); /* the former owner must not see our gap as through */
	store(&slot->stack_end, 0);
	store(&slot->busy, 0);
	store(&slot->key, tp);
	return slot;
}

/* ---- what is known to be mapped ---- */

/* Is the stack pointer within the bounds that were learnt for this thread, and are they its own still? */
static int bounds_hold(const struct cprof_shim_slot *slot, uint64_t sp)
{
	uint64_t start = load(&slot->stack_start), record = load(&slot->record);

	if (sp >= load(&slot->stack_end) || sp < start)
		return 0;
	if (!record)
		return 1;
	const uint64_t *words = (const uint64_t *)(uintptr_t)record;
	return load(&words[0]) == load(&slot->block) && load(&words[1]) == load(&slot->block_bytes);
}

/*
 * Where the memory ends that begins at `sp` and is mapped. The page that it is in is, or we would not be here: the
 * return address was just pushed there.
 */
static uint64_t mapped_end(const struct cprof_shim_slot *slot, uint64_t sp, uint32_t *ret_bounded)
{
	*ret_bounded = !slot || !bounds_hold(slot, sp);
	return *ret_bounded ? (sp | 4095) + 1 : load(&slot->stack_end);
}

/* ---- calls of originals that are under way ---- */

/* Are these words a frame still, by its mark? */
static int intact(const struct cprof_shim_flight *flight, uint64_t frame)
{
	return load(&flight->frame) == frame &&
	       cprof_shim_sum((const uint64_t *)(uintptr_t)frame) == load(&flight->sum);
}

static struct cprof_shim_flight *flight_at(struct cprof_shim_data *data, uint64_t frame, uint64_t i)
{
	return &data->flights[((hash(frame) >> (64 - CPROF_SHIM_FLIGHTS_LOG2)) + i) & FLIGHT_MASK];
}

/* A mark on our own stack whose frame has been written over since. */
static int flight_dead(const struct cprof_shim_slot *slot, const struct cprof_shim_flight *flight,
		       uint64_t tp, uint64_t sp)
{
	uint64_t frame = load(&flight->frame);

	return load(&flight->thread_pointer) == tp && load(&flight->own) && bounds_hold(slot, sp) &&
	       frame >= load(&slot->stack_start) &&
	       frame + CPROF_SHIM_FRAME_BYTES <= load(&slot->stack_end) && !intact(flight, frame);
}

/*
 * A place for the mark of this frame: where an earlier one at the same address had it, which is dead then; a free one;
 * one of a frame that is known to be dead. 0: none.
 */
static struct cprof_shim_flight *flight_take(struct cprof_shim_data *data,
					     const struct cprof_shim_slot *slot, uint64_t frame)
{
	uint64_t tp = thread_pointer();

	for (uint64_t i = 0; i < 8; i++) {
		struct cprof_shim_flight *flight = flight_at(data, frame, i);
		if (load(&flight->frame) == frame)
			return flight;
	}
	for (uint64_t i = 0; i < 8; i++) {
		struct cprof_shim_flight *flight = flight_at(data, frame, i);
		uint64_t was = load(&flight->frame);
		if (was && !flight_dead(slot, flight, tp, frame))
			continue;
		if (swap(&flight->frame, was, frame))
			return flight;
	}
	return 0;
}

/* False: it is not marked. The other words of the frame are all settled by now. */
static int mark(struct cprof_shim_data *data, struct cprof_shim_slot *slot,
		struct shim_frame *frame)
{
	uint64_t at = (uint64_t)(uintptr_t)frame;
	struct cprof_shim_flight *flight = flight_take(data, slot, at);

	if (!flight)
		return 0;
	frame->flight = (uint64_t)(flight - data->flights);
	store(&flight->thread_pointer, thread_pointer());
	store(&flight->own, (uint64_t)bounds_hold(slot, at));
	store(&flight->sum, cprof_shim_sum((const uint64_t *)(const void *)frame));
	return load(&flight->frame) == at;
}

/*
 * False: there is no room to mark it, and so it must not be. A signal handler's slow path may take a mark for dead
 * that is only half made: then once more.
 */
static int take_off(struct cprof_shim_data *data, struct cprof_shim_slot *slot,
		    struct shim_frame *frame)
{
	frame->outer = load(&slot->busy);
	frame->result = 0;
	for (int turn = 0; turn < 4; turn++) {
		if (mark(data, slot, frame)) {
			store(&slot->busy, (uint64_t)(uintptr_t)frame);
			return 1;
		}
	}
	if (frame->cell) {
		add(&data->control.lost, 1);
		add(&data->control.lost_bytes, frame->size);
	}
	return 0;
}

static void land(struct cprof_shim_data *data, struct cprof_shim_slot *slot,
		 const struct shim_frame *frame)
{
	uint64_t at = (uint64_t)(uintptr_t)frame;

	swap(&data->flights[frame->flight & FLIGHT_MASK].frame, at, 0);
	if (slot)
		swap(&slot->busy, at, frame->outer);
}

/*
 * Is a slow path of this thread under way, further out than `frame`? One that was left by a longjmp is not, and neither is
 * one of which nothing can be known from here.
 */
static int inside_another(struct cprof_shim_data *data, struct cprof_shim_slot *slot,
			  const struct shim_frame *frame)
{
	uint64_t at = (uint64_t)(uintptr_t)frame, busy = load(&slot->busy);
	uint32_t bounded;

	if (!busy)
		return 0;
	if (busy > at && busy + CPROF_SHIM_FRAME_BYTES > mapped_end(slot, at, &bounded))
		return 0;
	for (uint64_t i = 0; busy > at && i < 8; i++) {
		if (intact(flight_at(data, busy, i), busy))
			return 1;
	}
	swap(&slot->busy, busy, 0);
	return 0;
}

static uint8_t *filter_byte(struct cprof_shim_data *data, uint64_t ptr)
{
	return &data->filter[hash(ptr) >> CPROF_SHIM_FILTER_SHIFT];
}

/* 255 stays: a count that was full cannot be taken down again. */
static void filter_count(struct cprof_shim_data *data, uint64_t ptr, int by)
{
	uint8_t *byte = filter_byte(data, ptr);
	uint8_t was = __atomic_load_n(byte, __ATOMIC_RELAXED);
	do {
		if (was == 255 || (was == 0 && by < 0))
			return;
	} while (!__atomic_compare_exchange_n(byte, &was, (uint8_t)(was + by), 0, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
}

/* False: no room near its place. An entry left with the same address was freed in a way we did not see. */
static int live_insert(struct cprof_shim_data *data, uint64_t ptr, uint64_t id)
{
	uint64_t at = hash(ptr) >> 20;

	for (uint64_t i = 0; i < CPROF_SHIM_PROBES; i++) {
		struct cprof_shim_live *live = &data->live[(at + i) & shim_image.live_mask];
		if (load(&live->ptr) == ptr) {
			store(&live->id, id);
			return 1;
		}
	}
	for (uint64_t i = 0; i < CPROF_SHIM_PROBES; i++) {
		struct cprof_shim_live *live = &data->live[(at + i) & shim_image.live_mask];
		if (load(&live->ptr) == 0 && swap(&live->ptr, 0, 1)) {
			store(&live->id, id);
			__atomic_store_n(&live->ptr, ptr, __ATOMIC_RELEASE);
			filter_count(data, ptr, 1);
			return 1;
		}
	}
	return 0;
}

/* The sample's id, or UINT64_MAX if `ptr` is no sampled block. Done before the block is freed. */
static uint64_t live_remove(struct cprof_shim_data *data, uint64_t ptr)
{
	uint64_t at = hash(ptr) >> 20;

	if (ptr <= 1)
		return UINT64_MAX;
	for (uint64_t i = 0; i < CPROF_SHIM_PROBES; i++) {
		struct cprof_shim_live *live = &data->live[(at + i) & shim_image.live_mask];
		if (load(&live->ptr) != ptr)
			continue;
		uint64_t id = load(&live->id);
		if (swap(&live->ptr, ptr, 0)) {
			filter_count(data, ptr, -1);
			return id;
		}
	}
	return UINT64_MAX;
}

/* In the first turns one of a few, which stay in the caches; where those are full, any. */
static uint64_t cell_at(uint64_t id, uint32_t turn)
{
	return turn < 4 ? (id + turn) % CPROF_SHIM_NEAR : (id + turn) % CPROF_SHIM_CELLS;
}

/*
 * A free cell's index + 1 and the sample's id. With every call recorded (-rate 1) the target waits a little for
 * its reader, a bounded number of turns without a system call; a reader that does not come puts the shim to sleep.
 */
static uint64_t cell_take(struct cprof_shim_data *data, uint64_t period, uint64_t *ret_id)
{
	/* Where every call counts it is waited for room; not again until the reader was here. */
	uint32_t turns =
		period <= CPROF_SHIM_EVERY && !load(&data->control.full_streak) ? 2000000 : 8;

	*ret_id = add(&data->control.ticket, 1);
	for (uint32_t i = 0; i < turns; i++) {
		uint64_t at = cell_at(*ret_id, i);
		uint32_t free = CPROF_SHIM_CELL_FREE;
		if (__atomic_compare_exchange_n(&data->cells[at].state, &free,
						CPROF_SHIM_CELL_TAKEN, 0, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return at + 1;
		if (i >= 16)
			__asm__ volatile("pause");
	}
	return 0;
}

static void lose(struct cprof_shim_data *data, uint64_t size, uint64_t period)
{
	add(&data->control.lost, 1);
	add(&data->control.lost_bytes, size);
	uint64_t limit =
		period <= CPROF_SHIM_EVERY ? CPROF_SHIM_FULL_LIMIT_EVERY : CPROF_SHIM_FULL_LIMIT;
	if (add(&data->control.full_streak, 1) > limit)
		store(&data->control.enabled, 0);
}

/* Is this call one that the allocator makes itself while serving another that was counted already? */
static int nested(struct cprof_shim_data *data, struct cprof_shim_slot *slot,
		  const struct shim_frame *frame)
{
	uint64_t sp = (uint64_t)(uintptr_t)&frame->ret;

	if (inside_another(data, slot, frame))
		return 1;
	/* A jump, from another one that left a mark. */
	if (slot->mark_stub != STUB(frame) && slot->mark_sp == sp && slot->mark_ret == frame->ret &&
	    slot->mark_size == frame->size)
		return 1;
	uint32_t n = shim_image.n_ranges;
	for (uint32_t i = 0; i < n && i < CPROF_SHIM_MAX_RANGES; i++) {
		if (frame->ret - shim_image.ranges[i].start <
		    shim_image.ranges[i].end - shim_image.ranges[i].start)
			return 1;
	}
	return 0;
}

static const volatile struct cprof_shim_pool *pool_of(const struct shim_frame *frame)
{
	return &shim_image.pools[STUB(frame) % CPROF_SHIM_MAX_ENTRIES];
}

static uint64_t operand(const struct shim_frame *frame,
			const volatile struct cprof_shim_operand *operand)
{
	if (operand->arg >= CPROF_SHIM_ARGS)
		return 0;
	uint64_t value = frame->arg[operand->arg];
	return operand->low ? (uint32_t)value : value;
}

static uint64_t product(uint64_t a, uint64_t b)
{
	uint64_t size;
	return __builtin_mul_overflow(a, b, &size) ? 0 : size;
}

static uint64_t pool_size(const struct shim_frame *frame)
{
	const volatile struct cprof_shim_pool *pool = pool_of(frame);
	if (pool->size.arg == CPROF_SHIM_NO_ARG)
		return pool->bytes;
	uint64_t size = operand(frame, &pool->size);
	if (pool->times.arg != CPROF_SHIM_NO_ARG)
		return product(size, operand(frame, &pool->times));
	return pool->bytes ? product(size, pool->bytes) : size;
}

static uint64_t requested(const struct shim_frame *frame, uint64_t kind)
{
	switch (kind) {
	case CPROF_SHIM_ARG1:
	case CPROF_SHIM_REALLOC:
	case CPROF_SHIM_XALLOC:
		return frame->arg[1];
	case CPROF_SHIM_POSIX_MEMALIGN:
		return frame->arg[2];
	case CPROF_SHIM_CALLOC:
		return product(frame->arg[0], frame->arg[1]);
	case CPROF_SHIM_POOL:
	case CPROF_SHIM_POOL_REALLOC:
		return pool_size(frame);
	default:
		return frame->arg[0];
	}
}

/* The block that this call frees or moves; 0: none. */
static uint64_t old_block(const struct shim_frame *frame, uint64_t kind)
{
	switch (kind) {
	case CPROF_SHIM_REALLOC:
	case CPROF_SHIM_XALLOC:
	case CPROF_SHIM_FREE:
		return frame->arg[0];
	case CPROF_SHIM_POOL_REALLOC:
	case CPROF_SHIM_POOL_FREE:
		return operand(frame, &pool_of(frame)->old);
	default:
		return 0;
	}
}

/* Is it of the sizes that are asked for? A stub with a sieve lets others come here only for what it has not looked at. */
static int wanted(uint64_t size)
{
	return size - shim_image.size_min <= shim_image.size_span;
}

/* Count what the stub has not counted. True: the countdown is through. */
static int count(struct cprof_shim_data *data, struct cprof_shim_slot *slot, int is_new,
		 uint64_t why, uint64_t size)
{
	if (is_new)
		rearm(data, slot);
	else if (why == CPROF_SHIM_WHY_FIRED)
		return 1;
	if (!wanted(size))
		return 0;
	uint64_t left = load(&slot->left);
	if (size >= left)
		return 1;
	store(&slot->left, left - size);
	return 0;
}

/* Take this call as a sample if it is one: frame->cell tells. */
static void choose(struct cprof_shim_data *data, struct cprof_shim_slot *slot,
		   struct shim_frame *frame, int is_new, uint64_t why)
{
	if (!count(data, slot, is_new, why, frame->size))
		return;
	frame->period = load(&slot->period);
	rearm(data, slot);
	if (nested(data, slot, frame)) {
		/*
		 * Its bytes went through the countdown and are thrown away whole: what is left of a Poisson
		 * process outside of them is one still.
		 */
		add(&data->control.nested, 1);
		return;
	}
	frame->cell = 1;
}

/*
 * A forked child, or nobody reads: from now on this thread pays the subtraction only, by which the reader will see how much
 * went by. But what is freed is free.
 */
static void pass_by(struct cprof_shim_data *data, struct cprof_shim_slot *slot,
		    const struct shim_frame *frame)
{
	uint64_t left = load(&slot->left), size = requested(frame, KIND(frame));

	if (left > CPROF_SHIM_DORMANT || left <= CPROF_SHIM_DORMANT / 2)
		left = CPROF_SHIM_DORMANT;
	if (size < 1ull << 47 && wanted(size))
		left -= size;
	store(&slot->left, left);
	if (asleep(data) && frame->old)
		live_remove(data, frame->old);
}

/* 1: call frame->target and come back. 0: go on to the function as if nothing had been here. */
int shim_enter(struct shim_frame *frame)
{
	struct cprof_shim_data *data = DATA;
	uint64_t index = STUB(frame), kind = KIND(frame), why = WHY(frame);
	int is_new;

	frame->cell = 0;
	frame->old_id = UINT64_MAX;
	frame->old = old_block(frame, kind);
	struct cprof_shim_slot *slot = slot_find(data, thread_pointer(), &is_new);
	if (!awake(data)) {
		pass_by(data, slot, frame);
		return 0;
	}
	if (frame->old)
		frame->old_id = live_remove(data, frame->old);
	frame->size = requested(frame, kind);
	choose(data, slot, frame, is_new, why);
	if (!frame->cell && frame->old_id == UINT64_MAX)
		return 0;
	frame->target = shim_image.entries[index % CPROF_SHIM_MAX_ENTRIES].call;
	return take_off(data, slot, frame);
}

static void copy(uint8_t *to, uint64_t from, uint64_t n)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static uint64_t word_at(uint64_t addr)
{
	return *(const uint64_t *)(uintptr_t)addr;
}

/* ---- the stack from which a thread came to this one ---- */

/* Is it all in memory that nobody ever unmaps? In a forked child none is. */
static int lasts(const struct cprof_shim_data *data, uint64_t addr, uint64_t bytes)
{
	for (int i = 0; i < CPROF_SHIM_LASTING; i++) {
		/* They grow only, and `end` is written last. */
		uint64_t end = __atomic_load_n(&data->control.lasting[i].end, __ATOMIC_ACQUIRE);
		if (addr < end && bytes <= end - addr &&
		    addr >= load(&data->control.lasting[i].start))
			return 1;
	}
	return 0;
}

/* Does `at` hold the return address of a call from another stack? Then describe that one. Words that only look so do no harm. */
static int is_switch(const struct cprof_shim_data *data, uint64_t at,
		     struct cprof_shim_other *other)
{
	for (uint64_t i = 0; i < shim_image.n_switches && i < CPROF_SHIM_SWITCHES; i++) {
		const volatile struct cprof_shim_switch *way = &shim_image.switches[i];
		if (word_at(at) != way->ret)
			continue;
		uint64_t depth = word_at(at + way->depth);
		other->end_at = word_at(at + way->owner) + way->high;
		if (other->end_at & 7 || !lasts(data, other->end_at, 8))
			continue;
		other->end = word_at(other->end_at);
		other->sp = other->end - depth;
		if (depth && depth <= other->end && !(other->sp & 7) &&
		    lasts(data, other->sp, depth))
			return 1;
	}
	return 0;
}

#define SWITCH_WORDS (8 * 10) /* `at` and what a switch keeps above it: offsets are below 72 */

/* Is the thread, whose stack is [sp, end), there from another one? *ret_at: up to where the way back is told. */
static int find_other(const struct cprof_shim_data *data, uint64_t sp, uint64_t end,
		      struct cprof_shim_other *other, uint64_t *ret_at)
{
	if (!shim_image.n_switches || sp & 7)
		return 0;
	for (uint64_t at = sp; at + SWITCH_WORDS <= end; at += 8) {
		*ret_at = at + SWITCH_WORDS;
		if (is_switch(data, at, other))
			return 1;
	}
	return 0;
}

/*
 * The stack from `sp` on, as much as there is room for and is known to be mapped; behind it a part of the one from which the
 * thread came.
 */
static void copy_stacks(const struct cprof_shim_data *data, const struct cprof_shim_slot *slot,
			struct cprof_shim_cell *cell, uint8_t *to)
{
	uint64_t sp = cell->sp, bytes = mapped_end(slot, sp, &cell->bounded) - sp, at, others = 0;
	struct cprof_shim_other other;

	if (bytes > CPROF_SHIM_STACK_BYTES)
		bytes = CPROF_SHIM_STACK_BYTES;
	if (find_other(data, sp, sp + bytes, &other, &at)) {
		uint64_t room = CPROF_SHIM_STACK_BYTES - (at - sp);
		if (room > CPROF_SHIM_OTHER_BYTES)
			room = CPROF_SHIM_OTHER_BYTES;
		others = sizeof(other) + other.end - other.sp;
		if (others > room)
			others = room < sizeof(other) ? 0 : room;
		if (bytes > CPROF_SHIM_STACK_BYTES - others)
			bytes = CPROF_SHIM_STACK_BYTES - others;
	}
	copy(to, sp, bytes);
	if (others) {
		copy(to + bytes, (uint64_t)(uintptr_t)&other, sizeof(other));
		copy(to + bytes + sizeof(other), other.sp, others - sizeof(other));
	}
	cell->stack_bytes = (uint32_t)bytes;
	cell->other_bytes = (uint32_t)others;
}

static void fill(struct cprof_shim_data *data, const struct cprof_shim_slot *slot,
		 const struct shim_frame *frame, uint64_t ptr)
{
	uint64_t at = (frame->cell - 1) % CPROF_SHIM_CELLS;
	struct cprof_shim_cell *cell = &data->cells[at];
	cell->entry = (uint32_t)STUB(frame);
	cell->image = shim_image.index;
	cell->id = frame->id;
	cell->ptr = ptr;
	cell->size = frame->size;
	cell->period = frame->period;
	cell->thread_pointer = thread_pointer();
	cell->sp = (uint64_t)(uintptr_t)&frame->ret;
	cell->ret = frame->ret;
	cell->rbx = frame->rbx;
	cell->rbp = frame->rbp;
	cell->r12 = frame->r12;
	cell->r13 = frame->r13;
	cell->r14 = frame->r14;
	cell->r15 = frame->r15;
	copy_stacks(data, slot, cell, data->stacks[at]);
	__atomic_store_n(&cell->state, CPROF_SHIM_CELL_READY, __ATOMIC_RELEASE);
}

/* The block is there and its caller does not have it yet: nobody can free it while it is noted. */
static void note(struct cprof_shim_data *data, const struct cprof_shim_slot *slot,
		 struct shim_frame *frame, uint64_t ptr)
{
	frame->cell = cell_take(data, frame->period, &frame->id);
	if (!frame->cell) {
		lose(data, frame->size, frame->period);
		return;
	}
	uint64_t kind = KIND(frame);
	int untracked = kind == CPROF_SHIM_POOL && pool_of(frame)->untracked;
	if (!untracked && !live_insert(data, ptr, frame->id))
		add(&data->control.table_full, 1);
	fill(data, slot, frame, ptr);
}

/*
 * What posix_memalign wrote. POSIX lets it return 0 only for an alignment that is a power of two and a multiple of a
 * pointer's size; what does so for another one is some other function of that name.
 */
static uint64_t written(const struct shim_frame *frame)
{
	uint64_t out = frame->arg[0], alignment = frame->arg[1];

	if ((uint32_t)frame->result || alignment < 8 || (alignment & (alignment - 1)) || out & 7 ||
	    out >> 47)
		return 0;
	return *(const uint64_t *)(uintptr_t)out;
}

/* Did the original give a block, and which? NULL is none; posix_memalign and xallocx say it in another way. */
static uint64_t block(const struct shim_frame *frame, uint64_t kind)
{
	if (kind == CPROF_SHIM_XALLOC)
		return frame->result >= frame->size ? frame->old : 0;
	return kind == CPROF_SHIM_POSIX_MEMALIGN ? written(frame) : frame->result;
}

/*
 * After the call of the original. 1: it gave nothing and its sister is to say so in its own way (operator new). It may be another
 * thread's turn by now than the one that entered: a coroutine that went on elsewhere.
 */
int shim_leave(struct shim_frame *frame)
{
	struct cprof_shim_data *data = DATA;
	uint64_t tp = thread_pointer(), index = STUB(frame), kind = KIND(frame);
	struct cprof_shim_slot *slot = tp ? slot_known(data, tp) : data->slots;
	const volatile struct cprof_shim_entry *entry =
		&shim_image.entries[index % CPROF_SHIM_MAX_ENTRIES];
	uint64_t ptr = block(frame, kind);
	int again = !ptr && entry->call != entry->trampoline;

	if (awake(data)) {
		if (!ptr && frame->old_id != UINT64_MAX && frame->size)
			live_insert(data, frame->old,
				    frame->old_id); /* realloc failed: it lives on */
		if (frame->cell && ptr)
			note(data, slot, frame, ptr);
	} else if (frame->cell && ptr && asleep(data)) {
		/* Chosen while somebody read. */
		add(&data->control.lost, 1);
		add(&data->control.lost_bytes, frame->size);
	}
	land(data, slot, frame);
	return again;
}

/* Before the original free runs: afterwards another thread may get the same address. */
void shim_free(struct shim_frame *frame)
{
	struct cprof_shim_data *data = DATA;

	if (awake(data) || asleep(data))
		live_remove(data, old_block(frame, KIND(frame)));
}
