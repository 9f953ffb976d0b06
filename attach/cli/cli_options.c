/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cli_options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/cli/cli_options_impl.h"
#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/secret.h"
#include "convert/push/push_environment.h"
#include "symbolize/names/symbol_cache.h"

#define RATE_MAX      10000.0
#define STACK_MAX     65528 /* perf_event_open(2): a u16 record size, 8-byte aligned */
#define BUDGET_MAX    1000
#define TARGETS_MAX   64
#define HTTP_OVERHEAD 0.01

#define LABEL_KEY_MAX 255

#define LENGTH_DEFAULT_NS (30 * CPROF_NS_PER_S)

/* clang-format off */
#define ROW(kind, field) kind, offsetof(struct cprof_attach_options, field)
static const struct cprof_option rows[] = {
	{ "p", ROW(CPROF_OPT_LIST, pid_lists), NULL, "PID[,PID]", "the process or processes to profile", "Target" },
	{ "n", ROW(CPROF_OPT_LIST, names), NULL, "NAME", "the one process of this name; with -http or -push -every all of them, also those that come later, NAME may be a pattern ('postgres*'), and -n is repeatable", NULL },
	{ "cgroup", ROW(CPROF_OPT_LIST, groups), NULL, "PATH", "with -http or -push: the processes of this control group and of those below it; repeatable", NULL },
	{ "unit", ROW(CPROF_OPT_LIST, units), NULL, "NAME", "with -http or -push: the processes of this unit of systemd, a user's too; NAME may be a pattern ('postgresql@*.service'); repeatable", NULL },
	{ "all", ROW(CPROF_OPT_SWITCH, all), NULL, NULL, "with -http or -push: every process that may be profiled; with -http heap, block and mutex are recorded when asked for only (-lazy)", NULL },
	{ "children", ROW(CPROF_OPT_SWITCH, children), NULL, NULL, "-mode cpu, and with -http: and the processes that it starts, or has started; the label pid tells them apart, or each has a path of its own", NULL },

	{ "mode", ROW(CPROF_OPT_STRING, mode), "cpu", "MODE", "what to profile", "Profile" },
	{ "seconds", ROW(CPROF_OPT_DURATION, length_ns), NULL, "SECONDS", "how long (default 30; a command: until it ends); 0: until Ctrl-C or the target's end", NULL },
	{ "rate", ROW(CPROF_OPT_STRING, rate), NULL, "RATE", "-mode heap: one sample per so many BYTES allocated (default 524288; 1: every call); block, mutex: keep one wait per DURATION of waiting, and all longer ones (default 0: adapt to the load)", NULL },
	{ "label", ROW(CPROF_OPT_LIST, labels), NULL, "K=V", "put this label on every sample; repeatable", NULL },

	{ "hz", ROW(CPROF_OPT_DOUBLE, requests.cpu.rate_hz), "100", "HZ", "samples per second of CPU time", "CPU profile" },
	{ "event", ROW(CPROF_OPT_STRING, requests.cpu.event), "cpu-clock", "NAME", "sample another event; \"list\" prints what this machine can open", NULL },
	{ "stack-bytes", ROW(CPROF_OPT_SIZE, requests.cpu.stack_bytes), "32768", "N", "bytes of stack copied with each sample, up to 65528", NULL },
	{ "user-only", ROW(CPROF_OPT_SWITCH, requests.cpu.user_only), NULL, NULL, "leave kernel frames out", NULL },
	{ "open", ROW(CPROF_OPT_STRING, requests.cpu.strategy), "auto", "HOW", "open events only in this way: cpu, thread-cpu or thread", NULL },

	{ "block", ROW(CPROF_OPT_STRING, block), "contention", "WHAT", "contention: waits for locks; all: every blocking system call", "Block and mutex profiles" },
	{ "block-method", ROW(CPROF_OPT_STRING, requests.waits.method), "auto", "HOW", "see waits only in this way: bpf, perf or proc", NULL },

	{ "text", ROW(CPROF_OPT_SWITCH, text), NULL, NULL, "print every thread's stack on stdout; a file only with -o", "Threads" },
	{ "group", ROW(CPROF_OPT_SWITCH, requests.threads.group), NULL, NULL, "with -text: threads with the same stack together", NULL },
	{ "text-format", ROW(CPROF_OPT_STRING, text_format), "threads", "FORM", "with -text: threads, or goroutines for readers of Go's dumps", NULL },
	{ "exit-code", ROW(CPROF_OPT_SWITCH, deadlock_status), NULL, NULL, "end with status 10 where a deadlock was found, for scripts", NULL },
	{ "repeat", ROW(CPROF_OPT_UINT, requests.threads.repeat), "1", "N", "take N snapshots and mark the threads that do not move", NULL },
	{ "every", ROW(CPROF_OPT_DURATION, requests.threads.every_ns), "1s", "TIME", "with -repeat: time between snapshots; with -push: profiles for ever, each of so long (default 15s)", NULL },
	{ "consistent", ROW(CPROF_OPT_SWITCH, requests.threads.consistent), NULL, NULL, "stop all threads together for a moment; some system calls then return EINTR to them", NULL },
	{ "means", ROW(CPROF_OPT_STRING, requests.threads.means), "auto", "HOW", "read registers only in this way: bpf or proc (and a perf sample of a thread that runs; nobody is stopped), or ptrace (everybody is)", NULL },
	{ "core", ROW(CPROF_OPT_STRING, requests.threads.core), NULL, "FILE", "look at this core file instead of a process", NULL },
	{ "exe", ROW(CPROF_OPT_STRING, requests.threads.exe), NULL, "FILE", "the program that the core file is of, where it is not at its old place", NULL },

	{ "overhead", ROW(CPROF_OPT_STRING, overhead), NULL, "PERCENT", "raise the rate while sampling costs more than this share of a processor", "Heap profile" },
	{ "heap-baseline", ROW(CPROF_OPT_SWITCH, requests.heap.baseline), NULL, NULL, "show what the process held before as one sample, [allocated before attach]", NULL },
	{ "heap-hook", ROW(CPROF_OPT_LIST, heap_hook_texts), NULL, "SPEC", "an allocator of the program's own: alloc=FUNCTION,size=argN[,free=FUNCTION[,ptr=argN]], FUNCTION a name, NAME@OBJECT or 0xADDRESS; repeatable", NULL },
	{ "heap-method", ROW(CPROF_OPT_STRING, requests.heap.method), "auto", "HOW", "watch allocators by jumps put into the process (inline), by uprobes (uprobe: nothing injected, nobody stopped, slower), or by uprobes where one cannot be patched (auto)", NULL },
	{ "repair", ROW(CPROF_OPT_UINT, repair_pid), NULL, "PID", "remove from PID what a killed heap profile left in it, and end", NULL },

	{ "demangle", ROW(CPROF_OPT_STRING, demangle), "short", "HOW", "C++ and Rust names: short, templates, full or none", "Names" },
	{ "no-inlines", ROW(CPROF_OPT_SWITCH, naming.no_inlines), NULL, NULL, "do not look for inlined functions", NULL },
	{ "debuginfod", ROW(CPROF_OPT_SWITCH, naming.debuginfod), NULL, NULL, "may ask the servers in DEBUGINFOD_URLS for missing debug files", NULL },
	{ "no-cache", ROW(CPROF_OPT_SWITCH, no_cache), NULL, NULL, "keep no names on disk for the next profile (else in ~/.cache/cprof)", NULL },
	{ "budget", ROW(CPROF_OPT_UINT, naming.budget), "1", "N", "let files of the target cost N times the memory and work that they may (docs/security.md)", NULL },
	{ "why", ROW(CPROF_OPT_SWITCH, why), NULL, NULL, "profile nothing: say which names FILE... or the process has, and how to get better ones", NULL },

	{ "o", ROW(CPROF_OPT_STRING, output), NULL, "FILE", "write the profile here (default cprof.COMM.PID.MODE.TIME.pb.gz), in pprof's format unless its name or -format says otherwise; \"-\" is stdout, %p in it a file for each process", "Output" },
	{ "format", ROW(CPROF_OPT_STRING, format), NULL, "NAME", "what the file is: pprof, pb, flamegraph, svg, png, dot, top, folded, json, speedscope ...; without it, as its name says: .pb.gz .pb .html .svg .png .dot .txt .folded .json .speedscope.json", NULL },
	{ "f", ROW(CPROF_OPT_SWITCH, force), NULL, NULL, "replace FILE if it exists", NULL },
	{ "push", ROW(CPROF_OPT_LIST, push_urls), NULL, "URL", "send the profile there as well; KIND+http://HOST says what the server speaks (docs/push.md), http://HOST:PORT is Pyroscope; env is the server that the environment names", NULL },
	{ "push-auth", ROW(CPROF_OPT_STRING, push_auth_file), NULL, "FILE", "what to log in with is the first line of this file: USER:PASSWORD or a token; without it, $CPROF_PUSH_AUTH", NULL },
	{ "push-as", ROW(CPROF_OPT_STRING, push_backend), "auto", "KIND", "what the server speaks: pyroscope, pyroscope-ingest, parca, parca-json, otlp, otelcol-pprof, datadog or raw; auto goes by the URL", NULL },
	{ "push-tenant", ROW(CPROF_OPT_STRING, push_tenant), NULL, "NAME", "the tenant, for a server of several (the header X-Scope-OrgID)", NULL },
	{ "push-ca", ROW(CPROF_OPT_STRING, push_tls.ca), NULL, "FILE", "trust these certificates, in PEM format, and no others", NULL },
	{ "push-cert", ROW(CPROF_OPT_STRING, push_tls.cert), NULL, "FILE", "the client certificate to come with", NULL },
	{ "push-key", ROW(CPROF_OPT_STRING, push_tls.key), NULL, "FILE", "its private key", NULL },
	{ "push-tls", ROW(CPROF_OPT_STRING, push_tls.least), "1.2", "VERSION", "the oldest TLS that is spoken: 1.2 or 1.3", NULL },
	{ "spool", ROW(CPROF_OPT_STRING, spool.dir), NULL, "DIR", "let profiles wait in this directory of yours while their server is away; \"default\" is ~/.local/state/cprof/spool, for root /var/lib/cprof/spool", NULL },
	{ "spool-size", ROW(CPROF_OPT_SIZE, spool.bytes), "512M", "BYTES", "at most so much of them; the oldest go first", NULL },
	{ "spool-age", ROW(CPROF_OPT_DURATION, spool.age_ns), "24h", "TIME", "none for longer than this", NULL },
	{ "insecure-auth", ROW(CPROF_OPT_SWITCH, insecure_auth), NULL, NULL, "send what is logged in with over http:// as well, where others on the network can read it", NULL },
	{ "dry-run", ROW(CPROF_OPT_SWITCH, dry_run), NULL, NULL, "with -push: print the requests on stdout and send nothing", NULL },
	{ "service", ROW(CPROF_OPT_STRING, service), NULL, "NAME", "the application's name for a collector (default: the process name)", NULL },

	{ "top", ROW(CPROF_OPT_SWITCH, report.top), NULL, NULL, "the heaviest functions", "Reports (printed on stdout; a file only with -o)" },
	{ "tree", ROW(CPROF_OPT_SWITCH, report.tree), NULL, NULL, "callers and callees of each function", NULL },
	{ "peek", ROW(CPROF_OPT_STRING, report.peek), NULL, "RE", "callers and callees of functions that match", NULL },
	{ "list", ROW(CPROF_OPT_STRING, report.list), NULL, "RE", "the source of functions that match, with the weight of each line", NULL },
	{ "traces", ROW(CPROF_OPT_SWITCH, report.traces), NULL, NULL, "every sample with its labels and stack", NULL },
	{ "folded", ROW(CPROF_OPT_SWITCH, report.folded), NULL, NULL, "a line a stack: root;caller;leaf VALUE", NULL },

	{ "http", ROW(CPROF_OPT_STRING, http), NULL, "ADDRESS", "serve /debug/pprof/ as a Go program does, until Ctrl-C: HOST:PORT of the loopback, unix:/PATH, or systemd: the socket that it has opened", "Server" },
	{ "http-token-file", ROW(CPROF_OPT_STRING, http_token_file), NULL, "FILE", "let in only who knows the first line of this file, as Bearer token or as password; ADDRESS may be any of the machine's then", NULL },
	{ "modes", ROW(CPROF_OPT_STRING, modes), "cpu,heap,block,mutex,threads,threadcreate", "LIST", "what may be asked for; with -push: profiles of these for ever, one after the other (default: that of -mode)", NULL },
	{ "lazy", ROW(CPROF_OPT_SWITCH, lazy), NULL, NULL, "record heap, block and mutex from the first request on, not from the start", NULL },

	{ "config", ROW(CPROF_OPT_STRING, config), NULL, "FILE", "options from a file: NAME = VALUE, a line each; the environment and the command line go before it", "Configuration" },
	{ "show-config", ROW(CPROF_OPT_SWITCH, show_config), NULL, NULL, "print what each option is set to and where that comes from, and end", NULL },

	{ "q", ROW(CPROF_OPT_SWITCH, quiet), NULL, NULL, "say nothing but errors", "Talk" },
	{ "v", ROW(CPROF_OPT_SWITCH, verbose), NULL, NULL, "say how things are done", NULL },
	{ "completion", ROW(CPROF_OPT_STRING, completion), NULL, "SHELL", "print a script that lets bash, zsh or fish complete these options", NULL },
	{ "help", ROW(CPROF_OPT_SWITCH, help), NULL, NULL, "print this", NULL },
	{ "version", ROW(CPROF_OPT_SWITCH, version), NULL, NULL, "print the version", NULL },
	{ "h", ROW(CPROF_OPT_SWITCH, help), NULL, NULL, "print this", "hidden" },
	{ "man-options", ROW(CPROF_OPT_SWITCH, man), NULL, NULL, "print the options as man page source", NULL },
};

