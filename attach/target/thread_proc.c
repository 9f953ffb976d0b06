/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/thread_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"

/* A process cannot have more threads than /proc/sys/kernel/pid_max allows, which ends at 4 Mi. */
#define THREADS_MAX ((size_t)4 << 20) /* PID_MAX_LIMIT */

bool cprof_thread_wchan_is_freezer(const char *wchan)
{
	static const char *const places[] = { "__refrigerator", "do_freezer_trap", "get_signal" };
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (strcmp(wchan, places[i]) == 0)
			return true;
	}
	return false;
}

void cprof_thread_name_clean(char *name)
{
	for (unsigned char *c = (unsigned char *)name; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
}

static void copy_name(char *to, const char *from, size_t n)
{
	if (n >= CPROF_THREAD_NAME_MAX)
		n = CPROF_THREAD_NAME_MAX - 1;
	memcpy(to, from, n);
	to[n] = 0;
	cprof_thread_name_clean(to);
}

/* The name stands in parentheses and may hold any, so it ends at the last one. */
bool cprof_thread_stat_parse(const char *text, struct cprof_thread_stat *ret)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	char *end;
	long tid = strtol(text, &end, 10);
	if (end == text || !open || !close || close < open || tid <= 0 || tid > INT32_MAX)
		return false;
	*ret = (struct cprof_thread_stat){ .tid = (pid_t)tid, .cpu = -1 };
	copy_name(ret->name, open + 1, (size_t)(close - open - 1));

	/* Fields 3, 9, 14, 15, 22 and 39 of proc(5). */
	int n = sscanf(close + 1,
		       " %c %*s %*s %*s %*s %*s %" SCNu64 " %*s %*s %*s %*s %" SCNu64 " %" SCNu64
		       " %*s %*s %*s %*s %*s %*s %" SCNu64
		       " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d",
		       &ret->state, &ret->flags, &ret->user_ticks, &ret->system_ticks,
		       &ret->start_ticks, &ret->cpu);
	return n >= 5 && strchr("RSDTtZXxKWPI", ret->state);
}

bool cprof_thread_call_parse(const char *text, struct cprof_thread_call *ret)
{
	*ret = (struct cprof_thread_call){ .nr = -1 };
	if (strncmp(text, "running", 7) == 0 && (text[7] == '\n' || text[7] == 0)) {
		ret->kind = CPROF_CALL_RUNNING;
		return true;
	}
	int at = 0;
	if (sscanf(text, "%" SCNd64 " %n", &ret->nr, &at) < 1 || at == 0)
		return false;
	if (ret->nr < 0) {
		ret->kind = CPROF_CALL_OUTSIDE;
		return sscanf(text + at, "%" SCNx64 " %" SCNx64, &ret->sp, &ret->pc) == 2;
	}
	ret->kind = CPROF_CALL_BLOCKED;
	uint64_t *a = ret->args;
	return sscanf(text + at,
		      "%" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		      " %" SCNx64 " %" SCNx64,
		      &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &ret->sp, &ret->pc) == 8;
}

bool cprof_thread_call_same(const struct cprof_thread_call *a, const struct cprof_thread_call *b)
{
	return a->kind == b->kind && a->nr == b->nr && a->sp == b->sp && a->pc == b->pc &&
	       memcmp(a->args, b->args, sizeof(a->args)) == 0;
}

/* The value behind "NAME" and a colon at the start of a line, or NULL. */
static const char *field(const char *text, const char *name)
{
	size_t len = strlen(name);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0) {
			const char *value = line + len + strspn(line + len, " \t");
			if (*value == ':')
				return value + 1 + strspn(value + 1, " \t");
		}
		if (!*line)
			break;
	}
	return NULL;
}

/* "1802613.513028" (milliseconds, six decimals: SPLIT_NS in kernel/sched/debug.c) as nanoseconds. */
static bool split_ns(const char *value, uint64_t *ret_ns)
{
	uint64_t ms, ns;
	char digits[7];
	if (!value || sscanf(value, "%" SCNu64 ".%6[0-9]", &ms, digits) != 2 || strlen(digits) != 6)
		return false;
	ns = strtoull(digits, NULL, 10);
	return !__builtin_mul_overflow(ms, 1000000ull, ret_ns) &&
	       !__builtin_add_overflow(*ret_ns, ns, ret_ns);
}

bool cprof_thread_sched_parse(const char *text, struct cprof_thread_switches *ret)
{
	*ret = (struct cprof_thread_switches){ 0 };
	const char *count = field(text, "nr_switches");
	if (!count || sscanf(count, "%" SCNu64, &ret->count) != 1)
		return false;
	ret->has_count = true;
	if (!split_ns(field(text, "se.exec_start"), &ret->last_ns))
		ret->last_ns = 0;
	if (!split_ns(field(text, "se.sum_exec_runtime"), &ret->ran_ns))
		ret->ran_ns = 0;
	return true;
}

