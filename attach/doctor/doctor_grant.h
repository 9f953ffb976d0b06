/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/doctor/doctor_grant.h - what can be granted to cprof-attach, what for, and by which command or line of a manifest.
 *
 * One table for the doctor's advice and for docs/permissions.md, which a test compares.
 */
#ifndef CPROF_ATTACH_DOCTOR_DOCTOR_GRANT_H
#define CPROF_ATTACH_DOCTOR_DOCTOR_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/doctor/doctor_host.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/* Bits, so that a set of them is a number. */
enum cprof_doctor_grant_bit {
	CPROF_GRANT_PERFMON = 1u << 0,
	CPROF_GRANT_BPF = 1u << 1,
	CPROF_GRANT_PTRACE = 1u << 2,
	CPROF_GRANT_DAC = 1u << 3,
	CPROF_GRANT_CHECKPOINT = 1u << 4,
	CPROF_GRANT_SETID = 1u << 5,
	CPROF_GRANT_SYSLOG = 1u << 6,
	CPROF_GRANT_ADMIN = 1u << 7,
	CPROF_GRANT_RESOURCE = 1u << 8,
	CPROF_GRANT_PARANOID = 1u << 9,
	CPROF_GRANT_KPTR = 1u << 10,
	CPROF_GRANT_YAMA = 1u << 11,
	CPROF_GRANT_MLOCK = 1u << 12,
	CPROF_GRANT_RATE = 1u << 13,
	CPROF_GRANT_HOST_PID = 1u << 14,
	CPROF_GRANT_HOST_USER = 1u << 15,
	CPROF_GRANT_SECCOMP = 1u << 16,
	CPROF_GRANT_LOCKDOWN = 1u << 17,
};

struct cprof_doctor_grant {
	uint32_t bit;
	const char *name;    /* as docs/permissions.md writes it */
	const char *purpose; /* what for, in words */
	int capability;      /* its number; -1: it is none, and one of these grants it */
	const char *sysctl, *docker, *other;
	const char *pod; /* the same for Kubernetes; NULL: there is none */
	bool (*missing)(const struct cprof_doctor_host *host); /* NULL: that cannot be said */
};

extern const struct cprof_doctor_grant cprof_doctor_grants[];
extern const size_t cprof_doctor_n_grants;

/* Of `needs`, and of what surrounds us, that which may be why `err` came; NULL: some part of the answer was missing. */
uint32_t cprof_doctor_grants_missing(uint32_t needs, const struct cprof_doctor_host *host,
				     const struct cprof_error *err);

/* Of what is missing to several rows: without the settings, each of which does for one of them what a capability does, too. */
uint32_t cprof_doctor_grants_together(uint32_t grants);

/* Their names in the table, a line each, without its marks and additions: "CAP_BPF", "kernel.kptr_restrict". */
void cprof_doctor_grants_names(uint32_t grants, struct cprof_buffer *out);

/* Lines, of which each helps by itself: how to grant these. `program` is our own path. Nothing where there is no such command. */
void cprof_doctor_grants_commands(uint32_t grants, const struct cprof_doctor_host *host,
				  const char *program, struct cprof_buffer *out);

/* Lines of a Kubernetes pod, which go together. */
void cprof_doctor_grants_pod(uint32_t grants, struct cprof_buffer *out);

/* The table as Markdown. */
void cprof_doctor_grants_document(struct cprof_buffer *out);

#endif