/* What py-spy, async-profiler, perf, samply, gdb scripts and go tool pprof call things. */
static const struct cprof_option_habit habits[] = {
	{ "duration dur d t time secs s sleep wait-for for", "did you mean -seconds? -seconds 30, 500ms or 1m30s" },
	{ "pid pids process attach", "did you mean -p PID? to choose by name, -n NAME" },
	{ "comm name process-name pname pgrep", "did you mean -n NAME? by number, -p PID" },
	{ "output out outfile output-file file w write", "did you mean -o FILE?" },
	{ "F freq frequency sample-rate sampling-rate samples", "did you mean -hz? it counts samples per second of CPU time" },
	{ "i interval period c count", "did you mean -hz? it counts samples per second: an interval of 10ms is -hz 100" },
	{ "quiet silent", "did you mean -q?" },
	{ "verbose debug", "did you mean -v?" },
	{ "V", "did you mean -version?" },
	{ "force overwrite y", "did you mean -f?" },
	{ "e events", "did you mean -event NAME? -event list prints what there is" },
	{ "g call-graph callgraph fp dwarf unwind", "stacks are always taken whole; leave it out" },
	{ "u user all-user no-kernel", "did you mean -user-only?" },
	{ "a all-cpus system-wide", "processes are profiled, not the machine: -p PID, or several as -p PID,PID" },
	{ "tid tids", "all threads of a process are profiled; cprof -tagfocus=thread=NAME shows one" },
	{ "heap memory mem malloc alloc allocs leak leaks", "did you mean -mode heap?" },
	{ "offcpu off-cpu waits blocking", "did you mean -mode block?" },
	{ "lock locks contention", "did you mean -mode mutex? -mode block shows the waits, mutex who caused them" },
	{ "cpu oncpu on-cpu profile", "did you mean -mode cpu?" },
	{ "threads stacks stack dump goroutine goroutines bt backtrace", "did you mean -mode threads -text?" },
	{ "wall wallclock wall-clock", "did you mean -mode block -block all? that and -mode cpu together are all of the time" },
	{ "collapsed collapse stackcollapse fold", "did you mean -folded?" },
	{ "flamegraph flame flames fg html", "did you mean -o FILE.html? the file's name says what is written" },
	{ "svg png pdf dot speedscope json", "did you mean -o FILE.svg? the file's name says what is written: .svg .png .dot .json .speedscope.json" },
	{ "web", "cprof -web FILE shows a graph of what this writes; -o FILE.html is a flame graph" },
	{ "k kernel all-kernel", "kernel frames are in the profile already; -user-only leaves them out" },
};

