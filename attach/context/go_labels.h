/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/context/go_labels.h - where a Go program's threads have the labels of runtime/pprof.Do(): which version of Go it is made with, and
 * what that says of its structs.
 *
 * x86-64 only: on AArch64 Go keeps its goroutine in a register.
 *
 * Source of truth: Go's source, debug/buildinfo ("Go buildinf:"), runtime/runtime2.go (g.m, m.curg, g.labels) and runtime/pprof/label.go of each version.
 */
#ifndef CPROF_ATTACH_CONTEXT_GO_LABELS_H
#define CPROF_ATTACH_CONTEXT_GO_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/context/context_bpf.h"
#include "cprof/module.h"

enum cprof_go_answer {
	CPROF_GO_NO, /* it is no Go program */
	CPROF_GO_FOUND,
	CPROF_GO_UNKNOWN, /* of a version, or built in a way, that is not known */
};

#define CPROF_GO_VERSION 24 /* bytes of "go1.22.3", with its zero */

/* From the bytes of .go.buildinfo. False: the version is not in there (Go before 1.18). */
bool cprof_go_labels_version(const uint8_t *info, size_t n, char *version);

/* What that version says of its structs. False: not a version that is known. */
bool cprof_go_labels_members(const char *version, struct cprof_context_place *ret_place);

/* Is the file of this descriptor, which stays the caller's, a Go program? */
bool cprof_go_labels_is_go(int fd);

/* Of the program's module. `version` has CPROF_GO_VERSION bytes; "" where it is no Go program, or does not say. */
enum cprof_go_answer cprof_go_labels_find(const struct cprof_module *program,
					  struct cprof_context_place *ret_place, char *version);

#endif