bool cprof_thread_schedstat_parse(const char *text, struct cprof_thread_schedstat *ret)
{
	return sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &ret->ran_ns, &ret->queued_ns,
		      &ret->runs) == 3;
}

bool cprof_thread_io_parse(const char *text, uint64_t *ret_writes)
{
	const char *count = field(text, "syscw");
	return count && sscanf(count, "%" SCNu64, ret_writes) == 1;
}

static bool number(const char *value, int64_t *ret)
{
	char *end;
	if (!value)
		return false;
	errno = 0;
	*ret = strtoll(value, &end, 10);
	return end != value && !errno;
}

/* NSpid lists one number per pid namespace; the last is the thread's own view of itself. */
static pid_t last_number(const char *value)
{
	pid_t last = 0;
	while (value && *value && *value != '\n') {
		char *end;
		long tid = strtol(value, &end, 10);
		if (end == value || tid <= 0 || tid > INT32_MAX)
			break;
		last = (pid_t)tid;
		value = end + strspn(end, " \t");
	}
	return last;
}

static uint64_t signals(const char *value)
{
	return value ? strtoull(value, NULL, 16) : 0;
}

/* "x86_Thread_features:" names "shstk" where the thread has a shadow stack. */
static bool has_word(const char *value, const char *word)
{
	size_t len = strlen(word);
	while (value && *value && *value != '\n') {
		size_t n = strcspn(value, " \t\n");
		if (n == len && strncmp(value, word, n) == 0)
			return true;
		value += n + strspn(value + n, " \t");
	}
	return false;
}

bool cprof_thread_status_parse(const char *text, struct cprof_thread_status *ret)
{
	int64_t value, more;
	*ret = (struct cprof_thread_status){ 0 };
	const char *state = field(text, "State");
	if (!state || !number(field(text, "Tgid"), &value) || value <= 0 || value > INT32_MAX)
		return false;
	ret->state = *state;
	ret->tgid = (pid_t)value;
	if (number(field(text, "TracerPid"), &value) && value >= 0 && value <= INT32_MAX)
		ret->tracer = (pid_t)value;
	if (number(field(text, "Seccomp"), &value) && value >= 0 && value <= 2)
		ret->seccomp = (int)value;
	ret->ns_tid = last_number(field(text, "NSpid"));
	ret->caught = signals(field(text, "SigCgt"));
	ret->pending = signals(field(text, "SigPnd")) | signals(field(text, "ShdPnd"));
	ret->blocked = signals(field(text, "SigBlk"));
	ret->shadow_stack = has_word(field(text, "x86_Thread_features"), "shstk");
	if (number(field(text, "voluntary_ctxt_switches"), &value) &&
	    number(field(text, "nonvoluntary_ctxt_switches"), &more)) {
		ret->switches = (uint64_t)value + (uint64_t)more;
		ret->has_switches = true;
	}
	return true;
}

int cprof_thread_read(pid_t pid, pid_t tid, const char *name, char *buf, size_t cap)
{
	char path[96];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	CPROF_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n;
	do {
		n = read(fd, buf, cap - 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	return (int)n;
}

bool cprof_thread_schedstat_read(pid_t pid, pid_t tid, struct cprof_thread_schedstat *ret)
{
	char text[128];
	return cprof_thread_read(pid, tid, "schedstat", text, sizeof(text)) > 0 &&
	       cprof_thread_schedstat_parse(text, ret);
}

uint64_t cprof_thread_count(pid_t pid)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	return stat(path, &st) == 0 && st.st_nlink > 2 ? (uint64_t)st.st_nlink - 2 : 0;
}

struct cprof_error *cprof_thread_list(pid_t pid, pid_t **ret_tids, size_t *ret_n)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	CPROF_AUTO(closedir) DIR *dir = opendir(path);
	if (!dir)
		return cprof_error_os(errno == ENOENT ? ESRCH : errno, "open %s", path);
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0, cap = 0;
	struct dirent *entry;
	while (n < THREADS_MAX && (errno = 0, entry = readdir(dir))) {
		long tid = strtol(entry->d_name, NULL, 10);
		if (tid <= 0 || tid > INT32_MAX)
			continue;
		if (!CPROF_ARRAY_ROOM(tids, n, cap, 1))
			return cprof_error_no_memory();
		tids[n++] = (pid_t)tid;
	}
	if (n == 0)
		return cprof_error_os(ESRCH, "no threads in %s", path);
	*ret_tids = cprof_take_ptr(&tids);
	*ret_n = n;
	return NULL;
}
