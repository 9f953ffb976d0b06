/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include <string.h>

#include "base/cleanup.h"

const char *cprof_path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!*path)
		return ".";
	return slash && slash[1] ? slash + 1 : path;
}

/* Take the last part off `out`, unless it is one that cannot be taken back. */
static void drop_last(struct cprof_buffer *out, size_t floor)
{
	while (out->len > floor && out->data[out->len - 1] != '/')
		out->len--;
	if (out->len > floor)
		out->len--;
	out->data[out->len] = 0;
}

void cprof_path_clean(const char *path, struct cprof_buffer *out)
{
	size_t start = out->len;
	bool rooted = *path == '/';
	if (rooted)
		cprof_buffer_putc(out, '/');
	size_t floor = out->len; /* what ".." must not take away */
	while (*path) {
		size_t n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			if (out->len > floor) {
				drop_last(out, floor);
			} else if (!rooted) {
				if (out->len > start)
					cprof_buffer_putc(out, '/');
				cprof_buffer_puts(out, "..");
				floor = out->len;
			}
		} else if (n && !(n == 1 && *path == '.')) {
			if (out->len > start && (!rooted || out->len > start + 1))
				cprof_buffer_putc(out, '/');
			cprof_buffer_append(out, path, n);
		}
		path += n + (path[n] == '/');
	}
	if (out->len == start)
		cprof_buffer_putc(out, '.');
}

/* The next entry of a ':'-separated list. */
static bool next_entry(const char **list, const char **ret_entry, size_t *ret_n)
{
	if (!**list)
		return false;
	*ret_entry = *list;
	*ret_n = strcspn(*list, ":");
	*list += *ret_n + ((*list)[*ret_n] == ':');
	return true;
}

/* Behind "/NAME/" in `path`, NAME being the last part of the directory; NULL where it is not there. */
static const char *behind_directory(const char *path, const char *dir, size_t n)
{
	while (n > 1 && dir[n - 1] == '/')
		n--;
	const char *name = memrchr(dir, '/', n);
	name = name ? name + 1 : dir;
	size_t name_n = (size_t)(dir + n - name);
	if (n == 0) { /* an empty entry is the present directory */
		name = ".";
		name_n = 1;
	}
	for (const char *at = path; (at = strchr(at, '/')); at++) {
		if (strncmp(at + 1, name, name_n) == 0 && at[1 + name_n] == '/')
			return at + name_n + 2;
	}
	return NULL;
}

static const char *behind_prefix(const char *path, const char *prefix, size_t n)
{
	while (n && prefix[n - 1] == '/')
		n--;
	return strncmp(path, prefix, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

const char *cprof_path_trim(const char *path, const char *trim, const char *search)
{
	static const char *const usual[] = { "/proc/self/cwd/./", "/proc/self/cwd/" };
	const char *entry, *found;
	size_t n;
	while (!*trim && next_entry(&search, &entry, &n)) {
		if ((found = behind_directory(path, entry, n)))
			return found;
	}
	while (next_entry(&trim, &entry, &n)) {
		if ((found = behind_prefix(path, entry, n)))
			return found;
	}
	for (size_t i = 0; i < 2; i++) {
		n = strlen(usual[i]);
		if (strncmp(path, usual[i], n) == 0)
			return path + n;
	}
	return path;
}
