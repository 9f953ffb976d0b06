/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/package.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/foreign_file.h"
#include "base/shell_word.h"

#define OS_RELEASE_MAX (64u << 10)
#define LIST_MAX       (16u << 20)
#define LISTS_MAX      100000u /* files in the folder; a package has three to ten */
#define LISTS_BYTES    (256u << 20)
#define PATH_TEXT_MAX  4096
#define LISTS_DIR      "/var/lib/dpkg/info"

enum family { FAMILY_UNKNOWN, FAMILY_DEBIAN, FAMILY_RPM, FAMILY_ALPINE, FAMILY_ARCH };

/* ---- the system ---- */

static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = line; (at = strstr(at, word)); at += len) {
		bool starts = at == line || strchr("=\" ", at[-1]);
		if (starts && strchr("\" \n", at[len]))
			return true;
	}
	return false;
}

/* From the lines ID= and ID_LIKE=, which may list several ancestors. */
static enum family family_of(const char *os_release)
{
	static const struct {
		const char *id;
		enum family family;
	} known[] = {
		{ "debian", FAMILY_DEBIAN }, { "ubuntu", FAMILY_DEBIAN }, { "fedora", FAMILY_RPM },
		{ "rhel", FAMILY_RPM },      { "centos", FAMILY_RPM },    { "suse", FAMILY_RPM },
		{ "opensuse", FAMILY_RPM },  { "alpine", FAMILY_ALPINE }, { "arch", FAMILY_ARCH },
	};
	char line[512];
	for (const char *at = os_release; *at;) {
		size_t len = strcspn(at, "\n");
		if (len < sizeof(line) - 1 &&
		    (strncmp(at, "ID=", 3) == 0 || strncmp(at, "ID_LIKE=", 8) == 0)) {
			memcpy(line, at, len);
			memcpy(line + len, "\n", 2);
			for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
				if (has_word(line, known[i].id))
					return known[i].family;
			}
		}
		at += len + (at[len] == '\n');
	}
	return FAMILY_UNKNOWN;
}

static enum family read_family(const char *root)
{
	static const char *const places[] = { "/etc/os-release", "/usr/lib/os-release" };
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		struct cprof_error *err =
			cprof_foreign_file_read_below(root, places[i], OS_RELEASE_MAX, &text);
		bool good = !err;
		cprof_error_free(err);
		if (good)
			return family_of(cprof_buffer_text(&text));
	}
	return FAMILY_UNKNOWN;
}

/* ---- Debian ---- */

/* A whole line of `text`. */
static bool lists(const char *text, const char *path)
{
	size_t len = strlen(path);
	for (const char *at = text; (at = strstr(at, path)); at += len) {
		if ((at == text || at[-1] == '\n') && (at[len] == '\n' || !at[len]))
			return true;
	}
	return false;
}

/* The package whose file list has `path`, without its architecture; false where none has. */
static bool find_package(const char *root, const char *path, char *package, size_t size)
{
	char file[PATH_TEXT_MAX];
	/* Packages made before the directories were merged list /lib/x, which is seen as /usr/lib/x. */
	const char *old = strncmp(path, "/usr/", 5) == 0 ? path + 4 : path;
	CPROF_AUTO(closedir) DIR *listing = cprof_foreign_file_list_below(root, LISTS_DIR);
	size_t n = 0, bytes = 0;
	/* In the target's root, which may be full of anything. */
	for (struct dirent *entry;
	     listing && n < LISTS_MAX && bytes < LISTS_BYTES && (entry = readdir(listing)); n++) {
		size_t len = strlen(entry->d_name);
		if (len < 6 || strcmp(entry->d_name + len - 5, ".list") != 0)
			continue;
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		snprintf(file, sizeof(file), LISTS_DIR "/%s", entry->d_name);
		struct cprof_error *err =
			cprof_foreign_file_read_below(root, file, LIST_MAX, &text);
		bytes += text.len;
		bool found = !err && (lists(cprof_buffer_text(&text), path) ||
				      lists(cprof_buffer_text(&text), old));
		cprof_error_free(err);
		if (!found)
			continue;
		size_t name = strcspn(entry->d_name, ":");
		if (name == len)
			name = len - 5;
		snprintf(package, size, "%.*s", (int)name, entry->d_name);
		return true;
	}
	return false;
}

/*
 * The list may be of a container, and whoever made it would like to have a command of his own run (deb-control(5), "Package").
 */
static bool is_package_name(const char *name)
{
	return *name && !strchr("+.-", *name) &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+.-")] == 0;
}

static void advise_debian(const char *root, const char *path, struct cprof_buffer *out)
{
	char package[256];
	if (!find_package(root, path, package, sizeof(package)) || !is_package_name(package))
		return;
	if (strcmp(package, "libc6") == 0 || strncmp(package, "python3.", 8) == 0) {
		size_t base = strcspn(package, "-");
		if (strncmp(package, "python3.", 8) != 0)
			base = strlen(package);
		cprof_buffer_printf(out, "apt install %.*s-dbg\n", (int)base, package);
		return;
	}
	cprof_buffer_printf(out,
			    "apt install %s-dbgsym (from the archive's debug section: suites named "
			    "*-debug at debian-debug, or ddebs on Ubuntu)\n",
			    package);
}

struct cprof_error *cprof_package_advise(const char *root, const char *path,
					 const char *ask_servers, struct cprof_buffer *out)
{
	if (path[0] != '/')
		return NULL;
	switch (read_family(root)) {
	case FAMILY_DEBIAN:
		advise_debian(root, path, out);
		break;
	case FAMILY_RPM:
		cprof_buffer_puts(out, "dnf debuginfo-install $(rpm -qf ");
		cprof_shell_word_put(out, path);
		cprof_buffer_puts(out, ")\n");
		break;
	case FAMILY_ALPINE:
		cprof_buffer_puts(out, "apk add the -dbg package of what apk info --who-owns ");
		cprof_shell_word_put(out, path);
		cprof_buffer_puts(out, " says\n");
		break;
	case FAMILY_ARCH:
		cprof_buffer_printf(out,
				    "run again with %s and "
				    "DEBUGINFOD_URLS=https://debuginfod.archlinux.org\n",
				    ask_servers);
		break;
	case FAMILY_UNKNOWN:
		break;
	}
	return cprof_buffer_error(out);
}
