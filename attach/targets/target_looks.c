/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/targets/target_looks.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define TEXT_MAX 65536

void cprof_target_looks_read(pid_t pid, bool groups, struct cprof_target_looks *looks)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer comm = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	cprof_error_free(cprof_file_read(path, TEXT_MAX, &comm));
	snprintf(looks->comm, sizeof(looks->comm), "%s", cprof_buffer_text(&comm));
	looks->comm[strcspn(looks->comm, "\n")] = 0;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	const ssize_t n = readlink(path, looks->exe, sizeof(looks->exe) - 1);
	looks->exe[n > 0 ? n : 0] = 0;
	char *deleted = strstr(looks->exe, " (deleted)");
	if (deleted && !deleted[strlen(" (deleted)")])
		*deleted = 0;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (groups)
		cprof_error_free(cprof_file_read(path, TEXT_MAX, &looks->cgroups));
}

void cprof_target_looks_deinit(struct cprof_target_looks *looks)
{
	cprof_buffer_deinit(&looks->cgroups);
}

void cprof_target_looks_program(pid_t pid, dev_t *ret_dev, ino_t *ret_inode)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	const bool seen = stat(path, &st) == 0;
	*ret_dev = seen ? st.st_dev : 0;
	*ret_inode = seen ? st.st_ino : 0;
}

pid_t cprof_target_looks_parent(pid_t pid)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	int parent = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	cprof_error_free(cprof_file_read(path, TEXT_MAX, &text));
	const char *after = strrchr(cprof_buffer_text(&text), ')');
	return after && sscanf(after + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}
