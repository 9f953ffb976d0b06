/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "attach/cli/cli_options.h"

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
	{ "threads", ROW(CPROF_OPT_STRING, thread_pattern), NULL, "RE", "only threads whose names match, now or later: 'worker-' 'io|net'; not with -mode heap", NULL },
	{ "tid", ROW(CPROF_OPT_STRING, thread_ids), NULL, "TID[,TID]", "only these threads, and those of -threads", NULL },
	{ "timeline", ROW(CPROF_OPT_OPTIONAL, timeline_text), NULL, "[BUCKET]", "samples say when they were: the label time_ms, in buckets of a duration (100ms), or as wide as it takes to have at most 1000 of them and the file not twice as large; of a file of -mode cpu that is not pushed it is the default, off ends that", NULL },
	{ "label", ROW(CPROF_OPT_LIST, labels), NULL, "K=V", "put this label on every sample; repeatable", NULL },

	{ "hz", ROW(CPROF_OPT_DOUBLE, requests.cpu.rate_hz), "100", "HZ", "samples per second of CPU time", "CPU profile" },
	{ "event", ROW(CPROF_OPT_STRING, requests.cpu.event), "cpu-clock", "NAME", "sample another event; \"list\" prints what this machine can open", NULL },
	{ "stack-bytes", ROW(CPROF_OPT_SIZE, requests.cpu.stack_bytes), "32768", "N", "bytes of stack copied with each sample, up to 65528", NULL },
	{ "user-only", ROW(CPROF_OPT_SWITCH, requests.cpu.user_only), NULL, NULL, "leave kernel frames out", NULL },
	{ "open", ROW(CPROF_OPT_STRING, requests.cpu.strategy), "auto", "HOW", "open events only in this way: cpu, thread-cpu or thread", NULL },

	{ "block", ROW(CPROF_OPT_STRING, block), "contention", "WHAT", "contention: waits for locks; all: every blocking system call", "Block and mutex profiles" },
	{ "block-method", ROW(CPROF_OPT_STRING, requests.waits.method), "auto", "HOW", "see waits only in this way: bpf, perf or proc", NULL },

	{ "wall", ROW(CPROF_OPT_STRING, wall), "active", "WHAT", "active: without threads that never ran and wait for work; all: those too, a sample for each place", "Wall-clock profile" },
	{ "wall-method", ROW(CPROF_OPT_STRING, requests.wall.method), "auto", "HOW", "see where time goes only in this way: bpf, perf or proc", NULL },

	{ "text", ROW(CPROF_OPT_SWITCH, text), NULL, NULL, "print every thread's stack on stdout; a file only with -o", "Threads" },
	{ "group", ROW(CPROF_OPT_SWITCH, requests.threads.group), NULL, NULL, "with -text: threads with the same stack together", NULL },
	{ "text-format", ROW(CPROF_OPT_STRING, text_format), "threads", "FORM", "with -text: threads, or goroutines for readers of Go's dumps", NULL },
	{ "exit-code", ROW(CPROF_OPT_SWITCH, deadlock_status), NULL, NULL, "end with status 10 where a deadlock was found, for scripts", NULL },
	{ "repeat", ROW(CPROF_OPT_UINT, requests.threads.repeat), "1", "N", "take N snapshots and mark the threads that do not move", NULL },
	{ "every", ROW(CPROF_OPT_DURATION, requests.threads.every_ns), "1s", "TIME", "with -repeat: time between snapshots; with -push: profiles for ever, each of so long (default 15s); with -live: a new table so often", NULL },
	{ "consistent", ROW(CPROF_OPT_SWITCH, requests.threads.consistent), NULL, NULL, "stop all threads together for a moment; some system calls then return EINTR to them", NULL },
	{ "means", ROW(CPROF_OPT_STRING, requests.threads.means), "auto", "HOW", "read registers only in this way: bpf or proc (and a perf sample of a thread that runs; nobody is stopped), or ptrace (everybody is)", NULL },
	{ "core", ROW(CPROF_OPT_STRING, requests.threads.core), NULL, "FILE", "look at this core file instead of a process", NULL },
	{ "exe", ROW(CPROF_OPT_STRING, requests.threads.exe), NULL, "FILE", "the program that the core file is of, where it is not at its old place", NULL },

	{ "overhead", ROW(CPROF_OPT_STRING, overhead), NULL, "PERCENT", "raise the rate while sampling costs more than this share of a processor; -mode wall: keep no more samples and waits than cost it", "Heap profile" },
	{ "heap-baseline", ROW(CPROF_OPT_SWITCH, requests.heap.baseline), NULL, NULL, "show what the process held before as one sample, [allocated before attach]", NULL },
	{ "heap-hook", ROW(CPROF_OPT_LIST, heap_hook_texts), NULL, "SPEC", "an allocator of the program's own: alloc=FUNCTION,size=argN[,free=FUNCTION[,ptr=argN]], FUNCTION a name, NAME@OBJECT or 0xADDRESS; repeatable", NULL },
	{ "heap-method", ROW(CPROF_OPT_STRING, requests.heap.method), "auto", "HOW", "watch allocators by jumps put into the process (inline), by uprobes (uprobe: nothing injected, nobody stopped, slower), or by uprobes where one cannot be patched (auto)", NULL },
	{ "heap-mmap", ROW(CPROF_OPT_SWITCH, requests.heap.mmap), NULL, NULL, "and memory that the process maps past its allocators (mmap, mremap, brk, threads' stacks, memfd and shm), with the label kind=mmap; nothing is injected for it", NULL },
	{ "heap-size", ROW(CPROF_OPT_STRING, heap_size), NULL, "MIN:MAX", "sample only calls for so many bytes: 4080:4096, 1m:, :512 or one size; all others cost as little as ever, and -rate 1 records each of these", NULL },
	{ "heap-age", ROW(CPROF_OPT_SWITCH, requests.heap.ages), NULL, NULL, "tell what is in use apart by how long it has lived: the label age, 0-1s to >1h", NULL },
	{ "heap-since", ROW(CPROF_OPT_DURATION, requests.heap.since_ns), NULL, "TIME", "the profile is of what changed since so long after the start: allocated after that, in use at the end less in use then", NULL },
	{ "repair", ROW(CPROF_OPT_UINT, repair_pid), NULL, "PID", "remove from PID what a killed heap profile left in it, and end", NULL },

	{ "demangle", ROW(CPROF_OPT_STRING, demangle), "short", "HOW", "C++ and Rust names: short, templates, full or none", "Names" },
	{ "no-inlines", ROW(CPROF_OPT_SWITCH, naming.no_inlines), NULL, NULL, "do not look for inlined functions", NULL },
	{ "debuginfod", ROW(CPROF_OPT_SWITCH, naming.debuginfod), NULL, NULL, "may ask the servers in DEBUGINFOD_URLS for missing debug files", NULL },
	{ "no-cache", ROW(CPROF_OPT_SWITCH, no_cache), NULL, NULL, "keep no names on disk for the next profile (else in ~/.cache/cprof)", NULL },
	{ "budget", ROW(CPROF_OPT_UINT, naming.budget), "1", "N", "let files of the target cost N times the memory and work that they may (docs/security.md)", NULL },
	{ "why", ROW(CPROF_OPT_SWITCH, why), NULL, NULL, "profile nothing: say which names FILE... or the process has, and how to get better ones", NULL },

	{ "doctor", ROW(CPROF_OPT_SWITCH, doctor), NULL, NULL, "profile nothing: try what works here, or on the process of -p, and say what would grant the rest; -format json for programs", "Permissions" },

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

	{ "leaks", ROW(CPROF_OPT_SWITCH, report.leaks), NULL, NULL, "-mode heap: stacks whose blocks live long and grow in sum, with how sure that is; -seconds 60 or more, -every is the time between two looks, -rate 65536 if not given", NULL },

	{ "live", ROW(CPROF_OPT_SWITCH, live), NULL, NULL, "a table of what the process does now, every second, until q; \"?\" shows the keys. cprof-attach top is the same; into a pipe it prints plain tables. -mode cpu, heap, block or mutex", "Live" },

	{ "http", ROW(CPROF_OPT_STRING, http), NULL, "ADDRESS", "serve /debug/pprof/ as a Go program does, until Ctrl-C: HOST:PORT of the loopback, unix:/PATH, or systemd: the socket that it has opened; with -push and -every: /metrics of what is pushed", "Server" },
	{ "http-token-file", ROW(CPROF_OPT_STRING, http_token_file), NULL, "FILE", "let in only who knows the first line of this file, as Bearer token or as password; ADDRESS may be any of the machine's then", NULL },
	{ "modes", ROW(CPROF_OPT_STRING, modes), "cpu,heap,block,mutex,threads,threadcreate", "LIST", "what may be asked for; with -push: profiles of these for ever, one after the other (default: that of -mode)", NULL },
	{ "lazy", ROW(CPROF_OPT_SWITCH, lazy), NULL, NULL, "record heap, block and mutex from the first request on, not from the start", NULL },

	{ "config", ROW(CPROF_OPT_STRING, config), NULL, "FILE", "options from a file: NAME = VALUE, a line each; the environment and the command line go before it", "Configuration" },
	{ "show-config", ROW(CPROF_OPT_SWITCH, show_config), NULL, NULL, "print what each option is set to and where that comes from, and end", NULL },

	{ "q", ROW(CPROF_OPT_SWITCH, quiet), NULL, NULL, "say nothing but errors", "Talk" },
	{ "v", ROW(CPROF_OPT_SWITCH, verbose), NULL, NULL, "say how things are done", NULL },
	{ "completion", ROW(CPROF_OPT_STRING, completion), NULL, "SHELL", "print a script that lets bash, zsh or fish complete these options", NULL },
	{ "help", ROW(CPROF_OPT_SWITCH, help), NULL, NULL, "print this; -help TOPIC: a part of it, or one option", NULL },
	{ "version", ROW(CPROF_OPT_SWITCH, version), NULL, NULL, "print the version", NULL },
	{ "h", ROW(CPROF_OPT_SWITCH, help), NULL, NULL, "print this", "hidden" },
	{ "doctor-table", ROW(CPROF_OPT_SWITCH, doctor_table), NULL, NULL, "print what docs/permissions.md has of what can be granted", NULL },
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
	{ "tids thread", "did you mean -tid TID, or -threads NAME?" },
	{ "timestamps ttsp times buckets", "did you mean -timeline?" },
	{ "heap memory mem malloc alloc allocs", "did you mean -mode heap?" },
	{ "leak memleak", "did you mean -mode heap -leaks?" },
	{ "offcpu off-cpu waits blocking", "did you mean -mode block?" },
	{ "lock locks contention", "did you mean -mode mutex? -mode block shows the waits, mutex who caused them" },
	{ "cpu oncpu on-cpu profile", "did you mean -mode cpu?" },
	{ "stacks stack dump goroutine goroutines bt backtrace", "did you mean -mode threads -text?" },
	{ "wallclock wall-clock fgprof", "did you mean -mode wall?" },
	{ "collapsed collapse stackcollapse fold", "did you mean -folded?" },
	{ "flamegraph flame flames fg html", "did you mean -o FILE.html? the file's name says what is written" },
	{ "svg png pdf dot speedscope json", "did you mean -o FILE.svg? the file's name says what is written: .svg .png .dot .json .speedscope.json" },
	{ "web", "cprof -web FILE shows a graph of what this writes; -o FILE.html is a flame graph" },
	{ "k kernel all-kernel", "kernel frames are in the profile already; -user-only leaves them out" },
};

static const struct cprof_option_choices choices[] = {
	{ "n", CPROF_CHOICES_PROCESS_NAMES },
	{ "mode", "cpu heap block mutex wall threads threadcreate" },
	{ "modes", "cpu heap block mutex wall threads threadcreate" },
	{ "seconds", "10 30 1m 0" },
	{ "timeline", "10ms 100ms 1s off" },
	{ "hz", "99 100 999" },
	{ "event", "cpu-clock cycles instructions cache-misses branch-misses page-faults context-switches list" },
	{ "open", "auto cpu thread-cpu thread" },
	{ "block", "contention all" },
	{ "block-method", "auto bpf perf proc" },
	{ "wall", "active all" },
	{ "wall-method", "auto bpf perf proc" },
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
