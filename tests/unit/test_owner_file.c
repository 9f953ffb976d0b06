/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/process/owner_file.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NOBODY 65534

/* What the child is when it opens the file. */
struct seen {
	uid_t uid;
	gid_t gid;
	int end_signal;
	bool has_pipe; /* of ours */
};

static int tell(void *ctx)
{
	const int *pipe_end = ctx;
	struct seen seen = { .uid = getuid(),
			     .gid = getgid(),
			     .has_pipe = fcntl(*pipe_end, F_GETFD) >= 0 };
	const int fd = memfd_create("seen", 0);
	if (prctl(PR_GET_PDEATHSIG, &seen.end_signal) != 0 ||
	    write(fd, &seen, sizeof(seen)) != sizeof(seen) || lseek(fd, 0, SEEK_SET) != 0)
		return -1;
	return fd;
}

TEST(owner_file_is_opened_by_its_user_in_a_child_that_ends_with_us)
{
	struct seen seen;
	int ends[2];
	if (geteuid() != 0)
		test_skip("only root may become another user");
	CHECK(pipe(ends) == 0);
	const int fd = cprof_owner_file_copy(NOBODY, NOBODY, tell, &ends[0]);
	CHECK(fd >= 0);
	CHECK(pread(fd, &seen, sizeof(seen), 0) == sizeof(seen));
	CHECK_UINT(seen.uid, NOBODY);
	CHECK_UINT(seen.gid, NOBODY);
	CHECK_UINT(seen.end_signal, SIGKILL);
	CHECK(!seen.has_pipe); /* nor what keeps breakpoints in a target */
	close(ends[0]);
	close(ends[1]);
	close(fd);
}