static const struct cprof_option_choices choices[] = {
	{ "n", CPROF_CHOICES_PROCESS_NAMES },
	{ "mode", "cpu heap block mutex threads threadcreate" },
	{ "modes", "cpu heap block mutex threads threadcreate" },
	{ "seconds", "10 30 1m 0" },
	{ "hz", "99 100 999" },
	{ "event", "cpu-clock cycles instructions cache-misses branch-misses page-faults context-switches list" },
	{ "open", "auto cpu thread-cpu thread" },
	{ "block", "contention all" },
	{ "block-method", "auto bpf perf proc" },
	{ "text-format", "threads goroutines" },
	{ "means", "auto bpf proc ptrace" },
	{ "overhead", "1% 2% 5%" },
	{ "heap-method", "auto inline uprobe" },
	{ "format", "pprof pb flamegraph svg png dot top tree traces folded json speedscope callgrind raw" },
	{ "demangle", "short templates full none" },
	{ "push-as", "auto pyroscope pyroscope-ingest parca parca-json otlp otelcol-pprof datadog raw" },
	{ "push", "env http://localhost:4040 pyroscope+http:// parca+grpc:// otlp+http:// otelcol-pprof+http:// raw+http://" },
};
/* clang-format on */

const struct cprof_option_table cprof_cli_option_table = {
	.rows = rows,
	.n_rows = sizeof(rows) / sizeof(rows[0]),
	.habits = habits,
	.n_habits = sizeof(habits) / sizeof(habits[0]),
	.choices = choices,
	.n_choices = sizeof(choices) / sizeof(choices[0]),
};

