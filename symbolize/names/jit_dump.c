/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/jit_dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/foreign_file.h"
#include "cprof/module.h"
#include "symbolize/dwarf/dwarf_cursor.h"

#define MAGIC         0x4a695444u /* "JiTD" in the writer's byte order */
#define HEADER_SIZE   40
#define PID_AT        5 /* of the header's 32-bit words */
#define RECORDS_MAX   (1u << 23)
#define RECORD_STEPS  16           /* two small reads */
#define RECORD_BYTES  160          /* of tables and name; a record has some hundred and the code */
#define CODE_SIZE_MAX (1ull << 32) /* no function is larger; a record that says so is broken */
#define NAME_AT       56           /* in a record of loaded code */
#define PEEK          256          /* most records with their name */
#define PEEK_MAX      8192         /* a name that ends later is left out */

enum record { CODE_LOAD = 0, CODE_MOVE = 1 };

void cprof_jit_dump_deinit(struct cprof_jit_dump *dump)
{
	cprof_buffer_deinit(&dump->text);
	free(dump->names);
	cprof_map64_deinit(&dump->by_index);
	cprof_intervals_deinit(&dump->intervals);
	*dump = (struct cprof_jit_dump){ 0 };
}

const char *cprof_jit_dump_find(const struct cprof_jit_dump *dump, uint64_t addr)
{
	uint32_t what = cprof_intervals_find(&dump->intervals, addr);
	return what == CPROF_INTERVAL_NONE ? NULL
					   : (const char *)dump->text.data + dump->names[what];
}

/* ---- records ---- */

static struct cprof_error *add_name(struct cprof_jit_dump *dump, const char *name)
{
	if (!CPROF_ARRAY_ROOM(dump->names, dump->n, dump->cap, 1))
		return cprof_error_no_memory();
	dump->names[dump->n++] = dump->text.len;
	cprof_buffer_append(&dump->text, name, strlen(name) + 1);
	return cprof_buffer_error(&dump->text);
}

/* Code at [start, start + size) is from now on what name `what` says. */
static struct cprof_error *add_code(struct cprof_jit_dump *dump, uint64_t start, uint64_t size,
				    size_t what)
{
	if (!size || size > CODE_SIZE_MAX || start + size < start)
		return NULL;
	struct cprof_interval interval = { start, start + size, (uint32_t)dump->intervals.n_added,
					   (uint32_t)what };
	return cprof_intervals_add(&dump->intervals, &interval);
}

/* pid, tid, vma, address, size, index, name. */
static struct cprof_error *note_loaded(struct cprof_jit_dump *dump, struct cprof_cursor *cursor)
{
	cprof_cursor_skip(cursor, 16);
	uint64_t addr = cprof_cursor_u64(cursor), size = cprof_cursor_u64(cursor);
	uint64_t index = cprof_cursor_u64(cursor);
	const char *name = cprof_cursor_string(cursor);
	if (cursor->failed || !*name)
		return NULL;
	uint64_t *place = cprof_map64_put(&dump->by_index, index, NULL);
	if (!place)
		return cprof_error_no_memory();
	struct cprof_error *err = add_name(dump, name);
	*place = dump->n;
	return err ? err : add_code(dump, addr, size, dump->n - 1);
}

/* pid, tid, vma, old address, new address, size, index. */
static struct cprof_error *note_moved(struct cprof_jit_dump *dump, struct cprof_cursor *cursor)
{
	cprof_cursor_skip(cursor, 24);
	uint64_t addr = cprof_cursor_u64(cursor), size = cprof_cursor_u64(cursor);
	uint64_t index = cprof_cursor_u64(cursor);
	const uint64_t *known = cursor->failed ? NULL : cprof_map64_get(&dump->by_index, index);
	return known ? add_code(dump, addr, size, *known - 1) : NULL;
}

/* As much of the record as tells its name; the code behind it is never read. */
static uint64_t peek(struct cprof_image *image, uint64_t at, uint64_t size, uint8_t *bytes)
{
	uint64_t want = size < PEEK ? size : PEEK;
	if (!cprof_image_copy(image, at, bytes, want))
		return 0;
	if (want == size || (want > NAME_AT && memchr(bytes + NAME_AT, 0, want - NAME_AT)))
		return want;
	want = size < PEEK_MAX ? size : PEEK_MAX;
	return cprof_image_copy(image, at, bytes, want) ? want : 0;
}

