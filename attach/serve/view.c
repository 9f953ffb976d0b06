/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/view.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "attach/serve/own_request.h"
#include "base/cleanup.h"
#include "convert/formats/input_format.h"

#define MOST_KINDS      (CPROF_TARGET_SET_MAX * 16u) /* nothing is left out: an endpoint has fewer */
#define KIND_BYTES      64u
#define SECONDS_DEFAULT 10

struct cprof_view {
	struct cprof_http_address address; /* that we can connect to */
	const char *token_file;
	const struct cprof_tenants *tenants;
	struct cprof_web *web;
	char kinds[MOST_KINDS][KIND_BYTES]; /* "heap"; of several processes "pid/7/heap" */
	const char *kind_list[MOST_KINDS + 1];
};

/* The address with the port that the socket really has; every address of the machine is reached by the loopback's. */
static struct cprof_http_address own_address(const struct cprof_http_address *address, int fd)
{
	struct cprof_http_address own = *address;
	socklen_t len = sizeof(own.addr);
	if (!own.is_unix && getsockname(fd, (struct sockaddr *)&own.addr, &len) == 0)
		own.len = len;
	struct sockaddr_in *four = (struct sockaddr_in *)&own.addr;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&own.addr;
	if (own.addr.ss_family == AF_INET && four->sin_addr.s_addr == htonl(INADDR_ANY))
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (own.addr.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
		six->sin6_addr = in6addr_loopback;
	return own;
}

/* "/pid/7/debug/pprof/heap" of "pid/7/heap"; only a profile that takes its time is told how long. */
static void put_path(const char *what, int64_t seconds, struct cprof_buffer *out)
{
	const char *name = strrchr(what, '/');
	name = name ? name + 1 : *what ? what : "profile";
	if (name > what)
		cprof_buffer_printf(out, "/%.*s", (int)(name - what - 1), what);
	cprof_buffer_printf(out, "/debug/pprof/%s", name);
	if (strcmp(name, "profile") == 0)
		cprof_buffer_printf(out, "?seconds=%" PRId64,
				    seconds > 0 ? seconds : SECONDS_DEFAULT);
}

static struct cprof_error *record(void *ctx, const char *what, int64_t seconds,
				  struct cprof_profile **ret_profile)
{
	const struct cprof_view *view = ctx;
	CPROF_AUTO(buffer) struct cprof_buffer path = { 0 }, body = { 0 };
	put_path(what, seconds, &path);
	struct cprof_error *err = cprof_own_request(&view->address, view->token_file,
						    cprof_buffer_text(&path), &body);
	if (!err && !body.len)
		err = cprof_error_new(CPROF_ERR_BAD_DATA, "the profile is empty");
	return err ? err : cprof_input_decode(body.data, body.len, ret_profile);
}

/* Whether a page can show what an endpoint gives. */
static bool is_profile(const struct cprof_endpoint *endpoint)
{
	return endpoint->summary && endpoint->kind != CPROF_ENDPOINT_CMDLINE &&
	       endpoint->kind != CPROF_ENDPOINT_SYMBOL &&
	       endpoint->kind != CPROF_ENDPOINT_NOT_THERE && endpoint->kind != CPROF_ENDPOINT_DELTA;
}

static void add_kinds(struct cprof_view *view, const struct cprof_tenant *tenant, bool alone,
		      size_t *n)
{
	for (size_t i = 0; i < cprof_n_endpoints && *n < MOST_KINDS; i++) {
		const struct cprof_endpoint *endpoint = &cprof_endpoints[i];
		if (!is_profile(endpoint) ||
		    (endpoint->mode && !cprof_tenant_has_mode(tenant, endpoint->mode)))
			continue;
		if (alone)
			snprintf(view->kinds[*n], KIND_BYTES, "%s", endpoint->name);
		else
			snprintf(view->kinds[*n], KIND_BYTES, "pid/%d/%s", (int)tenant->target->pid,
				 endpoint->name);
		view->kind_list[*n] = view->kinds[*n];
		++*n;
	}
}

/* Who is there now. */
static void list_kinds(struct cprof_view *view)
{
	size_t n = 0;
	const bool alone = cprof_tenants_alive(view->tenants) == 1;
	for (size_t i = 0; i < view->tenants->n; i++) {
		if (!view->tenants->all[i]->target->exited)
			add_kinds(view, view->tenants->all[i], alone, &n);
	}
	view->kind_list[n] = NULL;
}

struct cprof_error *cprof_view_new(const struct cprof_http_address *address, int fd,
				   const char *token_file, const struct cprof_tenants *tenants,
				   struct cprof_view **ret_view)
{
	CPROF_AUTO(free) struct cprof_view *view = calloc(1, sizeof(*view));
	if (!view)
		return cprof_error_no_memory();
	view->address = own_address(address, fd);
	view->token_file = token_file;
	view->tenants = tenants;
	struct cprof_web_options options = { .record = record,
					     .record_ctx = view,
					     .kinds = view->kind_list,
					     .program = "",
					     .mark_base = true };
	struct cprof_error *err = cprof_config_init(&options.config);
	if (!err)
		err = cprof_config_settle(&options.config);
	if (!err)
		err = cprof_web_new(&options, &view->web);
	if (!err)
		*ret_view = cprof_take_ptr(&view);
	return err;
}

void cprof_view_free(struct cprof_view *view)
{
	if (!view)
		return;
	cprof_web_free(view->web);
	free(view);
}

bool cprof_view_ask(struct cprof_view *view, struct cprof_http_request *request)
{
	static const char mount[] = "/ui/";
	if (strncmp(request->path, mount, strlen(mount)) != 0)
		return false;
	list_kinds(view);
	cprof_web_ask(view->web, request, request->path + strlen(mount) - 1);
	return true;
}

struct cprof_web *cprof_view_web(struct cprof_view *view)
{
	return view->web;
}
