/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/memory_cgroup.h"

#include <glob.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

#define TEXT_MAX (1u << 22)
#define UNLIMITED                                                                                  \
	(UINT64_MAX / 4) /* version 1 writes "none" as the largest number of whole pages */
#define GROUPS_MAX 4096u /* directories looked into for a process */
#define LEVELS     256   /* of groups in groups; PATH_MAX does not hold more */

uint64_t cprof_memory_room_left(const struct cprof_memory_room *room)
{
	if (!room->limited)
		return UINT64_MAX;
	const uint64_t used = room->used_bytes > room->reclaimable_bytes
				      ? room->used_bytes - room->reclaimable_bytes
				      : 0;
	return room->limit_bytes > used ? room->limit_bytes - used : 0;
}

/* ---- where it is ---- */

/* Does the list "cpu,memory" have that word? */
static bool lists(const char *list, size_t n, const char *word)
{
	const size_t len = strlen(word);
	for (size_t at = 0; at + len <= n; at++) {
		if (strncmp(list + at, word, len) == 0 && (at == 0 || list[at - 1] == ',') &&
		    (at + len == n || list[at + len] == ','))
			return true;
	}
	return false;
}

/* A line "4:memory:/path", or of version 2 "0::/path". The path's length; 0: there is no such line. */
static size_t path_of(const char *cgroup, bool v2, const char **ret_path)
{
	for (const char *line = cgroup; line && *line;) {
		const char *end = line + strcspn(line, "\n");
		const char *names = memchr(line, ':', (size_t)(end - line));
		const char *path = names ? memchr(names + 1, ':', (size_t)(end - names - 1)) : NULL;
		if (path && path + 1 < end &&
		    (v2 ? path == names + 1
			: lists(names + 1, (size_t)(path - names - 1), "memory"))) {
			*ret_path = path + 1;
			return (size_t)(end - path - 1);
		}
		line = *end ? end + 1 : NULL;
	}
	return 0;
}

/* mountinfo writes spaces and the like as "\040". */
static bool unescape(const char *from, size_t n, char *to, size_t cap)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		char c = from[i];
		if (c == '\\' && i + 3 < n && strspn(from + i + 1, "01234567") >= 3) {
			c = (char)((from[i + 1] & 7) << 6 | (from[i + 2] & 7) << 3 |
				   (from[i + 3] & 7));
			i += 3;
		}
		if (len + 1 >= cap)
			return false;
		to[len++] = c;
	}
	to[len] = 0;
	return true;
}

struct mount {
	char root[4096], point[4096];
};

/* One line of mountinfo, if it is a mount of that hierarchy: "ID PARENT DEV ROOT POINT OPTIONS... - TYPE SOURCE OPTIONS". */
static bool parse_mount(const char *line, size_t n, bool v2, struct mount *ret)
{
	const char *field[5], *end = line + n, *dash = NULL;
	size_t len[5];
	for (size_t i = 0; i < 5; i++) {
		field[i] = line;
		const char *space = memchr(line, ' ', (size_t)(end - line));
		if (!space)
			return false;
		len[i] = (size_t)(space - line);
		line = space + 1;
	}
	for (const char *at = line; at + 3 < end && !dash; at++) {
		if (memcmp(at, " - ", 3) == 0)
			dash = at + 3;
	}
	if (!dash)
		return false;
	const size_t left = (size_t)(end - dash);
	if (v2 ? left < 8 || memcmp(dash, "cgroup2 ", 8) != 0
	       : left < 7 || memcmp(dash, "cgroup ", 7) != 0)
		return false;
	const char *options = end;
	while (options > dash && options[-1] != ' ')
		options--;
	return (v2 || lists(options, (size_t)(end - options), "memory")) &&
	       unescape(field[3], len[3], ret->root, sizeof(ret->root)) &&
	       unescape(field[4], len[4], ret->point, sizeof(ret->point));
}

/* How often it goes up, as paths of a cgroup namespace do that lead out of it: "/../.." is 2. *ret_rest: what follows. */
static size_t ups(const char *path, const char **ret_rest)
{
	size_t n = 0;
	while (strncmp(path, "/..", 3) == 0 && (!path[3] || path[3] == '/')) {
		path += 3;
		n++;
	}
	*ret_rest = strcmp(path, "/") == 0 ? "" : path;
	return n;
}

