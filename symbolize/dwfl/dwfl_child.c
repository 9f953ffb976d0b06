/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/dwfl_child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/child_files.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "symbolize/dwfl/dwfl_frames.h"
#include "symbolize/dwfl/dwfl_reply.h"

#define FRAMES_MAX 64
#define NS_PER_US  1000ull
#define STATM_MAX  4096
#define STAT_MAX   4096

#define STILL_MS    10000 /* a machine may be busy with swapping for seconds */
#define STILL_LOOKS 10    /* in that time */

struct head {
	uint32_t code; /* 1 + enum cprof_error_code of what follows as text; 0: frames follow */
	uint32_t len;
};

/* How long a process that is asked may stand still; pid 0: as long as it likes. */
struct patience {
	pid_t pid;
	uint64_t ms;
	bool over; /* it stood still for longer */
};

/* The letter of its state, and the processor time that it has used, in the kernel's ticks. */
static char state_of(pid_t pid, uint64_t *ret_ticks)
{
	char path[48], state = 0;
	unsigned long user = 0, system = 0;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	cprof_error_free(cprof_file_read(path, STAT_MAX, &text));
	const char *behind_name = strrchr(cprof_buffer_text(&text), ')');
	if (!behind_name ||
	    sscanf(behind_name, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state,
		   &user, &system) != 3)
		return 0;
	*ret_ticks = user + system;
	return state;
}

/* Until there is something to read at `fd`. False: who should write it neither runs nor waits for a processor for too long. */
static bool await(int fd, struct patience *patience)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint64_t before = UINT64_MAX, now = 0;
	for (unsigned still = 0; patience->pid && !patience->over;) {
		const int found = poll(&ready, 1, (int)(patience->ms / STILL_LOOKS));
		if (found > 0 || (found < 0 && errno != EINTR))
			return true;
		const char state = found ? 'R' : state_of(patience->pid, &now);
		still = state == 'R' || now != before ? 0 : still + 1;
		before = now;
		patience->over = still == STILL_LOOKS;
	}
	return !patience->over;
}

static bool transfer(int fd, void *bytes, size_t n, bool out, struct patience *patience)
{
	for (size_t done = 0; done < n;) {
		if (!out && !await(fd, patience))
			return false;
		uint8_t *at = (uint8_t *)bytes + done;
		const ssize_t now =
			out ? send(fd, at, n - done, MSG_NOSIGNAL) : recv(fd, at, n - done, 0);
		if (now < 0 && errno == EINTR)
			continue;
		if (now <= 0)
			return false;
		done += (size_t)now;
	}
	return true;
}

/* ---- in the child ---- */

/* A module, where it was first met. */
struct asked {
	uint32_t id;
	uint64_t bias;
	struct cprof_dwfl_namer namer;
	struct cprof_error *err; /* owned; why it cannot be asked about */
	uint64_t cpu_ns;         /* spent on it */
};

struct service {
	const struct cprof_dwfl_child *child;
	struct cprof_dwfl dwfl;
	struct asked **asked; /* owned */
	size_t n, cap;
};

/* What libdw prints when it has no memory left is for nobody, and what was buffered here is the parent's to write. */
static void become_silent(void)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return;
	dup2(ends[1], STDOUT_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[0]);
	close(ends[1]);
}

static void limit_memory(uint64_t bytes)
{
	unsigned long pages = 0;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_error_free(cprof_file_read("/proc/self/statm", STATM_MAX, &text));
	if (sscanf(cprof_buffer_text(&text), "%lu", &pages) != 1)
		return;
	const uint64_t most = pages * (uint64_t)sysconf(_SC_PAGESIZE) + bytes;
	setrlimit(RLIMIT_AS, &(struct rlimit){ most, most });
}

/* libdw opens what the file names, on its own: with no descriptor to be had it cannot. */
static void allow_opening(bool allow)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = allow ? limit.rlim_max : 0;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* What is used up ends the child by SIGPROF. */
static void limit_time(uint64_t ns)
{
	struct itimerval timer = { 0 };
	timer.it_value.tv_sec = (time_t)(ns / CPROF_NS_PER_S);
	timer.it_value.tv_usec = (suseconds_t)(ns % CPROF_NS_PER_S / NS_PER_US);
	if (!timer.it_value.tv_sec && !timer.it_value.tv_usec)
		timer.it_value.tv_usec = 1;
	setitimer(ITIMER_PROF, &timer, NULL);
}

