/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/delivery/courier.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "convert/delivery/drain.h"
#include "convert/delivery/pace.h"

#define NICE          10 /* recording comes first */
#define LOOK_AGAIN_MS 30000
#define REAP_MS       20
#define FIRST_FREE_FD 3

/* ---- the child ---- */

struct working {
	struct cprof_spool spool;
	struct cprof_drain drain;
	struct cprof_destination *destinations; /* owned, and each */
	size_t n;
	int pipe;
	uint64_t until_boot_ns; /* 0: for ever */
	bool paced;
	uint64_t began_boot_ns;
};

static void be_a_child(int keep)
{
	static const int signals[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE
	};
	/* What ends us is the end of the pipe: a Ctrl-C goes to the whole group, and the parent wants the rest delivered. */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_IGN);
	if (keep > FIRST_FREE_FD)
		close_range(FIRST_FREE_FD, (unsigned)keep - 1, 0);
	close_range(keep < FIRST_FREE_FD ? FIRST_FREE_FD : (unsigned)keep + 1, ~0u, 0);
	setpriority(PRIO_PROCESS, 0, NICE);
}

static uint64_t boot_now(const struct working *working)
{
	return working->spool.clock->boot_ns(working->spool.clock->ctx);
}

/* When the first of the servers wants to be tried, as poll(2) wants it. */
static int wait_ms(const struct working *working, bool more)
{
	uint64_t now = boot_now(working), first = now + LOOK_AGAIN_MS * 1000000ull;
	if (more)
		first = now;
	for (size_t i = 0; i < working->n; i++) {
		uint64_t at = working->destinations[i].not_before_boot_ns;
		if (at > now && at < first)
			first = at;
	}
	if (working->until_boot_ns && working->until_boot_ns < first)
		first = working->until_boot_ns;
	return first > now ? (int)((first - now + 999999) / 1000000) : 0;
}

/* One profile of each server. False: nothing is left that could go now or soon. */
static bool round_of(struct working *working, bool *ret_more)
{
	bool left = false;
	*ret_more = false;
	for (size_t i = 0; i < working->n; i++) {
		enum cprof_drained drained = CPROF_DRAINED_NONE;
		struct cprof_destination *destination = &working->destinations[i];
		struct cprof_error *err = cprof_drain_step(&working->drain, destination, &drained);
		if (err && working->drain.say)
			working->drain.say(working->drain.ctx, err->message);
		if (err)
			destination->not_before_boot_ns = boot_now(working) + 60 * CPROF_NS_PER_S;
		cprof_error_free(err);
		*ret_more = *ret_more || (drained == CPROF_DRAINED_ONE &&
					  destination->not_before_boot_ns <= boot_now(working));
		left = left || drained != CPROF_DRAINED_NONE;
	}
	return left;
}

/* A byte is "look"; a number in 8 is "finish by then"; the end is "I am gone". False: end now. */
static bool listen_to_parent(struct working *working)
{
	uint64_t words[64];
	ssize_t n = read(working->pipe, words, sizeof(words));
	if (n == 0)
		return false;
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(*words); i++) {
		if (words[i])
			working->until_boot_ns = words[i];
	}
	return n > 0 || errno == EINTR || errno == EAGAIN;
}

/* At the end nobody waits in proportion to what there is to catch up with. */
static void set_pace(struct working *working)
{
	if (!working->paced)
		return;
	if (!working->until_boot_ns) {
		const uint64_t kept = working->spool.counts->kept / (working->n ? working->n : 1);
		working->drain.pace_ns =
			cprof_pace_ns(boot_now(working) - working->began_boot_ns, kept);
		return;
	}
	working->paced = false;
	working->drain.pace_ns = 0;
	for (size_t i = 0; i < working->n; i++) {
		if (!working->destinations[i].failures)
			working->destinations[i].not_before_boot_ns = 0;
	}
}

static void work(struct working *working)
{
	bool more = true, left = true;
	for (;;) {
		struct pollfd parent = { .fd = working->pipe, .events = POLLIN };
		if (poll(&parent, 1, wait_ms(working, more)) > 0 && !listen_to_parent(working))
			return;
		set_pace(working);
		if (working->until_boot_ns && boot_now(working) >= working->until_boot_ns)
			return;
		left = round_of(working, &more);
		if (working->until_boot_ns && !left)
			return;
	}
}