static struct cprof_error *add_pid(struct cprof_attach_options *options, const char *text,
				   size_t len)
{
	CPROF_AUTO(free) char *copy = strndup(text, len);
	if (!copy)
		return cprof_error_no_memory();
	char *end;
	errno = 0;
	long pid = strtol(copy, &end, 10);
	if (!isdigit((unsigned char)copy[0]) || *end || errno || pid <= 0 || pid > INT32_MAX) {
		struct cprof_error *err =
			cprof_error_new(CPROF_ERR_USAGE, "-p: \"%s\" is not a process id", copy);
		if (!*copy || *copy == '-')
			return cprof_error_hint(err, "where it comes of a command such as pgrep, "
						     "that has found no process");
		return cprof_error_hint(err, "to choose a process by its name use -n %s", copy);
	}
	for (size_t i = 0; i < options->n_pids; i++) {
		if (options->pids[i] == pid)
			return NULL;
	}
	if (options->n_pids == TARGETS_MAX)
		return cprof_error_new(CPROF_ERR_USAGE, "-p: more than %d processes", TARGETS_MAX);
	options->pids[options->n_pids++] = (pid_t)pid;
	return NULL;
}

#define BLANKS " \t\r\n"

/* Ids between two commas. Several with blanks between them are what pgrep and pidof print. */
static struct cprof_error *add_pids(struct cprof_attach_options *options, const char *text,
				    size_t len)
{
	struct cprof_error *err = NULL;
	const char *end = text + len;
	text += strspn(text, BLANKS);
	do {
		size_t word = strcspn(text, "," BLANKS);
		err = add_pid(options, text, word);
		text += word;
		text += strspn(text, BLANKS);
	} while (!err && text < end);
	return err;
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* One of the numbers that stand right behind -p PID: pgrep's lines, which the shell has made words of. */
static bool follows_pid(int argc, char *const argv[], const char *text)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "-p") != 0 && strcmp(argv[i], "--p") != 0)
			continue;
		for (int k = i + 2; k < argc && is_number(argv[k]); k++) {
			if (strcmp(argv[k], text) == 0)
				return true;
		}
	}
	return false;
}

