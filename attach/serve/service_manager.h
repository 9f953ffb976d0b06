/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/service_manager.h - what a service manager such as systemd wants to be told: that we are ready, end, and are
 * still at work.
 *
 * The protocol is a datagram to the socket that the environment names: sd_notify(3) "Notes". Where there is none, nothing is done.
 */
#ifndef CPROF_ATTACH_SERVE_SERVICE_MANAGER_H
#define CPROF_ATTACH_SERVE_SERVICE_MANAGER_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct cprof_service_manager {
	int fd; /* owned; -1: there is none */
	struct sockaddr_un address;
	socklen_t len;
	uint64_t every_ns; /* between two signs of life; 0: none are wanted */
	uint64_t due_mono_ns;
};

/* From the environment: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. */
void cprof_service_manager_open(struct cprof_service_manager *manager);
void cprof_service_manager_close(struct cprof_service_manager *manager);

/* "READY=1", "STOPPING=1" */
void cprof_service_manager_tell(const struct cprof_service_manager *manager, const char *state);

/* When the next sign of life is due (UINT64_MAX: never); and give it, if it is. */
uint64_t cprof_service_manager_due_mono_ns(const struct cprof_service_manager *manager);
void cprof_service_manager_run(struct cprof_service_manager *manager, uint64_t mono_ns);

#endif
