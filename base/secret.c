/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define FILE_MAX 16384

bool cprof_secret_is_name(const char *name, size_t len)
{
	static const char *const words[] = {
		"token", "passw", "secret", "key", "auth", "credential"
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i]);
		for (size_t at = 0; at + n <= len; at++) {
			if (strncasecmp(name + at, words[i], n) == 0)
				return true;
		}
	}
	return false;
}

/* "seconds=30": may it be shown? */
static bool harmless(const char *parameter, size_t n)
{
	static const char *const names[] = { "seconds=", "debug=", "gc=" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t name = strlen(names[i]);
		if (n >= name && memcmp(parameter, names[i], name) == 0 &&
		    strspn(parameter + name, "0123456789") >= n - name)
			return true;
	}
	return false;
}

/* "?a=b&c=d#fragment" */
static void put_query(const char *query, struct cprof_buffer *out)
{
	bool hidden = false;
	char separator = '?';
	for (const char *at = query; *at == '?' || *at == '&';) {
		at++;
		size_t n = strcspn(at, "&#");
		bool shown = harmless(at, n);
		if (shown || !hidden) {
			cprof_buffer_putc(out, separator);
			separator = '&';
			shown ? cprof_buffer_append(out, at, n) : cprof_buffer_puts(out, "...");
		}
		hidden = hidden || !shown;
		at += n;
		query = at;
	}
	if (*query == '#' && !hidden)
		cprof_buffer_puts(out, "#...");
}

void cprof_secret_put_url(const char *url, struct cprof_buffer *out)
{
	const char *scheme = strstr(url, "://");
	const char *rest = scheme ? scheme + 3 : url;
	cprof_buffer_append(out, url, (size_t)(rest - url));
	size_t authority = strcspn(rest, "/?#");
	const char *at = memrchr(rest, '@', authority);
	if (at) {
		cprof_buffer_puts(out, "...@");
		rest = at + 1;
	}
	size_t path = strcspn(rest, "?#");
	cprof_buffer_append(out, rest, path);
	put_query(rest + path, out);
}

static struct cprof_error *first_line(const char *file, const struct cprof_buffer *text, char **ret)
{
	size_t n = strcspn(cprof_buffer_text(text), "\r\n");
	if (!n)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "%s: its first line is empty", file);
	*ret = strndup(cprof_buffer_text(text), n);
	return *ret ? NULL : cprof_error_no_memory();
}

struct cprof_error *cprof_secret_read(const char *file, const char *variable, char **ret)
{
	const char *value = secure_getenv(variable);
	*ret = NULL;
	if (!file || !*file) {
		if (value && *value && !(*ret = strdup(value)))
			return cprof_error_no_memory();
		return NULL;
	}
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read(file, FILE_MAX, &text);
	return err ? err : first_line(file, &text, ret);
}

static struct cprof_error *check_kept(const char *file, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "%s: not a regular file", file);
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return cprof_error_new(CPROF_ERR_DENIED,
				       "%s belongs to another user, who can put in what he likes",
				       file);
	if (st->st_mode & (S_IWGRP | S_IRWXO))
		return cprof_error_hint(cprof_error_new(CPROF_ERR_DENIED,
							"%s: other users may %s it", file,
							st->st_mode & S_IROTH ? "read" : "write"),
					"chmod 600 %s", file);
	return NULL;
}

struct cprof_error *cprof_secret_read_kept(const char *file, struct stat *ret_stat, char **ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	CPROF_AUTO(close) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	*ret = NULL;
	if (fd < 0 || fstat(fd, ret_stat) != 0)
		return cprof_error_os(errno, "open %s", file);
	struct cprof_error *err = check_kept(file, ret_stat);
	if (!err)
		err = cprof_file_read_fd(fd, file, FILE_MAX, &text);
	return err ? err : first_line(file, &text, ret);
}
