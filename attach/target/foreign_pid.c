/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/foreign_pid.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text_line.h"
#include "cprof/buffer.h"

#define FIRST_PIDNS 4026531836ull /* include/linux/proc_ns.h, PROC_PID_INIT_INO */
#define TEXT_MAX    65536u
#define FDS_MAX     65536u /* looked at of one process */

/* ---- small files of /proc ---- */

static bool read_text(pid_t pid, const char *name, struct cprof_buffer *text)
{
	char path[512];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, text);
	const bool ok = !err && text->len;
	cprof_error_free(err);
	return ok;
}

/* 0: no such file, or we may not look. */
static uint64_t inode_of(pid_t pid, const char *name)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* The state, field 3 of /proc/PID/stat, and when it started, field 22. The name before, in parentheses, may contain anything. */
static bool read_stat(pid_t pid, char *ret_state, uint64_t *ret_ticks)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	const char *at =
		read_text(pid, "stat", &text) ? strrchr(cprof_buffer_text(&text), ')') : NULL;
	if (!at || !at[1])
		return false;
	*ret_state = at[2];
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	*ret_ticks = at ? strtoull(at, NULL, 10) : 0;
	return at != NULL;
}

uint64_t cprof_foreign_pid_ns_pid(const char *status)
{
	const char *at = cprof_text_line(status, "NSpid:");
	uint64_t last = 0;
	while (at && *at && *at != '\n') {
		char *end;
		const uint64_t number = strtoull(at, &end, 10);
		if (end == at)
			break;
		last = number;
		at = end;
	}
	return last;
}

