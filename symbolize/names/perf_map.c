/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/perf_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/foreign_file.h"
#include "base/file.h"

#define DIRECTORY     "/tmp"
#define FILE_MAX      (256u << 20) /* a million functions have some 100 MB */
#define CHUNK         (64u << 10)
#define LINE_BYTES    80 /* of tables for a line: a name, an interval, two pieces */
#define LINES_MAX     (1u << 23)
#define STATUS_MAX    (64u << 10)
#define CODE_SIZE_MAX (1ull << 32) /* no function is larger; a line that says so is broken */

void cprof_perf_map_deinit(struct cprof_perf_map *map)
{
	cprof_buffer_deinit(&map->text);
	free(map->names);
	cprof_intervals_deinit(&map->intervals);
	*map = (struct cprof_perf_map){ 0 };
}

/* ---- lines ---- */

/* "7f1234500000 1a0 name with blanks", both numbers hexadecimal, with or without 0x. */
static bool parse_line(char *line, struct cprof_interval *interval, const char **ret_name)
{
	char *end;
	errno = 0;
	if (*line == '-' || *line == ' ')
		return false;
	uint64_t start = strtoull(line, &end, 16);
	if (end == line || *end != ' ')
		return false;
	char *at = end + 1;
	uint64_t size = strtoull(at, &end, 16);
	if (*at == '-' || end == at || *end != ' ' || !end[1] || errno)
		return false;
	if (!size || size > CODE_SIZE_MAX || start + size < start)
		return false;
	interval->start = start;
	interval->end = start + size;
	*ret_name = end + 1;
	return true;
}

static struct cprof_error *add(struct cprof_perf_map *map, struct cprof_interval *interval,
			       const char *name)
{
	if (!CPROF_ARRAY_ROOM(map->names, map->n, map->cap, 1))
		return cprof_error_no_memory();
	interval->what = (uint32_t)map->n;
	interval->depth =
		(uint32_t)map->n; /* of two that overlap the later line is what runs there now */
	map->names[map->n++] = name;
	return cprof_intervals_add(&map->intervals, interval);
}

struct cprof_error *cprof_perf_map_parse(struct cprof_perf_map *map, struct cprof_buffer *text)
{
	*map = (struct cprof_perf_map){ .text = *text };
	*text = (struct cprof_buffer){ 0 };
	char *save = NULL, *first = map->text.data ? (char *)map->text.data : (char[]){ "" };
	struct cprof_error *err = NULL;
	for (char *line = strtok_r(first, "\n", &save); line && !err && map->n < LINES_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		struct cprof_interval interval;
		const char *name;
		if (parse_line(line, &interval, &name))
			err = add(map, &interval, name);
		else
			map->n_malformed++;
	}
	return err ? err : cprof_intervals_flatten(&map->intervals);
}

const char *cprof_perf_map_find(const struct cprof_perf_map *map, uint64_t addr)
{
	uint32_t what = cprof_intervals_find(&map->intervals, addr);
	return what == CPROF_INTERVAL_NONE ? NULL : map->names[what];
}

/* ---- the file ---- */

/* The pid that the process knows itself by: the last number of NSpid. `pid` where that is not told. */
static pid_t own_pid(pid_t pid)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer status = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	struct cprof_error *err = cprof_file_read(path, STATUS_MAX, &status);
	const char *line = err ? NULL : strstr(cprof_buffer_text(&status), "\nNSpid:");
	cprof_error_free(err);
	if (!line)
		return pid;
	line += strlen("\nNSpid:");
	long number = pid;
	for (char *end; *line == '\t' || *line == ' '; line = end) {
		long next = strtol(line, &end, 10);
		if (end == line)
			break;
		number = next;
	}
	return (pid_t)number;
}

/* A hole, or what else is no text, ends it: megabytes of zeros cost their writer nothing. */
static struct cprof_error *read_text(int fd, const char *path, struct cprof_account *account,
				     struct cprof_buffer *text)
{
	for (;;) {
		uint8_t *room = cprof_buffer_reserve(text, CHUNK);
		if (!room)
			return cprof_error_no_memory();
		ssize_t n = read(fd, room, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cprof_error_os(errno, "read %s", path);
		const uint8_t *zero = memchr(room, 0, (size_t)n);
		if (zero)
			text->len += (size_t)(zero - room);
		if (n == 0 || zero)
			break;
		if (text->len + (size_t)n > FILE_MAX ||
		    !cprof_account_charge(account, CPROF_BUDGET_READ, (uint64_t)n) ||
		    !cprof_account_charge(account, CPROF_BUDGET_HELD, (uint64_t)n))
			return cprof_error_new(CPROF_ERR_BAD_DATA, "%s is too large", path);
		text->len += (size_t)n;
	}
	cprof_buffer_append(text, "", 0);
	return cprof_buffer_error(text);
}

/* Short lines make larger tables than they are text. */
static bool pay_tables(struct cprof_account *account, const struct cprof_buffer *text)
{
	uint64_t lines = 1;
	for (size_t i = 0; i < text->len; i++)
		lines += text->data[i] == '\n';
	return cprof_account_charge(account, CPROF_BUDGET_HELD, lines * LINE_BYTES) &&
	       cprof_account_charge(account, CPROF_BUDGET_STEPS, lines);
}

/* Below the process's root; where it has ended, what it wrote stays where its /tmp is ours. `path` is for messages. */
static int open_map(pid_t pid, char *path, size_t size)
{
	char root[64], name[64];
	snprintf(root, sizeof(root), "/proc/%d/root", (int)pid);
	snprintf(name, sizeof(name), "perf-%d.map", (int)own_pid(pid));
	snprintf(path, size, "%s" DIRECTORY "/%s", root, name);
	int fd = cprof_foreign_file_open_in(root, DIRECTORY, name);
	if (fd >= 0 || errno == EINVAL)
		return fd;
	snprintf(name, sizeof(name), "perf-%d.map", (int)pid);
	snprintf(path, size, DIRECTORY "/%s", name);
	return cprof_foreign_file_open_in("", DIRECTORY, name);
}

struct cprof_error *cprof_perf_map_read(struct cprof_perf_map *map, const struct cprof_maps *maps,
					struct cprof_budget *budget)
{
	char path[160];
	*map = (struct cprof_perf_map){ 0 };
	CPROF_AUTO(close) int fd = open_map(maps->pid, path, sizeof(path));
	if (fd < 0 && errno != EINVAL)
		return errno == ENOENT ? NULL : cprof_error_os(errno, "open %s", path);
	if (fd < 0 || !maps->owner_known || !cprof_foreign_file_is_of(fd, maps->uid, maps->gid))
		return cprof_error_new(
			CPROF_ERR_BAD_DATA,
			"%s is not a plain file that only the process's user, or root, "
			"can have written",
			path);
	struct cprof_buffer text = { 0 };
	struct cprof_account *account;
	struct cprof_error *err = cprof_budget_account(budget, fd, path, &account);
	if (!err)
		err = read_text(fd, path, account, &text);
	if (!err && !pay_tables(account, &text))
		err = cprof_error_new(CPROF_ERR_BAD_DATA, "%s has too many lines", path);
	if (err) {
		cprof_buffer_deinit(&text);
		return err;
	}
	return cprof_perf_map_parse(map, &text);
}
