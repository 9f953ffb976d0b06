/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/module.h - one ELF image (program, library, vdso) that some process has mapped, opened once.
 *
 * Owns which file it is, its bytes and its load segments, and is the only place that converts
 * between run-time addresses (uint64_t addr) and addresses as in the file (uint64_t file_addr). Others hang on a module
 * what they read from it: its call frame information (symbolize/unwind/cfi.h), its names (symbolize/names/names.h).
 *
 * A module is identified by what it is, never by its path alone: device, inode and build-id as the kernel
 * reports them for the mapping. It is opened through /proc/PID/map_files (the very file that is mapped,
 * even if it was deleted or replaced), else through /proc/PID/root + path if device and inode agree.
 *
 * One thread uses a cprof_modules and all that hangs on it.
 */
#ifndef CPROF_MODULE_H
#define CPROF_MODULE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/arch.h"
#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/image.h"
#include "cprof/maps.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cprof_module_kind {
	CPROF_MODULE_FILE,      /* a file on disk, or a memfd */
	CPROF_MODULE_VDSO,      /* an image that exists only in memory */
	CPROF_MODULE_ANONYMOUS, /* executable memory with no file: JIT code */
	CPROF_MODULE_MAPPED, /* a file that could not be opened, as far as it is in memory; see `why` */
	CPROF_MODULE_OPAQUE, /* a file that is no ELF, or could not be opened; see `why` */
};

struct cprof_segment {      /* a PT_LOAD program header */
	uint64_t file_addr; /* p_vaddr */
	uint64_t offset;    /* p_offset */
	uint64_t file_size;
	uint64_t mem_size;
	uint32_t flags; /* PF_* */
};

struct cprof_module {
	enum cprof_module_kind kind;
	uint32_t id; /* index in its cprof_modules */
	uint64_t dev, inode;
	char *path; /* owned; as the target names it */
	uint8_t build_id[CPROF_BUILD_ID_MAX];
	uint8_t build_id_len;
	struct cprof_image *image; /* owned; the file's bytes; NULL for ANONYMOUS and OPAQUE */
	char *root;                /* owned; "/proc/42/root" it was opened under, "" for ours */
	uint32_t only_uid,
		only_gid; /* the user who alone may read it, whom we are not; 0: anybody may, or we */
	const struct cprof_arch *arch;
	struct cprof_segment *segments; /* owned */
	size_t n_segments;
	uint64_t eh_frame_hdr; /* file address of the index of the unwind information; 0: none */
	char *why;             /* owned; for OPAQUE and MAPPED: what failed, in words */
	uint32_t next_same; /* id + 1 of an older module with the same device and inode, 0: none */

	/* Hung on by their owners, with the way to free it; NULL until first used. */
	struct cprof_module_part {
		void *data;
		void (*free)(void *data);
	} unwind, names;
};

struct cprof_modules {
	struct cprof_budget budget; /* what reading their files, and files named there, may cost */
	struct cprof_module **all;  /* owned */
	size_t n, cap;
	size_t mapped_bytes; /* of all images read from memory */
	uint64_t
		root_of; /* hash of the process and program asked last where it sees files; 0: none */
	bool root_is_ours; /* and the answer: where we do */
	struct cprof_map64
		by_file; /* hash of device, inode and path to the newest module with it, + 1 */
};

void cprof_modules_init(struct cprof_modules *modules);
void cprof_modules_deinit(struct cprof_modules *modules);

/*
 * The module behind `map` of `maps`, opened on first use and remembered in map->module. Never NULL on
 * success: what can't be opened is CPROF_MODULE_OPAQUE and says why, and is not tried again. Takes 50 us to
 * 1 ms on first use; does not stop the target. Errors: NO_MEMORY only.
 */
struct cprof_error *cprof_modules_get(struct cprof_modules *modules, const struct cprof_maps *maps,
				      struct cprof_map *map, struct cprof_module **ret_module);

/*
 * The file behind a mapping of a living process, whatever became of its path, open for reading; -1 and errno where it
 * cannot be had (ESTALE: another file is at its path by now).
 */
int cprof_modules_open_map(const struct cprof_maps *maps, const struct cprof_map *map);

/* A module from a file of ours, with no process: a profile to be symbolized, tests. Errors: OS, BAD_DATA. */
struct cprof_error *cprof_modules_open(struct cprof_modules *modules, const char *path,
				       struct cprof_module **ret_module);

/*
 * The same from the bytes of a file that was packed whole; takes `bytes` (malloc), also on error. `account` pays for what is made of them, and may be NULL.
 * Errors: BAD_DATA, UNSUPPORTED, NO_MEMORY.
 */
struct cprof_error *cprof_modules_open_bytes(struct cprof_modules *modules, const char *path,
					     uint8_t *bytes, size_t n,
					     struct cprof_account *account,
					     struct cprof_module **ret_module);

/* Where run-time `addr`, inside `map`, lies in the module's file; false if in no load segment. */
bool cprof_module_file_addr(const struct cprof_module *module, const struct cprof_map *map,
			    uint64_t addr, uint64_t *ret_file_addr);

/* The other way round: where in `map` the module's `file_addr` is; false if not in this mapping. */
bool cprof_module_run_time(const struct cprof_module *module, const struct cprof_map *map,
			   uint64_t file_addr, uint64_t *ret_addr);

/*
 * `n` bytes of the module's file (code, data) at `file_addr`; NULL where the file has none there. The file's
 * bytes, not the process's: relocations and patches are not in them. Borrowed, as long as the module.
 */
const uint8_t *cprof_module_bytes(const struct cprof_module *module, uint64_t file_addr,
				  uint64_t n);

#ifdef __cplusplus
}
#endif

#endif
