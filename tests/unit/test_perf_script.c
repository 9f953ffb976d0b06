/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/formats/perf_script_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/formats/input_format.h"
#include "tests/unit/test.h"

/* One line as text: kind, then what it says, in a fixed order. */
static void describe(const char *line, char *out, size_t room)
{
	struct cprof_perf_script_line l;
	const struct cprof_perf_script_frame *f = &l.frame;
	cprof_perf_script_line_read(line, &l);
	int n = 0;
	if (l.kind == CPROF_PERF_SCRIPT_HEADER) {
		n = snprintf(out, room, "%.*s|", (int)l.comm.n, l.comm.at ? l.comm.at : "");
		n += snprintf(out + n, room - (size_t)n, l.has_tid ? "%" PRId64 "|" : "-|", l.tid);
		n += snprintf(out + n, room - (size_t)n, l.has_period ? "%" PRId64 "|" : "-|",
			      l.period);
		n += snprintf(out + n, room - (size_t)n, "%.*s", (int)l.event.n,
			      l.event.at ? l.event.at : "");
	}
	if (l.kind == CPROF_PERF_SCRIPT_FRAME || l.has_frame)
		n += snprintf(out + n, room - (size_t)n, "@%" PRIx64 " %.*s (%.*s)%s", f->address,
			      (int)f->name.n, f->name.at ? f->name.at : "", (int)f->file.n,
			      f->file.at ? f->file.at : "", f->inlined ? " inlined" : "");
	if (l.kind == CPROF_PERF_SCRIPT_SOURCE)
		n = snprintf(out, room, "%.*s line %" PRId64, (int)l.source.n,
			     l.source.at ? l.source.at : "", l.source_line);
	if (n == 0)
		snprintf(out, room, "%s",
			 l.kind == CPROF_PERF_SCRIPT_END      ? "end"
			 : l.kind == CPROF_PERF_SCRIPT_IGNORE ? "ignored"
							      : "other");
}

