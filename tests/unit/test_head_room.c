/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/head_room.h"

#include <stddef.h>
#include <string.h>

#include "tests/unit/test.h"

#define MIB  (1ull << 20)
#define NONE UINT64_MAX

TEST(head_room_reads_limits_and_status)
{
	static const char limits[] =
		"Limit                     Soft Limit           Hard Limit           Units     \n"
		"Max data size             4096                 unlimited            bytes     \n"
		"Max locked memory         unlimited            unlimited            bytes     \n"
		"Max address space         18446744073709551615 unlimited            bytes     \n";
	CHECK_UINT(cprof_head_room_limit_of(limits, "Max data size"), 4096);
	CHECK_UINT(cprof_head_room_limit_of(limits, "Max locked memory"), NONE);
	CHECK_UINT(cprof_head_room_limit_of(limits, "Max address space"), NONE);
	CHECK_UINT(cprof_head_room_limit_of(limits, "Max"), NONE);
	CHECK_UINT(cprof_head_room_limit_of("", "Max data size"), NONE);
	static const char status[] = "Name:\tVmLck:\t9 kB\nVmLck:\t      12 kB\nVmPin:\t 0 kB\n";
	CHECK_UINT(cprof_head_room_bytes_of(status, "VmLck"), 12 * 1024);
	CHECK_UINT(cprof_head_room_bytes_of(status, "VmL"), 0);
	CHECK_UINT(cprof_head_room_bytes_of("VmLck:\t99999999999999999999 kB\n", "VmLck"), NONE);
}

static struct cprof_head_room wide(void)
{
	return (struct cprof_head_room){ .pid = 42,
					 .available_bytes = NONE,
					 .commit = { NONE, 0 },
					 .address_space = { NONE, 5 * MIB },
					 .data = { NONE, 0 },
					 .locked = { NONE, 0 },
					 .maps = { 65530, 30 } };
}

static const struct cprof_need need = { "a profile", 2 * MIB, 18 * MIB, 17 * MIB, 0, 2 };

TEST(head_room_wants_four_times_of_everything_that_is_needed)
{
	struct cprof_head_room room = wide();
	struct cprof_error *err = cprof_head_room_check(&room, &need);
	if (err)
		TEST_FAIL("without limits: %s", err->message);

	static const struct {
		const char *what;
		size_t limit; /* its place in the struct */
		uint64_t enough, says_no;
		const char *text, *hint;
	} rows[] = {
		{ "address space", offsetof(struct cprof_head_room, address_space), 77 * MIB,
		  77 * MIB - 1, "RLIMIT_AS is 77.0 MiB, 5.0 MiB used", "--as=" },
		{ "data", offsetof(struct cprof_head_room, data), 68 * MIB, 20 * MIB,
		  "42 has 20.0 MiB left (its RLIMIT_DATA is 20.0 MiB, 0 B used)", "--data=" },
		{ "commit", offsetof(struct cprof_head_room, commit), 68 * MIB, 67 * MIB,
		  "needs 17.0 MiB, and 4 times that", "overcommit_memory is 2" },
		{ "mappings", offsetof(struct cprof_head_room, maps), 38, 37,
		  "30 mappings of the 37", "max_map_count" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		room = wide();
		uint64_t *limit = (uint64_t *)(void *)((char *)&room + rows[i].limit);
		*limit = rows[i].enough;
		err = cprof_head_room_check(&room, &need);
		if (err)
			TEST_FAIL("%s, enough: %s", rows[i].what, err->message);
		*limit = rows[i].says_no;
		err = cprof_head_room_check(&room, &need);
		if (!err || err->code != CPROF_ERR_DENIED || !strstr(err->message, rows[i].text) ||
		    !strstr(err->hint, rows[i].hint))
			TEST_FAIL("%s: %s", rows[i].what, err ? err->message : "no error");
		cprof_error_free(err);
	}
}

TEST(head_room_of_a_cgroup_counts_what_can_be_taken_back)
{
	struct cprof_head_room room = wide();
	room.cgroup = (struct cprof_memory_room){ true,    100 * MIB,    99 * MIB,
						  7 * MIB, "memory.max", "/a/b" };
	struct cprof_error *err = cprof_head_room_check(&room, &need);
	if (err)
		TEST_FAIL("%s", err->message);
	room.cgroup.reclaimable_bytes--;
	err = cprof_head_room_check(&room, &need);
	if (!err || !strstr(err->message, "memory.max of its memory cgroup /a/b is 100.0 MiB") ||
	    !strstr(err->hint, "memory.max"))
		TEST_FAIL("%s", err ? err->message : "no error");
	cprof_error_free(err);
	room.cgroup.used_bytes = 101 * MIB; /* over it, as memory.high lets it be */
	room.cgroup.reclaimable_bytes = 0;
	CHECK_UINT(cprof_memory_room_left(&room.cgroup), 0);
	room.cgroup.limited = false;
	CHECK_UINT(cprof_memory_room_left(&room.cgroup), NONE);
	room.available_bytes = 7 * MIB;
	err = cprof_head_room_check(&room, &need);
	if (!err || !strstr(err->message, "whole machine"))
		TEST_FAIL("%s", err ? err->message : "no error");
	cprof_error_free(err);
}
