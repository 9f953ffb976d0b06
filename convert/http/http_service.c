/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/http/http_service.h"

#include "base/cleanup.h"

struct cprof_error *cprof_http_service_listen(struct cprof_http_service *service,
					      const char *address, const char *token_file)
{
	struct cprof_error *err = cprof_listen_open(address, token_file, &service->listen);
	if (!err)
		cprof_http_address_url(&service->listen.address, service->listen.fd, &service->url);
	return err;
}

struct cprof_error *cprof_http_service_serve(struct cprof_http_service *service,
					     const struct cprof_http_limits *limits,
					     const struct cprof_http_handler *handler)
{
	struct cprof_listen *listen = &service->listen;
	struct cprof_error *err =
		cprof_http_server_new(cprof_take_fd(&listen->fd), listen->address.is_unix, limits,
				      handler, &service->http);
	if (!err && listen->token)
		cprof_http_server_demand(service->http, listen->token);
	return err;
}

struct cprof_error *cprof_http_service_open(struct cprof_http_service *service, const char *address,
					    const char *token_file,
					    const struct cprof_http_limits *limits,
					    const struct cprof_http_handler *handler)
{
	struct cprof_error *err = cprof_http_service_listen(service, address, token_file);
	return err ? err : cprof_http_service_serve(service, limits, handler);
}

void cprof_http_service_run(struct cprof_http_service *service, const struct pollfd *fds, size_t n)
{
	cprof_http_server_run(service->http, fds, n);
	cprof_http_server_run(service->http, NULL, 0);
}

void cprof_http_service_close(struct cprof_http_service *service)
{
	cprof_http_server_free(service->http);
	service->http = NULL;
	cprof_listen_close(&service->listen);
	cprof_buffer_deinit(&service->url);
}
