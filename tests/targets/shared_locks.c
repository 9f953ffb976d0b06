/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes that share locks. Each has a thread `locker`; that of the second holds `a`, that of the first waits for it.
 *
 *   shared_locks KIND [abba] [newpid] [gone]
 *
 *   KIND     normal, recursive, robust, pi, rwlock
 *   abba     the first holds `b`, and the second waits for that: neither goes on
 *   newpid   the second process is in a PID namespace of its own (root only)
 *   gone     the second process ends while it holds `a`
 *
 * The memory is a memfd which both map at addresses of their own. Prints "pid N", "other N" (as the first sees it), "ready" once
 * everybody is in his wait; ends at SIGTERM with "served N" once both have been asked for a sign of life.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
	pthread_mutex_t a, b;
	pthread_rwlock_t rw_a, rw_b;
	atomic_int held;    /* by how many */
	atomic_int tids[2]; /* of the lockers, as they call themselves */
	atomic_int asked, served;
	atomic_bool go;
};
static struct shared *shared;
static bool is_rwlock, abba, gone;
static int second;

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void take(bool b)
{
	if (is_rwlock)
		pthread_rwlock_wrlock(b ? &shared->rw_b : &shared->rw_a);
	else
		pthread_mutex_lock(b ? &shared->b : &shared->a);
}

static void *locker(void *arg)
{
	prctl(PR_SET_NAME, "locker");
	atomic_store(&shared->tids[second], (int)syscall(SYS_gettid));
	if (second || abba)
		take(!second);
	atomic_fetch_add(&shared->held, 1);
	while (!atomic_load(&shared->go))
		nap();
	if (!second || abba)
		take(second);
	while (!gone)
		pause();
	return arg;
}

static void start_locker(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, locker, NULL);
}

static void init_locks(const char *kind)
{
	pthread_mutexattr_t mutex;
	pthread_rwlockattr_t rwlock;
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	if (strcmp(kind, "robust") == 0)
		pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
	if (strcmp(kind, "pi") == 0)
		pthread_mutexattr_setprotocol(&mutex, PTHREAD_PRIO_INHERIT);
	if (strcmp(kind, "recursive") == 0)
		pthread_mutexattr_settype(&mutex, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&shared->a, &mutex);
	pthread_mutex_init(&shared->b, &mutex);
	pthread_rwlockattr_init(&rwlock);
	pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
	pthread_rwlock_init(&shared->rw_a, &rwlock);
	pthread_rwlock_init(&shared->rw_b, &rwlock);
	is_rwlock = strcmp(kind, "rwlock") == 0;
}

static struct shared *map(int fd)
{
	void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

static _Noreturn void be_second(int fd)
{
	struct shared *first = shared;
	second = 1;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "second");
	shared = map(fd);
	munmap(first, sizeof(*first));
	start_locker();
	while (!gone || !atomic_load(&shared->go)) {
		if (atomic_load(&shared->asked) > atomic_load(&shared->served))
			atomic_fetch_add(&shared->served, 1);
		nap();
	}
	_exit(0);
}

/* Asleep in the lock: its thread's state is S, and it is inside futex. */
static void wait_until_asleep(pid_t pid, int tid)
{
	char path[64], text[256];
	bool asleep = false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, tid);
	while (!asleep) {
		const int fd = open(path, O_RDONLY);
		const ssize_t n = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = '\0';
		asleep = strtol(text, NULL, 10) == SYS_futex && strncmp(text, "running", 7) != 0;
		nap();
	}
}

static volatile sig_atomic_t over;

static void end(int sig)
{
	(void)sig;
	over = 1;
}

int main(int argc, char **argv)
{
	bool newpid = false;
	for (int i = 2; i < argc; i++) {
		abba = abba || strcmp(argv[i], "abba") == 0;
		gone = gone || strcmp(argv[i], "gone") == 0;
		newpid = newpid || strcmp(argv[i], "newpid") == 0;
	}
	const int fd = memfd_create("shared_locks", 0);
	if (argc < 2 || ftruncate(fd, sizeof(struct shared)) || !(shared = map(fd)))
		return 2;
	init_locks(argv[1]);
	start_locker(); /* no thread can be made once children are to be in another namespace */
	if (newpid && unshare(CLONE_NEWPID))
		return 77;
	signal(SIGTERM, end);
	const pid_t other = fork();
	if (other == 0)
		be_second(fd);
	while (atomic_load(&shared->held) < 2)
		nap();
	atomic_store(&shared->go, true);
	if (gone)
		waitpid(other, NULL, 0);
	else if (abba && !newpid)
		wait_until_asleep(other, atomic_load(&shared->tids[1]));
	if (!gone || strcmp(argv[1], "robust") != 0)
		wait_until_asleep(getpid(), atomic_load(&shared->tids[0]));
	printf("pid %d\nother %d\nlockers %d %d\nready\n", (int)getpid(), (int)other,
	       atomic_load(&shared->tids[0]), atomic_load(&shared->tids[1]));
	fflush(stdout);
	while (!over)
		nap();
	atomic_fetch_add(&shared->asked, 1);
	while (!gone && atomic_load(&shared->served) < 1)
		nap();
	printf("served %d\n", atomic_load(&shared->served));
	fflush(stdout);
	_exit(0); /* and the second with it: the owner of a PI mutex must not go before its waiter */
}
