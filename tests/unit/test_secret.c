/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/test.h"

TEST(secret_url_shows_what_may_be_shown)
{
	static const char *const urls[][2] = {
		{ "http://h:4040/ingest", "http://h:4040/ingest" },
		{ "http://u:p@h/x", "http://...@h/x" },
		{ "https://u@h", "https://...@h" },
		{ "http://u:p@ss@h/x@y", "http://...@h/x@y" },
		{ "http://h/debug/pprof/profile?seconds=30",
		  "http://h/debug/pprof/profile?seconds=30" },
		{ "http://h/p?token=abc", "http://h/p?..." },
		{ "http://h/p?a=b&seconds=5&c=d", "http://h/p?...&seconds=5" },
		{ "http://h/p?seconds=5&token=abc#x", "http://h/p?seconds=5&..." },
		{ "http://h/p#secret", "http://h/p#..." },
		{ "http://h/p?seconds=5#secret", "http://h/p?seconds=5#..." },
		{ "http://h/p?seconds=abc", "http://h/p?..." },
		{ "h:6060?x", "h:6060?..." },
		{ "u:p@h:6060/x", "...@h:6060/x" },
	};
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
		cprof_secret_put_url(urls[i][0], &out);
		CHECK_STR(cprof_buffer_text(&out), urls[i][1]);
	}
}

TEST(secret_names_are_known_by_a_word_in_them)
{
	static const char *const yes[] = { "-token", "API_KEY", "x-Password", "-push-auth",
					   "client_secret" };
	static const char *const no[] = { "-seconds", "", "-service", "pass" };
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		CHECK(cprof_secret_is_name(yes[i], strlen(yes[i])));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		CHECK(!cprof_secret_is_name(no[i], strlen(no[i])));
}

/* Of an error that is wanted; it is freed. */
static enum cprof_error_code code_of(struct cprof_error *err)
{
	CHECK(err != NULL);
	enum cprof_error_code code = err ? err->code : CPROF_ERR_USAGE;
	cprof_error_free(err);
	return code;
}

TEST(secret_comes_from_a_file_before_the_environment)
{
	char path[] = "/tmp/cprof-secret-XXXXXX", *secret;
	int fd = mkstemp(path);
	CHECK(fd >= 0);
	unsetenv("CPROF_TEST_AUTH");
	CHECK(!cprof_secret_read("", "CPROF_TEST_AUTH", &secret));
	CHECK(!secret);
	setenv("CPROF_TEST_AUTH", "me:mine", 1);
	CHECK(!cprof_secret_read(NULL, "CPROF_TEST_AUTH", &secret));
	CHECK_STR(secret, "me:mine");
	free(secret);
	CHECK_UINT(code_of(cprof_secret_read(path, "CPROF_TEST_AUTH", &secret)),
		   CPROF_ERR_BAD_DATA);
	CHECK(write(fd, "tok en\r\nmore\n", 13) == 13);
	CHECK(!cprof_secret_read(path, "CPROF_TEST_AUTH", &secret));
	CHECK_STR(secret, "tok en");
	free(secret);
	close(fd);
	unlink(path);
	CHECK_UINT(code_of(cprof_secret_read(path, "CPROF_TEST_AUTH", &secret)), CPROF_ERR_OS);
}

TEST(secret_that_lets_others_in_is_read_by_nobody_else)
{
	char path[] = "/tmp/cprof-secret-XXXXXX", *secret;
	static const struct {
		mode_t mode;
		bool taken;
	} rows[] = { { 0600, true },  { 0400, true },  { 0640, true }, { 0660, false },
		     { 0644, false }, { 0604, false }, { 0602, false } };
	struct stat st;
	int fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK(write(fd, "token\n", 6) == 6);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK(fchmod(fd, rows[i].mode) == 0);
		if (!rows[i].taken) {
			CHECK_UINT(code_of(cprof_secret_read_kept(path, &st, &secret)),
				   CPROF_ERR_DENIED);
			CHECK(!secret);
			continue;
		}
		CHECK(!cprof_secret_read_kept(path, &st, &secret));
		CHECK_STR(secret, "token");
		CHECK_UINT(st.st_size, 6);
		free(secret);
	}
	close(fd);
	unlink(path);
	CHECK_UINT(code_of(cprof_secret_read_kept(path, &st, &secret)), CPROF_ERR_OS);
	CHECK_UINT(code_of(cprof_secret_read_kept("/dev/null", &st, &secret)), CPROF_ERR_BAD_DATA);
}
