/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/maps.h"
#include "tests/unit/test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEXT(s) (s), strlen(s)

static const char two_maps[] =
	"00400000-00401000 r-xp 00000000 fd:00 42 /usr/bin/a b\n"
	"7f0000000000-7f0000002000 rw-p 00000000 00:00 0 \n"
	"7f0000002000-7f0000003000 r-xp 00001000 fd:00 43                         /lib/gone.so (deleted)\n";

static struct cprof_map at(uint64_t start, uint64_t end)
{
	return (struct cprof_map){
		.inode = 1, .start = start, .end = end, .offset = start, .path = "x"
	};
}

TEST(maps_parse_reads_every_field_of_proc_maps)
{
	struct cprof_maps maps;
	cprof_maps_init(&maps, 0, (struct cprof_memory){ 0 });
	CHECK(!cprof_maps_parse(&maps, TEXT(two_maps)));

	const struct cprof_map *program = cprof_maps_find(&maps, 0x400fff);
	CHECK(program);
	CHECK_STR(program->path, "/usr/bin/a b");
	CHECK_UINT(program->inode, 42);
	CHECK_UINT(program->dev, 0xfdull << 32);
	CHECK_UINT(program->prot, PROT_READ | PROT_EXEC);
	CHECK(!cprof_maps_find(&maps, 0x401000));

	const struct cprof_map *library = cprof_maps_find(&maps, 0x7f0000002000);
	CHECK_STR(library->path, "/lib/gone.so");
	CHECK(library->deleted);
	CHECK_UINT(library->offset, 0x1000);
	cprof_maps_deinit(&maps);
}

TEST(maps_parse_keeps_the_struct_of_a_mapping_that_is_still_there)
{
	struct cprof_maps maps;
	cprof_maps_init(&maps, 0, (struct cprof_memory){ 0 });
	CHECK(!cprof_maps_parse(&maps, TEXT(two_maps)));
	const struct cprof_map *program = cprof_maps_find(&maps, 0x400000);
	const struct cprof_map *library = cprof_maps_find(&maps, 0x7f0000002000);
	uint64_t generation = maps.generation;
	CHECK(!cprof_maps_parse(&maps, TEXT(two_maps)));
	CHECK_UINT(maps.generation, generation);

	CHECK(!cprof_maps_parse(&maps,
				TEXT("00400000-00401000 r-xp 00000000 fd:00 42 /usr/bin/a b\n")));
	CHECK(cprof_maps_find(&maps, 0x400000) == program);
	CHECK(!cprof_maps_find(&maps, 0x7f0000002000));
	CHECK(!library->live);
	CHECK(maps.generation > generation);
	cprof_maps_deinit(&maps);
}

TEST(maps_parse_refuses_malformed_text_and_changes_nothing)
{
	static const char *const bad[] = {
		"nonsense\n",
		"00400000-00401000 r-xp\n",
		"00401000-00400000 r-xp 00000000 fd:00 42 /a\n",
		"00400000-00402000 r-xp 00000000 fd:00 42 /a\n00401000-00403000 r-xp 0 fd:00 42 /b\n",
	};
	struct cprof_maps maps;
	cprof_maps_init(&maps, 0, (struct cprof_memory){ 0 });
	CHECK(!cprof_maps_parse(&maps, TEXT(two_maps)));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cprof_error *err = cprof_maps_parse(&maps, TEXT(bad[i]));
		if (!err)
			TEST_FAIL("accepted: %s", bad[i]);
		CHECK_UINT(err->code, CPROF_ERR_BAD_DATA);
		cprof_error_free(err);
		CHECK_UINT(maps.n_sorted, 3);
	}
	cprof_maps_deinit(&maps);
}

