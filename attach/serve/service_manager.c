/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/service_manager.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Twice within the time after which we would be killed, as sd_watchdog_enabled(3) recommends. */
static uint64_t watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	const uint64_t most = strtoull(usec, NULL, 10);
	return most < UINT64_MAX / 1000 ? most * 1000 / 2 : 0;
}

void cprof_service_manager_open(struct cprof_service_manager *manager)
{
	const char *path = getenv("NOTIFY_SOCKET");
	*manager = (struct cprof_service_manager){ .fd = -1 };
	struct sockaddr_un *address = &manager->address;
	if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof(address->sun_path))
		return;
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, strlen(path));
	if (*path == '@') /* unix(7) "abstract" */
		address->sun_path[0] = 0;
	manager->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	manager->every_ns = watchdog_ns();
}

void cprof_service_manager_close(struct cprof_service_manager *manager)
{
	if (manager->fd >= 0)
		close(manager->fd);
	manager->fd = -1;
}

void cprof_service_manager_tell(const struct cprof_service_manager *manager, const char *state)
{
	/* A manager that does not listen is no reason to stop serving. */
	if (manager->fd >= 0)
		sendto(manager->fd, state, strlen(state), MSG_NOSIGNAL,
		       (const struct sockaddr *)&manager->address, manager->len);
}

uint64_t cprof_service_manager_due_mono_ns(const struct cprof_service_manager *manager)
{
	return manager->fd >= 0 && manager->every_ns ? manager->due_mono_ns : UINT64_MAX;
}

void cprof_service_manager_run(struct cprof_service_manager *manager, uint64_t mono_ns)
{
	if (mono_ns < cprof_service_manager_due_mono_ns(manager))
		return;
	cprof_service_manager_tell(manager, "WATCHDOG=1");
	manager->due_mono_ns = mono_ns + manager->every_ns;
}
