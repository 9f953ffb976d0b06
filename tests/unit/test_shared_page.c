/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/shared_page.h"
#include "tests/unit/test.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(shared_page_parses_a_line_and_believes_no_other)
{
	static const struct {
		const char *line;
		bool shared;
		uint64_t start, offset, inode, dev;
	} cases[] = {
		{ "7f00-8f00 rw-s 00001000 08:01 77   /x y\n", true, 0x7f00, 0x1000, 77,
		  8ull << 32 | 1 },
		{ "7f00-8f00 rw-s 00000000 00:01 5 /dev/zero (deleted)\n", true, 0x7f00, 0, 5, 1 },
		{ "7f00-8f00 rw-p 00001000 08:01 77   /x\n", false, 0, 0, 0, 0 },
		{ "7f00-8f00 rw-s 00001000 00:00 0 \n", false, 0, 0, 0, 0 },
		{ "8f00-7f00 rw-s 00001000 08:01 77\n", false, 0, 0, 0, 0 },
		{ "7f00-8f00 rw\n", false, 0, 0, 0, 0 },
		{ "", false, 0, 0, 0, 0 },
		{ "-- -- -- --", false, 0, 0, 0, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t start = 0, end = 0;
		struct cprof_shared_page page = { 0 };
		const bool shared = cprof_shared_page_parse(cases[i].line, &start, &end, &page);
		if (shared != cases[i].shared ||
		    (shared && (start != cases[i].start || page.offset != cases[i].offset ||
				page.inode != cases[i].inode || page.dev != cases[i].dev)))
			TEST_FAIL("\"%s\"", cases[i].line);
	}
}

static char *map_two_pages(void)
{
	char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(at != MAP_FAILED);
	return at;
}

/* A child that has what its parent had mapped, but for the first page; and lives until the pipe is closed. */
static pid_t start_child(char *pages, int *ret_fd)
{
	int pipes[2];
	char byte;
	CHECK(!pipe(pipes));
	const pid_t child = fork();
	if (child == 0) {
		close(pipes[1]);
		munmap(pages, 4096);
		_exit(read(pipes[0], &byte, 1) < 0);
	}
	close(pipes[0]);
	/* It has let go of the page when it is in read(). */
	struct cprof_shared_page first;
	CHECK(cprof_shared_page_at(getpid(), (uint64_t)(uintptr_t)pages, &first));
	while (cprof_shared_page_is_mapped(child, &first))
		usleep(1000);
	*ret_fd = pipes[1];
	return child;
}

TEST(shared_page_finds_threads_of_those_only_who_share_the_very_page)
{
	int fd;
	char *pages = map_two_pages();
	const pid_t child = start_child(pages, &fd);
	struct cprof_shared_page first, second;
	struct cprof_shared_page_thread thread;
	CHECK(cprof_shared_page_at(getpid(), (uint64_t)(uintptr_t)pages + 8, &first));
	CHECK(cprof_shared_page_at(getpid(), (uint64_t)(uintptr_t)pages + 4100, &second));
	CHECK_UINT(first.offset, 8);
	CHECK_UINT(second.offset, 4100);
	CHECK(!cprof_shared_page_is_mapped(child, &first));
	CHECK(cprof_shared_page_is_mapped(child, &second));
	CHECK_UINT(cprof_shared_page_thread(&second, getpid(), child, &thread), CPROF_FOREIGN_HERE);
	CHECK(thread.tid == child && thread.pid == child && *thread.name);
	CHECK(cprof_shared_page_thread(&first, getpid(), child, &thread) != CPROF_FOREIGN_HERE);
	CHECK(cprof_shared_page_thread(&second, child, child, &thread) != CPROF_FOREIGN_HERE);
	close(fd);
	CHECK_UINT(waitpid(child, NULL, 0), child);
	CHECK(cprof_shared_page_thread(&second, getpid(), child, &thread) != CPROF_FOREIGN_HERE);
}

TEST(shared_page_takes_private_memory_for_what_it_is)
{
	struct cprof_shared_page page;
	int local = 0;
	CHECK(!cprof_shared_page_at(getpid(), (uint64_t)(uintptr_t)&local, &page));
	CHECK(!cprof_shared_page_at(getpid(), 0, &page));
}