/*
 * What of `path` lies below the mount's root: "" or "/...". NULL: nothing, it is elsewhere. Both count from the root of our
 * cgroup namespace; where the mount shows more than that, the names between its root and ours are not told: *ret_wild of them.
 */
static const char *below(const char *root, const char *path, size_t *ret_wild)
{
	const size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
	const char *rest, *root_rest;
	*ret_wild = 0;
	if (strncmp(path, root, n) == 0 && (!path[n] || path[n] == '/')) {
		const char *inside = strcmp(path + n, "/") == 0 ? "" : path + n;
		return strstr(inside, "/..") ? NULL : inside;
	}
	const size_t root_ups = ups(root, &root_rest), path_ups = ups(path, &rest);
	if (!root_ups || *root_rest || path_ups >= root_ups || strstr(rest, "/.."))
		return NULL;
	*ret_wild = root_ups - path_ups;
	return rest;
}

/* dir = "ROOT POINT / * ... REST" */
static bool put_dir(struct cprof_memory_cgroup *ret, const char *root, const char *point,
		    size_t wild, const char *rest)
{
	int len = snprintf(ret->dir, sizeof(ret->dir), "%s%s", root, point);
	for (size_t i = 0; len > 0 && i < wild && (size_t)len + 2 < sizeof(ret->dir); i++)
		len += snprintf(ret->dir + len, sizeof(ret->dir) - (size_t)len, "/*");
	if (len < 0 || (size_t)len + strlen(rest) >= sizeof(ret->dir))
		return false;
	memcpy(ret->dir + len, rest, strlen(rest) + 1);
	ret->mount_len = strlen(root) + strlen(point);
	ret->wild = wild;
	return true;
}

/* Of several mounts the one that shows the most groups above. */
static bool place(const char *path, const char *mountinfo, const char *root, bool v2,
		  struct cprof_memory_cgroup *ret)
{
	struct mount mount;
	size_t best = SIZE_MAX, wild;
	for (const char *line = mountinfo; line && *line;) {
		const size_t n = strcspn(line, "\n");
		const char *rest =
			parse_mount(line, n, v2, &mount) ? below(mount.root, path, &wild) : NULL;
		line = line[n] ? line + n + 1 : NULL;
		if (rest && strlen(mount.root) < best &&
		    put_dir(ret, root, mount.point, wild, rest))
			best = strlen(mount.root);
	}
	return best != SIZE_MAX;
}

enum cprof_memory_cgroup_found cprof_memory_cgroup_find(const char *cgroup, const char *mountinfo,
							const char *root,
							struct cprof_memory_cgroup *ret_group)
{
	const char *at;
	char path[4096];
	/* The controller is in one hierarchy only: where version 1 has it version 2 has not. */
	bool v2 = false;
	size_t n = path_of(cgroup, false, &at);
	if (!n) {
		v2 = true;
		n = path_of(cgroup, true, &at);
	}
	if (!n)
		return CPROF_MEMORY_CGROUP_NONE;
	if (n >= sizeof(path))
		return CPROF_MEMORY_CGROUP_HIDDEN;
	memcpy(path, at, n);
	path[n] = 0;
	ret_group->v2 = v2;
	if (place(path, mountinfo, root, v2, ret_group))
		return CPROF_MEMORY_CGROUP_FOUND;
	return CPROF_MEMORY_CGROUP_HIDDEN;
}

/* ---- what it says ---- */

static bool read_file(const char *dir, size_t n, const char *name, struct cprof_buffer *text)
{
	char path[4352];
	snprintf(path, sizeof(path), "%.*s/%s", (int)n, dir, name);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, text);
	const bool ok = !err && text->len;
	cprof_error_free(err);
	return ok;
}

/* False: no such file, or "max". */
static bool read_number(const char *dir, size_t n, const char *name, uint64_t *ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!read_file(dir, n, name, &text))
		return false;
	char *end;
	*ret = strtoull(cprof_buffer_text(&text), &end, 10);
	return end != cprof_buffer_text(&text);
}

