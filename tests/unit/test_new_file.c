/* SPDX-License-Identifier: Apache-2.0 */
#include "base/new_file.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define EVE 65534

static char dir[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/cprof-test-XXXXXX");
	CHECK(mkdtemp(dir));
}

static void remove_dir(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %.30s", dir);
	CHECK(system(command) == 0);
}

static const char *at(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void put(const char *path, const char *text, mode_t mode)
{
	CPROF_AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
	      fchmod(fd, mode) == 0);
}

static bool reads(const char *path, const char *want)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_error_free(cprof_file_read(path, 1 << 20, &text));
	return strcmp(cprof_buffer_text(&text), want) == 0;
}

static int write_new(const char *path, enum cprof_new_file_how how)
{
	struct cprof_new_file file = { 0 };
	struct cprof_error *err = cprof_new_file_plan(path, how, &file);
	if (!err)
		err = cprof_new_file_write(&file, "new", 3, NULL);
	int code = err ? (int)err->code : -1;
	cprof_error_free(err);
	cprof_new_file_deinit(&file);
	return code;
}

static mode_t mode_of(const char *path)
{
	struct stat st;
	CHECK(lstat(path, &st) == 0);
	return st.st_mode & 07777;
}

TEST(new_file_is_for_its_owner_and_replaces_nothing_unasked)
{
	make_dir();
	CHECK_UINT(write_new(at("a"), CPROF_NEW_FILE_REFUSE), -1);
	CHECK(reads(at("a"), "new"));
	CHECK_UINT(mode_of(at("a")), 0600);
	put(at("b"), "old", 0644);
	CHECK_UINT(write_new(at("b"), CPROF_NEW_FILE_REFUSE), CPROF_ERR_EXISTS);
	CHECK(reads(at("b"), "old"));
	CHECK_UINT(write_new(at("b"), CPROF_NEW_FILE_REPLACE), -1);
	CHECK(reads(at("b"), "new"));
	CHECK_UINT(mode_of(at("b")), 0644); /* whoever opened it to others keeps it so */
	put(at("public"), "old", 0644);
	CHECK(link(at("public"), at("c")) == 0); /* the name may be somebody else's idea */
	CHECK_UINT(write_new(at("c"), CPROF_NEW_FILE_REPLACE), -1);
	CHECK_UINT(mode_of(at("c")), 0600);
	CHECK(reads(at("public"), "old"));
	remove_dir();
}

TEST(new_file_that_appears_between_looking_and_naming_stays)
{
	struct cprof_new_file file;
	make_dir();
	CHECK(!cprof_new_file_plan(at("x"), CPROF_NEW_FILE_REFUSE, &file));
	CHECK(!cprof_new_file_create(&file, NULL));
	put(at("x"), "old", 0600);
	struct cprof_error *err = cprof_new_file_finish(&file, NULL);
	CHECK(err);
	CHECK_UINT(err->code, CPROF_ERR_EXISTS);
	cprof_error_free(err);
	CHECK(!cprof_new_file_finish(&file, "y")); /* another name may be tried */
	cprof_new_file_deinit(&file);
	CHECK(reads(at("x"), "old"));
	CHECK(reads(at("y"), ""));
	remove_dir();
}

TEST(new_file_leaves_nothing_behind_when_it_is_dropped)
{
	struct cprof_new_file file;
	make_dir();
	CHECK(!cprof_new_file_plan(at("x"), CPROF_NEW_FILE_REFUSE, &file));
	CHECK(!cprof_new_file_try(&file));
	CHECK(!cprof_new_file_create(&file, NULL));
	cprof_new_file_deinit(&file);
	CHECK(rmdir(dir) == 0);
}

TEST(new_file_follows_own_links_and_no_other)
{
	make_dir();
	put(at("target"), "old", 0600);
	CHECK(symlink("target", at("own")) == 0);
	CHECK_UINT(write_new(at("own"), CPROF_NEW_FILE_REPLACE), -1);
	CHECK(reads(at("target"), "new"));
	if (geteuid() != 0)
		test_skip("only root can make links of somebody else");
	put(at("target"), "old", 0600);
	CHECK(symlink("target", at("foreign")) == 0 && lchown(at("foreign"), EVE, EVE) == 0);
	CHECK_UINT(write_new(at("foreign"), CPROF_NEW_FILE_REFUSE), CPROF_ERR_EXISTS);
	CHECK_UINT(write_new(at("foreign"), CPROF_NEW_FILE_REPLACE), -1);
	CHECK(reads(at("target"), "old"));
	CHECK(symlink(dir, at("way")) == 0 && lchown(at("way"), EVE, EVE) == 0);
	CHECK_UINT(write_new(at("way/z"), CPROF_NEW_FILE_REPLACE), CPROF_ERR_DENIED);
	/* An own link in a directory of hers may have been moved there. */
	CHECK(mkdir(at("eve"), 0755) == 0 && symlink(at("target"), at("eve/l")) == 0);
	CHECK(chown(at("eve"), EVE, EVE) == 0);
	CHECK_UINT(write_new(at("eve/l"), CPROF_NEW_FILE_REPLACE), -1);
	CHECK(reads(at("target"), "old"));
	remove_dir();
}

