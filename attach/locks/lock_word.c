/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/lock_word.h"

#include <assert.h>
#include <linux/futex.h>
#include <stddef.h>

static const char *const names[CPROF_LOCK_N] = {
	[CPROF_LOCK_NONE] = "",
	[CPROF_LOCK_MUTEX] = "mutex",
	[CPROF_LOCK_MUTEX_RECURSIVE] = "recursive mutex",
	[CPROF_LOCK_MUTEX_ERRORCHECK] = "errorcheck mutex",
	[CPROF_LOCK_MUTEX_ADAPTIVE] = "adaptive mutex",
	[CPROF_LOCK_MUTEX_PI] = "PI mutex",
	[CPROF_LOCK_MUTEX_ROBUST] = "robust mutex",
	[CPROF_LOCK_MUTEX_RUST] = "Rust mutex",
	[CPROF_LOCK_RWLOCK_READ] = "rwlock read",
	[CPROF_LOCK_RWLOCK_WRITE] = "rwlock write",
	[CPROF_LOCK_JOIN] = "join",
	[CPROF_LOCK_INTERNAL] = "libc lock",
	[CPROF_LOCK_CONDVAR] = "condvar",
	[CPROF_LOCK_SEMAPHORE] = "semaphore",
	[CPROF_LOCK_BARRIER] = "barrier",
	[CPROF_LOCK_ONCE] = "once",
	[CPROF_LOCK_FUTURE] = "future",
	[CPROF_LOCK_ATOMIC] = "atomic wait",
	[CPROF_LOCK_PARK] = "park",
	[CPROF_LOCK_FUTEX] = "futex",
};

const char *cprof_lock_kind_name(enum cprof_lock_kind kind)
{
	return kind < CPROF_LOCK_N ? names[kind] : "";
}

bool cprof_lock_kind_is_owned(enum cprof_lock_kind kind)
{
	return kind >= CPROF_LOCK_MUTEX && kind <= CPROF_LOCK_INTERNAL;
}

/* struct __pthread_mutex_s, 64-bit. */
struct glibc_mutex {
	int32_t lock; /* the futex: 0 free, 1 held, 2 held and waited for; robust and PI: a thread id */
	uint32_t count;
	int32_t owner;
	uint32_t nusers;
	int32_t kind;
	int16_t spins, elision;
};
static_assert(sizeof(struct glibc_mutex) == 24, "layout of pthread_mutex_t up to its list");
static_assert(offsetof(struct glibc_mutex, owner) == CPROF_LOCK_WORD_OWNER_OFFSET,
	      "layout of pthread_mutex_t");

/* nptl/pthreadP.h */
enum {
	KIND_TYPE = 0x03,
	KIND_ROBUST = 0x10,
	KIND_PI = 0x20,
	KIND_PP = 0x40,
	KIND_SHARED = 0x80,
	KIND_ELISION = 0x100,
	KIND_NO_ELISION = 0x200,
	KIND_ALL = 0x3f3,
};

static enum cprof_lock_kind kind_of(int32_t kind)
{
	static const enum cprof_lock_kind types[] = { CPROF_LOCK_MUTEX, CPROF_LOCK_MUTEX_RECURSIVE,
						      CPROF_LOCK_MUTEX_ERRORCHECK,
						      CPROF_LOCK_MUTEX_ADAPTIVE };
	if (kind & KIND_PI)
		return CPROF_LOCK_MUTEX_PI;
	if (kind & KIND_ROBUST)
		return CPROF_LOCK_MUTEX_ROBUST;
	return types[kind & KIND_TYPE];
}

/*
 * A robust or PI mutex keeps the owner in the futex word, the others beside it. A holder counts itself in nusers; only a
 * recursive mutex counts how often it was taken.
 */
static bool mutex_plausible(const struct glibc_mutex *mutex)
{
	if (mutex->kind & ~KIND_ALL || mutex->owner < 0)
		return false;
	if (mutex->kind & (KIND_ROBUST | KIND_PI))
		return true;
	if (mutex->kind & KIND_PP)
		return mutex->nusers < 1u << 22;
	bool counts = (mutex->kind & KIND_TYPE) == 1;
	return mutex->lock >= 0 && mutex->lock <= 2 && mutex->nusers < 1u << 22 &&
	       (counts || mutex->count == 0) && (!mutex->owner || mutex->lock);
}

