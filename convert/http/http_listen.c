/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/http/http_listen.h"

#include <string.h>
#include <unistd.h>

#include "convert/http/http_activation.h"

#define PASSED "systemd"

/* May be served to whoever reaches it, or there is a token. */
static struct cprof_error *check(const struct cprof_listen *listen)
{
	return listen->token ? NULL : cprof_http_address_check_private(&listen->address);
}

static struct cprof_error *take_passed(struct cprof_listen *listen)
{
	struct cprof_error *err = cprof_http_activation_take(&listen->address, &listen->fd);
	return err ? err : check(listen);
}

static struct cprof_error *open_address(const char *address, struct cprof_listen *listen)
{
	struct cprof_error *err = cprof_http_address_parse_any(address, &listen->address);
	if (!err)
		err = check(listen);
	return err ? err : cprof_http_address_listen(&listen->address, &listen->fd);
}

struct cprof_error *cprof_listen_open(const char *address, const char *token_file,
				      struct cprof_listen *ret_listen)
{
	struct cprof_listen listen = CPROF_LISTEN_NONE;
	struct cprof_error *err = NULL;
	if (token_file)
		err = cprof_http_token_open(token_file, &listen.token);
	if (err)
		return cprof_error_wrap(err, "-http-token-file");
	err = strcmp(address, PASSED) == 0 || cprof_http_activation_is_there()
		      ? take_passed(&listen)
		      : open_address(address, &listen);
	if (!err) {
		*ret_listen = listen;
		return NULL;
	}
	if (listen.fd >= 0)
		close(listen.fd);
	cprof_http_token_free(listen.token);
	return cprof_error_wrap(err, "-http");
}

void cprof_listen_close(struct cprof_listen *listen)
{
	if (listen->address.len)
		cprof_http_address_forget(&listen->address);
	if (listen->fd >= 0)
		close(listen->fd);
	cprof_http_token_free(listen->token);
	*listen = CPROF_LISTEN_NONE;
}
