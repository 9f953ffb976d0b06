/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_shell.c - the interactive shell: reads lines, by libedit on a terminal, and runs them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <editline/readline.h>

#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/printable.h"
#include "base/printable_text.h"
#include "convert/cli/commands.h"
#include "convert/cli/shell_line.h"
#include "convert/output/format_table.h"

static const char prompt[] = "(cprof) ";

struct session {
	struct cprof_profile *profile; /* borrowed; every report works on a copy */
	struct cprof_config config;
	struct cprof_intern memory;
	bool terminal;
	bool has_sides;     /* the profile is a comparison that was begun with -diff_base */
	char pictures[256]; /* a directory for what viewers show; "" until one is wanted */
};

/* libedit's completion callback has no context, so the shell that is running is kept here. */
static const struct session *running;

/* The signal that has ended the shell; 0: none. */
static volatile sig_atomic_t ended_by;

/* What the shell takes as its own on a terminal; its reports do not. */
static const int shell_signals[] = { SIGINT, SIGHUP, SIGTERM };

#define N_SIGNALS (sizeof(shell_signals) / sizeof(shell_signals[0]))

static void print_error(struct cprof_error *err)
{
	cprof_printable_printf(stderr, "%s\n", err->message);
	if (err->hint)
		cprof_printable_printf(stderr, "hint: %s\n", err->hint);
	cprof_error_free(err);
}

static void greet(const struct session *session)
{
	struct cprof_profile *copy;
	struct cprof_report *report;
	struct cprof_error *err = cprof_profile_copy(session->profile, &copy);
	if (err) {
		print_error(err);
		return;
	}
	err = cprof_report_new(copy, cprof_format_find("top"), NULL, &session->config, &report);
	if (err) {
		print_error(err);
		cprof_profile_free(copy);
		return;
	}
	struct cprof_buffer labels = { 0 };
	cprof_report_profile_labels(report, &labels);
	cprof_printable_write(stderr, cprof_buffer_text(&labels), labels.len);
	if (report->total == 0 && copy->n_types > 1)
		fputs("No samples were found with the default sample value type.\n"
		      "Try \"sample_index\" command to analyze different sample values.\n",
		      stderr);
	fputs("Entering interactive mode (type \"help\" for commands, \"o\" for options)\n",
	      stderr);
	cprof_buffer_deinit(&labels);
	cprof_report_free(report);
	cprof_profile_free(copy);
}

static void put_types(const struct cprof_profile *p)
{
	fputs(" //: [", stderr);
	for (uint32_t i = 0; i < p->n_types; i++)
		cprof_printable_printf(stderr, "%s%s", i ? " | " : "",
				       cprof_profile_text(p, p->types[i].type));
	fputs("]", stderr);
}

static void put_option(const struct session *session, const struct cprof_option *row)
{
	CPROF_AUTO(buffer) struct cprof_buffer value = { 0 };
	const struct cprof_profile *p = session->profile;
	cprof_config_get(&session->config, row, &value);
	bool type = strcmp(row->name, "sample_index") == 0;
	const char *text = cprof_buffer_text(&value);
	if (type && !*text && p->n_types)
		text = cprof_profile_text(p, p->types[cprof_profile_default_type(p)].type);
	cprof_printable_printf(stderr, "  %-25s = %-20s", row->name, *text ? text : "\"\"");
	if (type)
		put_types(p);
	else if (strcmp(row->name, "sort") == 0)
		fputs(" //: [cum | flat]", stderr);
	else if (strcmp(row->name, "granularity") == 0)
		fputs(" //: [addresses | filefunctions | files | functions | lines]", stderr);
	else if (strcmp(row->name, "nodecount") == 0 && strcmp(text, "-1") == 0)
		fputs(" //: default", stderr);
	fputc('\n', stderr);
}

static int compare_rows(const void *a, const void *b)
{
	return strcmp((*(const struct cprof_option *const *)a)->name,
		      (*(const struct cprof_option *const *)b)->name);
}

