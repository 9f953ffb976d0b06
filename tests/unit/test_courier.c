/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "convert/delivery/courier.h"
#include "tests/unit/delivery_rig.h"
#include "tests/unit/test.h"

#define OK    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define GRACE (60 * CPROF_NS_PER_S)

/* A server and a courier for it; the clock is the real one here. */
struct duty {
	struct rig rig;
	struct cprof_push to;
	struct cprof_courier courier;
	unsigned lines; /* that the parent said */
};

static void count_line(void *ctx, const char *line)
{
	++*(unsigned *)ctx;
	CHECK(strstr(line, "has ended (signal 9)"));
}

static void begin(struct duty *duty, const char *answer)
{
	duty->lines = 0;
	rig_init(&duty->rig);
	rig_serve(&duty->rig);
	rig_answer(&duty->rig, 1, &answer);
	duty->to = (struct cprof_push){ .url = duty->rig.server.url, .backend = "auto" };
	const struct cprof_courier_plan plan = { .spool = duty->rig.dir,
						 .servers = &duty->to,
						 .n_servers = 1 };
	CHECK(!cprof_courier_start(&plan, &duty->courier));
	duty->courier.say = count_line;
	duty->courier.ctx = &duty->lines;
}

static void take(struct duty *duty, unsigned number)
{
	const struct cprof_push push = rig_push(&duty->rig, duty->rig.server.url, number);
	cprof_courier_take(&duty->courier, &push);
}

static void end(struct duty *duty)
{
	cprof_courier_deinit(&duty->courier);
	rig_deinit(&duty->rig);
}

TEST(courier_delivers_what_it_was_given_and_ends)
{
	struct duty duty;
	begin(&duty, OK);
	for (unsigned i = 0; i < 5; i++)
		take(&duty, i);
	cprof_courier_finish(&duty.courier, GRACE);
	CHECK_UINT(rig_requests(&duty.rig), 5);
	CHECK_UINT(duty.courier.counts->delivered, 5);
	CHECK_UINT(duty.courier.counts->kept, 5);
	CHECK_UINT(duty.courier.counts->waiting, 0);
	CHECK(waitpid(-1, NULL, WNOHANG) < 0); /* nobody is left */
	CHECK_UINT(duty.lines, 0);
	end(&duty);
}

TEST(courier_that_finds_nobody_leaves_all_in_the_spool_and_keeps_nobody_waiting)
{
	struct duty duty;
	begin(&duty, NULL);
	for (unsigned i = 0; i < 3; i++)
		take(&duty, i);
	cprof_courier_finish(&duty.courier, CPROF_NS_PER_S / 10);
	CHECK_UINT(duty.courier.counts->delivered, 0);
	CHECK_UINT(duty.courier.counts->waiting, 3);
	end(&duty);
}

TEST(courier_that_was_killed_is_told_once_and_all_waits)
{
	struct duty duty;
	siginfo_t info;
	begin(&duty, NULL);
	kill(duty.courier.pid, SIGKILL);
	CHECK(waitid(P_PID, (id_t)duty.courier.pid, &info, WEXITED | WNOWAIT) == 0);
	for (unsigned i = 0; i < 3; i++)
		take(&duty, i);
	CHECK_UINT(duty.lines, 1);
	cprof_courier_finish(&duty.courier, GRACE);
	CHECK_UINT(duty.courier.counts->waiting, 3);
	CHECK_UINT(duty.lines, 1);
	end(&duty);
}

TEST(courier_ends_with_its_parent)
{
	struct duty duty;
	begin(&duty, OK);
	close(duty.courier.wake); /* as the kernel does when we are killed */
	duty.courier.wake = -1;
	CHECK(waitpid(duty.courier.pid, NULL, 0) == duty.courier.pid);
	duty.courier.pid = 0;
	end(&duty);
}

TEST(courier_without_a_disk_sends_at_once)
{
	struct rig rig;
	static const char *const answer = OK;
	rig_init(&rig);
	rig_serve(&rig);
	rig_answer(&rig, 1, &answer);
	const struct cprof_push to = { .url = rig.server.url, .backend = "auto" };
	/* The spool's place is a file. */
	const struct cprof_courier_plan plan = { .spool = "/proc/self/stat",
						 .servers = &to,
						 .n_servers = 1 };
	struct cprof_courier courier;
	CHECK(!cprof_courier_start(&plan, &courier));
	const struct cprof_push push = rig_push(&rig, rig.server.url, 1);
	cprof_courier_take(&courier, &push);
	cprof_courier_finish(&courier, GRACE);
	CHECK_UINT(rig_requests(&rig), 1);
	CHECK_UINT(courier.counts->delivered, 1);
	cprof_courier_deinit(&courier);
	rig_deinit(&rig);
}
