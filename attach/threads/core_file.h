/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/core_file.h - a core file: the threads, mappings and memory of a process that is no more.
 *
 * Owns the ELF notes and segments of the file. Its threads become a snapshot in core_snapshot.h, its mappings in
 * core_maps.h. The file is somebody else's: every length is checked, nothing is believed.
 *
 * Headers and notes are libelf's to read. dwfl_core_file_report() of elfutils 0.188 was tried for the modules and is not used: it opens the paths
 * that the core names, itself, before any callback, so a core whose library's path leads to a FIFO holds eu-stack and eu-unstrip for ever.
 * A test compares the modules.
 *
 * Source of truth: core(5); ELF gABI "Note Section"; Linux fs/binfmt_elf.c (NT_PRSTATUS, NT_PRPSINFO, NT_FILE,
 * NT_AUXV) and struct elf_prstatus of sys/procfs.h.
 */
#ifndef CPROF_ATTACH_THREADS_CORE_FILE_H
#define CPROF_ATTACH_THREADS_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/target/target.h"
#include "cprof/error.h"
#include "cprof/memory.h"

struct cprof_core_segment {
	uint64_t start, end; /* run-time addresses */
	uint64_t offset;     /* in the core file */
	uint64_t
		file_size; /* what of it was dumped; the rest is in the mapped files or was left out */
	uint32_t flags;    /* PF_* */
};

struct cprof_core_mapping { /* of NT_FILE */
	uint64_t start, end, offset;
	const char *path; /* borrowed from the core file */
};

struct cprof_core_file {
	const uint8_t *bytes; /* owned mapping of the file, or borrowed */
	size_t n_bytes;
	uint64_t
		whole_bytes; /* that its program headers speak of; more than n_bytes: it is cut off */
	bool mapped;
	pid_t pid;
	int signal;     /* that killed it; 0: none (gcore) */
	char comm[17];  /* of the process: a core file has no names of threads */
	uint64_t vdso;  /* address of the vdso, 0 unknown */
	uint64_t entry; /* AT_ENTRY: lies in the main program */
	struct cprof_core_segment *segments; /* owned; by start */
	size_t n_segments, cap_segments;
	struct cprof_core_mapping *mappings; /* owned; by start */
	size_t n_mappings, cap_mappings;
	struct cprof_core_thread {
		pid_t tid;
		const uint8_t *regs; /* CPROF_THREAD_REGS_WORDS u64, perhaps unaligned; borrowed */
	} * threads;                 /* owned; [0] is the one that took the signal */
	size_t n_threads, cap_threads;
};

/* Read notes and segments. Errors: OS, BAD_DATA (no core file, or broken), UNSUPPORTED (other CPU, compressed). */
struct cprof_error *cprof_core_file_open(const char *path, struct cprof_core_file *ret_core);

/* The same from bytes in memory, which must outlive the core. */
struct cprof_error *cprof_core_file_parse(const void *bytes, size_t n,
					  struct cprof_core_file *ret_core);
void cprof_core_file_deinit(struct cprof_core_file *core);

/* `n` bytes at run-time address `addr`, as far as they were dumped. `ctx` is the core. */
bool cprof_core_file_read(void *core, uint64_t addr, void *buf, size_t n);

/* What was dumped from `addr` on, to the end of its segment: `*ret_n` bytes, borrowed. NULL for none. */
const uint8_t *cprof_core_file_dumped(const struct cprof_core_file *core, uint64_t addr,
				      size_t *ret_n);

/* The segment that holds `addr`, or NULL. */
const struct cprof_core_segment *cprof_core_file_segment(const struct cprof_core_file *core,
							 uint64_t addr);

/* A target in name only, for messages and file names: exited, without a pidfd. */
struct cprof_error *cprof_core_file_target(const char *path, struct cprof_target **ret_target);

#endif