/* Whether something else than numbers by themselves says what to profile. */
static bool names_target(const struct cprof_attach_options *options)
{
	return options->pid_lists.len || options->names.len || options->command.len ||
	       options->repair_pid || options->requests.threads.core;
}

/* What is left when those ids are taken, and numbers where nothing else is named; NULL: nothing. */
static struct cprof_error *take_more_pids(int argc, char *const argv[],
					  const struct cprof_strings *rest,
					  struct cprof_attach_options *options,
					  const char **ret_left)
{
	bool alone = !names_target(options);
	*ret_left = NULL;
	for (size_t i = 0; i < rest->len && !*ret_left; i++) {
		if (!(alone && is_number(rest->items[i])) &&
		    !follows_pid(argc, argv, rest->items[i]))
			*ret_left = rest->items[i];
		else {
			struct cprof_error *err =
				cprof_strings_add(&options->pid_lists, rest->items[i]);
			if (err)
				return err;
		}
	}
	return NULL;
}

static struct cprof_error *parse_pids(struct cprof_attach_options *options)
{
	options->pids = calloc(TARGETS_MAX, sizeof(*options->pids));
	if (!options->pids)
		return cprof_error_no_memory();
	for (size_t i = 0; i < options->pid_lists.len; i++) {
		for (const char *at = options->pid_lists.items[i];; at++) {
			size_t len = strcspn(at, ",");
			struct cprof_error *err = add_pids(options, at, len);
			if (err)
				return err;
			at += len;
			if (!*at)
				break;
		}
	}
	return NULL;
}

static struct cprof_error *split_label(const char *text, struct cprof_run_label *ret_label)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;
	if (!len || len > LABEL_KEY_MAX) {
		struct cprof_error *err =
			cprof_error_new(CPROF_ERR_USAGE, "-label: \"%s\" is not KEY=VALUE", text);
		return cprof_error_hint(err, "for example -label env=prod");
	}
	ret_label->key = strndup(text, len);
	ret_label->value = equals + 1;
	return ret_label->key ? NULL : cprof_error_no_memory();
}

static struct cprof_error *split_labels(struct cprof_attach_options *options)
{
	options->label_pairs = calloc(options->labels.len + 1, sizeof(*options->label_pairs));
	if (!options->label_pairs)
		return cprof_error_no_memory();
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < options->labels.len; i++)
		err = split_label(options->labels.items[i], &options->label_pairs[i]);
	return err;
}

static struct cprof_error *check_target(const struct cprof_attach_options *options)
{
	int ways = (options->n_pids > 0) + (options->names.len > 0) + (options->command.len > 0) +
		   (options->requests.threads.core != NULL);
	const bool sets = options->groups.len || options->units.len || options->all;
	if ((options->http || options->continuous.on) && !options->command.len &&
	    !options->requests.threads.core && (ways || sets))
		return NULL;
	if (sets || options->names.len > 1)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "%s with -http or -push only",
					options->names.len > 1 ? "-n is repeatable"
							       : "-cgroup, -unit and -all go"),
			"otherwise processes are named: -p PID, or several as -p PID,PID");
	if (ways == 1 || (ways == 0 && options->repair_pid) ||
	    (ways == 0 && strcmp(options->requests.cpu.event, "list") == 0))
		return NULL;
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_USAGE, ways ? "-p, -n, -core and -- COMMAND exclude each other"
				      : "nothing to profile: give -p PID, -n NAME or -- COMMAND");
	return cprof_error_hint(err, "for example cprof-attach -p $(pidof -s redis-server) "
				     "-seconds 10");
}

#define HEAP_RATE_MAX (1ull << 40)

