/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop_calls - threads asleep in one kind of system call each, to see what a stop of the process does to the calls.
 *
 * Prints "ready" when all of them sleep. Told "report" on stdin it answers with a line for each, "NAME waits" or "NAME RESULT"
 * where RESULT is an error's name or what was returned, then "done". "quit" ends with "all well".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BIG ((size_t)4 << 20)

static char big[BIG];
static const struct timespec day = { .tv_sec = 86400 };

static long by_epoll_wait(void)
{
	struct epoll_event event;
	return epoll_wait(epoll_create1(0), &event, 1, -1);
}

static long by_epoll_wait_timed(void)
{
	struct epoll_event event;
	return epoll_wait(epoll_create1(0), &event, 1, 86400000);
}

static long by_epoll_pwait(void)
{
	struct epoll_event event;
	sigset_t none;
	sigemptyset(&none);
	return epoll_pwait(epoll_create1(0), &event, 1, -1, &none);
}

static long by_poll(void)
{
	return poll(NULL, 0, -1);
}

static long by_select(void)
{
	return select(0, NULL, NULL, NULL, NULL);
}

static long by_nanosleep(void)
{
	return nanosleep(&day, NULL);
}

static long by_clock_nanosleep(void)
{
	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &day, NULL);
}

static long by_futex(void)
{
	static uint32_t word;
	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL);
}

static long by_futex_timed(void)
{
	static uint32_t word;
	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &day);
}

static int sem_id = -1, msg_id = -1;

static long by_semop(void)
{
	struct sembuf down = { .sem_op = -1 };
	return semop(sem_id, &down, 1);
}

static long by_semtimedop(void)
{
	struct sembuf down = { .sem_op = -1 };
	return semtimedop(sem_id, &down, 1, &day);
}

static long by_msgrcv(void)
{
	struct {
		long type;
		char text[8];
	} message;
	return msgrcv(msg_id, &message, sizeof(message.text), 0, 0);
}

static long by_mq_receive(void)
{
	char name[64];
	char text[16];
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = sizeof(text) };
	snprintf(name, sizeof(name), "/cprof-stop-calls-%d", (int)getpid());
	mqd_t queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attr);
	mq_unlink(name);
	return mq_receive(queue, text, sizeof(text), NULL);
}

static long by_sigtimedwait(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, &day);
}

static long by_pause(void)
{
	return pause();
}

static long by_wait(void)
{
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return waitpid(child, NULL, 0);
}

static long by_read(void)
{
	int fds[2];
	char byte;
	return pipe(fds) ? -1 : read(fds[0], &byte, 1);
}

static long by_inotify(void)
{
	struct inotify_event event;
	return read(inotify_init1(0), &event, sizeof(event));
}

static int socket_with_timeout(int option)
{
	int fds[2];
	struct timeval timeout = { .tv_sec = 86400 };
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) ||
	    (option && setsockopt(fds[0], SOL_SOCKET, option, &timeout, sizeof(timeout))))
		return -1;
	return fds[0];
}

static long by_recv(void)
{
	char byte;
	return recv(socket_with_timeout(0), &byte, 1, 0);
}

static long by_recv_timed(void)
{
	char byte;
	return recv(socket_with_timeout(SO_RCVTIMEO), &byte, 1, 0);
}

/* Three bytes of four are there. */
static long by_recv_waitall(void)
{
	int fds[2];
	char bytes[4];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) || write(fds[1], "abc", 3) != 3)
		return -1;
	return recv(fds[0], bytes, sizeof(bytes), MSG_WAITALL);
}

static int listener(struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	static atomic_int number;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "cprof-stop-calls-%d-%d",
		 (int)getpid(), number++);
	if (bind(fd, (struct sockaddr *)address, sizeof(*address)) || listen(fd, 0))
		return -1;
	return fd;
}

static long by_accept(void)
{
	struct sockaddr_un address;
	return accept(listener(&address), NULL, NULL);
}

