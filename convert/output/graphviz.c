/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/graphviz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spawn.h"

static struct cprof_error *wait_for(pid_t pid, const char *what)
{
	int status;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return cprof_error_os(errno, "wait for %s", what);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	return cprof_error_new(CPROF_ERR_OS, "%s failed with status 0x%x", what, (unsigned)status);
}

bool cprof_graphviz_installed(void)
{
	const char *path = getenv("PATH");
	for (const char *dir = path; dir && *dir;) {
		char dot[4096];
		int len = (int)strcspn(dir, ":");
		int n = snprintf(dot, sizeof(dot), "%.*s/dot", len, dir);
		if (len && n > 0 && (size_t)n < sizeof(dot) && access(dot, X_OK) == 0)
			return true;
		dir += len + (dir[len] == ':');
	}
	return false;
}

struct cprof_error *cprof_graphviz_draw(const char *type, FILE *in, FILE *out)
{
	char option[16];
	snprintf(option, sizeof(option), "-T%s", type);
	char *argv[] = { (char[]){ "dot" }, option, NULL };
	if (fflush(in) != 0 || fseek(in, 0, SEEK_SET) != 0 || fflush(out) != 0)
		return cprof_error_os(errno, "hand a graph to Graphviz");

	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fileno(in), STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO);
	pid_t pid;
	int failed = cprof_spawn("dot", &actions, argv, &pid);
	posix_spawn_file_actions_destroy(&actions);
	if (failed == ENOENT)
		return cprof_error_hint(
			cprof_error_new(
				CPROF_ERR_UNSUPPORTED,
				"draw a graph: the program `dot` of Graphviz is not installed"),
			"apt-get install graphviz; or use -flamegraph, -tree or -dot, which need nothing");
	if (failed)
		return cprof_error_os(failed, "start dot");
	return wait_for(pid, "dot");
}

/* Start `command` (words between blanks) with `path` behind it. False where there is no such program. */
static bool start(const char *command, const char *path, pid_t *ret_pid)
{
	char *words = strdup(command), *state = NULL;
	char *argv[16] = { NULL };
	size_t n = 0;
	for (char *word = words ? strtok_r(words, " ", &state) : NULL; word && n < 14;
	     word = strtok_r(NULL, " ", &state))
		argv[n++] = word;
	char *file = strdup(path);
	argv[n] = file;
	bool ok = n && file && cprof_spawn(argv[0], NULL, argv, ret_pid) == 0;
	free(words);
	free(file);
	return ok;
}

static bool start_browser(const char *path, pid_t *ret_pid)
{
	static const char *const browsers[] = { "chrome", "google-chrome", "chromium", "firefox",
						"sensible-browser" };
	const char *chosen = getenv("BROWSER");
	if (chosen && *chosen && start(chosen, path, ret_pid))
		return true;
	for (size_t i = 0; i < sizeof(browsers) / sizeof(browsers[0]); i++) {
		if (start(browsers[i], path, ret_pid))
			return true;
	}
	return getenv("DISPLAY") && start("xdg-open", path, ret_pid);
}

struct cprof_error *cprof_graphviz_show(const char *viewer, const char *path, bool wait)
{
	pid_t pid;
	bool web = strcmp(viewer, "web") == 0;
	if (web ? start_browser(path, &pid) : start(viewer, path, &pid))
		return wait ? wait_for(pid, viewer) : NULL;
	return cprof_error_hint(cprof_error_new(CPROF_ERR_UNSUPPORTED, "no %s to show %s",
						web ? "browser" : viewer, path),
				web ? "set BROWSER, or open the file by hand"
				    : "open the file by hand");
}