TEST(new_file_never_waits_at_a_pipe_of_somebody_else)
{
	make_dir();
	CHECK(mkfifo(at("pipe"), 0666) == 0);
	if (geteuid() != 0)
		test_skip("only root can make pipes of somebody else");
	CHECK(chown(at("pipe"), EVE, EVE) == 0);
	CHECK_UINT(write_new(at("pipe"), CPROF_NEW_FILE_REFUSE), CPROF_ERR_EXISTS);
	CHECK_UINT(write_new(at("pipe"), CPROF_NEW_FILE_REPLACE), -1);
	CHECK(reads(at("pipe"), "new"));
	remove_dir();
}

TEST(new_file_writes_to_descriptors_and_pipes_of_the_caller)
{
	int ends[2];
	char path[40], got[4] = "";
	make_dir();
	CHECK(pipe(ends) == 0); /* as a shell hands it down: it does not close on exec */
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[1]);
	CHECK_UINT(write_new(path, CPROF_NEW_FILE_REFUSE), -1);
	CHECK(read(ends[0], got, 3) == 3 && strcmp(got, "new") == 0);
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]); /* only for reading */
	CHECK_UINT(write_new(path, CPROF_NEW_FILE_REFUSE), CPROF_ERR_OS);
	CHECK(fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0); /* one of our own */
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[1]);
	CHECK_UINT(write_new(path, CPROF_NEW_FILE_REFUSE), CPROF_ERR_OS);
	close(ends[0]);
	close(ends[1]);
	CHECK(mkfifo(at("pipe"), 0600) == 0);
	int reader = open(at("pipe"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK_UINT(write_new(at("pipe"), CPROF_NEW_FILE_REFUSE), -1);
	CHECK(read(reader, got, 3) == 3);
	close(reader);
	CHECK_UINT(write_new("/dev/null", CPROF_NEW_FILE_REFUSE), -1);
	remove_dir();
}

static bool stop_now(void)
{
	return true;
}

TEST(new_file_stops_waiting_for_a_reader_when_asked)
{
	struct cprof_new_file file;
	make_dir();
	CHECK(mkfifo(at("pipe"), 0600) == 0);
	CHECK(!cprof_new_file_plan(at("pipe"), CPROF_NEW_FILE_REFUSE, &file));
	struct cprof_error *err = cprof_new_file_write(&file, "new", 3, stop_now);
	CHECK(err);
	cprof_error_free(err);
	cprof_new_file_deinit(&file);
	remove_dir();
}

static int own_dir(const char *path, bool make)
{
	int fd = -1;
	struct cprof_error *err = cprof_place_open_own_dir(path, make, &fd);
	int code = err ? (int)err->code : -1;
	cprof_error_free(err);
	cprof_auto_close(&fd);
	return code;
}

TEST(place_of_our_own_is_no_link_and_nobody_else_can_write_there)
{
	make_dir();
	CHECK_UINT(own_dir(at("a/b/c"), false), CPROF_ERR_OS);
	CHECK_UINT(own_dir(at("a/b/c"), true), -1);
	CHECK_UINT(mode_of(at("a/b")), 0700);
	CHECK(symlink("c", at("a/b/link")) == 0 && symlink("a", at("way")) == 0);
	CHECK_UINT(own_dir(at("a/b/link"), true), CPROF_ERR_DENIED);
	CHECK_UINT(own_dir(at("way/b/c"), true),
		   -1); /* own links on the way are the owner's business */
	CHECK(chmod(at("a/b/c"), 0770) == 0);
	CHECK_UINT(own_dir(at("a/b/c"), true), CPROF_ERR_DENIED);
	CHECK(chmod(at("a/b/c"), 0700) == 0 && chmod(at("a"), 0777) == 0);
	CHECK_UINT(own_dir(at("a/b/c"), true), CPROF_ERR_DENIED);
	CHECK(chmod(at("a"), 01777) == 0);
	CHECK_UINT(own_dir(at("a/b/c"), true), -1);
	if (geteuid() != 0)
		test_skip("only root can make directories of somebody else");
	CHECK(chown(at("a"), EVE, EVE) == 0);
	CHECK_UINT(own_dir(at("a/b/c"), true), CPROF_ERR_DENIED);
	remove_dir();
}