/* Bytes in the heap mode, a duration in the others. */
static struct cprof_error *parse_rate(struct cprof_attach_options *options)
{
	uint64_t *bytes = &options->requests.heap.period_bytes;
	*bytes = cprof_mode_defaults.heap.period_bytes;
	if (!options->rate)
		return NULL;
	if (strcmp(options->mode, "heap") != 0)
		return cprof_options_value("rate", CPROF_OPT_DURATION, options->rate,
					   &options->requests.waits.rate_ns);
	struct cprof_error *err = cprof_options_value("rate", CPROF_OPT_SIZE, options->rate, bytes);
	if (!err && (*bytes < 1 || *bytes > HEAP_RATE_MAX))
		err = cprof_error_new(CPROF_ERR_USAGE, "-rate: not between 1 and %llu bytes",
				      HEAP_RATE_MAX);
	return err;
}

/* "1%", "0.5" or "2.5%": percent of one processor. */
static struct cprof_error *parse_overhead(struct cprof_attach_options *options)
{
	/* Who serves a process does so for long, and is bound to cost it little. */
	if (!options->overhead && options->http)
		options->requests.heap.overhead = HTTP_OVERHEAD;
	if (!options->overhead)
		return NULL;
	char *end;
	errno = 0;
	double percent = strtod(options->overhead, &end);
	end += *end == '%';
	if (errno || end == options->overhead || *end || !(percent >= 0.01 && percent <= 100))
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-overhead: \"%s\" is not a percentage between 0.01 and 100",
				       options->overhead);
	options->requests.heap.overhead = percent / 100;
	return NULL;
}

static struct cprof_error *parse_heap_hooks(struct cprof_attach_options *options)
{
	if (options->heap_hook_texts.len && strcmp(options->mode, "heap") != 0)
		return cprof_error_new(CPROF_ERR_USAGE, "-heap-hook says nothing without -mode "
							"heap");
	options->requests.heap.pools = &options->heap_hooks;
	return cprof_pool_specs_parse(&options->heap_hook_texts, &options->heap_hooks);
}

static struct cprof_error *parse_block(struct cprof_attach_options *options)
{
	const char *scope = options->block;
	options->requests.waits.all = strcmp(scope, "all") == 0;
	if (!options->requests.waits.all && strcmp(scope, "contention") != 0) {
		struct cprof_error *err =
			cprof_error_new(CPROF_ERR_USAGE, "-block: there is no \"%s\"", scope);
		return cprof_error_hint(err,
					"give -block contention (futexes) or -block all (every "
					"blocking system call)");
	}
	if (options->requests.waits.all && strcmp(options->mode, "mutex") == 0)
		return cprof_error_new(
			CPROF_ERR_USAGE,
			"-mode mutex is about locks: -block all does not go with it");
	return NULL;
}

static void parse_demangle(struct cprof_attach_options *options)
{
	static const struct {
		const char *name;
		enum cprof_demangle demangle;
	} forms[] = { { "full", CPROF_DEMANGLE_FULL },
		      { "templates", CPROF_DEMANGLE_TEMPLATES },
		      { "none", CPROF_DEMANGLE_NONE } };
	options->naming.demangle = CPROF_DEMANGLE_SHORT;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (strcmp(options->demangle, forms[i].name) == 0)
			options->naming.demangle = forms[i].demangle;
	}
}

static struct cprof_error *parse_naming(struct cprof_attach_options *options)
{
	if (options->naming.budget < 1 || options->naming.budget > BUDGET_MAX)
		return cprof_error_new(CPROF_ERR_USAGE, "-budget: not between 1 and %d",
				       BUDGET_MAX);
	parse_demangle(options);
	if (!options->no_cache)
		options->naming.cache_dir = options->cache_dir = cprof_cache_dir_default();
	return NULL;
}

static struct cprof_error *check_cpu(struct cprof_attach_options *options)
{
	struct cprof_cpu_request *cpu = &options->requests.cpu;
	if (!(cpu->rate_hz >= 0.1 && cpu->rate_hz <= RATE_MAX))
		return cprof_error_new(CPROF_ERR_USAGE, "-hz: %g is not between 0.1 and %g",
				       cpu->rate_hz, RATE_MAX);
	if (cpu->stack_bytes > STACK_MAX || cpu->stack_bytes < 256)
		return cprof_error_new(CPROF_ERR_USAGE, "-stack-bytes: not between 256 and %d",
				       STACK_MAX);
	cpu->stack_bytes &= ~(uint64_t)7;
	options->requests.waits.stack_bytes = cpu->stack_bytes;
	return NULL;
}

static struct cprof_error *check_children(struct cprof_attach_options *options)
{
	if (!options->children || options->http || options->continuous.on ||
	    strcmp(options->mode, "cpu") == 0)
		return NULL;
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE, "-mode %s does not follow child processes",
				options->mode),
		"-children goes with -mode cpu; otherwise name each process with -p");
}