TEST(perf_script_line_reads_what_any_choice_of_fields_prints)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		/* Callers on lines of their own. */
		{ "crunch 12292   686.815702:     250000 cpu-clock: ",
		  "crunch|12292|250000|cpu-clock" },
		{ "hot 1/2 [001] 3.456789012: 7 cycles:u: ", "hot|2|7|cycles:u" },
		{ "a b 9   3.4: cpu-clock: ", "a b|9|-|cpu-clock" },
		{ "crunch   686.815702: cpu-clock: ", "crunch|-|-|cpu-clock" },
		{ "crunch 12292   686.815702: ", "crunch|12292|-|" },
		{ "crunch 12292   686.815702:     250000 ", "crunch|12292|250000|" },
		{ "crunch 12292 ", "crunch|12292|-|" },
		{ "crunch 1/2     250000 cpu-clock: ", "crunch|2|250000|cpu-clock" },
		{ "crunch 2 [000]     250000 cpu-clock: ", "crunch|2|250000|cpu-clock" },
		{ "crunch 12292 cpu-clock: ", "crunch|12292|-|cpu-clock" },
		{ "cpu-clock: ", "|-|-|cpu-clock" },
		{ "kworker/0:1 33 [000] 1.2: 1 sched:sched_switch: prev_comm=a prev_pid=1",
		  "kworker/0:1|33|1|sched:sched_switch" },
		{ ":-1 -1/-1 1.2: 1 cycles: ", ":-1|-1|1|cycles" },
		/* Everything on one line. */
		{ "          crunch 12292   683.331855:     250000 cpu-clock:      55c341c2e45b hash.part.0+0x4b (/bin/hot)",
		  "crunch|12292|250000|cpu-clock@55c341c2e45b hash.part.0 (/bin/hot)" },
		{ "          crunch 12292   683.331855:      55c341c2e45b [unknown] (/bin/hot)",
		  "crunch|12292|-|@55c341c2e45b  (/bin/hot)" },
		{ "hot 1 2.3: 1 page-faults:                 0 [unknown] ([unknown])",
		  "hot|1|1|page-faults@0  ([unknown])" },
		{ "app 1 2.3: cycles:     7f00001000        55c341c2e45b main+0x4 (/bin/x)",
		  "app|1|-|cycles@55c341c2e45b main (/bin/x)" },
		{ "app 1 2.3: cycles:     7f00001000 add (/bin/x)",
		  "app|1|-|cycles@7f00001000 add (/bin/x)" },
		{ "app 1 2.3: 1 cpu/mem-loads,ldlat=30/P:     7f00001000         68100142 |OP LOAD|LVL L1 hit|"
		  "SNP None|TLB L1 or L2 hit|LCK No      12        401010 main+0x10 (/bin/x)",
		  "app|1|1|cpu/mem-loads,ldlat=30/P@401010 main (/bin/x)" },
		{ "app 1 2.3:  tr end  call   1 branches: 401010 main+0x4 (/bin/x) => 401020 f+0x0 (/bin/y)",
		  "app|1|1|branches@401010 main (/bin/x)" },
		{ "app 1 2.3: 1 cycles:   401010 main+0x4 (/bin/x) 0x401010/0x401020/P/-/-/1 0x1/0x2/P/-/-/2",
		  "app|1|1|cycles@401010 main (/bin/x)" },
		/* What tracepoints say is no frame. */
		{ "app 1 [000] 2.3: syscalls:sys_exit_openat: 0xfffffffffffffffe",
		  "app|1|-|syscalls:sys_exit_openat" },
		{ "app 1 [000] 2.3: probe:f: 7f3bb4a0b000 of 12", "app|1|-|probe:f" },
		{ "app 1 [000] 2.3: block:block_rq_issue: 8,0 W 4096 () 123 + 8 [dd]",
		  "app|1|-|block:block_rq_issue" },
		{ "app 1 2.3: sdt:x: add dead beef", "app|1|-|sdt:x" },
		/* Frames. */
		{ "\t            1454 hash.constprop.0+0x44 (/usr/bin/hot)",
		  "@1454 hash.constprop.0 (/usr/bin/hot)" },
		{ "\t    7f a::operator()(int) const+0x1 (/lib/x y.so (deleted))",
		  "@7f a::operator()(int) const (/lib/x y.so (deleted))" },
		{ "            1454 main (inlined)", "@1454 main (inlined) inlined" },
		{ "\t 1454 operator+(A const&)", "@1454 operator+(A const&) ()" },
		{ "\tffffffff813a2413 finish_task_switch.isra.0+0x93 ([kernel.kallsyms])",
		  "@ffffffff813a2413 finish_task_switch.isra.0 ([kernel.kallsyms])" },
		{ "\t 1454", "@1454  ()" },
		/* The rest. */
		{ "  hot.c:25", "hot.c line 25" },
		{ "  ??:0", " line 0" },
		{ "  libc.so.6+0x891f4", " line 0" },
		{ "", "end" },
		{ " \t", "end" },
		{ "# captured on: Wed 3.4: 5", "ignored" },
		{ "hot 0 0.000000: PERF_RECORD_COMM: hot:12290/12290", "ignored" },
		{ "\tzz foo (bar)", "other" },
	};
	char got[512];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		describe(rows[i].line, got, sizeof(got));
		if (strcmp(got, rows[i].want) != 0)
			TEST_FAIL("\"%s\": \"%s\", want \"%s\"", rows[i].line, got, rows[i].want);
	}
}

static struct cprof_profile *read(const char *text)
{
	struct cprof_profile *profile = NULL;
	struct cprof_error *err = cprof_input_decode((const uint8_t *)text, strlen(text), &profile);
	if (err)
		TEST_FAIL("%s", err->message);
	return profile;
}

static const char *type(const struct cprof_profile *p, uint32_t i)
{
	return cprof_profile_text(p, p->types[i].type);
}

