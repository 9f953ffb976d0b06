/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/wait_settle.h"

#include <ctype.h>
#include <string.h>

/* A lock's function stands so far out at most: system call, futex_wait(), slow path, the lock. */
#define NAMES_MAX 6
#define WORD_MAX  24          /* longer words of a name are none that we know */
#define GOMP_HELD 0xffffffffu /* libgomp's locks, held and waited for; its docks count */
#define MUSL_HELD 0x80000010u /* EBUSY, waited for: musl's normal mutex, which tells no owner */

/* ---- words ---- */

static const char *const lock_words[] = { "lock",     "mutex",  "mtx",    "rwlock",
					  "spinlock", "rdlock", "wrlock", "futexlock" };
static const char *const unlock_words[] = { "unlock", "mutex",    "mtx",      "rwunlock",
					    "rwlock", "spinlock", "rdunlock", "wrunlock" };
/* Further out than a function of these somebody may hold a lock, but it is not what is waited for here. */
static const char *const work_words[] = {
	"cond", "condvar", "condition", "event",   "sem",   "semaphore", "park",   "idle",
	"pool", "worker",  "queue",     "dequeue", "latch", "barrier",   "notify",
};

static bool is_word(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(words[i], word) == 0)
			return true;
	}
	return false;
}

/*
 * The next word at `*at` in lower case: of "LockSlow" and "lock_slow" both are "lock" and "slow". Template arguments are
 * passed over. False at the end.
 */
static bool next_word(const char **at, char word[WORD_MAX])
{
	const char *p = *at;
	size_t n = 0;
	for (int depth = 0; *p && (depth || !isalpha((unsigned char)*p)); p++)
		depth += *p == '<' ? 1 : *p == '>' && depth ? -1 : 0;
	while (isalpha((unsigned char)*p)) {
		const bool begins_next =
			n && isupper((unsigned char)*p) && islower((unsigned char)p[-1]);
		if (begins_next)
			break;
		if (n + 1 < WORD_MAX)
			word[n++] = (char)tolower((unsigned char)*p);
		p++;
	}
	word[n] = '\0';
	*at = p;
	return n > 0;
}

#define HAS(words, word) is_word(words, sizeof(words) / sizeof((words)[0]), word)

bool cprof_wait_settle_names_lock(const char *name, bool releases)
{
	char word[WORD_MAX];
	bool lock = false;
	while (next_word(&name, word)) {
		if (lock && (strcmp(word, "free") == 0 || strcmp(word, "less") == 0))
			lock = false;
		else if (releases ? HAS(unlock_words, word) : HAS(lock_words, word))
			lock = true;
	}
	return lock;
}

static bool names_work(const char *name)
{
	char word[WORD_MAX];
	while (next_word(&name, word)) {
		if (HAS(work_words, word))
			return true;
	}
	return false;
}

static bool has_lock_name(const struct cprof_wait_settle_input *input)
{
	for (size_t i = 0; i < input->n_names && i < NAMES_MAX; i++) {
		if (cprof_wait_settle_names_lock(input->names[i], input->releases))
			return true;
		if (names_work(input->names[i]))
			return false;
	}
	return false;
}

/* ---- libraries ---- */

static bool begins(const char *path, const char *const *parts, size_t n)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(name, parts[i], strlen(parts[i])) == 0)
			return true;
	}
	return false;
}

bool cprof_wait_settle_is_libc(const char *path)
{
	static const char *const files[] = { "libc.so",    "libc-2.",   "ld-",
					     "libpthread", "libc.musl", "[vdso]" };
	return begins(path, files, sizeof(files) / sizeof(files[0]));
}

/* Run-times that call futex themselves, mostly for their idle threads, and are shipped without names. */
static bool is_pool(const char *path)
{
	static const char *const files[] = { "libgomp", "libomp", "libiomp", "libtbb",
					     "libdispatch" };
	return begins(path, files, sizeof(files) / sizeof(files[0]));
}

/* ---- the verdict ---- */

static struct cprof_wait_verdict as(enum cprof_wait_kind kind)
{
	return (struct cprof_wait_verdict){ .kind = kind,
					    .contends = cprof_wait_kind_contends(kind) };
}

/*
 * Nobody holds a semaphore. It is a lock where those who wait also post. Where several wait and none of them ever
 * posts, it brings work; but who posts has to have been seen for that, if anybody did.
 */
static bool brings_work(const struct cprof_wait_settle_input *input)
{
	return input->tells_wakes && !input->releases && !input->evidence->crossed &&
	       input->evidence->threads > 1 && input->evidence->untold <= input->evidence->wakes;
}

static struct cprof_wait_verdict settle_known(const struct cprof_wait_settle_input *input)
{
	struct cprof_wait_verdict verdict = as(input->told);
	const bool of_semaphore =
		input->told == CPROF_WAIT_SEMAPHORE ||
		(input->told == CPROF_WAIT_MUTEX && input->by_number == CPROF_WAIT_CONDVAR);
	if (of_semaphore && brings_work(input)) {
		verdict.kind = CPROF_WAIT_SEMAPHORE;
		verdict.contends = false;
	}
	/* A lock of the program's own, made of std::atomic's wait(). */
	if (input->told == CPROF_WAIT_ATOMIC &&
	    (has_lock_name(input) || cprof_wait_evidence_locks(input->evidence)))
		verdict = as(CPROF_WAIT_MUTEX);
	return verdict;
}

/* In mutex mode the waiters are not seen: a word that several release from one and the same state is a lock. */
static bool acts_as_lock(const struct cprof_wait_settle_input *input)
{
	const struct cprof_wait_evidence *evidence = input->evidence;
	if (!input->releases)
		return cprof_wait_evidence_locks(evidence);
	return evidence->value >= 1 && evidence->value <= 3 && evidence->threads > 1 &&
	       !cprof_wait_evidence_counts(evidence);
}

static struct cprof_wait_verdict settle_unknown(const struct cprof_wait_settle_input *input)
{
	if (has_lock_name(input))
		return as(CPROF_WAIT_MUTEX);
	if (is_pool(input->module))
		return as(input->evidence->value == GOMP_HELD ? CPROF_WAIT_MUTEX : CPROF_WAIT_PARK);
	return as(acts_as_lock(input) ? CPROF_WAIT_MUTEX : CPROF_WAIT_PARK);
}

struct cprof_wait_verdict cprof_wait_settle(const struct cprof_wait_settle_input *input)
{
	if (input->known)
		return settle_known(input);
	switch (input->by_number) {
	case CPROF_WAIT_MUTEX:
	case CPROF_WAIT_RWLOCK:
		if (has_lock_name(input))
			return as(input->by_number);
		if (is_pool(input->module))
			return as(CPROF_WAIT_PARK);
		return as(cprof_wait_evidence_counts(input->evidence) ? CPROF_WAIT_PARK
								      : input->by_number);
	case CPROF_WAIT_ROBUST_MUTEX:
		if (input->evidence->value == MUSL_HELD)
			return as(CPROF_WAIT_MUTEX);
		return input->owner_lives ? as(input->by_number) : settle_unknown(input);
	case CPROF_WAIT_JOIN:
		return input->owner_lives ? as(input->by_number) : settle_unknown(input);
	case CPROF_WAIT_FUTEX:
		return settle_unknown(input);
	default:
		return as(input->by_number);
	}
}
