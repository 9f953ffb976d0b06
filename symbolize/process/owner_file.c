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
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PIECE      (1u << 20)
#define STALL_MS   3000 /* without a piece more */
#define WHOLE      'w'  /* said last; a piece is 'p' */
#define NOT_OPENED 'n'

/* For good: the real and the saved ids too, which FUSE asks for. */
static bool become(uid_t uid, gid_t gid)
{
	return setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
	       setresuid(uid, uid, uid) == 0;
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

static _Noreturn void be_child(uid_t uid, gid_t gid, cprof_owner_file_opener *open_it, void *ctx,
			       int copy_fd, int pipe_fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	const int fd = become(uid, gid) ? open_it(ctx) : -1;
	if (fd < 0)
		say(pipe_fd, NOT_OPENED);
	else if (copy_all(fd, copy_fd, pipe_fd))
		say(pipe_fd, WHOLE);
	_exit(0);
}

/* The last that the child says; 0: it stopped saying anything. */
static char listen_to(int pipe_fd)
{
	struct pollfd pollfd = { .fd = pipe_fd, .events = POLLIN };
	char what = 'p';
	while (what == 'p') {
		const int ready = poll(&pollfd, 1, STALL_MS);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return 0;
		if (read(pipe_fd, &what, 1) != 1)
			return NOT_OPENED;
	}
	return what;
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
	const pid_t child = fork();
	if (child == 0)
		be_child(uid, gid, open_it, ctx, copy, saying);
	close(cprof_take_fd(&saying));
	const char what = child > 0 ? listen_to(said) : NOT_OPENED;
	/* What hangs may hang in the kernel: it is not waited for, and init's when we end. */
	if (child > 0 && what == 0)
		kill(child, SIGKILL);
	else if (child > 0)
		waitpid(child, NULL, 0);
	errno = what == 0 ? ETIMEDOUT : EACCES;
	return what == WHOLE ? cprof_take_fd(&copy) : -1;
}
