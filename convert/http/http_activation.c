/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/http/http_activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_FD 3

static long number(const char *variable)
{
	const char *text = getenv(variable);
	return text ? strtol(text, NULL, 10) : 0;
}

bool cprof_http_activation_is_there(void)
{
	return number("LISTEN_PID") == (long)getpid() && number("LISTEN_FDS") > 0;
}

/* What a socket says of itself; 0 where it says nothing. */
static int option(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : 0;
}

static struct cprof_error *look_at(int fd, struct cprof_http_address *ret_address)
{
	*ret_address =
		(struct cprof_http_address){ .len = sizeof(ret_address->addr), .is_passed = true };
	if (option(fd, SO_TYPE) != SOCK_STREAM || !option(fd, SO_ACCEPTCONN) ||
	    getsockname(fd, (struct sockaddr *)&ret_address->addr, &ret_address->len) != 0)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "descriptor %d, which the service manager passed, is no "
				       "stream socket that listens",
				       fd);
	const sa_family_t family = ret_address->addr.ss_family;
	ret_address->is_unix = family == AF_UNIX;
	if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "the socket that the service manager passed is of family "
				       "%d, and neither TCP nor unix",
				       (int)family);
	return NULL;
}

struct cprof_error *cprof_http_activation_take(struct cprof_http_address *ret_address, int *ret_fd)
{
	if (!cprof_http_activation_is_there())
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"no service manager has passed a socket (LISTEN_FDS)"),
			"without one, name an address: 127.0.0.1:6060 or unix:/run/x.sock");
	if (number("LISTEN_FDS") > 1)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "the service manager has passed %ld sockets: one is served",
				       number("LISTEN_FDS"));
	struct cprof_error *err = look_at(FIRST_FD, ret_address);
	if (err)
		return err;
	if (fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) != 0 ||
	    fcntl(FIRST_FD, F_SETFL, O_RDWR | O_NONBLOCK) != 0)
		return cprof_error_os(errno, "fcntl");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	*ret_fd = FIRST_FD;
	return NULL;
}
