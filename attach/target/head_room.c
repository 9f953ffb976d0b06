/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/head_room.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes_text.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/text_line.h"
#include "cprof/buffer.h"

#define TEXT_MAX 65536u
#define NONE     UINT64_MAX

/* ---- the texts ---- */

uint64_t cprof_head_room_limit_of(const char *limits, const char *name)
{
	const char *at = cprof_text_line(limits, name);
	char *end;
	if (!at || (*at != ' ' && *at != '\t'))
		return NONE;
	at += strspn(at, " \t");
	const uint64_t limit = strtoull(at, &end, 10);
	return end == at ? NONE : limit; /* "unlimited" */
}

uint64_t cprof_head_room_bytes_of(const char *text, const char *key)
{
	const char *at = cprof_text_line(text, key);
	if (!at || *at != ':')
		return 0;
	const uint64_t kb = strtoull(at + 1, NULL, 10);
	return kb < UINT64_MAX / 1024 ? kb * 1024 : UINT64_MAX;
}

static struct cprof_error *read_of(pid_t pid, const char *name, struct cprof_buffer *text)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return cprof_file_read(path, TEXT_MAX, text);
}

/* What the machine says; 0 where it does not. */
static uint64_t number_in(const char *path)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_error_free(cprof_file_read(path, TEXT_MAX, &text));
	return strtoull(cprof_buffer_text(&text), NULL, 10);
}

static bool may_lock_anything(const char *status)
{
	const char *at = cprof_text_line(status, "CapEff:");
	return at && strtoull(at, NULL, 16) >> CAP_IPC_LOCK & 1;
}

/* ---- reading ---- */

static void read_machine(struct cprof_head_room *room)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_error_free(cprof_file_read("/proc/meminfo", TEXT_MAX, &text));
	const char *meminfo = cprof_buffer_text(&text);
	const uint64_t available = cprof_head_room_bytes_of(meminfo, "MemAvailable");
	const uint64_t maps = number_in("/proc/sys/vm/max_map_count");
	room->available_bytes = available ? available : NONE;
	room->maps.limit = maps ? maps : NONE;
	room->commit = (struct cprof_limit){ NONE, 0 };
	if (number_in("/proc/sys/vm/overcommit_memory") == 2)
		room->commit = (struct cprof_limit){
			cprof_head_room_bytes_of(meminfo, "CommitLimit"),
			cprof_head_room_bytes_of(meminfo, "Committed_AS"),
		};
}

/* Field 47 of /proc/PID/stat. The name, in parentheses, may contain anything; the state behind it is field 3. */
static uint64_t start_brk(pid_t pid)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_error_free(read_of(pid, "stat", &text));
	const char *at = strrchr(cprof_buffer_text(&text), ')');
	for (int field = 2; at && field < 47; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

struct cprof_error *cprof_head_room_read(pid_t pid, uint64_t n_maps,
					 struct cprof_head_room *ret_room)
{
	struct cprof_head_room room = { .pid = pid };
	CPROF_AUTO(buffer) struct cprof_buffer limits_text = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer status_text = { 0 };
	struct cprof_error *err = read_of(pid, "limits", &limits_text);
	if (!err)
		err = read_of(pid, "status", &status_text);
	if (!err)
		err = cprof_memory_cgroup_room(pid, &room.cgroup);
	if (err)
		return err;
	const char *limits = cprof_buffer_text(&limits_text);
	const char *status = cprof_buffer_text(&status_text);
	read_machine(&room);
	room.maps.used = n_maps;
	room.stack_bytes = cprof_head_room_limit_of(limits, "Max stack size");
	room.start_brk = start_brk(pid);
	room.address_space =
		(struct cprof_limit){ cprof_head_room_limit_of(limits, "Max address space"),
				      cprof_head_room_bytes_of(status, "VmSize") };
	room.data = (struct cprof_limit){ cprof_head_room_limit_of(limits, "Max data size"),
					  cprof_head_room_bytes_of(status, "VmData") };
	room.locked = (struct cprof_limit){
		may_lock_anything(status) ? NONE
					  : cprof_head_room_limit_of(limits, "Max locked memory"),
		cprof_head_room_bytes_of(status, "VmLck")
	};
	*ret_room = room;
	return NULL;
}

uint64_t cprof_head_room_locked(pid_t pid)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_error_free(read_of(pid, "status", &text));
	return cprof_head_room_bytes_of(cprof_buffer_text(&text), "VmLck");
}

bool cprof_head_room_is_limited(const struct cprof_head_room *room)
{
	return room->cgroup.limited;
}

/* ---- is it enough? ---- */

static bool enough(uint64_t left, uint64_t need)
{
	return left / CPROF_HEAD_ROOM_TIMES >= need;
}

static uint64_t left_of(const struct cprof_limit *limit)
{
	if (limit->limit == NONE)
		return NONE;
	return limit->limit > limit->used ? limit->limit - limit->used : 0;
}

/* `where` says whose limit it is and how much of it is used. */
static struct cprof_error *too_little(const struct cprof_head_room *room,
				      const struct cprof_need *need, const char *where,
				      uint64_t left, uint64_t bytes)
{
	char text[2][CPROF_BYTES_TEXT];
	return cprof_error_new(
		CPROF_ERR_DENIED,
		"process %d has %s left (%s); %s needs %s, and %d times that must be "
		"free",
		(int)room->pid, cprof_bytes_text((double)left, CPROF_BYTES_TENTHS, text[0]), where,
		need->what, cprof_bytes_text((double)bytes, CPROF_BYTES_TENTHS, text[1]),
		CPROF_HEAD_ROOM_TIMES);
}

