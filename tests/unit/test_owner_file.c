/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/process/owner_file.h"
#include "tests/unit/test.h"

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
};

static int tell(void *ctx)
{
	struct seen seen = { .uid = getuid(), .gid = getgid() };
	const int fd = memfd_create("seen", 0);
	(void)ctx;
	if (prctl(PR_GET_PDEATHSIG, &seen.end_signal) != 0 ||
	    write(fd, &seen, sizeof(seen)) != sizeof(seen) || lseek(fd, 0, SEEK_SET) != 0)
		return -1;
	return fd;
}

TEST(owner_file_is_opened_by_its_user_in_a_child_that_ends_with_us)
{
	struct seen seen;
	if (geteuid() != 0)
		test_skip("only root may become another user");
	const int fd = cprof_owner_file_copy(NOBODY, NOBODY, tell, NULL);
	CHECK(fd >= 0);
	CHECK(pread(fd, &seen, sizeof(seen), 0) == sizeof(seen));
	CHECK_UINT(seen.uid, NOBODY);
	CHECK_UINT(seen.gid, NOBODY);
	CHECK_UINT(seen.end_signal, SIGKILL);
	close(fd);
}
