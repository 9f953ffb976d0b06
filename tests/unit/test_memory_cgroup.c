/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/memory_cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#define V1   "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
#define V2   "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define BOTH "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" V1

TEST(memory_cgroup_finds_the_directory_of_a_process)
{
	static const struct {
		const char *what, *cgroup, *mountinfo, *root;
		enum cprof_memory_cgroup_found found;
		const char *dir, *mount;
	} rows[] = {
		{ "version 2", "0::/user.slice/a b\n", V2, "", CPROF_MEMORY_CGROUP_FOUND,
		  "/sys/fs/cgroup/user.slice/a b", "/sys/fs/cgroup" },
		{ "version 2, the root", "0::/\n", V2, "", CPROF_MEMORY_CGROUP_FOUND,
		  "/sys/fs/cgroup", "/sys/fs/cgroup" },
		{ "version 1 beside 2", "9:pids:/\n4:memory:/x/y\n0::/z\n", BOTH, "",
		  CPROF_MEMORY_CGROUP_FOUND, "/sys/fs/cgroup/memory/x/y", "/sys/fs/cgroup/memory" },
		{ "version 1, mounted together", "4:hugetlb,memory:/x\n",
		  "3 1 0:3 / /cg/mem rw - cgroup none rw,hugetlb,memory\n", "",
		  CPROF_MEMORY_CGROUP_FOUND, "/cg/mem/x", "/cg/mem" },
		{ "a name that only contains it", "4:xmemory:/x\n", V1, "",
		  CPROF_MEMORY_CGROUP_NONE, NULL, NULL },
		{ "a container's own mount", "0::/docker/1/app\n",
		  "3 1 0:3 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "",
		  CPROF_MEMORY_CGROUP_FOUND, "/sys/fs/cgroup/app", "/sys/fs/cgroup" },
		{ "its sibling", "0::/docker/12\n",
		  "3 1 0:3 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "",
		  CPROF_MEMORY_CGROUP_HIDDEN, NULL, NULL },
		{ "outside of our namespace", "0::/../other\n", V2, "", CPROF_MEMORY_CGROUP_HIDDEN,
		  NULL, NULL },
		{ "as the process itself has it", "0::/../other/x\n",
		  "3 1 0:3 /../other /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/proc/7/root",
		  CPROF_MEMORY_CGROUP_FOUND, "/proc/7/root/sys/fs/cgroup/x",
		  "/proc/7/root/sys/fs/cgroup" },
		{ "beside our namespace, in a mount that shows more", "0::/../a\n",
		  "3 1 0:3 /../.. /cg ro - cgroup2 cgroup rw\n", "", CPROF_MEMORY_CGROUP_FOUND,
		  "/cg/*/a", "/cg" },
		{ "in our namespace, in a mount that shows more", "0::/\n",
		  "3 1 0:3 /../.. /cg ro - cgroup2 cgroup rw\n", "", CPROF_MEMORY_CGROUP_FOUND,
		  "/cg/*/*", "/cg" },
		{ "above what the mount shows", "0::/../../a\n",
		  "3 1 0:3 /.. /cg ro - cgroup2 cgroup rw\n", "", CPROF_MEMORY_CGROUP_HIDDEN, NULL,
		  NULL },
		{ "the mount that shows more", "0::/a/b\n",
		  "3 1 0:3 /a /small ro - cgroup2 cgroup rw\n3 1 0:3 / /all ro - cgroup2 cgroup rw\n",
		  "", CPROF_MEMORY_CGROUP_FOUND, "/all/a/b", "/all" },
		{ "a mount point with a space", "0::/a\n",
		  "3 1 0:3 / /c\\040g ro - cgroup2 cgroup rw\n", "", CPROF_MEMORY_CGROUP_FOUND,
		  "/c g/a", "/c g" },
		{ "nothing mounted", "0::/a\n", "3 1 0:3 / / rw - ext4 /dev/x rw\n", "",
		  CPROF_MEMORY_CGROUP_HIDDEN, NULL, NULL },
		{ "no cgroups at all", "", V2, "", CPROF_MEMORY_CGROUP_NONE, NULL, NULL },
		{ "broken lines", "::\n:\nx\n0::/a\n", "1 2 3\n\n - cgroup2\n3 1 0:3 / /p rw -\n",
		  "", CPROF_MEMORY_CGROUP_HIDDEN, NULL, NULL },
	};
	static struct cprof_memory_cgroup group;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const enum cprof_memory_cgroup_found found = cprof_memory_cgroup_find(
			rows[i].cgroup, rows[i].mountinfo, rows[i].root, &group);
		if (found != rows[i].found)
			TEST_FAIL("%s: found %d", rows[i].what, (int)found);
		if (rows[i].dir && (strcmp(group.dir, rows[i].dir) != 0 ||
				    group.mount_len != strlen(rows[i].mount)))
			TEST_FAIL("%s: %s, of that %zu", rows[i].what, group.dir, group.mount_len);
	}
}