static struct cprof_error *too_little_in_group(const struct cprof_head_room *room,
					       const struct cprof_need *need)
{
	const struct cprof_memory_room *group = &room->cgroup;
	char where[512], text[3][CPROF_BYTES_TEXT];
	snprintf(where, sizeof(where),
		 "%s of its memory cgroup %s is %s, %s used, of that %s reclaimable", group->knob,
		 group->group,
		 cprof_bytes_text((double)group->limit_bytes, CPROF_BYTES_TENTHS, text[0]),
		 cprof_bytes_text((double)group->used_bytes, CPROF_BYTES_TENTHS, text[1]),
		 cprof_bytes_text((double)group->reclaimable_bytes, CPROF_BYTES_TENTHS, text[2]));
	struct cprof_error *err =
		too_little(room, need, where, cprof_memory_room_left(group), need->resident_bytes);
	return cprof_error_hint(err, "raise %s there for the time of the profile", group->knob);
}

static struct cprof_error *check_memory(const struct cprof_head_room *room,
					const struct cprof_need *need)
{
	if (!enough(cprof_memory_room_left(&room->cgroup), need->resident_bytes))
		return too_little_in_group(room, need);
	if (enough(room->available_bytes, need->resident_bytes))
		return NULL;
	return cprof_error_hint(too_little(room, need, "the whole machine has no more available",
					   room->available_bytes, need->resident_bytes),
				"see MemAvailable in /proc/meminfo");
}

/* A limit of which more than there is was wanted; `option` of prlimit(1) raises it, NULL: it is the machine's. */
static struct cprof_error *check_limit(const struct cprof_head_room *room,
				       const struct cprof_need *need,
				       const struct cprof_limit *limit, uint64_t bytes,
				       const char *name, const char *option)
{
	char where[256], text[2][CPROF_BYTES_TEXT];
	if (!bytes || enough(left_of(limit), bytes))
		return NULL;
	snprintf(where, sizeof(where), "%s is %s, %s used", name,
		 cprof_bytes_text((double)limit->limit, CPROF_BYTES_TENTHS, text[0]),
		 cprof_bytes_text((double)limit->used, CPROF_BYTES_TENTHS, text[1]));
	struct cprof_error *err = too_little(room, need, where, left_of(limit), bytes);
	if (!option)
		return cprof_error_hint(err, "vm.overcommit_memory is 2: see CommitLimit and "
					     "Committed_AS in /proc/meminfo");
	return cprof_error_hint(err, "prlimit --pid %d --%s=BYTES raises it while it runs",
				(int)room->pid, option);
}

static struct cprof_error *check_maps(const struct cprof_head_room *room,
				      const struct cprof_need *need)
{
	if (enough(left_of(&room->maps), need->maps))
		return NULL;
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_DENIED,
				"process %d has %" PRIu64 " mappings of the %" PRIu64
				" that vm.max_map_count lets it have; %s needs %" PRIu64
				", and %d times that must be free",
				(int)room->pid, room->maps.used, room->maps.limit, need->what,
				need->maps, CPROF_HEAD_ROOM_TIMES);
	return cprof_error_hint(err, "raise vm.max_map_count");
}

struct cprof_error *cprof_head_room_check(const struct cprof_head_room *room,
					  const struct cprof_need *need)
{
	struct cprof_error *err = check_memory(room, need);
	if (!err)
		err = check_limit(room, need, &room->address_space, need->mapped_bytes,
				  "its RLIMIT_AS", "as");
	if (!err)
		err = check_limit(room, need, &room->data, need->data_bytes, "its RLIMIT_DATA",
				  "data");
	if (!err)
		err = check_limit(room, need, &room->locked, need->locked_bytes,
				  "it locks whatever it maps, and its RLIMIT_MEMLOCK", "memlock");
	if (!err)
		err = check_limit(room, need, &room->commit, need->data_bytes,
				  "what the machine promises all processes", NULL);
	return err ? err : check_maps(room, need);
}

/* ---- when the kernel says no ---- */

static void name_limit(struct cprof_buffer *out, const char *name, const struct cprof_limit *limit)
{
	char text[2][CPROF_BYTES_TEXT];
	if (limit->limit != NONE)
		cprof_buffer_printf(
			out, "; %s is %s, %s used", name,
			cprof_bytes_text((double)limit->limit, CPROF_BYTES_TENTHS, text[0]),
			cprof_bytes_text((double)limit->used, CPROF_BYTES_TENTHS, text[1]));
}

struct cprof_error *cprof_head_room_refused(pid_t pid, const char *call, uint64_t bytes,
					    int os_errno)
{
	char text[CPROF_BYTES_TEXT];
	CPROF_AUTO(buffer) struct cprof_buffer known = { 0 };
	struct cprof_head_room room;
	if (os_errno != ENOMEM && os_errno != EAGAIN)
		return cprof_error_os(os_errno, "%s in the target", call);
	struct cprof_error *err = cprof_head_room_read(pid, 0, &room);
	if (!err) {
		name_limit(&known, "its RLIMIT_AS", &room.address_space);
		name_limit(&known, "its RLIMIT_DATA", &room.data);
		name_limit(&known, "its RLIMIT_MEMLOCK", &room.locked);
		name_limit(&known, "the machine's CommitLimit", &room.commit);
	}
	cprof_error_free(err);
	return cprof_error_new(
		CPROF_ERR_DENIED,
		"the kernel grants process %d no %s of %s (%s): a limit of the target's "
		"own, not of this program%s",
		(int)pid, call, cprof_bytes_text((double)bytes, CPROF_BYTES_TENTHS, text),
		strerror(os_errno), cprof_buffer_text(&known));
}
