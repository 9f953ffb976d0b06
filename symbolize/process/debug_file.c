/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/process/debug_file.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/foreign_file.h"
#include "base/printable_text.h"
#include "cprof/module.h"
#include "symbolize/elf/unpack.h"
#include "symbolize/process/owner_file.h"

#define DEBUG_DIR      "/usr/lib/debug"
#define MINI_DEBUG_MAX (256u << 20)
#define PATH_TEXT_MAX  4096
#define CRC_PIECE      (1u << 16)

struct want {
	uint8_t build_id[CPROF_BUILD_ID_MAX];
	uint8_t build_id_len;
	bool check_crc;
	uint32_t crc;
	struct cprof_budget *budget; /* borrowed; of the file that asks */
};

static void note_tried(struct cprof_buffer *trail, const char *path, const char *what)
{
	if (trail)
		cprof_printable_put_line(trail, path, what);
}

/* ---- proof ---- */

/* Past the image, which would keep all of a large file in memory. */
static bool crc_matches(int fd, struct cprof_account *account, uint32_t want)
{
	CPROF_AUTO(free) uint8_t *piece = malloc(CRC_PIECE);
	uint32_t crc = 0;
	off_t at = 0;
	ssize_t n = -1;
	while (piece && cprof_account_charge(account, CPROF_BUDGET_READ, CRC_PIECE) &&
	       (n = pread(fd, piece, CRC_PIECE, at)) > 0) {
		crc = libdeflate_crc32(crc, piece, (size_t)n);
		at += n;
	}
	return n == 0 && at && crc == want;
}

static const char *refusal(struct cprof_elf *elf, int fd, const struct want *want)
{
	uint8_t build_id[CPROF_BUILD_ID_MAX];
	uint8_t len = cprof_elf_build_id(elf, build_id);
	if (want->build_id_len && len) {
		bool same = len == want->build_id_len && memcmp(build_id, want->build_id, len) == 0;
		return same ? NULL : "belongs to another build (its build-id differs)";
	}
	if (want->check_crc)
		return crc_matches(fd, elf->image->account, want->crc)
			       ? NULL
			       : "belongs to another build (its CRC differs)";
	return "has no build-id to prove that it belongs here";
}