static struct cprof_error *report(struct service *service, struct asked *asked)
{
	const struct cprof_dwfl_child *child = service->child;
	struct cprof_dwfl_files files = { 0 };
	struct cprof_dwfl_module *module = NULL;
	struct cprof_error *err = service->dwfl.dwfl ? NULL : cprof_dwfl_init(&service->dwfl);
	if (!err)
		err = child->open(child->ctx, asked->id, &files);
	if (!err)
		err = cprof_dwfl_report(&service->dwfl, &files, asked->bias, &module);
	if (err)
		return err;
	module->owner = asked;
	asked->namer.module = module;
	return NULL;
}

/* What libdwfl has at the place, if that is the file that was mapped there when it was sampled; else that file, wherever it was met. */
static struct asked *find(struct service *service, const struct cprof_dwfl_place *place)
{
	const struct cprof_dwfl_module *module =
		service->dwfl.dwfl ? cprof_dwfl_at(&service->dwfl, place->addr) : NULL;
	struct asked *at = module ? module->owner : NULL;
	for (size_t i = 0; i < service->n && !(at && at->id == place->id); i++)
		at = service->asked[i];
	return at && at->id == place->id ? at : NULL;
}

/* NULL: no memory. */
static struct asked *need(struct service *service, const struct cprof_dwfl_place *place)
{
	struct asked *asked = find(service, place);
	if (asked)
		return asked;
	asked = calloc(1, sizeof(*asked));
	if (!asked || !CPROF_ARRAY_ROOM(service->asked, service->n, service->cap, 1)) {
		free(asked);
		return NULL;
	}
	asked->id = place->id;
	asked->bias = place->bias;
	service->asked[service->n++] = asked;
	return asked;
}

static void answer(struct service *service, struct asked *asked,
		   const struct cprof_dwfl_place *place, struct cprof_buffer *out)
{
	struct cprof_dwarf_frame frames[FRAMES_MAX];
	if (!asked->err && !asked->namer.module)
		asked->err = report(service, asked);
	if (asked->err)
		return;
	allow_opening(false);
	const size_t n = cprof_dwfl_namer_ask(
		&asked->namer, place->addr - place->bias + asked->bias, frames, FRAMES_MAX);
	allow_opening(true);
	cprof_dwfl_reply_write(frames, n, out);
}

static bool serve_one(struct service *service, int fd, uint64_t all_left_ns)
{
	const struct cprof_dwfl_child *child = service->child;
	struct patience parent = { 0 };
	struct cprof_dwfl_place place;
	CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
	if (!transfer(fd, &place, sizeof(place), false, &parent))
		return false;
	struct asked *asked = need(service, &place);
	if (!asked)
		return false;
	const uint64_t before = cprof_clock_cpu_ns();
	const uint64_t left =
		child->module_cpu_ns > asked->cpu_ns ? child->module_cpu_ns - asked->cpu_ns : 0;
	const uint64_t all_left = all_left_ns > before ? all_left_ns - before : 0;
	limit_time(left < all_left ? left : all_left);
	answer(service, asked, &place, &out);
	asked->cpu_ns += cprof_clock_cpu_ns() - before;
	struct head head = { 0 };
	if (asked->err) {
		head.code = 1 + asked->err->code;
		cprof_buffer_puts(&out, asked->err->message);
		if (asked->err->hint)
			cprof_buffer_printf(&out, " (%s)", asked->err->hint);
	}
	head.len = (uint32_t)out.len;
	return !out.failed && transfer(fd, &head, sizeof(head), true, &parent) &&
	       (!out.len || transfer(fd, out.data, out.len, true, &parent));
}

_Noreturn static void serve(const struct cprof_dwfl_child *child, int fd, pid_t parent)
{
	struct service service = { .child = child };
	sigset_t none;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "cprof-libdw");
	/* The parent's handlers, and its Ctrl-C, are not ours; all signals stay blocked but the one that ends us. */
	signal(SIGPROF, SIG_DFL);
	sigfillset(&none);
	sigdelset(&none, SIGPROF);
	sigprocmask(SIG_SETMASK, &none, NULL);
	become_silent();
	cprof_child_files_only(fd);
	limit_memory(child->memory_bytes);
	/* A core file of ours, or of a crash that a target has caused, is for nobody. */
	prctl(PR_SET_DUMPABLE, 0);
	while (getppid() == parent &&
	       serve_one(&service, fd, child->all_cpu_ns - child->spent_cpu_ns))
		;
	_exit(0);
}

/* ---- in the process that asks ---- */

