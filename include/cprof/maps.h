/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/maps.h - the mappings of one process, now and at earlier moments of the session.
 *
 * Owns the ranges and which file each came from; opening that file is module.h's. A mapping that went
 * away stays known (stacks refer to it by pointer or id) but is no longer found by address.
 *
 * Sources of truth: proc(5) "/proc/pid/maps"; perf_event_open(2) PERF_RECORD_MMAP2.
 */
#ifndef CPROF_MAPS_H
#define CPROF_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/build_id.h"
#include "cprof/error.h"
#include "cprof/memory.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cprof_module;

struct cprof_map {
	uint64_t start, end; /* [start, end) */
	uint64_t offset;     /* of `start` in the file */
	uint32_t id;         /* index in maps->all; never used for another mapping */
	uint8_t prot;        /* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool deleted;        /* the kernel says the path no longer leads to this file */
	bool live;           /* still mapped, as far as we know */
	uint64_t dev;        /* major << 32 | minor; 0 with inode 0: no file */
	uint64_t inode;
	const char *
		path; /* owned by maps; as the target names it; "[vdso]", "" for anonymous memory */
	uint8_t build_id[CPROF_BUILD_ID_MAX]; /* where the kernel told it (MMAP2 with build id) */
	uint8_t build_id_len;
	/* Memory without a file in the place of a file's text, with the same bytes: `module` and `offset` are that file's. */
	bool moved;
	struct cprof_module *module; /* borrowed; NULL until cprof_modules_get() was asked */
	/* Hung on the mapping of a language's run-time library by who reads it; NULL: nothing. `free_machine` is called with it. */
	void *machine;
	void (*free_machine)(void *machine);
};

struct cprof_maps {
	pid_t pid;                  /* as seen in our /proc; 0 in tests and for files */
	struct cprof_memory memory; /* the live process; .read NULL where there is none */
	struct cprof_map **all;     /* owned, in order of appearance; all[i]->id == i */
	size_t n_all, cap_all;
	struct cprof_map **sorted; /* the live ones by start; they do not overlap */
	size_t n_sorted, cap_sorted;
	uint64_t generation; /* counts changes; a cache of look-ups is valid while it stays */
	uint64_t exe_dev, exe_inode; /* main program, from /proc/PID/exe; 0 unknown */
	bool owner_known;            /* the process's effective user and group, as last read: */
	uid_t uid;
	gid_t gid;
};

void cprof_maps_init(struct cprof_maps *maps, pid_t pid, struct cprof_memory memory);
void cprof_maps_deinit(struct cprof_maps *maps);

/*
 * Bring the table up to date with /proc/PID/maps. Mappings that are the same keep their struct; others
 * are added or become not live. Errors: NO_TARGET, DENIED, OS. Does not stop the target.
 */
struct cprof_error *cprof_maps_refresh(struct cprof_maps *maps);

/* The same from text in the format of /proc/PID/maps. Malformed lines: BAD_DATA naming the line, nothing changed. */
struct cprof_error *cprof_maps_parse(struct cprof_maps *maps, const char *text, size_t len);

/*
 * Add one mapping (a MMAP2 record): it takes the place of whatever it overlaps, of which the parts
 * outside stay mapped. `map` is copied, its path too; id, live and module are ours to set.
 */
struct cprof_error *cprof_maps_add(struct cprof_maps *maps, const struct cprof_map *map,
				   const struct cprof_map **ret_map);

/* exec: everything that was mapped is gone. */
void cprof_maps_clear(struct cprof_maps *maps);

/*
 * Is `path` what the kernel calls memory that is mapped like a file, but is none: of memfd_create(2), MAP_SHARED | MAP_ANONYMOUS,
 * MAP_HUGETLB and shmget(2)?
 */
bool cprof_maps_is_memory(const char *path);

/* The live mapping that holds `addr`, or NULL. */
struct cprof_map *cprof_maps_find(const struct cprof_maps *maps, uint64_t addr);

/* The first executable mapping of the main program; else of any file; NULL if there is none. */
struct cprof_map *cprof_maps_main(const struct cprof_maps *maps);

#ifdef __cplusplus
}
#endif

#endif
