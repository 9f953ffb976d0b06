/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/process/owner_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child_files.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define NS_PER_MS  (CPROF_NS_PER_S / 1000)
#define PIECE      (1u << 20)
#define COPIES_NS  (30 * CPROF_NS_PER_S) /* for all files that only the process's user may read */
#define STALL_MS   3000                  /* without a piece more, or of a child that was killed */
#define COPY_MS    10000                 /* of all pieces: a file system may send them one by one */
#define WHOLE      'w'                   /* said last; a piece is 'p' */
#define NOT_OPENED 'n'

/*
 * For good: the real and the saved ids too, which FUSE asks for. A change of ids clears the signal that our end is to send, so it is
 * asked for afterwards, when we may have ended already.
 */
static bool become(uid_t uid, gid_t gid, pid_t parent)
{
	return setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
	       setresuid(uid, uid, uid) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
	       getppid() == parent;
}

static bool say(int pipe_fd, char what)
{
	return write(pipe_fd, &what, 1) == 1;
}

/* True: to its end. */
static bool copy_all(int from, int to, int pipe_fd)
{
	static uint8_t piece[PIECE]; /* of the child */
	for (uint64_t done = 0; done <= CPROF_OWNER_FILE_MAX;) {
		const ssize_t n = read(from, piece, sizeof(piece));
		if (n == 0)
			return done > 0;
		if (n < 0 || write(to, piece, (size_t)n) != n || !say(pipe_fd, 'p'))
			return false;
		done += (uint64_t)n;
	}
	return false;
}

struct child {
	uid_t uid;
	gid_t gid;
	cprof_owner_file_opener *open_it;
	void *ctx;
	int copy, says; /* borrowed: where the copy goes, and the pipe's end */
};

static _Noreturn void be_child(const struct child *me, pid_t parent)
{
	signal(SIGPIPE, SIG_IGN);
	/* Its user's file system may hold it in the kernel for longer than we run. */
	cprof_child_files_only(me->says);
	const int fd = become(me->uid, me->gid, parent) ? me->open_it(me->ctx) : -1;
	if (fd < 0)
		say(me->says, NOT_OPENED);
	else if (copy_all(fd, me->copy, me->says))
		say(me->says, WHOLE);
	_exit(0);
}

/* poll(2) for one descriptor, which signals do not end: whether it is readable before `until_ns`. */
static bool is_readable(int fd, uint64_t until_ns)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	int ready;
	do {
		const uint64_t now_ns = cprof_clock_mono_ns();
		const uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
		ready = poll(&pollfd, 1, (int)(left_ns / NS_PER_MS));
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

/* The last that the child says; 0: it stopped saying anything. */
static char listen_to(int pipe_fd)
{
	const uint64_t end_ns = cprof_clock_mono_ns() + COPY_MS * NS_PER_MS;
	char what = 'p';
	while (what == 'p') {
		const uint64_t stall_ns = cprof_clock_mono_ns() + STALL_MS * NS_PER_MS;
		if (!is_readable(pipe_fd, stall_ns < end_ns ? stall_ns : end_ns))
			return 0;
		if (read(pipe_fd, &what, 1) != 1)
			return NOT_OPENED;
	}
	return what;
}

/*
 * It has said its last, and may hang all the same: a file that is closed asks its file system once more, and its user may stop it.
 * False: it hangs in the kernel, and is init's when we end.
 */
static bool end_child(pid_t child, int pidfd)
{
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0u);
	const bool ended = is_readable(pidfd, cprof_clock_mono_ns() + STALL_MS * NS_PER_MS);
	(void)waitpid(
		child, NULL,
		WNOHANG); /* unless whose process this is has done so, or wants no children's ends */
	return ended;
}

int cprof_owner_file_copy(uid_t uid, gid_t gid, cprof_owner_file_opener *open_it, void *ctx)
{
	int ends[2];
	if (uid == geteuid() || uid == 0) {
		errno = EPERM;
		return -1;
	}
	CPROF_AUTO(close) int copy = memfd_create("cprof-copy", MFD_CLOEXEC);
	if (copy < 0 || pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	CPROF_AUTO(close) int said = ends[0], saying = ends[1];
	const struct child me = { uid, gid, open_it, ctx, copy, saying };
	const pid_t self = getpid(), child = fork();
	if (child == 0)
		be_child(&me, self);
	close(cprof_take_fd(&saying));
	if (child < 0)
		return -1;
	/* It goes on only while somebody reads what it says: without a handle on it, it ends by itself. */
	CPROF_AUTO(close) int pidfd = (int)syscall(SYS_pidfd_open, child, 0u);
	if (pidfd < 0)
		return -1;
	const char what = listen_to(said);
	const bool hangs = !end_child(child, pidfd) || what == 0;
	errno = hangs ? ETIMEDOUT : EACCES;
	return what == WHOLE && !hangs ? cprof_take_fd(&copy) : -1;
}

/* A copy is memory of ours, whatever is read of it later. */
static struct cprof_error *pay_for_copy(struct cprof_budget *budget, int fd, const char *path)
{
	struct cprof_account *account;
	struct cprof_error *err = cprof_budget_account(budget, fd, path, &account);
	if (err || cprof_account_charge(account, CPROF_BUDGET_HELD, account->disk))
		return err;
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "copy %s, which only the process's user may read: more memory than "
			       "is left for files",
			       path);
}

struct cprof_error *cprof_owner_file_take(struct cprof_budget *budget, const char *path, uid_t uid,
					  gid_t gid, cprof_owner_file_opener *open_it, void *ctx,
					  int *ret_fd)
{
	*ret_fd = -1;
	errno = ETIMEDOUT;
	if (budget->copies_hang)
		return NULL;
	const uint64_t start_ns = cprof_clock_mono_ns();
	CPROF_AUTO(close) int fd = cprof_owner_file_copy(uid, gid, open_it, ctx);
	const int why = errno;
	budget->copies_ns += cprof_clock_mono_ns() - start_ns;
	budget->copies_hang = (fd < 0 && why == ETIMEDOUT) || budget->copies_ns > COPIES_NS;
	struct cprof_error *err = fd >= 0 ? pay_for_copy(budget, fd, path) : NULL;
	if (!err)
		*ret_fd = cprof_take_fd(&fd);
	errno = why;
	return err;
}
