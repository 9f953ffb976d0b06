/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requeue - threads that wait for news, and are moved to a lock when there are any; or that wait for one of two words.
 *
 *     requeue cond|pi ROUNDS
 *     requeue waitv
 *
 * "cond" is a condition variable as musl, Android and older glibc make them: FUTEX_CMP_REQUEUE moves its three waiters to a lock
 * that the sender of the news holds for HELD_MS more; each that gets it holds it for OWN_MS. "pi" is the same with
 * FUTEX_WAIT_REQUEUE_PI and a lock with priority inheritance. Says how long the threads lay at which word, as they have measured
 * it: "truth news N ns T lock N ns T". "waitv" waits by futex_waitv, from the first line on standard input on; each further one is
 * the news, and answered by "told".
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAITERS 3
#define NEWS_MS 20
#define HELD_MS 10
#define OWN_MS  2

static _Atomic uint32_t news, lock, other;
static _Atomic uint64_t told_ns, news_ns, lock_ns;
static atomic_uint asleep, done;
static atomic_int tids[WAITERS];
static atomic_bool over;
static bool pi, waitv;
static unsigned n_rounds;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void nap(unsigned ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

static long futex(_Atomic uint32_t *word, int op, uint32_t val, uintptr_t val2,
		  _Atomic uint32_t *to, uint32_t val3)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, val, val2, to, val3);
}

static __attribute__((noinline)) void take_lock(void)
{
	if (!pi) {
		atomic_store(&lock, 2);
		return;
	}
	uint32_t free_word = 0;
	if (!atomic_compare_exchange_strong(&lock, &free_word, (uint32_t)gettid()))
		futex(&lock, FUTEX_LOCK_PI, 0, 0, NULL, 0);
}

static __attribute__((noinline)) void drop_lock(void)
{
	uint32_t mine = (uint32_t)gettid();
	if (!pi)
		futex(&lock, FUTEX_WAKE, 1, 0, NULL, 0);
	else if (!atomic_compare_exchange_strong(&lock, &mine, 0))
		futex(&lock, FUTEX_UNLOCK_PI, 0, 0, NULL, 0);
}

static __attribute__((noinline)) void wait_for_news(uint32_t seen)
{
	struct futex_waitv words[2] = {
		{ .val = seen, .uaddr = (uintptr_t)&news, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG },
		{ .val = 0, .uaddr = (uintptr_t)&other, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG },
	};
	if (waitv)
		syscall(SYS_futex_waitv, words, 2, 0, NULL, 0);
	else if (pi)
		futex(&news, FUTEX_WAIT_REQUEUE_PI, seen, 0, &lock, 0);
	else
		futex(&news, FUTEX_WAIT, seen, 0, NULL, 0);
	__asm__ volatile("");
}

static void *waiter(void *arg)
{
	atomic_store((atomic_int *)arg, (int)gettid());
	for (unsigned round = 0; round < n_rounds && !atomic_load(&over); round++) {
		atomic_fetch_add(&asleep, 1);
		const uint64_t from = now_ns();
		wait_for_news(round);
		const uint64_t to = now_ns();
		const uint64_t told = waitv ? to : atomic_load(&told_ns);
		atomic_fetch_add(&news_ns, told - from);
		atomic_fetch_add(&lock_ns, to - told);
		if (!waitv) {
			nap(OWN_MS);
			drop_lock();
		}
		atomic_fetch_add(&done, 1);
		while (atomic_load(&done) < WAITERS * (round + 1))
			nap(1); /* nobody of them is a round ahead */
	}
	return NULL;
}

static __attribute__((noinline)) void tell_news(unsigned round)
{
	const int op = pi ? FUTEX_CMP_REQUEUE_PI : FUTEX_CMP_REQUEUE;
	if (!waitv)
		take_lock();
	atomic_store(&told_ns, now_ns());
	atomic_store(&news, round + 1);
	if (waitv)
		futex(&news, FUTEX_WAKE, WAITERS, 0, NULL, 0);
	else if (futex(&news, op, pi ? 1 : 0, WAITERS, &lock, round + 1) != WAITERS)
		abort();
	if (waitv)
		return;
	nap(HELD_MS);
	drop_lock();
}

/* Where the machine is busy one may not have come to its call yet. */
static bool all_sleep(void)
{
	for (int i = 0; i < WAITERS; i++) {
		char path[64], state = 0;
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&tids[i]));
		FILE *file = fopen(path, "re");
		const bool known = file && fscanf(file, "%*d (waiter) %c", &state) == 1;
		if (file)
			fclose(file);
		if (!known || state != 'S')
			return false;
	}
	return true;
}

static void tell_in_time(void)
{
	for (unsigned round = 0; round < n_rounds; round++) {
		while (atomic_load(&asleep) < WAITERS * (round + 1) || !all_sleep())
			nap(1);
		nap(NEWS_MS);
		tell_news(round);
	}
}

static void tell_by_lines(void)
{
	char line[16];
	unsigned round = 0;
	while (fgets(line, sizeof(line), stdin)) {
		tell_news(round++);
		printf("told\n");
		fflush(stdout);
	}
	atomic_store(&over, true);
	tell_news(round);
}

int main(int argc, char **argv)
{
	pthread_t threads[WAITERS];
	char line[16];
	if (argc < 2)
		return 2;
	pi = strcmp(argv[1], "pi") == 0;
	waitv = strcmp(argv[1], "waitv") == 0;
	n_rounds = argc > 2 ? (unsigned)atoi(argv[2]) : UINT32_MAX;
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	if (waitv && !fgets(line, sizeof(line), stdin))
		return 2;
	for (int i = 0; i < WAITERS; i++) {
		pthread_create(&threads[i], NULL, waiter, &tids[i]);
		pthread_setname_np(threads[i], "waiter");
	}
	if (waitv)
		tell_by_lines();
	else
		tell_in_time();
	for (int i = 0; i < WAITERS; i++)
		pthread_join(threads[i], NULL);
	printf("truth news %u ns %llu lock %u ns %llu\n", atomic_load(&done),
	       (unsigned long long)news_ns, atomic_load(&done), (unsigned long long)lock_ns);
	return 0;
}
