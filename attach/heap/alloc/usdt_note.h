/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/usdt_note.h - the probes that a file says it has, in its section .note.stapsdt. Pure.
 *
 * Source of truth: SystemTap's wiki, "UserSpaceProbeImplementation"; ELF gABI "Note Section". The bytes are the file's: every length is
 * checked against what is left, and texts end within their note.
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_USDT_NOTE_H
#define CPROF_ATTACH_HEAP_ALLOC_USDT_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Addresses are those of the file, as they were when `base` was where the section .stapsdt.base is. */
struct cprof_usdt_note {
	uint64_t pc, base;
	uint64_t semaphore;                 /* 0: none */
	const char *provider, *name, *args; /* borrowed from the bytes */
};

/*
 * The next probe's note from *at on, which is moved behind it; other notes are passed over. False: there is no more, or what follows is
 * no note.
 */
bool cprof_usdt_note_next(const uint8_t *bytes, size_t n, size_t *at,
			  struct cprof_usdt_note *ret_note);

#endif