static uint64_t stat_of(const char *stat, const char *key)
{
	const size_t n = strlen(key);
	for (const char *line = stat; line && *line;) {
		if (strncmp(line, key, n) == 0 && line[n] == ' ')
			return strtoull(line + n, NULL, 10);
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return 0;
}

/*
 * Pages that the kernel takes back before it kills anybody: of files, written already. Of those used lately half: some will be
 * wanted again at once.
 */
static uint64_t reclaimable(const struct cprof_memory_cgroup *group, size_t n)
{
	static const char *const names[2][4] = {
		{ "total_inactive_file", "total_active_file", "total_dirty", "total_writeback" },
		{ "inactive_file", "active_file", "file_dirty", "file_writeback" },
	};
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	uint64_t kept = 0;
	if (!read_file(group->dir, n, "memory.stat", &text))
		return 0;
	if (group->v2)
		read_number(group->dir, n, "memory.min", &kept); /* is not taken from it */
	const char *stat = cprof_buffer_text(&text);
	const uint64_t files =
		stat_of(stat, names[group->v2][0]) + stat_of(stat, names[group->v2][1]) / 2;
	kept += stat_of(stat, names[group->v2][2]) + stat_of(stat, names[group->v2][3]);
	return files > kept ? files - kept : 0;
}

struct knob {
	const char *limit, *used;
	bool files; /* pages of files count, and go when it is full */
};

static const struct knob v1_knobs[] = {
	{ "memory.limit_in_bytes", "memory.usage_in_bytes", true },
	{ "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes", true },
	{ "memory.kmem.limit_in_bytes", "memory.kmem.usage_in_bytes", false },
	{ NULL, NULL, false },
};

static const struct knob v2_knobs[] = {
	{ "memory.max", "memory.current", true },
	{ "memory.high", "memory.current", true },
	{ NULL, NULL, false },
};

static void look_at(const struct cprof_memory_cgroup *group, size_t n, const struct knob *knob,
		    struct cprof_memory_room *room)
{
	struct cprof_memory_room this = { .limited = true };
	if (!read_number(group->dir, n, knob->limit, &this.limit_bytes) ||
	    this.limit_bytes >= UNLIMITED ||
	    !read_number(group->dir, n, knob->used, &this.used_bytes))
		return;
	this.reclaimable_bytes = knob->files ? reclaimable(group, n) : 0;
	if (cprof_memory_room_left(&this) >= cprof_memory_room_left(room))
		return;
	snprintf(this.knob, sizeof(this.knob), "%s", knob->limit);
	snprintf(this.group, sizeof(this.group), "%.*s", (int)n, group->dir);
	*room = this;
}

void cprof_memory_cgroup_look(const struct cprof_memory_cgroup *group,
			      struct cprof_memory_room *ret_room)
{
	size_t n = strlen(group->dir);
	*ret_room = (struct cprof_memory_room){ 0 };
	for (unsigned level = 0; level < LEVELS && n >= group->mount_len && n; level++) {
		for (const struct knob *knob = group->v2 ? v2_knobs : v1_knobs; knob->limit; knob++)
			look_at(group, n, knob, ret_room);
		if (n == group->mount_len)
			return;
		do
			n--;
		while (n > group->mount_len && group->dir[n] != '/');
	}
}

/* ---- of a process ---- */

static bool lists_process(const char *dir, pid_t pid)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!read_file(dir, strlen(dir), "cgroup.procs", &text))
		return false;
	char *at = (char *)text.data, *end;
	for (long one; (one = strtol(at, &end, 10)), end != at; at = end) {
		if (one == pid)
			return true;
	}
	return false;
}

/* Which of the directories that group->dir is the pattern of has the process in it. */
static bool fill_in(struct cprof_memory_cgroup *group, pid_t pid)
{
	glob_t found;
	bool ok = false;
	if (!group->wild)
		return true;
	if (glob(group->dir, GLOB_NOSORT | GLOB_NOESCAPE, NULL, &found) != 0)
		return false;
	for (size_t i = 0; !ok && i < found.gl_pathc && i < GROUPS_MAX; i++) {
		const char *dir = found.gl_pathv[i];
		ok = strlen(dir) < sizeof(group->dir) && lists_process(dir, pid);
		if (ok)
			memcpy(group->dir, dir, strlen(dir) + 1);
	}
	globfree(&found);
	return ok;
}