static void list_options(const struct session *session)
{
	const struct cprof_option *rows[CPROF_MAX_FORMATS * 2];
	size_t n = 0;
	for (size_t i = 0; i < cprof_config_n_options; i++) {
		const struct cprof_option *row = &cprof_config_options[i];
		if (!cprof_config_is_choice(row))
			rows[n++] = row;
	}
	qsort(rows, n, sizeof(rows[0]), compare_rows);
	for (size_t i = 0; i < n; i++)
		put_option(session, rows[i]);
}

static void help_all(void)
{
	fputs("Commands, as in `top 20 focused -ignored -cum > file`:\n", stdout);
	for (size_t i = 0; cprof_formats[i]; i++) {
		const struct cprof_format *format = cprof_formats[i];
		printf("  %-12s %-4s %s\n", format->name, format->arg ? format->arg : "",
		       format->help);
	}
	fputs("  o, options        the options and their values\n"
	      "  help NAME         more on a command or option\n"
	      "  q, quit, exit, ^D leave\n"
	      "  :                 clear focus, ignore, hide, tagfocus, tagignore, from and to\n"
	      "\nOptions, set by NAME=VALUE:\n",
	      stdout);
	for (size_t i = 0; i < cprof_config_n_options; i++)
		printf("  %-21s %s\n", cprof_config_options[i].name, cprof_config_options[i].help);
}

static void help(const char *topic)
{
	const struct cprof_format *format = topic ? cprof_format_find(topic) : NULL;
	if (!topic) {
		help_all();
	} else if (format && format->arg) {
		printf("%s: %s\n  %s %s [FOCUS]... [-IGNORE]... [> FILE]\n", format->name,
		       format->help, format->name, format->arg);
	} else if (format) {
		printf("%s: %s\n  %s [N] [FOCUS]... [-IGNORE]... [-cum] [> FILE]\n"
		       "  N is how many entries to show, FOCUS and IGNORE are regular expressions\n",
		       format->name, format->help, format->name);
	} else {
		for (size_t i = 0; i < cprof_config_n_options; i++) {
			if (strcmp(cprof_config_options[i].name, topic) != 0)
				continue;
			printf("%s: %s\n", topic, cprof_config_options[i].help);
			return;
		}
		cprof_printable_printf(stderr, "Unknown command: %s\n", topic);
	}
}

/* In our own process, for reports may be written by children. Where it cannot be made, pictures stay in $TMPDIR. */
static void make_pictures(struct session *session)
{
	const char *dir = getenv("TMPDIR");
	int n = snprintf(session->pictures, sizeof(session->pictures), "%s/cprof-XXXXXX",
			 dir && *dir ? dir : "/tmp");
	if (n >= (int)sizeof(session->pictures) || !mkdtemp(session->pictures))
		session->pictures[0] = 0;
}