static struct cprof_error *start(struct cprof_dwfl_child *child)
{
	int ends[2];
	sigset_t all, before;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return cprof_error_os(errno, "socketpair");
	CPROF_AUTO(close) int ours = ends[0];
	CPROF_AUTO(close) int theirs = ends[1];
	const pid_t parent = getpid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	const pid_t pid = fork();
	const int why = errno;
	if (pid == 0) {
		close(ours);
		serve(child, theirs, parent);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return cprof_error_os(why, "fork");
	child->pid = pid;
	child->fd = cprof_take_fd(&ours);
	return NULL;
}

static uint64_t cpu_of(const struct rusage *usage)
{
	return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * CPROF_NS_PER_S +
	       (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * NS_PER_US;
}

/* See it off; its status, or -1. */
static int reap(struct cprof_dwfl_child *child)
{
	struct rusage usage = { 0 };
	int status = -1;
	pid_t got;
	close(child->fd);
	while ((got = wait4(child->pid, &status, 0, &usage)) < 0 && errno == EINTR)
		;
	child->spent_cpu_ns += got == child->pid ? cpu_of(&usage) : 0;
	child->pid = 0;
	return got < 0 ? -1 : status;
}

void cprof_dwfl_child_end(struct cprof_dwfl_child *child)
{
	if (child->pid) {
		kill(child->pid, SIGKILL);
		reap(child);
	}
	cprof_buffer_deinit(&child->reply);
	child->reply = (struct cprof_buffer){ 0 };
}

/* Why the answer did not come. */
static struct cprof_error *ended(struct cprof_dwfl_child *child, bool still)
{
	kill(child->pid, SIGKILL);
	const int status = reap(child);
	if (still)
		return cprof_error_new(
			CPROF_ERR_BAD_DATA,
			"libdw stood still for %" PRIu64
			" s (somebody stopped its process cprof-libdw, or it waits for something)",
			(child->still_ms ? child->still_ms : STILL_MS) / 1000);
	if (status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "libdw took more processor time than it may (%" PRIu64
				       " s for a file, %" PRIu64 " s for all)",
				       (uint64_t)(child->module_cpu_ns / CPROF_NS_PER_S),
				       (uint64_t)(child->all_cpu_ns / CPROF_NS_PER_S));
	if (status >= 0 && WIFSIGNALED(status))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "libdw broke on it (%s)",
				       strsignal(WTERMSIG(status)));
	return cprof_error_new(CPROF_ERR_BAD_DATA,
			       "libdw gave up on it, as when it has too little memory");
}

static bool read_reply(struct cprof_dwfl_child *child, struct patience *patience,
		       struct head *ret_head)
{
	if (!transfer(child->fd, ret_head, sizeof(*ret_head), false, patience) ||
	    ret_head->len > CPROF_DWFL_REPLY_MAX)
		return false;
	cprof_buffer_deinit(&child->reply);
	child->reply = (struct cprof_buffer){ 0 };
	uint8_t *room = cprof_buffer_reserve(&child->reply, ret_head->len + 1);
	if (!room || !transfer(child->fd, room, ret_head->len, false, patience))
		return false;
	child->reply.len += ret_head->len;
	return true;
}

struct cprof_error *cprof_dwfl_child_ask(struct cprof_dwfl_child *child,
					 const struct cprof_dwfl_place *place,
					 struct cprof_dwarf_frame *frames, size_t cap,
					 size_t *ret_n)
{
	struct cprof_dwfl_place question;
	struct patience patience = { .ms = child->still_ms ? child->still_ms : STILL_MS };
	struct head head;
	*ret_n = 0;
	if (child->spent_cpu_ns >= child->all_cpu_ns)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "libdw has used up its processor time for all files");
	struct cprof_error *err = child->pid ? NULL : start(child);
	if (err)
		return err;
	patience.pid = child->pid;
	memset(&question, 0, sizeof(question)); /* the gaps, too */
	question.addr = place->addr;
	question.bias = place->bias;
	question.id = place->id;
	if (!transfer(child->fd, &question, sizeof(question), true, &patience) ||
	    !read_reply(child, &patience, &head))
		return ended(child, patience.over);
	/* Its lack of memory is none of ours. */
	if (head.code)
		return cprof_error_new(
			head.code == 1 + CPROF_ERR_UNSUPPORTED ? CPROF_ERR_UNSUPPORTED
							       : CPROF_ERR_BAD_DATA,
			"%.*s", (int)child->reply.len, (const char *)child->reply.data);
	if (!cprof_dwfl_reply_read(child->reply.data, child->reply.len, frames, cap, ret_n)) {
		*ret_n = 0;
		return ended(child, false);
	}
	return NULL;
}
