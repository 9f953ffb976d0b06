/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_layout.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test.h"

TEST(thread_layout_is_kept_and_believed_only_whole)
{
	char dir[] = "/tmp/cprof-layout-XXXXXX", path[64];
	struct cprof_thread_layout got, layout = { .hook = 7, .tgid = 8, .comm = 9 };
	for (uint32_t i = 0; i < CPROF_THREAD_LAYOUT_FIELDS; i++)
		layout.fields[i] = 100 + i;
	CHECK(mkdtemp(dir) != NULL);
	CHECK(!cprof_thread_layout_load(dir, &got));
	CHECK(!cprof_thread_layout_load(NULL, &got));
	cprof_thread_layout_save(NULL, &layout);
	cprof_thread_layout_save(dir, &layout);
	CHECK(cprof_thread_layout_load(dir, &got));
	CHECK(memcmp(&got, &layout, sizeof(got)) == 0);

	/* Each byte of it counts. */
	snprintf(path, sizeof(path), "%s/task_struct.layout", dir);
	for (off_t at = 0; at < 80; at++) {
		uint8_t byte, other;
		const int fd = open(path, O_RDWR);
		CHECK(pread(fd, &byte, 1, at) == 1);
		other = (uint8_t)(byte ^ 1);
		CHECK(pwrite(fd, &other, 1, at) == 1);
		CHECK(!cprof_thread_layout_load(dir, &got));
		CHECK(pwrite(fd, &byte, 1, at) == 1);
		close(fd);
	}
	CHECK(cprof_thread_layout_load(dir, &got));
	CHECK(truncate(path, 79) == 0);
	CHECK(!cprof_thread_layout_load(dir, &got));
	unlink(path);
	rmdir(dir);
}