/* Only files that we wrote are in there; what a viewer put beside them stays, and so does the directory. */
static void remove_pictures(const struct session *session)
{
	CPROF_AUTO(close)
	int fd = *session->pictures
			 ? open(session->pictures, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
			 : -1;
	struct stat st;
	DIR *dir = fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() ? fdopendir(fd) : NULL;
	if (!dir)
		return;
	cprof_take_fd(&fd);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		if (strncmp(entry->d_name, "cprof", 5) == 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
	rmdir(session->pictures);
}

static struct cprof_error *run_report(const struct session *session,
				      const struct cprof_shell_line *line)
{
	CPROF_AUTO(profile) struct cprof_profile *copy = NULL;
	struct cprof_error *err = cprof_profile_copy(session->profile, &copy);
	return err ? err
		   : cprof_command_write_report(copy, line->format, line->argument, &line->config,
						session->pictures);
}

/*
 * On a terminal a report runs in a child: Ctrl-C then ends a report that takes too long, and neither the shell nor what
 * was set in it.
 */
static struct cprof_error *run_in_child(const struct session *session,
					const struct cprof_shell_line *line)
{
	sigset_t ours, before;
	fflush(stdout);
	sigemptyset(&ours);
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaddset(&ours, shell_signals[i]);
	sigprocmask(SIG_BLOCK, &ours,
		    &before); /* the child is not to take them as the shell does */
	pid_t child = fork();
	for (size_t i = 0; child == 0 && i < N_SIGNALS; i++)
		signal(shell_signals[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (child < 0)
		return run_report(session, line);
	if (child == 0) {
		struct cprof_error *err = run_report(session, line);
		if (err)
			print_error(err);
		_exit(fflush(stdout) != 0);
	}
	int status = 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
		if (ended_by)
			kill(child, SIGTERM);
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGINT && !ended_by)
		return cprof_error_new(CPROF_ERR_OS, "the report ended with signal %d",
				       WTERMSIG(status));
	if (WIFSIGNALED(status))
		fputc('\n', stderr);
	return NULL;
}

/* The profile is loaded already, with a base taken off or without one. */
static struct cprof_error *check_report(const struct session *session,
					const struct cprof_format *format)
{
	if (!(format->flags & CPROF_FORMAT_COMPARES) || session->has_sides)
		return NULL;
	return cprof_error_hint(cprof_error_new(CPROF_ERR_USAGE,
						"%s: there are no two sides to compare",
						format->name),
				"begin with cprof -diff_base BEFORE AFTER");
}

/* Run one line; false when the shell is to end. */
static bool run_line(struct session *session, const char *text)
{
	struct cprof_shell_line line;
	struct cprof_error *err = cprof_shell_line_read(text, session->profile, &session->config,
							&session->memory, &line);
	if (!err && line.kind == CPROF_SHELL_REPORT)
		err = check_report(session, line.format);
	if (!err && line.kind == CPROF_SHELL_REPORT && line.format->viewer && !*session->pictures)
		make_pictures(session);
	if (!err && line.kind == CPROF_SHELL_REPORT)
		err = session->terminal ? run_in_child(session, &line) : run_report(session, &line);
	if (err) {
		print_error(err);
		return true;
	}
	if (line.kind == CPROF_SHELL_OPTIONS)
		list_options(session);
	else if (line.kind == CPROF_SHELL_HELP)
		help(line.argument);
	return line.kind != CPROF_SHELL_QUIT;
}

/* The option whose value is being typed: "sort" of the line "sort=c"; "" where none is. */
static char completed[64];

static void find_completed(const char *line, int start)
{
	int n = start;
	completed[0] = 0;
	while (n > 0 && line[n - 1] == ' ')
		n--;
	if (!n || line[n - 1] != '=')
		return;
	for (n--; n > 0 && line[n - 1] == ' ';)
		n--;
	const char *name = line + strspn(line, " ");
	if (name < line + n)
		snprintf(completed, sizeof(completed), "%.*s", (int)(line + n - name), name);
}

static char *complete_value(const char *text, int state)
{
	static size_t at;
	if (state == 0)
		at = 0;
	const char *value;
	while ((value = cprof_shell_line_value(running->profile, completed, at))) {
		at++;
		if (strncmp(value, text, strlen(text)) == 0)
			return strdup(value);
	}
	return NULL;
}

/* The n-th word that begins like `text`: commands and options first, then sample types, then functions. */
static char *complete_word(const char *text, int state)
{
	static size_t at;
	size_t n = strlen(text), formats = 0;
	if (state == 0)
		at = 0;
	while (cprof_formats[formats])
		formats++;
	const struct cprof_profile *p = running->profile;
	size_t options = formats + cprof_config_n_options, types = options + p->n_types;
	for (; at < types + p->n_functions; at++) {
		const char *name = at < formats   ? cprof_formats[at]->name
				   : at < options ? cprof_config_options[at - formats].name
				   : at < types
					   ? cprof_profile_text(p, p->types[at - options].type)
					   : cprof_profile_text(p, p->functions[at - types].name);
		if (n && strncmp(name, text, n) == 0) {
			at++;
			return cprof_printable_take(strdup(name)); /* libedit shows it */
		}
	}
	return NULL;
}

static char **complete(const char *text, int start, int end)
{
	(void)end;
	find_completed(rl_line_buffer, start);
	return rl_completion_matches(text, *completed ? complete_value : complete_word);
}

/* Where lines are remembered from one session to the next; "" where there is no place. */
static void find_history(char *path, size_t room)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	path[0] = 0;
	/* What root types is not written into the home of whoever called sudo(8). */
	const char *dir = state && *state == '/' ? state : home;
	if (!dir || !cprof_cache_dir_may_be_ours(dir))
		return;
	if (state && *state == '/')
		snprintf(path, room, "%s/cprof_history", state);
	else if (home && *home)
		snprintf(path, room, "%s/.cprof_history", home);
}

/*
 * Where signals go while a line is typed. With Ctrl-C that line is given up, as in other shells; where the terminal goes away,
 * or somebody ends us, the shell ends as with Ctrl-D, so that no file of it is left, and then as the signal wants.
 */
static sigjmp_buf at_prompt;
static volatile sig_atomic_t typing;

static void on_signal(int signal_number)
{
	if (signal_number != SIGINT)
		ended_by = signal_number;
	if (!typing)
		return;
	typing = 0;
	siglongjmp(at_prompt, 1); /* libedit has put the terminal back and called us with kill(2) */
}

static char *read_line(void)
{
	while (sigsetjmp(at_prompt, 1) != 0)
		fputc('\n', stdout);
	typing = 1;
	char *line = ended_by ? NULL : readline(prompt);
	typing = 0;
	return line;
}

static void remember(const char *line, const char *history)
{
	if (!line[strspn(line, " \t")])
		return;
	add_history(line);
	if (!*history)
		return;
	mode_t old = umask(077); /* what was looked for is nobody else's business */
	write_history(history);
	umask(old);
}

static void read_terminal(struct session *session)
{
	char history[4096], *line;
	struct sigaction action = { .sa_handler = on_signal }, before[N_SIGNALS];
	find_history(history, sizeof(history));
	rl_readline_name = "cprof";
	rl_attempted_completion_function = complete;
	using_history();
	stifle_history(1000);
	if (*history)
		read_history(history);
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(shell_signals[i], &action, &before[i]);
	bool more = true;
	while (more && (line = read_line())) {
		remember(line, history);
		more = run_line(session, line);
		free(line);
		fflush(stdout);
	}
	if (more) /* Ctrl-D leaves the cursor behind the prompt */
		fputc('\n', stdout);
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(shell_signals[i], &before[i], NULL);
}

static void read_pipe(struct session *session)
{
	CPROF_AUTO(free) char *line = NULL;
	size_t room = 0;
	ssize_t n;
	while ((n = getline(&line, &room, stdin)) >= 0) {
		if (n && line[n - 1] == '\n')
			line[n - 1] = 0;
		bool more = run_line(session, line);
		fflush(stdout);
		if (!more)
			return;
	}
}

static bool wants_shell(const struct cprof_options *options)
{
	(void)options;
	return true;
}

static struct cprof_error *run_shell(struct cprof_options *options, struct cprof_profile *profile)
{
	struct session session = { .profile = profile,
				   .config = options->config,
				   .has_sides = options->diff_bases.len > 0,
				   .terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) };
	struct cprof_error *err = cprof_intern_init(&session.memory);
	if (err)
		return err;
	session.config.compact_labels = true;
	running = &session;
	greet(&session);
	if (session.terminal)
		read_terminal(&session);
	else
		read_pipe(&session);
	running = NULL;
	remove_pictures(&session);
	cprof_intern_deinit(&session.memory);
	if (ended_by)
		raise(ended_by);
	return NULL;
}

const struct cprof_command cprof_command_shell = { "shell", wants_shell, true, run_shell };
