/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/target_fate.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define FIELDS                                                                                     \
	"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48"

TEST(target_fate_reads_the_last_field_of_a_zombie_only)
{
	static const struct {
		const char *text;
		bool good;
		int status;
	} rows[] = {
		{ "77 (a) b) Z " FIELDS " 139\n", true, 139 },
		{ "77 (a) X " FIELDS " 256", true, 256 },
		{ "77 (a) R " FIELDS " 139\n", false, 0 },
		{ "77 (a) Z " FIELDS "\n", false, 0 },
		{ "77 (a) Z 1 2\n", false, 0 },
		{ "77 (a) Z " FIELDS " -1\n", false, 0 },
		{ "77 (a) Z " FIELDS " 99999999\n", false, 0 },
		{ "77 (a) Z", false, 0 },
		{ "77 (a)", false, 0 },
		{ "", false, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status = 0;
		CHECK_UINT(cprof_target_fate_parse(rows[i].text, &status), rows[i].good);
		CHECK_UINT(status, rows[i].status);
	}
}

static void check_child(int signal_no, const char *want)
{
	int pipes[2];
	CHECK(pipe(pipes) == 0);
	const pid_t pid = fork();
	if (pid == 0) {
		char byte;
		close(pipes[1]);
		_exit(read(pipes[0], &byte, 1) < 0 ? 1 : 3);
	}
	struct cprof_target *target;
	CHECK(!cprof_target_open(pid, &target));
	struct cprof_target_fate fate;
	struct cprof_buffer text = { 0 };
	cprof_target_fate_start(&fate, target);
	if (signal_no)
		kill(pid, signal_no);
	close(pipes[1]);
	siginfo_t info;
	CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	cprof_target_fate_end(&fate, target, 0); /* while we, its parent, have not waited for it */
	cprof_target_fate_describe(&fate, &text);
	if (!strstr(cprof_buffer_text(&text), want))
		TEST_FAIL("%s, want %s", cprof_buffer_text(&text), want);
	cprof_buffer_deinit(&text);
	waitpid(pid, NULL, 0);
	cprof_target_close(target);
}

TEST(target_fate_knows_how_a_process_ended_that_was_not_waited_for)
{
	check_child(0, "has ended with status 3");
	check_child(SIGKILL, "was ended by signal 9 (SIGKILL)");
	check_child(SIGTERM, "was ended by signal 15 (SIGTERM)");
}
