/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/stand_still.h"

#include "attach/target/thread_proc.h"

static bool is_frozen(pid_t pid, pid_t tid)
{
	char text[64];
	return cprof_thread_read(pid, tid, "wchan", text, sizeof(text)) > 0 &&
	       cprof_thread_wchan_is_freezer(text);
}

bool cprof_stand_still_thread(pid_t pid, pid_t tid, char state)
{
	return state == 'T' || state == 't' ||
	       ((state == 'S' || state == 'D') && is_frozen(pid, tid));
}

bool cprof_stand_still_look(struct cprof_stand_still *still, uint64_t mono_ns)
{
	char text[512];
	struct cprof_thread_stat stat;
	const bool now =
		cprof_thread_read(still->pid, still->pid, "stat", text, sizeof(text)) > 0 &&
		cprof_thread_stat_parse(text, &stat) &&
		cprof_stand_still_thread(still->pid, still->pid, stat.state);
	if (still->now && now)
		still->ns += mono_ns - still->looked_ns;
	still->now = now;
	still->looked_ns = mono_ns;
	return now;
}
