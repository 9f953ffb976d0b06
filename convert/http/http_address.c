/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/http/http_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BACKLOG  128
#define HOST_MAX 64

/* ---- reading ---- */

static struct cprof_error *not_an_address(const char *text)
{
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "\"%s\" is no address to listen on", text);
	return cprof_error_hint(err, "for example 127.0.0.1:6060, [::1]:6060 or unix:/run/x.sock");
}

static struct cprof_error *not_loopback(const char *host)
{
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE,
				"%s can be reached from other machines: profiles tell what a "
				"program does, and whoever asks for one costs it time",
				host);
	return cprof_error_hint(
		err, "-http-token-file FILE lets in those who know a token; or listen on "
		     "127.0.0.1, and let ssh -L bring others there");
}

static struct cprof_error *parse_unix(const char *path, struct cprof_http_address *ret)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	if (path[0] != '/' || strlen(path) >= sizeof(un.sun_path))
		return cprof_error_new(CPROF_ERR_USAGE,
				       "unix:%s: not a path from / of at most %zu bytes", path,
				       sizeof(un.sun_path) - 1);
	memcpy(un.sun_path, path, strlen(path));
	*ret = (struct cprof_http_address){ .len = sizeof(un), .is_unix = true };
	memcpy(&ret->addr, &un, sizeof(un));
	return NULL;
}

/* The part before the last ':', without brackets; "localhost" and "" are 127.0.0.1. */
static bool split(const char *text, char *host, uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	char *end;
	if (!colon || !*(colon + 1) || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	const unsigned long port = strtoul(colon + 1, &end, 10);
	size_t n = (size_t)(colon - text);
	const bool bracket = n >= 2 && text[0] == '[' && text[n - 1] == ']';
	if (port > UINT16_MAX || n >= HOST_MAX || (!bracket && memchr(text, ':', n)))
		return false;
	n -= bracket ? 2 : 0;
	memcpy(host, text + bracket, n);
	host[n] = 0;
	if (!*host || strcmp(host, "localhost") == 0)
		memcpy(host, "127.0.0.1", sizeof("127.0.0.1"));
	*ret_port = (uint16_t)port;
	return true;
}

struct cprof_error *cprof_http_address_parse_any(const char *text, struct cprof_http_address *ret)
{
	char host[HOST_MAX];
	uint16_t port;
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, ret);
	if (!split(text, host, &port))
		return not_an_address(text);
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	*ret = (struct cprof_http_address){ 0 };
	if (inet_pton(AF_INET, host, &four.sin_addr) == 1) {
		ret->len = sizeof(four);
		memcpy(&ret->addr, &four, sizeof(four));
		return NULL;
	}
	if (inet_pton(AF_INET6, host, &six.sin6_addr) != 1)
		return not_an_address(text);
	ret->len = sizeof(six);
	memcpy(&ret->addr, &six, sizeof(six));
	return NULL;
}

struct cprof_error *cprof_http_address_parse(const char *text, struct cprof_http_address *ret)
{
	struct cprof_error *err = cprof_http_address_parse_any(text, ret);
	return err ? err : cprof_http_address_check_private(ret);
}

/* ---- what it is ---- */

static const struct in6_addr *six_of(const struct cprof_http_address *address)
{
	return &((const struct sockaddr_in6 *)&address->addr)->sin6_addr;
}

static uint32_t four_of(const struct cprof_http_address *address)
{
	return ntohl(((const struct sockaddr_in *)&address->addr)->sin_addr.s_addr);
}

struct cprof_error *cprof_http_address_check_private(const struct cprof_http_address *address)
{
	const bool is_six = address->addr.ss_family == AF_INET6;
	char host[HOST_MAX] = "";
	if (address->is_unix ||
	    (is_six ? IN6_IS_ADDR_LOOPBACK(six_of(address)) : four_of(address) >> 24 == 127))
		return NULL;
	inet_ntop(address->addr.ss_family,
		  is_six ? (const void *)six_of(address)
			 : &((const struct sockaddr_in *)&address->addr)->sin_addr,
		  host, sizeof(host));
	return not_loopback(host);
}

