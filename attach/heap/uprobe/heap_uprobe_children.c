/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_uprobe_children.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

static bool same_program(pid_t a, pid_t b)
{
	char path[64];
	struct stat of_a, of_b;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)a);
	if (stat(path, &of_a))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)b);
	return stat(path, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

static bool has(const struct cprof_heap_uprobe_children *children, pid_t pid)
{
	for (size_t i = 0; i < children->n; i++) {
		if (children->known[i] == pid)
			return true;
	}
	return false;
}

/* Those of one thread, numbers with blanks between them. */
static void add_listed(struct cprof_heap_uprobe_children *now, pid_t pid, const char *path)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read(path, 1 << 16, &text);
	cprof_error_free(err);
	const char *at = cprof_buffer_text(&text);
	for (char *end;; at = end) {
		const pid_t child = (pid_t)strtol(at, &end, 10);
		if (end == at || now->n == CPROF_HEAP_UPROBE_CHILDREN)
			return;
		if (child > 0 && same_program(pid, child))
			now->known[now->n++] = child;
	}
}

static void add_of(struct cprof_heap_uprobe_children *now, pid_t pid)
{
	char path[64 + 256];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	CPROF_AUTO(closedir) DIR *tasks = opendir(path);
	for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, entry->d_name);
		add_listed(now, pid, path);
	}
}

bool cprof_heap_uprobe_children_came(struct cprof_heap_uprobe_children *children, pid_t pid)
{
	struct cprof_heap_uprobe_children now = { .n = 0 };
	bool came = false;
	add_of(&now, pid);
	for (size_t i = 0; i < now.n; i++) {
		add_of(&now, now.known[i]);
		came |= !has(children, now.known[i]);
	}
	*children = now;
	return came;
}