static bool set_up(struct working *working, const struct cprof_courier_plan *plan,
		   const struct cprof_clockwork *clock, struct cprof_delivery_counts *counts)
{
	struct cprof_error *err =
		cprof_spool_open(plan->spool, &plan->bounds, clock, counts, &working->spool);
	working->drain = (struct cprof_drain){ .spool = &working->spool,
					       .say = plan->say,
					       .ctx = plan->ctx };
	working->paced = plan->paced;
	working->began_boot_ns = clock->boot_ns(clock->ctx);
	working->destinations = calloc(plan->n_servers + 1, sizeof(*working->destinations));
	if (!err && !working->destinations)
		err = cprof_error_no_memory();
	for (size_t i = 0; i < plan->n_servers && !err; i++, working->n += !err)
		err = cprof_destination_init(&plan->servers[i], &working->destinations[i]);
	if (err && plan->say)
		plan->say(plan->ctx, err->message);
	bool good = !err;
	cprof_error_free(err);
	return good;
}

static void run(const struct cprof_courier_plan *plan, struct cprof_delivery_counts *counts,
		int pipe)
{
	struct working working = { .pipe = pipe };
	be_a_child(pipe);
	if (set_up(&working, plan, &cprof_clockwork_real, counts))
		work(&working);
	for (size_t i = 0; i < working.n; i++)
		cprof_destination_deinit(&working.destinations[i]);
	free(working.destinations);
	cprof_spool_deinit(&working.spool);
}

/* ---- the parent ---- */

static struct cprof_delivery_counts *new_counts(void)
{
	void *counts = mmap(NULL, sizeof(struct cprof_delivery_counts), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return counts == MAP_FAILED ? NULL : counts;
}

static struct cprof_error *start_child(const struct cprof_courier_plan *plan,
				       struct cprof_courier *courier)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return cprof_error_os(errno, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[1]);
		run(plan, courier->counts, ends[0]);
		_exit(0);
	}
	int why = errno;
	close(ends[0]);
	if (pid < 0) {
		close(ends[1]);
		return cprof_error_os(why, "fork");
	}
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	courier->wake = ends[1];
	courier->pid = pid;
	return NULL;
}

struct cprof_error *cprof_courier_start(const struct cprof_courier_plan *plan,
					struct cprof_courier *ret_courier)
{
	struct cprof_courier courier = {
		.wake = -1,
		.spool.dir.fd = -1,
		.say = plan->say,
		.pass = plan->pass,
		.ctx = plan->ctx,
	};
	courier.counts = new_counts();
	if (!courier.counts)
		return cprof_error_no_memory();
	courier.spool.counts = courier.counts;
	struct cprof_error *err = cprof_spool_open(
		plan->spool, &plan->bounds, &cprof_clockwork_real, courier.counts, &courier.spool);
	if (err && plan->say) {
		CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
		cprof_buffer_printf(&line, "%s; profiles are sent at once or not at all",
				    err->message);
		plan->say(plan->ctx, cprof_buffer_text(&line));
	}
	bool kept = !err;
	cprof_error_free(err);
	err = kept ? start_child(plan, &courier) : NULL;
	if (err)
		cprof_courier_deinit(&courier);
	else
		*ret_courier = courier;
	return err;
}

static void reap_direct(struct cprof_courier *courier)
{
	for (size_t i = 0; i < CPROF_COURIER_DIRECT_MAX; i++) {
		if (courier->direct[i] && waitpid(courier->direct[i], NULL, WNOHANG) != 0)
			courier->direct[i] = 0;
	}
}