TEST(maps_parse_takes_the_later_line_of_a_mapping_that_grew_meanwhile)
{
	struct cprof_maps maps;
	cprof_maps_init(&maps, 0, (struct cprof_memory){ 0 });
	CHECK(!cprof_maps_parse(&maps, TEXT("00400000-00401000 rw-p 00000000 00:00 0\n"
					    "00400000-00402000 rw-p 00000000 00:00 0\n"
					    "00402000-00403000 ---p 00000000 00:00 0\n")));
	CHECK_UINT(maps.n_sorted, 2);
	CHECK_UINT(cprof_maps_find(&maps, 0x400000)->end, 0x402000);
	CHECK_UINT(maps.n_all, 3);
	CHECK(!maps.all[0]->live && maps.all[1]->live && maps.all[2]->live);
	cprof_maps_deinit(&maps);
}

TEST(maps_of_memory_without_a_file_count_from_their_start)
{
	struct cprof_maps maps;
	/* As the kernel tells of it in an event; and what stays of it where something else takes its middle. */
	struct cprof_map all = at(0x1000, 0x9000), middle = at(0x3000, 0x4000);
	all.inode = middle.inode = 0;
	cprof_maps_init(&maps, 0, (struct cprof_memory){ 0 });
	CHECK(!cprof_maps_add(&maps, &all, NULL));
	CHECK_UINT(cprof_maps_find(&maps, 0x1000)->offset, 0);
	CHECK(!cprof_maps_add(&maps, &middle, NULL));
	CHECK_UINT(maps.n_sorted, 3);
	for (size_t i = 0; i < maps.n_sorted; i++)
		CHECK_UINT(maps.sorted[i]->offset, 0);
	cprof_maps_deinit(&maps);
}

TEST(maps_add_takes_the_place_of_what_it_overlaps)
{
	/* clang-format off */
	static const struct {
		const char *what;
		uint64_t start, end;
		size_t want_live;
	} cases[] = {
		{ "in free space", 0x9000, 0xa000, 3 },
		{ "exactly over one", 0x1000, 0x4000, 2 },
		{ "in the middle of one", 0x2000, 0x3000, 4 },
		{ "over the end of one and the start of the next", 0x3000, 0x6000, 3 },
		{ "over everything", 0x0, 0x10000, 1 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_maps maps;
		struct cprof_map first = at(0x1000, 0x4000), second = at(0x5000, 0x8000);
		struct cprof_map added = at(cases[i].start, cases[i].end);
		const struct cprof_map *ret;
		cprof_maps_init(&maps, 0, (struct cprof_memory){ 0 });
		CHECK(!cprof_maps_add(&maps, &first, NULL));
		CHECK(!cprof_maps_add(&maps, &second, NULL));
		CHECK(!cprof_maps_add(&maps, &added, &ret));
		if (maps.n_sorted != cases[i].want_live)
			TEST_FAIL("%s: %zu live", cases[i].what, maps.n_sorted);
		CHECK(cprof_maps_find(&maps, cases[i].start) == ret);
		for (size_t j = 0; j < maps.n_sorted; j++) {
			CHECK(j == 0 || maps.sorted[j - 1]->end <= maps.sorted[j]->start);
			CHECK_UINT(maps.sorted[j]->offset, maps.sorted[j]->start);
		}
		cprof_maps_deinit(&maps);
	}
}

/* A mapping that grows into its neighbour, as malloc's arenas do, without end. */
static _Noreturn void change(void)
{
	const size_t n = 500, page = 4096;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	char *base = mmap(NULL, n * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (;;) {
		for (size_t i = 0; i < n - 1; i++) {
			if (mprotect(base + i * page, page, PROT_READ | PROT_WRITE))
				_exit(1);
		}
		mprotect(base, n * page, PROT_NONE);
	}
}

/* Where the kernel takes no lock for it (Linux 6.17) what grows may be in the text twice, or overlap. */
TEST(maps_that_change_while_they_are_read_are_read_again)
{
	struct timespec start, now;
	struct cprof_maps maps;
	pid_t child = fork();
	if (child == 0)
		change();
	clock_gettime(CLOCK_MONOTONIC, &start);
	cprof_maps_init(&maps, child, (struct cprof_memory){ 0 });
	do {
		struct cprof_error *err = cprof_maps_refresh(&maps);
		if (err)
			TEST_FAIL("%s", err->message);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < 2);
	cprof_maps_deinit(&maps);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}