TEST(perf_script_counts_each_event_apart)
{
	struct cprof_profile *p = read("a 1 1.0: 100 cycles: \n\t 10 f (/a)\n\n"
				       "a 1 1.1: 1 page-faults: \n\t 10 f (/a)\n\n"
				       "a 1 1.2: 300 cycles: \n\t 11 g (/a)\n\n");
	CHECK_UINT(p->n_types, 2);
	CHECK_STR(type(p, 0), "cycles");
	CHECK_STR(type(p, 1), "page-faults");
	CHECK_UINT(cprof_profile_default_type(p), 0);
	CHECK_UINT(p->values[0], 100);
	CHECK_UINT(p->values[1], 0);
	CHECK_UINT(p->values[3], 1);
	CHECK_UINT(p->values[4], 300);
	cprof_profile_free(p);
}

TEST(perf_script_takes_no_text_of_a_header_for_the_leaf_of_the_frames_below_it)
{
	static const char *const behind[] = { "0xfffffffffffffffe", "7f3bb4a0b000",
					      "7f3bb4a0b000 12", "dead beef (x)",
					      "feed12 a+0x1 (/lib/b)" };
	char text[512];
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		snprintf(
			text, sizeof(text),
			"a 1 1.0: page-faults: %s\n\t 10 f+0x1 (/a)\n\t 20 g+0x1 (/a)\n\n"
			"a 1 1.0: syscalls:sys_exit_read: %s\n\t 10 f+0x1 (/a)\n\t 20 g+0x1 (/a)\n\n",
			behind[i], behind[i]);
		struct cprof_profile *p = read(text);
		CHECK_UINT(p->n_samples, 2);
		CHECK_UINT(p->samples[0].n_locations, 2);
		CHECK_UINT(p->samples[1].n_locations, 2);
		cprof_profile_free(p);
	}
}

TEST(perf_script_weighs_nothing_where_no_period_is_printed)
{
	struct cprof_profile *p = read("a 1 1.0: cpu-clock: \n\t 10 f (/a)\n\n");
	CHECK_UINT(p->n_types, 1);
	CHECK_STR(type(p, 0), "samples");
	cprof_profile_free(p);
	p = read("\n\t 10 f (/a)\n\t 20 g (/a)\n\n\n\t 10 f (/a)\n");
	CHECK_UINT(p->n_samples, 2);
	CHECK_UINT(p->samples[0].n_locations, 2);
	CHECK_UINT(p->n_locations, 2);
	cprof_profile_free(p);
}

TEST(perf_script_keeps_inlined_functions_at_their_own_address_with_their_source)
{
	struct cprof_profile *p = read("a 1 1.0: 5 cpu-clock: \n"
				       "\t 10 inner (inlined)\n  in.c:3\n"
				       "\t 10 outer (inlined)\n  out.c:4\n"
				       "\t 20 caller+0x2 (/a)\n  caller.c:5\n"
				       "\t 30 leaf (inlined)\n  l.c:6\n"
				       "\t 30 main+0x2 (/a)\n  m.c:7\n\n");
	CHECK_STR(type(p, 1), "cpu");
	CHECK_UINT(p->n_locations, 3);
	static const uint32_t n_lines[] = { 2, 1, 2 };
	static const uint64_t addresses[] = { 0x10, 0x20, 0x30 };
	for (uint32_t i = 0; i < 3; i++) {
		const struct cprof_location *l = &p->locations[p->stacks[i]];
		CHECK_UINT(l->n_lines, n_lines[i]);
		CHECK_UINT(l->address, addresses[i]);
		CHECK_UINT(p->lines[l->first_line].line, i == 0 ? 3 : i == 1 ? 5 : 6);
	}
	const struct cprof_function *f =
		&p->functions[p->lines[p->locations[p->stacks[2]].first_line + 1].function];
	CHECK_STR(cprof_profile_text(p, f->name), "main");
	CHECK_STR(cprof_profile_text(p, f->filename), "m.c");
	cprof_profile_free(p);
}