/* Nobody accepts, and one is waiting already. */
static long by_connect(void)
{
	struct sockaddr_un address;
	int first = socket(AF_UNIX, SOCK_STREAM, 0), second = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listener(&address) < 0 || connect(first, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	return connect(second, (struct sockaddr *)&address, sizeof(address));
}

static long by_write_none(void)
{
	int fds[2];
	if (pipe2(fds, O_NONBLOCK))
		return -1;
	while (write(fds[1], big, 65536) > 0)
		;
	fcntl(fds[1], F_SETFL, 0);
	return write(fds[1], big, 4096);
}

/* The pipe takes a part of it. */
static long by_write(void)
{
	int fds[2];
	return pipe(fds) ? -1 : write(fds[1], big, BIG) < (ssize_t)BIG;
}

static long by_send(void)
{
	return send(socket_with_timeout(0), big, BIG, 0) < (ssize_t)BIG;
}

static long by_sendfile(void)
{
	int fd = memfd_create("stop-calls", 0);
	if (ftruncate(fd, (off_t)BIG))
		return -1;
	return sendfile(socket_with_timeout(0), fd, NULL, BIG) < (ssize_t)BIG;
}

static long by_splice(void)
{
	int from[2], to[2];
	if (pipe2(from, O_NONBLOCK) || pipe(to) || fcntl(from[1], F_SETPIPE_SZ, 1 << 20) < 0)
		return -1;
	while (write(from[1], big, 65536) > 0)
		;
	return splice(from[0], NULL, to[1], NULL, BIG, 0) < (ssize_t)BIG;
}

static long by_flock(void)
{
	char name[] = "/tmp/cprof-stop-calls-XXXXXX";
	int fd = mkstemp(name), other = open(name, O_RDWR);
	unlink(name);
	return flock(fd, LOCK_EX) ? -1 : flock(other, LOCK_EX);
}

static long by_setlkw(void)
{
	char name[] = "/tmp/cprof-stop-calls-XXXXXX";
	struct flock lock = { .l_type = F_WRLCK };
	int fd = mkstemp(name), other = open(name, O_RDWR);
	unlink(name);
	return fcntl(fd, F_OFD_SETLK, &lock) ? -1 : fcntl(other, F_OFD_SETLKW, &lock);
}

static long by_io_getevents(void)
{
	aio_context_t context = 0;
	struct io_event event;
	if (syscall(SYS_io_setup, 1, &context))
		return -1;
	return syscall(SYS_io_getevents, context, 1, 1, &event, NULL);
}

static long by_io_uring(void)
{
	struct io_uring_params params = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 4, &params);
	if (fd < 0)
		return -1;
	return syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}

static struct call {
	const char *name;
	long (*make)(void);
	pid_t tid;
	atomic_bool back;
	long result;
	int error;
} calls[] = {
	{ .name = "epoll_wait", .make = by_epoll_wait },
	{ .name = "epoll_wait_timed", .make = by_epoll_wait_timed },
	{ .name = "epoll_pwait", .make = by_epoll_pwait },
	{ .name = "poll", .make = by_poll },
	{ .name = "select", .make = by_select },
	{ .name = "nanosleep", .make = by_nanosleep },
	{ .name = "clock_nanosleep", .make = by_clock_nanosleep },
	{ .name = "futex", .make = by_futex },
	{ .name = "futex_timed", .make = by_futex_timed },
	{ .name = "semop", .make = by_semop },
	{ .name = "semtimedop", .make = by_semtimedop },
	{ .name = "msgrcv", .make = by_msgrcv },
	{ .name = "mq_receive", .make = by_mq_receive },
	{ .name = "sigtimedwait", .make = by_sigtimedwait },
	{ .name = "pause", .make = by_pause },
	{ .name = "waitpid", .make = by_wait },
	{ .name = "read", .make = by_read },
	{ .name = "inotify", .make = by_inotify },
	{ .name = "recv", .make = by_recv },
	{ .name = "recv_timed", .make = by_recv_timed },
	{ .name = "recv_waitall", .make = by_recv_waitall },
	{ .name = "accept", .make = by_accept },
	{ .name = "connect", .make = by_connect },
	{ .name = "write_none", .make = by_write_none },
	{ .name = "write", .make = by_write },
	{ .name = "send", .make = by_send },
	{ .name = "sendfile", .make = by_sendfile },
	{ .name = "splice", .make = by_splice },
	{ .name = "flock", .make = by_flock },
	{ .name = "setlkw", .make = by_setlkw },
	{ .name = "io_getevents", .make = by_io_getevents },
	{ .name = "io_uring_enter", .make = by_io_uring },
};

#define N (sizeof(calls) / sizeof(calls[0]))

static void *make(void *arg)
{
	struct call *call = arg;
	call->tid = gettid();
	call->result = call->make();
	call->error = errno;
	call->back = true;
	return NULL;
}

static bool asleep(const struct call *call)
{
	char path[64], state = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)call->tid);
	FILE *file = call->tid ? fopen(path, "r") : NULL;
	bool read = file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
	if (file)
		fclose(file);
	return read && state == 'S';
}

static void report(void)
{
	for (size_t i = 0; i < N; i++) {
		const struct call *call = &calls[i];
		if (!call->back)
			printf("%s waits\n", call->name);
		else if (call->result < 0)
			printf("%s %s\n", call->name, strerrorname_np(call->error));
		else
			printf("%s %ld\n", call->name, call->result);
	}
	puts("done");
	fflush(stdout);
}

int main(void)
{
	char line[64];
	printf("pid %d\n", (int)getpid());
	sem_id = semget(IPC_PRIVATE, 1, 0600);
	msg_id = msgget(IPC_PRIVATE, 0600);
	for (size_t i = 0; i < N; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, make, &calls[i]))
			return 2;
		/* Asleep, or back at once where this machine has no such call. */
		while (!asleep(&calls[i]) && !calls[i].back)
			usleep(1000);
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "report\n") == 0)
		report();
	semctl(sem_id, 0, IPC_RMID);
	msgctl(msg_id, IPC_RMID, NULL);
	puts("all well");
	fflush(stdout);
	return 0;
}
