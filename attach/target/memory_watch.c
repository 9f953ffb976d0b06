/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/memory_watch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/target/head_room.h"
#include "base/cleanup.h"
#include "base/file.h"

#define TEXT_MAX (1u << 20)

/* So small a part of a limit is little; and of the machine's memory, which nobody asks for all at once. */
#define LITTLE         16
#define LITTLE_MACHINE 32
/* When the kernel itself says that a limit was met, or that all wait, so small a part is little. */
#define LITTLE_WHEN_MET 4

/* Of two seconds, which is what those may ask for who have no capability. */
static const char pressure[] = "full 200000 2000000";

/* ---- looking ---- */

static uint64_t number_in(const char *path, const char *key)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, &text);
	const char *at = err ? NULL : strstr(cprof_buffer_text(&text), key);
	const uint64_t number = at ? strtoull(at + strlen(key), NULL, 10) : 0;
	cprof_error_free(err);
	return number;
}

static uint64_t resident_of(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	return number_in(path, " ") * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void look_at_machine(struct cprof_memory_sight *sight)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read("/proc/meminfo", TEXT_MAX, &text);
	if (!err) {
		const char *meminfo = cprof_buffer_text(&text);
		sight->total_bytes = cprof_head_room_bytes_of(meminfo, "MemTotal");
		sight->available_bytes = cprof_head_room_bytes_of(meminfo, "MemAvailable") +
					 cprof_head_room_bytes_of(meminfo, "SwapFree");
	}
	cprof_error_free(err);
	sight->machine_oom_kill = number_in("/proc/vmstat", "\noom_kill ");
}

static struct cprof_memory_sight look(const struct cprof_memory_watch *watch)
{
	struct cprof_memory_sight sight = { .resident_bytes = resident_of(watch->target->pid) };
	struct pollfd fd = { .fd = watch->pressure_fd, .events = POLLPRI };
	if (watch->group) {
		cprof_memory_cgroup_look(watch->group, &sight.room);
		cprof_memory_cgroup_events(watch->group, &sight.events);
	}
	look_at_machine(&sight);
	sight.pressed = poll(&fd, 1, 0) == 1 && fd.revents & POLLPRI;
	return sight;
}

/* ---- judging ---- */

static void put_size(struct cprof_buffer *out, uint64_t bytes)
{
	cprof_buffer_printf(out, "%.1f MiB", (double)bytes / (1 << 20));
}

static bool judge_bound(const struct cprof_memory_sight *now, uint64_t rss_bound,
			struct cprof_buffer *why)
{
	if (!rss_bound || now->resident_bytes <= rss_bound)
		return false;
	put_size(why, now->resident_bytes);
	cprof_buffer_puts(why, " are resident, more than ");
	put_size(why, rss_bound);
	return true;
}

static bool judge_room(const struct cprof_memory_sight *before,
		       const struct cprof_memory_sight *now, struct cprof_buffer *why)
{
	const struct cprof_memory_room *room = &now->room;
	const bool met = now->pressed || now->events.high > before->events.high ||
			 now->events.max > before->events.max;
	const uint64_t left = cprof_memory_room_left(room);
	if (!room->limited || left > room->limit_bytes / (met ? LITTLE_WHEN_MET : LITTLE))
		return false;
	put_size(why, left);
	cprof_buffer_puts(why, " are left of the ");
	put_size(why, room->limit_bytes);
	cprof_buffer_printf(why, " of %s/%s%s", room->group, room->knob,
			    met ? ", and the kernel had to look for more" : "");
	return true;
}

static bool judge_machine(const struct cprof_memory_sight *now, struct cprof_buffer *why)
{
	const uint64_t part = now->pressed ? LITTLE_WHEN_MET : LITTLE_MACHINE;
	if (!now->total_bytes || now->available_bytes > now->total_bytes / part)
		return false;
	put_size(why, now->available_bytes);
	cprof_buffer_puts(why, " are left of the machine's ");
	put_size(why, now->total_bytes);
	return true;
}

bool cprof_memory_watch_judge(const struct cprof_memory_sight *before,
			      const struct cprof_memory_sight *now, uint64_t rss_bound,
			      struct cprof_buffer *why)
{
	return judge_bound(now, rss_bound, why) || judge_room(before, now, why) ||
	       judge_machine(now, why);
}