static char top[] = "/tmp/cprof-unit-XXXXXX";

static void make(const char *dir, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s%s", top, dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s%s/%s", top, dir, name);
	FILE *file = fopen(path, "we");
	if (!file)
		TEST_FAIL("%s", path);
	fputs(text, file);
	fclose(file);
}

static struct cprof_memory_room look(bool v2, const char *below)
{
	static struct cprof_memory_cgroup group;
	struct cprof_memory_room room;
	group.v2 = v2;
	group.mount_len = strlen(top);
	snprintf(group.dir, sizeof(group.dir), "%s%s", top, below);
	cprof_memory_cgroup_look(&group, &room);
	return room;
}

TEST(memory_cgroup_takes_the_tightest_of_all_above)
{
	if (!mkdtemp(top))
		TEST_FAIL("no folder");
	make("/a", "memory.max", "max\n");
	make("/a", "memory.high", "1000\n");
	make("/a", "memory.current", "900\n");
	make("/a", "memory.stat",
	     "anon 1\nactive_file 200\ninactive_file 400\nfile_dirty 20\nfile_writeback 30\n");
	make("/a", "memory.min", "50\n");
	make("/a/b", "memory.max", "5000\n");
	make("/a/b", "memory.current", "10\n");
	make("/a/b/c", "memory.max", "max\n");
	struct cprof_memory_room room = look(true, "/a/b/c");
	CHECK_UINT(room.limited, true);
	CHECK_UINT(room.reclaimable_bytes, 400);
	CHECK_UINT(cprof_memory_room_left(&room), 500);
	if (strcmp(room.knob, "memory.high") != 0 || !strstr(room.group, "/a"))
		TEST_FAIL("%s of %s", room.knob, room.group);
	make("/a/b", "memory.current", "4600\n");
	room = look(true, "/a/b/c");
	CHECK_UINT(cprof_memory_room_left(&room), 400);
	room = look(true, "");
	CHECK_UINT(room.limited, false);

	make("/v", "memory.limit_in_bytes", "9223372036854771712\n");
	make("/v", "memory.usage_in_bytes", "5\n");
	CHECK_UINT(look(false, "/v").limited, false);
	make("/v", "memory.memsw.limit_in_bytes", "700\n");
	make("/v", "memory.memsw.usage_in_bytes", "600\n");
	make("/v", "memory.stat",
	     "inactive_file 1\ntotal_inactive_file 40\ntotal_active_file 20\ntotal_dirty 50\n");
	room = look(false, "/v");
	CHECK_UINT(cprof_memory_room_left(&room), 100);
	make("/v", "memory.kmem.limit_in_bytes", "80\n");
	make("/v", "memory.kmem.usage_in_bytes", "70\n");
	room = look(false, "/v");
	CHECK_UINT(cprof_memory_room_left(&room), 10);
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", top);
	if (system(command))
		TEST_FAIL("%s", command);
}

static struct cprof_memory_events events_of(bool v2, const char *below)
{
	static struct cprof_memory_cgroup group;
	struct cprof_memory_events events;
	group.v2 = v2;
	snprintf(group.dir, sizeof(group.dir), "%s%s", top, below);
	cprof_memory_cgroup_events(&group, &events);
	return events;
}

TEST(memory_cgroup_tells_what_has_happened_in_it)
{
	snprintf(top, sizeof(top), "/tmp/cprof-unit-XXXXXX");
	if (!mkdtemp(top))
		TEST_FAIL("no folder");
	make("/a", "memory.events", "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n");
	make("/v", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n");
	make("/v", "memory.failcnt", "8\n");
	make("/x", "memory.events", "nothing that is known");
	struct cprof_memory_events events = events_of(true, "/a");
	CHECK(events.known && events.high == 2 && events.max == 3 && events.oom_kill == 5);
	events = events_of(false, "/v");
	CHECK(events.known && events.high == 0 && events.max == 8 && events.oom_kill == 7);
	events = events_of(true, "/x");
	CHECK(events.known && events.high == 0 && events.max == 0 && events.oom_kill == 0);
	CHECK(!events_of(true, "/gone").known);
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", top);
	if (system(command))
		TEST_FAIL("%s", command);
}
