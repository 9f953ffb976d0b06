#include "attach/heap/uprobe/heap_uprobe_try.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/heap/uprobe/heap_uprobe_link.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"
#include "cprof/maps.h"

#define SYS_URETPROBE                                                                              \
	335 /* Linux commit 190fec72df4a ("uprobe: Wire up uretprobe system call") (v6.11) */

/* ---- the trial ---- */

static __attribute__((noinline)) int called(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

static void child(int wait_fd)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_URETPROBE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	int (*volatile call)(int) = called;
	char byte;
	if (read(wait_fd, &byte, 1) != 1 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(2);
	_exit(call(1) == 2 ? 0 : 1);
}

/* Where called() is in our own program's file; false if that cannot be told. */
static bool find_called(uint64_t *ret_offset)
{
	struct cprof_maps maps;
	cprof_maps_init(&maps, getpid(), (struct cprof_memory){ 0 });
	struct cprof_error *err = cprof_maps_refresh(&maps);
	const uint64_t addr = (uint64_t)(uintptr_t)called;
	const struct cprof_map *map = err ? NULL : cprof_maps_find(&maps, addr);
	if (map)
		*ret_offset = map->offset + (addr - map->start);
	cprof_error_free(err);
	cprof_maps_deinit(&maps);
	return map != NULL;
}

bool cprof_heap_uprobe_try_filter(void)
{
	uint64_t offset;
	int fds[2];
	if (!find_called(&offset) || pipe2(fds, O_CLOEXEC))
		return false;
	pid_t pid = fork();
	if (pid == 0)
		child(fds[0]);
	CPROF_AUTO(close)
	int probe = pid > 0 ? cprof_heap_uprobe_return_event("/proc/self/exe", offset, pid) : -1;
	/* Without the probe it would show nothing: then the child gets no byte, and fails. */
	const bool asked = probe >= 0 && write(fds[1], "g", 1) == 1;
	close(fds[0]);
	close(fds[1]);
	int status = -1;
	return pid > 0 && waitpid(pid, &status, 0) == pid && asked && status == 0;
}

/* ---- the process ---- */

static bool has_line(const char *text, const char *key, const char *word, const char *but)
{
	const char *at = strstr(text, key);
	if (!at)
		return false;
	at += strlen(key);
	const size_t n = strcspn(at, "\n");
	if (but)
		return strncmp(at, but, n) != 0;
	const char *found = strstr(at, word);
	return found && found < at + n;
}

static void read_status(const char *path, bool *filter, bool *shadow)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read(path, 1 << 16, &text);
	cprof_error_free(err);
	const char *status = cprof_buffer_text(&text);
	*filter |= has_line(status, "\nSeccomp:\t", NULL, "0");
	*shadow |= has_line(status, "\nx86_Thread_features:", "shstk", NULL);
}

bool cprof_heap_uprobe_try_spare(pid_t pid)
{
	char path[64 + 256];
	bool filter = false, shadow = false;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	CPROF_AUTO(closedir) DIR *tasks = opendir(path);
	for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, entry->d_name);
		read_status(path, &filter, &shadow);
	}
	return shadow || (filter && !cprof_heap_uprobe_try_filter());
}