static struct cprof_error *read_records(struct cprof_jit_dump *dump, struct cprof_image *image,
					uint64_t at)
{
	struct cprof_error *err = NULL;
	uint8_t bytes[PEEK_MAX];
	for (size_t n = 0; n < RECORDS_MAX && !err; n++) {
		if (!cprof_account_charge(image->account, CPROF_BUDGET_STEPS, RECORD_STEPS) ||
		    !cprof_account_charge(image->account, CPROF_BUDGET_HELD, RECORD_BYTES))
			break;
		if (!cprof_image_copy(image, at, bytes, 16))
			break;
		struct cprof_cursor head = { bytes, bytes + 16, false };
		uint32_t kind = cprof_cursor_u32(&head);
		uint64_t size = cprof_cursor_u32(&head), left = image->size - at;
		if (size < 16)
			break;
		/* A dump that is being written ends anywhere: the last name may be there without its code. */
		size = size < left ? size : left;
		if (kind == CODE_LOAD || kind == CODE_MOVE) {
			uint64_t len = peek(image, at, size, bytes);
			struct cprof_cursor cursor = { bytes, bytes + len, false };
			cprof_cursor_skip(&cursor, 16);
			err = kind == CODE_LOAD ? note_loaded(dump, &cursor)
						: note_moved(dump, &cursor);
		}
		at += size;
	}
	return err;
}

struct cprof_error *cprof_jit_dump_parse(struct cprof_jit_dump *dump, struct cprof_image *image)
{
	uint8_t bytes[HEADER_SIZE];
	*dump = (struct cprof_jit_dump){ 0 };
	if (!cprof_image_copy(image, 0, bytes, sizeof(bytes)))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "it is cut off in its header");
	struct cprof_cursor cursor = { bytes, bytes + sizeof(bytes), false };
	uint32_t magic = cprof_cursor_u32(&cursor), version = cprof_cursor_u32(&cursor);
	uint32_t size = cprof_cursor_u32(&cursor);
	if (magic != MAGIC || version < 1 || size < HEADER_SIZE || size > image->size)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "it is no jitdump of this machine");
	struct cprof_error *err = read_records(dump, image, size);
	if (!err)
		err = cprof_intervals_flatten(&dump->intervals);
	if (err)
		cprof_jit_dump_deinit(dump);
	return err;
}

/* ---- the file ---- */

/* "/tmp/jit-42.dump", "/root/.debug/jit/java-jit-.../jit-42.dump": only the last part is fixed. */
bool cprof_jit_dump_is(const char *path)
{
	const char *slash = strrchr(path, '/'), *at = slash ? slash + 1 : path;
	size_t digits;
	if (strncmp(at, "jit-", 4) != 0)
		return false;
	digits = strspn(at + 4, "0123456789");
	return digits && strcmp(at + 4 + digits, ".dump") == 0;
}

/* After the process has ended: by its path, if it still is that file. Its inode may be another file's by now, its pid is not. */
static int open_left_behind(const struct cprof_maps *maps, const struct cprof_map *map)
{
	struct stat st;
	uint32_t header[HEADER_SIZE / 4];
	CPROF_AUTO(close) int fd = cprof_foreign_file_open(map->path);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != map->inode ||
	    pread(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
	    header[PID_AT] != (uint32_t)maps->pid)
		return -1;
	return cprof_take_fd(&fd);
}

struct cprof_error *cprof_jit_dump_read(struct cprof_jit_dump *dump, const struct cprof_maps *maps,
					struct cprof_budget *budget)
{
	const struct cprof_map *map = NULL;
	struct cprof_image *image;
	*dump = (struct cprof_jit_dump){ 0 };
	for (size_t i = maps->n_all; i-- > 0 && !map;)
		map = maps->all[i]->inode && cprof_jit_dump_is(maps->all[i]->path) ? maps->all[i]
										   : NULL;
	if (!map)
		return NULL;
	CPROF_AUTO(close) int fd = cprof_modules_open_map(maps, map);
	int why = errno;
	if (fd < 0)
		fd = open_left_behind(maps, map);
	if (fd < 0)
		return cprof_error_os(why, "open %s", map->path);
	if (!maps->owner_known || !cprof_foreign_file_is_of(fd, maps->uid, maps->gid))
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "%s may have been written by another user", map->path);
	struct cprof_error *err = cprof_image_open(fd, map->path, budget, &image);
	if (err)
		return err;
	err = cprof_jit_dump_parse(dump, image);
	cprof_image_free(image);
	return err ? cprof_error_wrap(err, "%s", map->path) : NULL;
}