/* It is not this file, or it cannot be read: the next place is tried, unless memory is out. Takes `err`. */
static struct cprof_error *pass_over(struct cprof_buffer *trail, const char *path,
				     struct cprof_error *err)
{
	note_tried(trail, path, err->message);
	if (err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_error_free(err);
	return NULL;
}

/* Sets *ret_elf if the file at `fd` is the one wanted. `path` is for the trail. */
static struct cprof_error *try_fd(int fd, const char *path, const struct want *want,
				  struct cprof_buffer *trail, struct cprof_elf **ret_elf)
{
	struct cprof_image *image;
	struct cprof_elf *elf = NULL;
	struct cprof_error *err = cprof_image_open(fd, path, want->budget, &image);
	if (!err)
		err = cprof_elf_open(image, false, &elf);
	if (err)
		return pass_over(trail, path, err);
	const char *why_not = refusal(elf, fd, want);
	note_tried(trail, path, why_not ? why_not : "taken");
	if (why_not)
		cprof_elf_free(elf);
	else
		*ret_elf = elf;
	return NULL;
}

struct place {
	const char *root, *below;
};

static int open_place(void *ctx)
{
	const struct place *place = ctx;
	return cprof_foreign_file_open_below(place->root, place->below);
}

/* -1 and errno where it cannot be had. Errors: UNSUPPORTED, NO_MEMORY. */
static struct cprof_error *open_for(const struct cprof_debug_roots *roots, const struct want *want,
				    const char *path, struct place *place, int *ret_fd)
{
	*ret_fd = open_place(place);
	if (*ret_fd >= 0 || (errno != EACCES && errno != EPERM) || !roots->only_uid)
		return NULL;
	return cprof_owner_file_take(want->budget, path, roots->only_uid, roots->only_gid,
				     open_place, place, ret_fd);
}

/* `path` below `root`, out of which nothing leads. */
static struct cprof_error *try_path(const struct cprof_debug_roots *roots, const char *root,
				    const char *below, const struct want *want,
				    struct cprof_buffer *trail, struct cprof_elf **ret_elf)
{
	char path[PATH_TEXT_MAX];
	int n = snprintf(path, sizeof(path), "%s%s", root, below);
	if (n < 0 || (size_t)n >= sizeof(path))
		return NULL;
	CPROF_AUTO(close) int fd = -1;
	struct cprof_error *err = open_for(roots, want, path, &(struct place){ root, below }, &fd);
	if (err)
		return pass_over(trail, path, err);
	if (fd < 0 && errno == EINVAL) {
		note_tried(trail, path, "is no regular file");
		return NULL;
	}
	if (fd < 0) {
		note_tried(trail, path, errno == ENOENT ? "not there" : strerror(errno));
		return NULL;
	}
	return try_fd(fd, path, want, trail, ret_elf);
}

static struct cprof_error *by_debuginfod(const struct want *want,
					 const struct cprof_debug_roots *roots,
					 struct cprof_buffer *trail, struct cprof_elf **ret_elf)
{
	char why[160];
	if (!roots->debuginfod || want->build_id_len < 2)
		return NULL;
	CPROF_AUTO(close)
	int fd = cprof_debuginfod_find(roots->debuginfod, roots->module_path, want->build_id,
				       want->build_id_len, why, sizeof(why));
	if (fd >= 0)
		return try_fd(fd, "debuginfod", want, trail, ret_elf);
	note_tried(trail, "debuginfod", why);
	return NULL;
}

/* `path` (absolute) below the target's root, then below ours. */
static struct cprof_error *try_roots(const struct cprof_debug_roots *roots, const char *path,
				     const struct want *want, struct cprof_buffer *trail,
				     struct cprof_elf **ret_elf)
{
	struct cprof_error *err = NULL;
	if (roots->target_root[0])
		err = try_path(roots, roots->target_root, path, want, trail, ret_elf);
	if (!err && !*ret_elf)
		err = try_path(roots, "", path, want, trail, ret_elf);
	return err;
}

/* ---- where to look ---- */

static struct cprof_error *by_build_id(const struct want *want,
				       const struct cprof_debug_roots *roots,
				       struct cprof_buffer *trail, struct cprof_elf **ret_elf)
{
	char hex[2 * CPROF_BUILD_ID_MAX + 1], path[PATH_TEXT_MAX];
	if (want->build_id_len < 2)
		return NULL;
	cprof_build_id_hex(want->build_id, want->build_id_len, hex);
	snprintf(path, sizeof(path), DEBUG_DIR "/.build-id/%.2s/%s.debug", hex, hex + 2);
	return try_roots(roots, path, want, trail, ret_elf);
}

/* `name` in the directories that go with the module's; below /usr/lib/debug only, or beside it too. */
static struct cprof_error *in_places(const struct cprof_debug_roots *roots, const char *name,
				     bool beside, const struct want *want,
				     struct cprof_buffer *trail, struct cprof_elf **ret_elf)
{
	const char *module_path = roots->module_path;
	size_t len = (size_t)(strrchr(module_path, '/') - module_path);
	/* Packages from before /lib was made a link to /usr/lib have the path without /usr. */
	const bool in_usr = strncmp(module_path, "/usr/", 5) == 0;
	const struct {
		const char *before, *dir, *after;
		bool here;
	} places[] = {
		{ "", module_path, "/", beside },
		{ "", module_path, "/.debug/", beside },
		{ DEBUG_DIR, module_path, "/", true },
		{ DEBUG_DIR, module_path + (in_usr ? 4 : 0), "/", in_usr },
	};
	struct cprof_error *err = NULL;
	if (len > PATH_TEXT_MAX / 2)
		return NULL;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !err && !*ret_elf; i++) {
		char path[PATH_TEXT_MAX];
		int n = snprintf(path, sizeof(path), "%s%.*s%s%s", places[i].before,
				 (int)(len - (size_t)(places[i].dir - module_path)), places[i].dir,
				 places[i].after, name);
		if (places[i].here && n > 0 && (size_t)n < sizeof(path))
			err = try_roots(roots, path, want, trail, ret_elf);
	}
	return err;
}

/* The name in .gnu_debuglink and its CRC; NULL: none that makes sense. */
static const char *read_debuglink(struct cprof_elf *elf, struct want *want)
{
	const struct cprof_section *link = cprof_elf_section(elf, ".gnu_debuglink");
	const char *name = link ? cprof_section_string(link, 0) : NULL;
	if (!name || !*name || strchr(name, '/'))
		return NULL;
	const uint8_t *crc = cprof_section_at(link, (strlen(name) + 4) & ~(size_t)3, 4);
	if (!crc)
		return NULL;
	memcpy(&want->crc, crc, 4);
	want->check_crc = true;
	return name;
}