pid_t cprof_foreign_pid_of_fdinfo(const char *fdinfo)
{
	const char *at = cprof_text_line(fdinfo, "Pid:");
	const long pid = at ? strtol(at, NULL, 10) : 0;
	return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

/* ---- the search ---- */

struct cprof_foreign_pid cprof_foreign_pid_self(void)
{
	const pid_t pid = getpid();
	char state;
	uint64_t ticks = 0;
	read_stat(pid, &state, &ticks);
	return (struct cprof_foreign_pid){ (uint64_t)pid, ticks, inode_of(pid, "ns/pid") };
}

bool cprof_foreign_pid_in_first_namespace(void)
{
	struct stat st;
	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == FIRST_PIDNS;
}

/*
 * Does it live, and did it start at that time? Another time namespace counts from elsewhere: there the rest must do. One that
 * has ended and was not waited for yet can do nothing any more.
 */
static bool lives_since(pid_t pid, uint64_t since)
{
	const uint64_t theirs = inode_of(pid, "ns/time"), ours = inode_of(getpid(), "ns/time");
	char state;
	uint64_t ticks;
	if (!read_stat(pid, &state, &ticks) || state == 'Z' || state == 'X')
		return false;
	return (theirs && ours && theirs != ours) || (ticks && ticks == since);
}

static enum cprof_foreign find_in_our_namespace(const struct cprof_foreign_pid *foreign,
						pid_t *ret_pid)
{
	const pid_t pid = (pid_t)foreign->pid;
	char state;
	uint64_t ticks;
	if (lives_since(pid, foreign->start_ticks)) {
		*ret_pid = pid;
		return CPROF_FOREIGN_HERE;
	}
	if (read_stat(pid, &state, &ticks))
		return CPROF_FOREIGN_GONE;
	/* hidepid hides the files of a process that lives. */
	return kill(pid, 0) == 0 || errno == EPERM ? CPROF_FOREIGN_UNSEEN : CPROF_FOREIGN_GONE;
}

static bool is_it(pid_t pid, const struct cprof_foreign_pid *foreign, uint64_t pidns)
{
	CPROF_AUTO(buffer) struct cprof_buffer status = { 0 };
	return (!pidns || pidns == foreign->pidns) && read_text(pid, "status", &status) &&
	       cprof_foreign_pid_ns_pid(cprof_buffer_text(&status)) == foreign->pid &&
	       lives_since(pid, foreign->start_ticks);
}

/*
 * A /proc shows the processes of its namespace and of those below. So if one process of that namespace is seen, all of them
 * are; and from the first namespace everything is.
 */
static enum cprof_foreign find_in_all(const struct cprof_foreign_pid *foreign, uint64_t ours,
				      pid_t *ret_pid)
{
	CPROF_AUTO(closedir) DIR *dir = opendir("/proc");
	bool seen = ours == FIRST_PIDNS && cprof_foreign_pid_state(1);
	for (const struct dirent *entry; dir && (entry = readdir(dir));) {
		char *end;
		const long pid = strtol(entry->d_name, &end, 10);
		if (*end || pid <= 0)
			continue;
		const uint64_t pidns = inode_of((pid_t)pid, "ns/pid");
		seen = seen || pidns == foreign->pidns;
		if (is_it((pid_t)pid, foreign, pidns)) {
			*ret_pid = (pid_t)pid;
			return CPROF_FOREIGN_HERE;
		}
	}
	return dir && seen ? CPROF_FOREIGN_GONE : CPROF_FOREIGN_UNSEEN;
}

enum cprof_foreign cprof_foreign_pid_find(const struct cprof_foreign_pid *foreign, pid_t *ret_pid)
{
	const uint64_t ours = inode_of(getpid(), "ns/pid");
	*ret_pid = 0;
	if (!foreign->pid || foreign->pid > INT32_MAX)
		return CPROF_FOREIGN_GONE; /* nobody's id */
	return ours && foreign->pidns == ours ? find_in_our_namespace(foreign, ret_pid)
					      : find_in_all(foreign, ours, ret_pid);
}

char cprof_foreign_pid_state(pid_t pid)
{
	char state;
	uint64_t ticks;
	return read_stat(pid, &state, &ticks) ? state : 0;
}

/* ---- may it be named? ---- */

bool cprof_foreign_pid_holds(pid_t pid, pid_t target)
{
	char path[64], name[300];
	snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)pid);
	CPROF_AUTO(closedir) DIR *dir = opendir(path);
	if (!dir)
		return errno == EACCES || errno == EPERM;
	unsigned n = 0;
	for (const struct dirent *entry; (entry = readdir(dir)) && n < FDS_MAX; n++) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		snprintf(name, sizeof(name), "fdinfo/%s", entry->d_name);
		if (entry->d_name[0] != '.' && read_text(pid, name, &text) &&
		    cprof_foreign_pid_of_fdinfo(cprof_buffer_text(&text)) == target)
			return true;
	}
	return false;
}

static bool same_program(pid_t pid)
{
	char path[64], to[4096];
	struct stat theirs, ours;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if (stat(path, &theirs) == 0 && stat("/proc/self/exe", &ours) == 0 &&
	    theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev)
		return true;
	const ssize_t n = readlink(path, to, sizeof(to) - 1);
	if (n <= 0)
		return false;
	to[n] = 0;
	const char *slash = strrchr(to, '/');
	const char *base = slash ? slash + 1 : to;
	return strcmp(base, "cprof-attach") == 0 || strcmp(base, "cprof-attach (deleted)") == 0;
}

/* The effective user of a process; UINT32_MAX: it is gone. */
static uint32_t user_of(pid_t pid)
{
	unsigned real, effective = UINT32_MAX;
	CPROF_AUTO(buffer) struct cprof_buffer status = { 0 };
	const char *line = read_text(pid, "status", &status)
				   ? cprof_text_line(cprof_buffer_text(&status), "Uid:")
				   : NULL;
	return line && sscanf(line, "%u %u", &real, &effective) == 2 ? effective : UINT32_MAX;
}

bool cprof_foreign_pid_is_ours(pid_t pid, pid_t target)
{
	const uint32_t user = user_of(pid);
	return user != UINT32_MAX && same_program(pid) &&
	       (user == 0 || user == (uint32_t)geteuid() || user == user_of(target));
}
