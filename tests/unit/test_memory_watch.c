/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/memory_watch.h"

#include <string.h>

#include "base/cleanup.h"
#include "tests/unit/test.h"

#define MIB (1ull << 20)

/* A group with a limit of 1,024 MiB, on a machine of 65,536 MiB, in MiB. */
static struct cprof_memory_sight sight(uint64_t resident, uint64_t left, uint64_t available)
{
	return (struct cprof_memory_sight){
		.resident_bytes = resident * MIB,
		.room = { .limited = true,
			  .limit_bytes = 1024 * MIB,
			  .used_bytes = (1024 - left) * MIB,
			  .knob = "memory.max",
			  .group = "/g" },
		.events = { .known = true, .high = 7, .max = 7 },
		.total_bytes = 65536 * MIB,
		.available_bytes = available * MIB,
	};
}

TEST(memory_watch_says_when_memory_is_about_to_run_out)
{
	static const struct {
		const char *what;
		uint64_t bound, resident, left, available;
		bool met, pressed;
		const char *want; /* NULL: it is not time */
	} cases[] = {
		{ "enough of all", 0, 100, 500, 30000, false, false, NULL },
		{ "up to the bound", 100, 100, 500, 30000, false, false, NULL },
		{ "over the bound", 100, 101, 500, 30000, false, false,
		  "101.0 MiB are resident, more than 100.0 MiB" },
		{ "a sixteenth of the limit", 0, 100, 64, 30000, false, false,
		  "64.0 MiB are left of the 1024.0 MiB of /g/memory.max" },
		{ "more than that", 0, 100, 65, 30000, false, false, NULL },
		{ "and the limit was met", 0, 100, 256, 30000, true, false,
		  "256.0 MiB are left of the 1024.0 MiB of /g/memory.max, and the kernel had to look for more" },
		{ "met for the sake of files", 0, 100, 257, 30000, true, false, NULL },
		{ "and all wait", 0, 100, 256, 30000, false, true,
		  "256.0 MiB are left of the 1024.0 MiB of /g/memory.max, and the kernel had to look for more" },
		{ "a part of the machine", 0, 100, 500, 2048, false, false,
		  "2048.0 MiB are left of the machine's 65536.0 MiB" },
		{ "more of the machine", 0, 100, 500, 2049, false, false, NULL },
		{ "and all wait for it", 0, 100, 500, 16384, false, true,
		  "16384.0 MiB are left of the machine's 65536.0 MiB" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer why = { 0 };
		const struct cprof_memory_sight before = sight(0, 500, 30000);
		struct cprof_memory_sight now =
			sight(cases[i].resident, cases[i].left, cases[i].available);
		now.events.max += cases[i].met;
		now.pressed = cases[i].pressed;
		CHECK(cprof_memory_watch_judge(&before, &now, cases[i].bound * MIB, &why) ==
		      (cases[i].want != NULL));
		CHECK_STR(cprof_buffer_text(&why), cases[i].want ? cases[i].want : "");
	}
}

TEST(memory_watch_does_without_limits)
{
	CPROF_AUTO(buffer) struct cprof_buffer why = { 0 };
	const struct cprof_memory_sight nothing = { .pressed = true };
	CHECK(!cprof_memory_watch_judge(&nothing, &nothing, 0, &why));
}