/* By the debuglink; without one by the module's own name, with ".debug" or as it is, and then the build-id alone is proof. */
static struct cprof_error *by_name(struct cprof_elf *elf, struct want *want,
				   const struct cprof_debug_roots *roots,
				   struct cprof_buffer *trail, struct cprof_elf **ret_elf)
{
	const char *link = read_debuglink(elf, want);
	char name[PATH_TEXT_MAX];
	if (!roots->module_path || roots->module_path[0] != '/')
		return NULL;
	if (link)
		return in_places(roots, link, true, want, trail, ret_elf);
	const char *base = strrchr(roots->module_path, '/') + 1;
	int n = snprintf(name, sizeof(name), "%s.debug", base);
	if (!*base || n < 0 || (size_t)n >= sizeof(name) || !want->build_id_len)
		return NULL;
	struct cprof_error *err = in_places(roots, name, true, want, trail, ret_elf);
	if (!err && !*ret_elf)
		err = in_places(roots, base, false, want, trail, ret_elf);
	return err;
}

struct cprof_error *cprof_debug_file_find(struct cprof_elf *elf,
					  const struct cprof_debug_roots *roots,
					  struct cprof_buffer *trail, struct cprof_elf **ret_elf)
{
	struct want want = { .budget = cprof_image_budget(elf->image) };
	*ret_elf = NULL;
	want.build_id_len = cprof_elf_build_id(elf, want.build_id);
	struct cprof_error *err = by_build_id(&want, roots, trail, ret_elf);
	if (!err && !*ret_elf)
		err = by_name(elf, &want, roots, trail, ret_elf);
	if (!err && !*ret_elf)
		err = by_debuginfod(&want, roots, trail, ret_elf);
	return err;
}

struct cprof_error *cprof_debug_file_alt(struct cprof_elf *debug,
					 const struct cprof_debug_roots *roots,
					 struct cprof_buffer *trail, struct cprof_elf **ret_elf)
{
	struct want want = { .budget = cprof_image_budget(debug->image) };
	*ret_elf = NULL;
	const struct cprof_section *link = cprof_elf_section(debug, ".gnu_debugaltlink");
	const char *name = link ? cprof_section_string(link, 0) : NULL;
	if (!name)
		return NULL;
	uint64_t at = strlen(name) + 1, len = link->size - at;
	const uint8_t *id =
		len >= 2 && len <= CPROF_BUILD_ID_MAX ? cprof_section_at(link, at, len) : NULL;
	if (!id)
		return NULL;
	want.build_id_len = (uint8_t)len;
	memcpy(want.build_id, id, len);
	struct cprof_error *err = by_build_id(&want, roots, trail, ret_elf);
	if (err || *ret_elf)
		return err;
	if (name[0] == '/')
		return try_roots(roots, name, &want, trail, ret_elf);
	/* dwz writes it relative to the debug file; Debian's all lie in this directory. */
	const char *base = strrchr(name, '/');
	char path[PATH_TEXT_MAX];
	if (strstr(name, "/.dwz/")) {
		snprintf(path, sizeof(path), DEBUG_DIR "%s", strstr(name, "/.dwz/"));
		return try_roots(roots, path, &want, trail, ret_elf);
	}
	snprintf(path, sizeof(path), DEBUG_DIR "/.dwz/x86_64-linux-gnu/%s", base ? base + 1 : name);
	return try_roots(roots, path, &want, trail, ret_elf);
}

/* ---- mini debug info ---- */

struct cprof_error *cprof_debug_file_unpack(struct cprof_elf *elf, struct cprof_elf **ret_elf)
{
	*ret_elf = NULL;
	const struct cprof_section *packed = cprof_elf_section(elf, ".gnu_debugdata");
	const uint8_t *in = packed ? cprof_section_at(packed, 0, packed->size) : NULL;
	CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
	if (!in || !cprof_unpack(in, packed->size, MINI_DEBUG_MAX, elf->image->account, &out) ||
	    !out.len)
		return NULL;
	struct cprof_image *image;
	uint8_t *bytes = cprof_take_ptr(&out.data);
	size_t len = out.len;
	out = (struct cprof_buffer){ 0 };
	struct cprof_error *err = cprof_image_from_bytes(bytes, len, &image);
	if (err)
		return err;
	image->account = elf->image->account;
	err = cprof_elf_open(image, false, ret_elf);
	if (err && err->code != CPROF_ERR_NO_MEMORY) {
		cprof_error_free(err);
		err = NULL;
	}
	return err;
}