bool cprof_http_address_is_wildcard(const struct cprof_http_address *address)
{
	if (address->is_unix)
		return false;
	return address->addr.ss_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(six_of(address))
						   : four_of(address) == INADDR_ANY;
}

/* ---- listening ---- */

static const char *unix_path(const struct cprof_http_address *address)
{
	return ((const struct sockaddr_un *)&address->addr)->sun_path;
}

/* A socket that refuses connections is what a server left that was killed. One whose queue is full has a server, which is not waited for. */
static void remove_dead(const struct cprof_http_address *address)
{
	struct stat st;
	if (lstat(unix_path(address), &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	CPROF_AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address->addr, address->len) != 0 &&
	    errno == ECONNREFUSED)
		unlink(unix_path(address));
}

static struct cprof_error *cannot(const struct cprof_http_address *address, int os_errno)
{
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
	cprof_http_address_url(address, -1, &url);
	const char *where = cprof_buffer_text(&url);
	struct stat st;
	if (os_errno == EADDRINUSE && address->is_unix)
		return cprof_error_hint(
			lstat(unix_path(address), &st) == 0 && S_ISSOCK(st.st_mode)
				? cprof_error_new(CPROF_ERR_EXISTS,
						  "something listens on %s already", where)
				: cprof_error_new(CPROF_ERR_EXISTS,
						  "%s exists already, and is no socket", where),
			"choose another path");
	if (os_errno == EADDRINUSE)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_EXISTS, "something listens on %s already", where),
			"choose another port; 0 takes one that is free");
	if (os_errno == EACCES || os_errno == EPERM)
		return cprof_error_hint(cprof_error_new(CPROF_ERR_DENIED, "listen on %s: %s", where,
							strerror(os_errno)),
					address->is_unix ? "name a place that you may write to"
							 : "ports below 1024 are root's");
	return cprof_error_os(os_errno, "listen on %s", where);
}

struct cprof_error *cprof_http_address_listen(const struct cprof_http_address *address, int *ret_fd)
{
	const int yes = 1;
	CPROF_AUTO(close)
	int fd = socket(address->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return cprof_error_os(errno, "socket");
	if (address->is_unix) {
		remove_dead(address);
		fchmod(fd, 0600); /* the file gets these rights, less the umask's (unix(7)) */
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	}
	if (bind(fd, (const struct sockaddr *)&address->addr, address->len) != 0 ||
	    listen(fd, BACKLOG) != 0)
		return cannot(address, errno);
	*ret_fd = cprof_take_fd(&fd);
	return NULL;
}

void cprof_http_address_url(const struct cprof_http_address *address, int fd,
			    struct cprof_buffer *out)
{
	struct sockaddr_storage addr = address->addr;
	socklen_t len = sizeof(addr);
	char host[HOST_MAX] = "";
	if (address->is_unix) {
		cprof_buffer_printf(out, "unix:%s", unix_path(address));
		return;
	}
	if (fd >= 0)
		getsockname(fd, (struct sockaddr *)&addr, &len);
	const struct sockaddr_in *four = (const struct sockaddr_in *)&addr;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&addr;
	const bool is_six = addr.ss_family == AF_INET6;
	inet_ntop(addr.ss_family, is_six ? (const void *)&six->sin6_addr : &four->sin_addr, host,
		  sizeof(host));
	cprof_buffer_printf(out, is_six ? "http://[%s]:%u" : "http://%s:%u", host,
			    (unsigned)ntohs(is_six ? six->sin6_port : four->sin_port));
}

void cprof_http_address_forget(const struct cprof_http_address *address)
{
	if (address->is_unix && !address->is_passed)
		unlink(unix_path(address));
}
