/* SPDX-License-Identifier: Apache-2.0 */
#include "base/child_files.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST 3 /* behind stdin, stdout, stderr */

/* Descriptors of the kernel's own kinds (anon_inode) have no type at all. */
static bool is_file(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

void cprof_child_files_only(int keep)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		char *end;
		const long fd = strtol(entry->d_name, &end, 10);
		if (!*end && fd >= FIRST && fd != keep && fd != dirfd(dir) && !is_file((int)fd))
			close((int)fd);
	}
	if (dir)
		closedir(dir);
}
