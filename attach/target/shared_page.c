/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/shared_page.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cprof/error.h"

#define STATUS_MAX    8192
#define PROCESSES_MAX 65536u

/* ---- mappings ---- */

bool cprof_shared_page_parse(const char *line, uint64_t *ret_start, uint64_t *ret_end,
			     struct cprof_shared_page *ret)
{
	char perms[5];
	uint64_t major, minor;
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %" SCNx64 ":%" SCNx64 " %" SCNu64,
		   ret_start, ret_end, perms, &ret->offset, &major, &minor, &ret->inode) != 7)
		return false;
	ret->dev = major << 32 | minor;
	return perms[3] == 's' && ret->inode && *ret_start < *ret_end;
}

/* A range of a process's memory, or the page that is looked for: what each line of its maps is held against. */
struct wanted {
	const uint64_t *addr;                 /* NULL: by page */
	const struct cprof_shared_page *page; /* NULL: by address */
	struct cprof_shared_page found;
};

static bool fits(struct wanted *wanted, uint64_t start, uint64_t end,
		 const struct cprof_shared_page *first)
{
	if (wanted->addr) {
		if (*wanted->addr < start || *wanted->addr >= end)
			return false;
		wanted->found = *first;
		wanted->found.offset += *wanted->addr - start;
		return true;
	}
	const struct cprof_shared_page *page = wanted->page;
	return first->dev == page->dev && first->inode == page->inode &&
	       page->offset >= first->offset && page->offset - first->offset < end - start;
}

static bool look_through(pid_t pid, struct wanted *wanted)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *file = fopen(path, "re");
	CPROF_AUTO(free) char *line = NULL;
	size_t cap = 0;
	bool found = false;
	while (file && !found && getline(&line, &cap, file) > 0) {
		uint64_t start, end;
		struct cprof_shared_page first;
		found = cprof_shared_page_parse(line, &start, &end, &first) &&
			fits(wanted, start, end, &first);
	}
	if (file)
		fclose(file);
	return found;
}

bool cprof_shared_page_at(pid_t pid, uint64_t addr, struct cprof_shared_page *ret)
{
	struct wanted wanted = { .addr = &addr };
	if (!look_through(pid, &wanted))
		return false;
	*ret = wanted.found;
	return true;
}

bool cprof_shared_page_is_mapped(pid_t pid, const struct cprof_shared_page *page)
{
	struct wanted wanted = { .page = page };
	return look_through(pid, &wanted);
}

/* ---- threads ---- */

struct search {
	const struct cprof_shared_page *page;
	pid_t but, ns_tid;
	struct cprof_shared_page_thread *ret;
	unsigned found;
	bool unseen;
};

/* By a thread's own number in our /proc, which lists threads that it does not show in its folder too. */
static bool read_status(pid_t tid, struct cprof_thread_status *ret)
{
	char text[STATUS_MAX];
	return cprof_thread_read(tid, tid, "status", text, sizeof(text)) > 0 &&
	       cprof_thread_status_parse(text, ret);
}

static bool may_read_maps(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte;
	const bool may = fd >= 0 && read(fd, &byte, 1) >= 0;
	const int why = errno;
	if (fd >= 0)
		close(fd);
	return may || (why != EACCES && why != EPERM);
}

/* A thread that calls itself so: is its process one that shares the page? */
static void take_thread(struct search *search, pid_t tid, const struct cprof_thread_status *status)
{
	char text[CPROF_THREAD_NAME_MAX];
	if (status->tgid == search->but || status->state == 'Z' || status->state == 'X')
		return;
	if (!may_read_maps(status->tgid)) {
		search->unseen = true;
		return;
	}
	if (!cprof_shared_page_is_mapped(status->tgid, search->page))
		return;
	search->found++;
	*search->ret = (struct cprof_shared_page_thread){ .tid = tid, .pid = status->tgid };
	if (cprof_thread_read(status->tgid, status->tgid, "comm", text, sizeof(text)) > 0) {
		text[strcspn(text, "\n")] = '\0';
		cprof_thread_name_clean(text);
		memcpy(search->ret->name, text, sizeof(text));
	}
}

/* Of a process in a PID namespace below ours: its threads have other numbers here. */
static void look_into(struct search *search, pid_t pid)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	if (!cprof_shared_page_is_mapped(pid, search->page)) {
		search->unseen = search->unseen || !may_read_maps(pid);
		return;
	}
	cprof_error_free(cprof_thread_list(pid, &tids, &n)); /* it has ended: it has none */
	for (size_t i = 0; i < n; i++) {
		struct cprof_thread_status status;
		if (read_status(tids[i], &status) && status.ns_tid == search->ns_tid)
			take_thread(search, tids[i], &status);
	}
}

static uint64_t pidns_of(pid_t pid)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static void look_below(struct search *search)
{
	CPROF_AUTO(closedir) DIR *dir = opendir("/proc");
	const uint64_t ours = pidns_of(getpid());
	unsigned n = 0;
	for (const struct dirent *entry; dir && n < PROCESSES_MAX && (entry = readdir(dir)); n++) {
		char *end;
		const long pid = strtol(entry->d_name, &end, 10);
		if (*end || pid <= 0 || (pid_t)pid == search->but)
			continue;
		const uint64_t theirs = pidns_of((pid_t)pid);
		if (theirs && theirs != ours)
			look_into(search, (pid_t)pid);
	}
}

enum cprof_foreign cprof_shared_page_thread(const struct cprof_shared_page *page, pid_t but,
					    pid_t ns_tid, struct cprof_shared_page_thread *ret)
{
	struct search search = { .page = page, .but = but, .ns_tid = ns_tid, .ret = ret };
	struct cprof_thread_status status;
	*ret = (struct cprof_shared_page_thread){ 0 };
	if (read_status(ns_tid, &status) && status.ns_tid == ns_tid)
		take_thread(&search, ns_tid, &status);
	else if (kill(ns_tid, 0) != 0 && errno == EPERM) /* hidden from us */
		search.unseen = true;
	look_below(&search);
	if (search.found == 1 && !search.unseen)
		return CPROF_FOREIGN_HERE;
	return search.found || search.unseen ? CPROF_FOREIGN_UNSEEN : CPROF_FOREIGN_GONE;
}
