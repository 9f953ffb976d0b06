/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_SKIPPED 77
#define DEADLINE_S   120 /* no test comes near it; one that waits for ever is named, and ends */

static struct test *head, **tail = &head;

void test_register(struct test *test)
{
	*tail = test;
	tail = &test->next;
}

_Noreturn void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "%s:%d: ", file, line);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

_Noreturn void test_skip(const char *reason)
{
	printf("  skipped: %s\n", reason);
	exit(EXIT_SKIPPED);
}

/* unit_tests [PART_OF_A_NAME]: PASS, FAIL or SKIP and the name, a line each; then the counts. */
int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	int passed = 0, failed = 0, skipped = 0;

	for (struct test *test = head; test; test = test->next) {
		if (only && !strstr(test->name, only))
			continue;
		fflush(NULL);
		pid_t pid = fork();
		if (pid == 0) {
			alarm(DEADLINE_S);
			test->run();
			exit(0);
		}
		int status = -1;
		bool ended = pid > 0 && waitpid(pid, &status, 0) == pid;
		if (ended && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED) {
			skipped++;
			printf("SKIP %s\n", test->name);
		} else if (!ended || status != 0) {
			failed++;
			printf("FAIL %s (wait status 0x%x)\n", test->name, (unsigned)status);
		} else {
			passed++;
			printf("PASS %s\n", test->name);
		}
	}
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed || !passed;
}
