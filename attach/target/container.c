/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/container.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

#define ID_DIGITS 64
#define POD_CHARS 36
#define TEXT_MAX  (1u << 20)

static const char lower_hex[] = "0123456789abcdef";

/* The last run of exactly 64 digits: of nested containers the inner one. */
static void find_id(const char *text, char *id)
{
	while (*text) {
		size_t n = strspn(text, lower_hex);
		if (n == ID_DIGITS) {
			memcpy(id, text, n);
			id[n] = 0;
		}
		text += n ? n : 1;
	}
}

/* 8-4-4-4-12 digits; systemd's names have '_' for '-'. */
static bool is_uuid(const char *text)
{
	for (size_t i = 0; i < POD_CHARS; i++) {
		bool between = i == 8 || i == 13 || i == 18 || i == 23;
		if (!text[i] || (between ? !strchr("-_", text[i]) : !strchr(lower_hex, text[i])))
			return false;
	}
	return true;
}

static void find_pod(const char *text, char *pod)
{
	for (const char *at = strstr(text, "pod"); at; at = strstr(at + 3, "pod")) {
		if (!is_uuid(at + 3))
			continue;
		for (size_t i = 0; i < POD_CHARS; i++)
			pod[i] = (char)(at[3 + i] == '_' ? '-' : at[3 + i]);
		pod[POD_CHARS] = 0;
	}
}

struct cprof_container cprof_container_read(const char *cgroups)
{
	struct cprof_container found = { "", "" };
	find_id(cgroups, found.id);
	find_pod(cgroups, found.pod);
	return found;
}

struct cprof_container cprof_container_of(pid_t pid)
{
	char path[40];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	cprof_error_free(cprof_file_read(path, TEXT_MAX, &text));
	return cprof_container_read(cprof_buffer_text(&text));
}
