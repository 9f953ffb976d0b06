/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/targets/target_rules.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define UNIT_MAX  256
#define FIELD_MAX 4096

/* ---- names ---- */

static bool is_pattern(const char *name)
{
	return strpbrk(name, "*?[") != NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* The kernel cuts a comm at 15 bytes: a longer name is told by the program. */
static bool name_matches(const char *pattern, const struct cprof_target_traits *traits)
{
	if (strchr(pattern, '/'))
		return fnmatch(pattern, traits->exe, 0) == 0;
	return (*traits->comm && fnmatch(pattern, traits->comm, 0) == 0) ||
	       (*traits->exe && fnmatch(pattern, base_name(traits->exe), 0) == 0);
}

/* ---- control groups ---- */

/* The path of a line "0::/system.slice/x.service"; its end in *ret_end. NULL: no such line. */
static const char *group_of_line(const char *line, const char **ret_end)
{
	const char *end = line + strcspn(line, "\n");
	const char *colon = memchr(line, ':', (size_t)(end - line));
	colon = colon ? memchr(colon + 1, ':', (size_t)(end - colon - 1)) : NULL;
	*ret_end = end;
	return colon ? colon + 1 : NULL;
}

static bool is_below(const char *group, const char *path, size_t n)
{
	const size_t len = strlen(group);
	if (strcmp(group, "/") == 0)
		return n > 0;
	return n >= len && memcmp(path, group, len) == 0 && (n == len || path[len] == '/');
}

static bool has_unit(const char *pattern, const char *path, size_t n)
{
	char wanted[UNIT_MAX], part[UNIT_MAX];
	snprintf(wanted, sizeof(wanted), "%s%s", pattern, strchr(pattern, '.') ? "" : ".service");
	for (const char *at = path, *end = path + n; at < end;) {
		at++; /* the '/' */
		const char *slash = memchr(at, '/', (size_t)(end - at));
		const size_t len = (size_t)((slash ? slash : end) - at);
		if (len < sizeof(part)) {
			memcpy(part, at, len);
			part[len] = 0;
			if (fnmatch(wanted, part, 0) == 0)
				return true;
		}
		at += len;
	}
	return false;
}

static bool group_matches(const struct cprof_target_rules *rules, const char *path, size_t n)
{
	for (size_t i = 0; i < rules->n_groups; i++) {
		if (is_below(rules->groups[i], path, n))
			return true;
	}
	for (size_t i = 0; i < rules->n_units; i++) {
		if (has_unit(rules->units[i], path, n))
			return true;
	}
	return false;
}

static bool any_group_matches(const struct cprof_target_rules *rules, const char *cgroups)
{
	for (const char *line = cgroups, *end; *line; line = end + (*end == '\n')) {
		const char *path = group_of_line(line, &end);
		if (path && *path == '/' && group_matches(rules, path, (size_t)(end - path)))
			return true;
	}
	return false;
}

/* ---- all ---- */

bool cprof_target_rules_has_pid(const struct cprof_target_rules *rules, pid_t pid)
{
	for (size_t i = 0; i < rules->n_pids; i++) {
		if (rules->pids[i] == pid)
			return true;
	}
	return false;
}

bool cprof_target_rules_want_groups(const struct cprof_target_rules *rules)
{
	return rules->n_groups || rules->n_units;
}

bool cprof_target_rules_are_open(const struct cprof_target_rules *rules)
{
	return rules->n_names || rules->children || rules->all ||
	       cprof_target_rules_want_groups(rules);
}

bool cprof_target_rules_are_exact(const struct cprof_target_rules *rules)
{
	for (size_t i = 0; i < rules->n_names; i++) {
		if (is_pattern(rules->names[i]))
			return false;
	}
	return !rules->all && !cprof_target_rules_want_groups(rules);
}

bool cprof_target_rules_match(const struct cprof_target_rules *rules,
			      const struct cprof_target_traits *traits)
{
	if (rules->all)
		return true;
	for (size_t i = 0; i < rules->n_names; i++) {
		if (name_matches(rules->names[i], traits))
			return true;
	}
	return cprof_target_rules_want_groups(rules) && any_group_matches(rules, traits->cgroups);
}

/* ---- directories ---- */

/* proc_pid_mountinfo(5): fields 4 and 5 are the root within the file system and the mount point; behind " - " comes its type. */
static bool mount_of_line(const char *line, size_t n, char *root, char *point)
{
	char text[2 * FIELD_MAX + 256];
	if (n >= sizeof(text))
		return false;
	memcpy(text, line, n);
	text[n] = 0;
	const char *type = strstr(text, " - ");
	return type && strncmp(type + 3, "cgroup", 6) == 0 &&
	       sscanf(text, "%*s %*s %*s %4095s %4095s", root, point) == 2 && *root == '/' &&
	       *point == '/';
}

static void put_group(const char *root, const char *path, struct cprof_buffer *out)
{
	size_t n = strlen(path);
	while (n && path[n - 1] == '/')
		n--;
	if (strcmp(root, "/") != 0)
		cprof_buffer_puts(out, root);
	if (n && *path != '/')
		cprof_buffer_putc(out, '/');
	cprof_buffer_append(out, path, n);
	if (!n && strcmp(root, "/") == 0)
		cprof_buffer_putc(out, '/');
}

void cprof_target_rules_group_path(const char *mountinfo, const char *path,
				   struct cprof_buffer *out)
{
	char root[FIELD_MAX], point[FIELD_MAX], best_root[FIELD_MAX] = "/";
	size_t best = 0;
	for (const char *line = mountinfo; *line;
	     line += strcspn(line, "\n"), line += *line == '\n') {
		if (!mount_of_line(line, strcspn(line, "\n"), root, point))
			continue;
		const size_t len = strlen(point);
		if (len <= best || !is_below(point, path, strlen(path)))
			continue;
		best = len;
		memcpy(best_root, root, sizeof(root));
	}
	put_group(best_root, path + best, out);
}
