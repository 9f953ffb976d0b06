/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/doctor/doctor_host.h - what this machine and whoever runs us leave open: capabilities, settings, namespaces, filters.
 *
 * Asked only to say why something that was tried did not work (doctor_grant.h); nothing is concluded from it about what would
 * work. Sources of truth: proc(5) "/proc/pid/status", capabilities(7), Documentation/admin-guide/sysctl/kernel.rst,
 * kernel_lockdown(7).
 */
#ifndef CPROF_ATTACH_DOCTOR_DOCTOR_HOST_H
#define CPROF_ATTACH_DOCTOR_DOCTOR_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cprof_doctor_host {
	uint64_t caps;     /* effective ones, a bit each */
	bool first_userns; /* capabilities count for the kernel; else only inside a user namespace */
	bool first_pidns;  /* process ids are the kernel's own */
	bool filtered;     /* a seccomp filter looks at our system calls */
	bool locked;       /* the kernel is locked down to confidentiality */
	int paranoid, yama, kptr; /* settings; -1: not there */
	uid_t uid;                /* effective */
	char release[65];         /* of the kernel, for people */

	/* Of who is looked at; filled by doctor.c. */
	bool reached; /* ptrace(2)'s access check lets us */
	bool foreign; /* another user's */
};

/* What cannot be read is taken for open. */
void cprof_doctor_host_read(struct cprof_doctor_host *host);

/* The part of it that /proc/self/status has. */
void cprof_doctor_host_parse(struct cprof_doctor_host *host, const char *status);

/* Does the kernel itself honour this capability of ours? */
bool cprof_doctor_host_has(const struct cprof_doctor_host *host, unsigned capability);

#endif