static void send_directly(struct cprof_delivery_counts *counts, const struct cprof_push *push)
{
	struct cprof_push_result result = { 0 };
	be_a_child(0);
	struct cprof_error *err = cprof_push_send(push, &result);
	_Atomic uint64_t *count = !err ? &counts->delivered
				  : result.verdict == CPROF_PUSH_REFUSED
					  ? &counts->dropped[CPROF_DROPPED_REFUSED]
					  : &counts->dropped[CPROF_DROPPED_NOT_KEPT];
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static bool start_direct(struct cprof_courier *courier, const struct cprof_push *push)
{
	reap_direct(courier);
	for (size_t i = 0; i < CPROF_COURIER_DIRECT_MAX; i++) {
		if (courier->direct[i])
			continue;
		pid_t pid = fork();
		if (pid == 0) {
			send_directly(courier->counts, push);
			_exit(0);
		}
		courier->direct[i] = pid > 0 ? pid : 0;
		return pid > 0;
	}
	return false;
}

static void say_gone(const struct cprof_courier *courier, int status)
{
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	cprof_buffer_puts(&line, "the process that delivers profiles has ended");
	if (WIFSIGNALED(status))
		cprof_buffer_printf(&line, " (signal %d)", WTERMSIG(status));
	cprof_buffer_printf(&line, "; they wait in %s until this is started again",
			    courier->spool.dir.path);
	if (courier->say)
		courier->say(courier->ctx, cprof_buffer_text(&line));
}

/* It is not to end before it is told to. */
void cprof_courier_look(struct cprof_courier *courier)
{
	int status = 0;
	if (!courier->pid || waitpid(courier->pid, &status, WNOHANG) == 0)
		return;
	courier->pid = 0;
	cprof_auto_close(&courier->wake);
	courier->wake = -1;
	say_gone(courier, status);
}

static void tell(struct cprof_courier *courier, uint64_t word)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	if (courier->wake < 0)
		return;
	sigaction(SIGPIPE, &ignore, &before);
	/* A pipe that is full has told it already. */
	if (write(courier->wake, &word, sizeof(word)) < 0)
		errno = 0;
	sigaction(SIGPIPE, &before, NULL);
}

void cprof_courier_take(struct cprof_courier *courier, const struct cprof_push *push)
{
	struct cprof_error *err = NULL;
	cprof_courier_look(courier);
	if (courier->spool.dir.path)
		err = cprof_spool_put(&courier->spool, push, NULL);
	if (courier->spool.dir.path && !err)
		tell(courier, 0);
	else if (!start_direct(courier, push))
		cprof_spool_drop(&courier->spool, CPROF_DROPPED_NOT_KEPT);
	cprof_error_free(err);
}

static void pass(const struct cprof_courier *courier)
{
	if (courier->pass)
		courier->pass(courier->ctx, REAP_MS);
	else
		poll(NULL, 0, REAP_MS);
}

static void wait_for(const struct cprof_courier *courier, pid_t *pid, uint64_t until_boot_ns)
{
	while (*pid && waitpid(*pid, NULL, WNOHANG) == 0) {
		if (cprof_clock_ns(CLOCK_BOOTTIME) > until_boot_ns) {
			kill(*pid, SIGKILL);
			waitpid(*pid, NULL, 0);
			break;
		}
		pass(courier);
	}
	*pid = 0;
}

void cprof_courier_finish(struct cprof_courier *courier, uint64_t grace_ns)
{
	uint64_t until_ns = cprof_clock_ns(CLOCK_BOOTTIME) + grace_ns;
	cprof_courier_look(courier);
	tell(courier, until_ns);
	/* The transfer that it is in by then is worth waiting for: killed in it, the profile would arrive twice. */
	wait_for(courier, &courier->pid, until_ns + 15 * CPROF_NS_PER_S);
	for (size_t i = 0; i < CPROF_COURIER_DIRECT_MAX; i++)
		wait_for(courier, &courier->direct[i], until_ns);
	cprof_auto_close(&courier->wake);
	courier->wake = -1;
	CPROF_AUTO(state_files) struct cprof_state_files files = { 0 };
	if (courier->spool.dir.path)
		cprof_error_free(cprof_spool_list(&courier->spool, &files));
}

void cprof_courier_deinit(struct cprof_courier *courier)
{
	cprof_auto_close(&courier->wake);
	courier->wake = -1;
	cprof_spool_deinit(&courier->spool);
	if (courier->counts)
		munmap(courier->counts, sizeof(*courier->counts));
	courier->counts = NULL;
}
