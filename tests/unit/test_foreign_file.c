/* SPDX-License-Identifier: Apache-2.0 */
#include "base/foreign_file.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static char dir[64];

static const char *at(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void put(const char *path, const char *text)
{
	CPROF_AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* A root with things in it, and something beside it that nothing in it may lead to. */
static void make_root(void)
{
	strcpy(dir, "/tmp/cprof-test-XXXXXX");
	CHECK(mkdtemp(dir));
	CHECK(mkdir(at("root"), 0700) == 0 && mkdir(at("root/in"), 0700) == 0);
	put(at("secret"), "secret");
	put(at("root/in/file"), "file");
	CHECK(symlink("in/file", at("root/near")) == 0);
	CHECK(symlink("/in/file", at("root/far")) == 0);
	CHECK(symlink("../../../../../in", at("root/in/up")) == 0);
	CHECK(symlink(at("secret"), at("root/out")) == 0);
	CHECK(symlink("../secret", at("root/out2")) == 0);
	CHECK(symlink(dir, at("root/outdir")) == 0);
	CHECK(symlink("round", at("root/round")) == 0);
	CHECK(mkfifo(at("root/pipe"), 0600) == 0);
}

static void remove_root(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %.30s", dir);
	CHECK(system(command) == 0);
}

static const struct {
	const char *path;
	bool found;
} cases[] = {
	{ "/in/file", true },
	{ "in/file", true },
	{ "near", true },
	{ "/far", true },
	{ "in/up/file", true },
	{ "../../in/./file", true },
	{ "in/../in//file", true },
	{ "out", false },
	{ "out2", false },
	{ "outdir/secret", false },
	{ "../secret", false },
	{ "in/file/..", false },
	{ "round", false },
	{ "in/up/../../out", false },
	{ "in/up/up/up/file", true },
	{ "in/none/file", false },
	{ "far/none", false },
};

TEST(foreign_file_is_never_outside_of_the_root_it_is_looked_for_in)
{
	make_root();
	CPROF_AUTO(close) int root = open(at("root"), O_PATH | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[8] = "";
		int fd = cprof_foreign_file_open_below(at("root"), cases[i].path);
		if ((fd >= 0) != cases[i].found)
			TEST_FAIL("%s was%s found", cases[i].path, fd >= 0 ? "" : " not");
		if (fd >= 0)
			CHECK(read(fd, got, 7) == 4 && strcmp(got, "file") == 0);
		cprof_auto_close(&fd);
		int walked = cprof_foreign_file_walk(root, cases[i].path);
		if ((walked >= 0) != cases[i].found)
			TEST_FAIL("%s was%s found without openat2", cases[i].path,
				  walked >= 0 ? "" : " not");
		cprof_auto_close(&walked);
	}
	remove_root();
}

TEST(foreign_file_that_is_no_regular_file_is_not_opened)
{
	static const char *const others[] = {
		"/dev/null",
		"/dev/zero",
		"/tmp",
		"/proc/self/status",
		"/sys/kernel/mm/ksm/run",

		"/proc/self/ns/mnt",
		"/none",
	};
	make_root();
	CHECK(cprof_foreign_file_open_below(at("root"), "pipe") < 0);
	CHECK_UINT(errno, EINVAL);
	CHECK(cprof_foreign_file_open(at("root/pipe")) < 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (cprof_foreign_file_open(others[i]) >= 0)
			TEST_FAIL("%s was opened", others[i]);
	}
	remove_root();
}

TEST(foreign_file_is_somebodys_if_nobody_else_can_have_written_it)
{
	static const struct {
		mode_t mode;
		uid_t uid;
		gid_t gid;
		bool good;
	} files[] = {
		{ 0644, 0, 0, true },      { 0600, 1000, 1000, true },  { 0664, 1000, 1000, true },
		{ 0664, 1000, 50, false }, { 0646, 1000, 1000, false }, { 0644, 1001, 1000, false },
		{ 0666, 0, 0, false },     { 0600, 0, 0, false },       { 0640, 0, 1000, true },
	};
	if (geteuid() != 0)
		test_skip("only root can make files of somebody else");
	make_root();
	CPROF_AUTO(close) int fd = open(at("root/in/file"), O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		CHECK(fchown(fd, files[i].uid, files[i].gid) == 0 &&
		      fchmod(fd, files[i].mode) == 0);
		CHECK_UINT(cprof_foreign_file_is_of(fd, 1000, 1000), files[i].good);
	}
	CHECK(fchown(fd, 0, 0) == 0 && fchmod(fd, 0600) == 0);
	CHECK(link(at("root/in/file"), at("root/in/other")) == 0); /* whoever made the other name */
	CHECK(!cprof_foreign_file_is_of(fd, 1000, 1000));
	remove_root();
}