static struct cprof_error *check_threads(struct cprof_attach_options *options)
{
	struct cprof_threads_request *threads = &options->requests.threads;
	static const char *const means[] = { "auto", "bpf", "proc", "ptrace" };
	bool known = false;
	for (size_t i = 0; i < sizeof(means) / sizeof(means[0]); i++)
		known = known || strcmp(threads->means, means[i]) == 0;
	if (!known)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-means: \"%s\" is not auto, bpf, proc or ptrace",
				       threads->means);
	if (threads->consistent && strcmp(threads->means, "auto") != 0 &&
	    strcmp(threads->means, "ptrace") != 0)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-consistent stops all threads by ptrace, which -means %s "
				       "leaves out",
				       threads->means);
	if (strcmp(options->text_format, "threads") != 0 &&
	    strcmp(options->text_format, "goroutines") != 0)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-text-format: \"%s\" is not threads or goroutines",
				       options->text_format);
	threads->go_words = strcmp(options->text_format, "goroutines") == 0;
	if (threads->repeat < 1 || threads->repeat > 1000000)
		return cprof_error_new(CPROF_ERR_USAGE, "-repeat: not between 1 and 1000000");
	if (threads->exe && !threads->core)
		return cprof_error_new(CPROF_ERR_USAGE, "-exe says nothing without -core FILE");
	if (threads->core && threads->repeat > 1)
		return cprof_error_new(CPROF_ERR_USAGE, "-repeat: a core file does not change");
	return NULL;
}

/* From what was typed to what the modes are asked for; what is no sense in itself is refused. */
/* A server gives profiles out when they are asked for: it writes none, and the clients say how long. */
static struct cprof_error *check_http(struct cprof_attach_options *options)
{
	if (!options->http)
		return options->http_token_file
			       ? cprof_error_new(CPROF_ERR_USAGE,
						 "-http-token-file says nothing without -http")
			       : NULL;
	const struct {
		bool given;
		const char *name;
	} others[] = { { options->output, "-o" },
		       { options->push_urls.len > 0, "-push" },
		       { options->text, "-text" },
		       { options->requests.threads.core, "-core" },
		       { options->command.len > 0, "-- COMMAND" },
		       { options->format, "-format" },
		       { options->report.top, "-top" },
		       { options->report.tree, "-tree" },
		       { options->report.traces, "-traces" },
		       { options->report.folded, "-folded" },
		       { options->report.peek, "-peek" },
		       { options->report.list, "-list" } };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i].given)
			return cprof_error_new(CPROF_ERR_USAGE, "-http does not go with %s",
					       others[i].name);
	}
	return NULL;
}

/* "env" in the place of a URL: the server that the environment names. */
static struct cprof_error *find_servers(struct cprof_attach_options *options)
{
	for (size_t i = 0; i < options->push_urls.len; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
		const char *variable;
		if (strcmp(options->push_urls.items[i], CPROF_PUSH_URL_ENVIRONMENT) != 0)
			continue;
		struct cprof_error *err = cprof_push_environment_server(&url, &variable);
		if (!err)
			err = cprof_option_values_add(&options->below, "push",
						      cprof_buffer_text(&url), variable,
						      CPROF_OPTION_ENVIRONMENT);
		if (err)
			return cprof_error_wrap(err, "-push env");
		options->push_urls.items[i] = options->below.items[options->below.len - 1].text;
	}
	return NULL;
}

static struct cprof_error *fill_requests(struct cprof_attach_options *options)
{
	static struct cprof_error *(*const steps[])(struct cprof_attach_options *) = {
		check_threads, parse_rate,   parse_overhead, parse_heap_hooks, parse_block,
		check_cpu,     split_labels, parse_naming,   check_children,   check_http,
	};
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < sizeof(steps) / sizeof(steps[0]); i++)
		err = steps[i](options);
	return err;
}

/* The file first, then the environment: what comes later counts. */
static struct cprof_error *read_layers(int argc, char *const argv[],
				       struct cprof_attach_options *options)
{
	const char *file = cprof_options_peek(argc, argv, "config");
	struct cprof_error *err = file ? cprof_option_file_read(file, &options->below) : NULL;
	if (!err)
		err = cprof_push_environment_values(&cprof_cli_option_table, &options->below);
	options->layers.below = options->below.items;
	options->layers.n_below = options->below.len;
	options->layers.rows = calloc(cprof_cli_option_table.n_rows, sizeof(*options->layers.rows));
	return err || options->layers.rows ? err : cprof_error_no_memory();
}