bool cprof_memory_watch_look(struct cprof_memory_watch *watch, struct cprof_buffer *why)
{
	const struct cprof_memory_sight now = look(watch);
	const bool is_time = cprof_memory_watch_judge(&watch->last, &now, watch->rss_bound, why);
	/* A group that is taken away with its last process tells nothing any more. */
	const struct cprof_memory_events events = watch->last.events;
	watch->last = now;
	watch->gone = events.known && !now.events.known;
	if (watch->gone)
		watch->last.events = events;
	return is_time;
}

/* ---- the end ---- */

#define FATE_NS (200 * 1000000ull) /* for its parent to take notice */

static bool ended_otherwise(struct cprof_memory_watch *watch)
{
	cprof_target_fate_end(&watch->fate, watch->target, FATE_NS);
	return watch->fate.known &&
	       !(WIFSIGNALED(watch->fate.status) && WTERMSIG(watch->fate.status) == SIGKILL);
}

bool cprof_memory_watch_killed(struct cprof_memory_watch *watch, struct cprof_buffer *why)
{
	CPROF_AUTO(buffer) struct cprof_buffer ignored = { 0 };
	cprof_memory_watch_look(watch, &ignored);
	const struct cprof_memory_sight *first = &watch->first, *last = &watch->last;
	const uint64_t in_group = last->events.oom_kill - first->events.oom_kill;
	const uint64_t on_machine = last->machine_oom_kill - first->machine_oom_kill;
	if (ended_otherwise(watch))
		return false;
	if (first->events.known && in_group)
		cprof_buffer_printf(why, "%s/%s has counted %" PRIu64 " oom_kill since the attach",
				    watch->group->dir,
				    watch->group->v2 ? "memory.events" : "memory.oom_control",
				    in_group);
	else if ((!first->events.known || watch->gone) && on_machine)
		cprof_buffer_printf(
			why, "/proc/vmstat has counted %" PRIu64 " oom_kill since the attach",
			on_machine);
	return why->len > 0;
}

/* ---- open and close ---- */

/* Asked of its own group where it has one, else of the machine. */
static int open_pressure(const struct cprof_memory_cgroup *group)
{
	char path[4352] = "/proc/pressure/memory";
	if (group && group->v2)
		snprintf(path, sizeof(path), "%s/memory.pressure", group->dir);
	CPROF_AUTO(close) int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || write(fd, pressure, sizeof(pressure)) < 0)
		return -1;
	return cprof_take_fd(&fd);
}

struct cprof_error *cprof_memory_watch_open(struct cprof_memory_watch *watch,
					    const struct cprof_target *target, uint64_t rss_bound)
{
	enum cprof_memory_cgroup_found found;
	*watch = (struct cprof_memory_watch){ .target = target,
					      .rss_bound = rss_bound,
					      .pressure_fd = -1 };
	watch->group = malloc(sizeof(*watch->group));
	if (!watch->group)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_memory_cgroup_of(target->pid, watch->group, &found);
	if (err || found != CPROF_MEMORY_CGROUP_FOUND) {
		free(watch->group);
		watch->group = NULL;
	}
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_error_free(err); /* it has ended meanwhile, which is for the run to find out */
	watch->pressure_fd = open_pressure(watch->group);
	watch->first = watch->last = look(watch);
	cprof_target_fate_start(&watch->fate, target);
	return NULL;
}

void cprof_memory_watch_close(struct cprof_memory_watch *watch)
{
	if (!watch->target)
		return;
	free(watch->group);
	if (watch->pressure_fd >= 0)
		close(watch->pressure_fd);
	*watch = (struct cprof_memory_watch){ .pressure_fd = -1 };
}

void cprof_memory_watch_step_back(void)
{
	static const char score[] = "-500";
	CPROF_AUTO(close) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, score, sizeof(score) - 1) < 0)
		return; /* not permitted */
}

bool cprof_memory_watch_is_shared(const struct cprof_memory_watch *watch)
{
	bool shared = false;
	enum cprof_memory_cgroup_found found;
	struct cprof_memory_cgroup *ours = malloc(sizeof(*ours));
	struct cprof_error *err =
		ours ? cprof_memory_cgroup_of(getpid(), ours, &found) : cprof_error_no_memory();
	if (!err && watch->group && found == CPROF_MEMORY_CGROUP_FOUND)
		shared = watch->first.room.limited && strcmp(ours->dir, watch->group->dir) == 0;
	cprof_error_free(err);
	free(ours);
	return shared;
}
