/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/runner.h"

#include "tests/unit/test.h"

static void check(const char *what, struct cprof_runner runner, enum cprof_runner_kind kind,
		  const char *name)
{
	if (runner.kind != kind || (kind && strcmp(runner.name, name) != 0))
		TEST_FAIL("%s: kind %d, %s", what, (int)runner.kind,
			  runner.name ? runner.name : "no name");
}

TEST(runner_is_known_by_the_program_that_is_executed)
{
	static const struct {
		const char *base, *name; /* NULL: the program runs itself */
	} rows[] = {
		{ "memcheck-amd64-linux", "valgrind" },
		{ "none-arm64-linux", "valgrind" },
		{ "exp-bbv-amd64-linux", "valgrind" },
		{ "memcheck-amd64-linux2", NULL },
		{ "memcheck", NULL },
		{ "none", NULL },
		{ "-linux", NULL },
		{ "qemu-aarch64", "qemu-user" },
		{ "qemu-x86_64-static", "qemu-user" },
		{ "qemu-system-x86_64", NULL },
		{ "qemu-img", NULL },
		{ "qemu-armoury", NULL },
		{ "qemu-", NULL },
		{ "box64", "box64" },
		{ "box64-tool", NULL },
		{ "FEXInterpreter", "FEX" },
		{ "rosetta", "Rosetta" },
		{ "runsc", "gVisor (runsc)" },
		{ "redis-server", NULL },
		{ "", NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(rows[i].base, cprof_runner_by_program(rows[i].base),
		      rows[i].name ? CPROF_RUNNER_EMULATES : CPROF_RUNNER_NONE, rows[i].name);
}

#define LINE(path)                                                                                 \
	"7f0000000000-7f0000002000 r-xp 00000000 08:01 7                          " path "\n"

TEST(runner_is_known_by_what_is_mapped)
{
	check("plain", cprof_runner_by_maps(LINE("/usr/lib/libc.so.6") LINE("")), CPROF_RUNNER_NONE,
	      NULL);
	check("valgrind",
	      cprof_runner_by_maps(LINE("/x") LINE("/usr/libexec/vgpreload_core-amd64-linux.so")),
	      CPROF_RUNNER_EMULATES, "valgrind");
	check("DynamoRIO", cprof_runner_by_maps(LINE("/opt/d r/libdynamorio.so.9.0")),
	      CPROF_RUNNER_EMULATES, "DynamoRIO");
	check("Pin", cprof_runner_by_maps(LINE("/opt/pin/intel64/bin/pinbin")),
	      CPROF_RUNNER_EMULATES, "Intel Pin");
	check("gVisor", cprof_runner_by_maps(LINE("/memfd:runsc-memory (deleted)")),
	      CPROF_RUNNER_EMULATES, "gVisor (runsc)");
	check("rr", cprof_runner_by_maps(LINE("/usr/lib/rr/librrpreload.so")), CPROF_RUNNER_MINDS,
	      "rr");
	check("in a folder's name", cprof_runner_by_maps(LINE("/home/libdynamorio.so/x")),
	      CPROF_RUNNER_NONE, NULL);
	check("cut off", cprof_runner_by_maps("7f0000000000-7f0000002000 r-xp 0 8:1 7 /libdynamo"),
	      CPROF_RUNNER_NONE, NULL);
	check("over the end of a line", cprof_runner_by_maps("r-xp /libdynamo\nrio.so\n"),
	      CPROF_RUNNER_NONE, NULL);
	check("empty", cprof_runner_by_maps(""), CPROF_RUNNER_NONE, NULL);
}

TEST(runner_is_known_by_its_tracer)
{
	check("rr", cprof_runner_by_tracer("rr"), CPROF_RUNNER_MINDS, "rr");
	check("runsc", cprof_runner_by_tracer("runsc"), CPROF_RUNNER_EMULATES, "gVisor (runsc)");
	check("gdb", cprof_runner_by_tracer("gdb"), CPROF_RUNNER_NONE, NULL);
}