static struct cprof_error *hidden(pid_t pid, const char *cgroup)
{
	const char *path = "";
	size_t n = path_of(cgroup, false, &path);
	if (!n)
		n = path_of(cgroup, true, &path);
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_DENIED,
		"process %d is in a memory cgroup whose limit cannot be seen from here (%.*s)",
		(int)pid, (int)n, path);
	return cprof_error_hint(err,
				"run cprof-attach on the host, or where the cgroup file system "
				"that holds it is mounted");
}

/* What the process has mounted somewhere may be anything by now: only files of the kernel's are read. */
static bool is_cgroup_fs(const char *dir)
{
	struct statfs fs;
	return statfs(dir, &fs) == 0 &&
	       (fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC);
}

static enum cprof_memory_cgroup_found find_for(pid_t pid, const char *cgroup, const char *mountinfo,
					       const char *root, struct cprof_memory_cgroup *group)
{
	const enum cprof_memory_cgroup_found found =
		cprof_memory_cgroup_find(cgroup, mountinfo, root, group);
	if (found != CPROF_MEMORY_CGROUP_FOUND)
		return found;
	char mount[sizeof(group->dir)];
	snprintf(mount, sizeof(mount), "%.*s", (int)group->mount_len, group->dir);
	return is_cgroup_fs(mount) && fill_in(group, pid) && is_cgroup_fs(group->dir)
		       ? found
		       : CPROF_MEMORY_CGROUP_HIDDEN;
}

/* As mounted here, else as the process has it. `text` gets its own words for where it is. */
static struct cprof_error *find_of(pid_t pid, struct cprof_memory_cgroup *group,
				   enum cprof_memory_cgroup_found *ret_found,
				   struct cprof_buffer *text)
{
	char path[64], root[64];
	CPROF_AUTO(buffer) struct cprof_buffer ours = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer theirs = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, text);
	if (!err)
		err = cprof_file_read("/proc/self/mountinfo", TEXT_MAX, &ours);
	if (err)
		return err;
	*ret_found = find_for(pid, cprof_buffer_text(text), cprof_buffer_text(&ours), "", group);
	if (*ret_found == CPROF_MEMORY_CGROUP_HIDDEN) {
		snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
		snprintf(root, sizeof(root), "/proc/%d/root", (int)pid);
		err = cprof_file_read(path, TEXT_MAX, &theirs);
		cprof_error_free(err);
		*ret_found = find_for(pid, cprof_buffer_text(text), cprof_buffer_text(&theirs),
				      root, group);
	}
	return NULL;
}

struct cprof_error *cprof_memory_cgroup_of(pid_t pid, struct cprof_memory_cgroup *ret_group,
					   enum cprof_memory_cgroup_found *ret_found)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	return find_of(pid, ret_group, ret_found, &text);
}

struct cprof_error *cprof_memory_cgroup_room(pid_t pid, struct cprof_memory_room *ret_room)
{
	enum cprof_memory_cgroup_found found;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	CPROF_AUTO(free) struct cprof_memory_cgroup *group = malloc(sizeof(*group));
	*ret_room = (struct cprof_memory_room){ 0 };
	if (!group)
		return cprof_error_no_memory();
	struct cprof_error *err = find_of(pid, group, &found, &text);
	if (err)
		return err;
	if (found == CPROF_MEMORY_CGROUP_FOUND)
		cprof_memory_cgroup_look(group, ret_room);
	return found == CPROF_MEMORY_CGROUP_HIDDEN ? hidden(pid, cprof_buffer_text(&text)) : NULL;
}

void cprof_memory_cgroup_events(const struct cprof_memory_cgroup *group,
				struct cprof_memory_events *ret_events)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	const size_t n = strlen(group->dir);
	*ret_events = (struct cprof_memory_events){ 0 };
	if (!read_file(group->dir, n, group->v2 ? "memory.events" : "memory.oom_control", &text))
		return;
	const char *events = cprof_buffer_text(&text);
	ret_events->known = true;
	ret_events->oom_kill = stat_of(events, "oom_kill");
	ret_events->high = stat_of(events, "high");
	ret_events->max = stat_of(events, "max");
	if (!group->v2)
		read_number(group->dir, n, "memory.failcnt", &ret_events->max);
}