bool cprof_lock_word_glibc_mutex(const struct cprof_memory *memory, uint64_t addr,
				 struct cprof_lock_word *ret)
{
	struct glibc_mutex mutex;
	if (!memory->read(memory->ctx, addr, &mutex, sizeof(mutex)))
		return false;
	*ret = (struct cprof_lock_word){
		.kind = kind_of(mutex.kind),
		.addr = addr,
		.owner = mutex.owner,
		.plausible = mutex_plausible(&mutex),
	};
	if (mutex.kind & (KIND_ROBUST | KIND_PI)) {
		ret->owner = mutex.lock & FUTEX_TID_MASK;
		ret->owner_died = (uint32_t)mutex.lock & FUTEX_OWNER_DIED;
	}
	return true;
}

/* struct __pthread_rwlock_arch_t, 64-bit. */
struct glibc_rwlock {
	uint32_t
		readers; /* bit 0: write phase, bit 1: a writer has or wants it, bit 2; then the count */
	uint32_t writers;
	uint32_t wrphase_futex;
	uint32_t writers_futex;
	uint32_t pad3, pad4;
	int32_t cur_writer;
	int32_t shared;
};
static_assert(offsetof(struct glibc_rwlock, cur_writer) == 24, "layout of pthread_rwlock_t");

#define RWLOCK_WRPHASE      1u
#define RWLOCK_READER_SHIFT 3
#define RWLOCK_FUTEX_MAX    3u

bool cprof_lock_word_glibc_rwlock(const struct cprof_memory *memory, uint64_t addr,
				  struct cprof_lock_word *ret)
{
	struct glibc_rwlock lock;
	if (!memory->read(memory->ctx, addr, &lock, sizeof(lock)))
		return false;
	*ret = (struct cprof_lock_word){
		.addr = addr,
		.readers = lock.readers & RWLOCK_WRPHASE ? 0 : lock.readers >> RWLOCK_READER_SHIFT,
		.owner = lock.cur_writer,
		.plausible = lock.wrphase_futex <= RWLOCK_FUTEX_MAX &&
			     lock.writers_futex <= RWLOCK_FUTEX_MAX && lock.cur_writer >= 0 &&
			     (lock.shared == 0 || lock.shared == 1) &&
			     lock.readers >> RWLOCK_READER_SHIFT < 1u << 22,
	};
	if (ret->owner < 0)
		ret->owner = 0;
	return true;
}

uint32_t cprof_lock_word_beside(const struct cprof_memory *memory, uint64_t addr, uint32_t op,
				uint32_t val)
{
	uint32_t words[3] = { 0 };
	addr += CPROF_LOCK_WORD_OWNER_OFFSET;
	if ((op & (uint32_t)FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET || (val != 2 && val != 3))
		return memory->read(memory->ctx, addr, words, sizeof(*words)) ? words[0] : 0;
	if (!memory->read(memory->ctx, addr, words, sizeof(words)))
		return 0;
	for (size_t i = 0; i < 2; i++) {
		if (words[i])
			return words[i];
	}
	return words[2];
}

/* pthread_mutex_t of musl: int type, lock, waiters. A normal mutex holds EBUSY while it is locked. */
struct musl_mutex {
	int32_t type, lock, waiters;
};
enum { MUSL_TYPE_ALL = 0x8f, MUSL_OWNER = 0x3fffffff };

bool cprof_lock_word_musl_mutex(const struct cprof_memory *memory, uint64_t addr,
				struct cprof_lock_word *ret)
{
	struct musl_mutex mutex;
	uint64_t start = addr - offsetof(struct musl_mutex, lock);
	if (!memory->read(memory->ctx, start, &mutex, sizeof(mutex)))
		return false;
	bool normal = (mutex.type & 15) == 0;
	*ret = (struct cprof_lock_word){
		.kind = (mutex.type & 3) == 1   ? CPROF_LOCK_MUTEX_RECURSIVE
			: (mutex.type & 3) == 2 ? CPROF_LOCK_MUTEX_ERRORCHECK
						: CPROF_LOCK_MUTEX,
		.addr = start,
		.owner = normal ? 0 : mutex.lock & MUSL_OWNER,
		.plausible = !(mutex.type & ~MUSL_TYPE_ALL) && mutex.lock && mutex.waiters >= 0,
	};
	if (mutex.type & 4)
		ret->kind = CPROF_LOCK_MUTEX_ROBUST;
	if (mutex.type & 8)
		ret->kind = CPROF_LOCK_MUTEX_PI;
	return true;
}

bool cprof_lock_word_owned(const struct cprof_memory *memory, uint64_t addr,
			   struct cprof_lock_word *ret)
{
	uint32_t word;
	if (!memory->read(memory->ctx, addr, &word, sizeof(word)))
		return false;
	*ret = (struct cprof_lock_word){
		.addr = addr,
		.owner = (pid_t)(word & FUTEX_TID_MASK),
		.owner_died = word & FUTEX_OWNER_DIED,
		.plausible = true,
	};
	return true;
}