/* A word that stands by itself: other tools begin with what is to be done. */
static struct cprof_error *no_option(const char *word)
{
	static const struct cprof_option_habit words[] = {
		{ "record collect attach start run profile cpu sample",
		  "leave it out: cprof-attach -p PID profiles a process, cprof-attach -- COMMAND starts one" },
		{ "dump stack stacks bt jstack threads", "did you mean -mode threads -text?" },
		{ "top", "did you mean -top? it prints the heaviest functions at the end" },
		{ "report script annotate flamegraph view",
		  "cprof shows profiles: cprof -top FILE, cprof -flamegraph -output FILE.html FILE" },
		{ "heap alloc memory leak", "did you mean -mode heap?" },
		{ "lock offcpu block", "did you mean -mode block?" },
		{ "stat list",
		  "-event list prints the events of this machine; -mode chooses what to profile" },
		{ "stop status resume",
		  "nothing runs in the background here: Ctrl-C ends a profile" },
		{ "help", "did you mean -help?" },
		{ "version", "did you mean -version?" },
	};
	const char *hint = cprof_options_habit(words, sizeof(words) / sizeof(words[0]), word);
	struct cprof_error *err = cprof_error_new(CPROF_ERR_USAGE, "\"%s\" is no option", word);
	return cprof_error_hint(err, "%s",
				hint ? hint : "a process is given as -p PID, a command after --");
}

struct cprof_error *cprof_cli_options_parse(int argc, char *const argv[],
					    struct cprof_attach_options *options)
{
	struct cprof_strings rest = { 0 };
	options->length_ns = UINT64_MAX; /* not given */
	struct cprof_error *err = read_layers(argc, argv, options);
	if (!err)
		err = cprof_options_parse_layers(&cprof_cli_option_table, &options->layers, argc,
						 argv, options, &rest, &options->command);
	if (options->why) {
		options->files = rest;
		rest = (struct cprof_strings){ 0 };
	}
	const char *left = NULL;
	if (!err)
		err = take_more_pids(argc, argv, &rest, options, &left);
	if (!err)
		err = parse_pids(options); /* before what is left: an empty -p took its neighbour */
	if (!err && left)
		err = no_option(left);
	cprof_strings_deinit(&rest);
	if (err || options->help || options->version || options->man || options->completion ||
	    options->show_config)
		return err;
	if (options->why && options->files.len)
		return NULL;
	if (!err)
		err = find_servers(options);
	if (!err)
		err = cli_options_settle_continuous(options);
	if (err)
		return err;
	if (options->length_ns == UINT64_MAX)
		options->length_ns = options->command.len ? 0 : LENGTH_DEFAULT_NS;
	err = check_target(options);
	return err ? err : fill_requests(options);
}

void cprof_cli_options_deinit(struct cprof_attach_options *options)
{
	cprof_strings_deinit(&options->pid_lists);
	cprof_strings_deinit(&options->names);
	cprof_strings_deinit(&options->groups);
	cprof_strings_deinit(&options->units);
	cprof_strings_deinit(&options->files);
	cprof_strings_deinit(&options->command);
	cprof_strings_deinit(&options->labels);
	cprof_strings_deinit(&options->push_urls);
	cprof_strings_deinit(&options->heap_hook_texts);
	cprof_pool_specs_deinit(&options->heap_hooks);
	for (size_t i = 0; options->label_pairs && options->label_pairs[i].key; i++)
		free((char *)(uintptr_t)options->label_pairs[i].key);
	free(options->label_pairs);
	free(options->cache_dir);
	free(options->pids);
	cprof_option_layers_deinit(&options->layers, cprof_cli_option_table.n_rows);
	cprof_option_values_deinit(&options->below);
	*options = (struct cprof_attach_options){ 0 };
}

static void describe_value(const char *text, bool secret, struct cprof_buffer *out)
{
	if (secret)
		cprof_buffer_puts(out, "...");
	else if (strstr(text, "://"))
		cprof_secret_put_url(text, out);
	else
		cprof_buffer_puts(out, text);
}

void cprof_cli_options_describe(int argc, char *const argv[], struct cprof_buffer *out)
{
	cprof_buffer_puts(out, "cprof-attach");
	bool secret = false;
	for (int i = 1; i < argc; i++) {
		cprof_buffer_putc(out, ' ');
		if (strcmp(argv[i], "--") == 0) {
			cprof_buffer_printf(out, "-- %s", i + 1 < argc ? argv[i + 1] : "");
			if (i + 2 < argc)
				cprof_buffer_puts(out, " ...");
			return;
		}
		const char *equals = strchr(argv[i], '='), *url = strstr(argv[i], "://");
		if (equals && !(url && url < equals)) { /* -push=URL, and the K=V of -label K=V */
			size_t len = (size_t)(equals + 1 - argv[i]);
			cprof_buffer_append(out, argv[i], len);
			describe_value(equals + 1, secret || cprof_secret_is_name(argv[i], len),
				       out);
			secret = false;
			continue;
		}
		describe_value(argv[i], secret, out);
		secret = argv[i][0] == '-' && cprof_secret_is_name(argv[i], strlen(argv[i]));
	}
}
