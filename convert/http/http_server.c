/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/http/http_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "convert/http/http_access.h"
#include "convert/http/microhttpd_api.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define BODY_MAX         (64u << 10) /* where the limits say nothing */
#define CONNECTION_BYTES (32u << 10) /* for a request's head */

#define TEXT_PLAIN   "text/plain; charset=utf-8"
#define AUTHENTICATE "Basic realm=\"cprof\", charset=\"UTF-8\"" /* which browsers ask people for */

enum state {
	TAKING,   /* its head and body are coming in */
	TOO_LONG, /* the same, and thrown away */
	WAITING,  /* with the handler */
	READY,    /* answered */
	GONE,     /* hung up while it was with the handler */
	SENDING,
};

struct client;

struct exchange {
	struct cprof_http_request request; /* first: what the handler has */
	struct client *client;
	struct MHD_Connection *connection;
	enum state state;
	bool suspended;
	char *method, *path, *query, *accept; /* owned */
	struct cprof_buffer body;
	unsigned status;
	struct MHD_Response *response; /* owned, from the answer on until it is queued */
};

/* A connection. */
struct client {
	struct cprof_http_server *server;
	struct client *next, *prev;
	int fd;               /* borrowed */
	uint64_t due_mono_ns; /* when it is hung up on; 0: never */
	struct exchange *now; /* NULL between two requests */
	bool half_closed;     /* it will send no more; seen in a turn before */
};

struct cprof_http_server {
	const struct cprof_microhttpd_api *mhd;
	struct MHD_Daemon *daemon;
	struct cprof_http_limits limits;
	struct cprof_http_handler handler;
	bool any_host;
	struct cprof_http_token *token; /* borrowed; NULL: everybody may ask */
	int epoll_fd;                   /* borrowed */
	struct client *clients;
	size_t n_clients;
	uint64_t answers[6]; /* by hundreds of the status */
};

/* ---- clients ---- */

static void begin_client(struct cprof_http_server *server, struct MHD_Connection *connection,
			 void **socket_context)
{
	const union MHD_ConnectionInfo *info =
		server->mhd->get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct client *client = calloc(1, sizeof(*client));
	if (!client || !info) {
		free(client);
		return; /* its requests are refused */
	}
	*client =
		(struct client){ .server = server,
				 .next = server->clients,
				 .fd = info->connect_fd,
				 .due_mono_ns = cprof_clock_mono_ns() + server->limits.request_ns };
	if (server->clients)
		server->clients->prev = client;
	server->clients = client;
	server->n_clients++;
	*socket_context = client;
}

static void end_client(struct cprof_http_server *server, struct client *client)
{
	if (!client)
		return;
	if (client->prev)
		client->prev->next = client->next;
	else
		server->clients = client->next;
	if (client->next)
		client->next->prev = client->prev;
	server->n_clients--;
	free(client);
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct cprof_http_server *server = ctx;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		begin_client(server, connection, socket_context);
	else
		end_client(server, *socket_context);
}

/* ---- answers ---- */

static void put_header(struct exchange *exchange, const char *name, const char *value)
{
	if (value)
		exchange->client->server->mhd->add_response_header(exchange->response, name, value);
}

void cprof_http_server_answer(struct cprof_http_request *request, struct cprof_http_answer *answer)
{
	struct exchange *exchange = (struct exchange *)request;
	const struct cprof_microhttpd_api *mhd = exchange->client->server->mhd;
	const bool whole = !answer->body.failed;
	exchange->response = mhd->create_response(whole ? answer->body.len : 0, answer->body.data,
						  MHD_RESPMEM_MUST_FREE);
	if (exchange->response)
		answer->body = (struct cprof_buffer){ 0 };
	cprof_buffer_deinit(&answer->body);
	exchange->status = whole ? answer->status : MHD_HTTP_INTERNAL_SERVER_ERROR;
	exchange->state = READY;
	if (exchange->status < 600)
		exchange->client->server->answers[exchange->status / 100]++;
	if (exchange->response) {
		put_header(exchange, "Content-Type", answer->content_type);
		put_header(exchange, "Content-Disposition", answer->disposition);
		put_header(exchange, "Location", answer->location);
		put_header(exchange, "WWW-Authenticate", answer->authenticate);
		put_header(exchange, "X-Content-Type-Options", answer->sniff ? NULL : "nosniff");
		put_header(exchange, "X-Go-Pprof", answer->go_pprof ? "1" : NULL);
		put_header(exchange, "Content-Security-Policy", answer->policy);
		put_header(exchange, "Cache-Control", answer->no_store ? "no-store" : NULL);
	}
	if (exchange->suspended)
		mhd->resume_connection(exchange->connection);
	exchange->suspended = false;
}

static void refuse(struct exchange *exchange, unsigned status, const char *why)
{
	struct cprof_http_answer answer = { .status = status,
					    .content_type = TEXT_PLAIN,
					    .go_pprof = true };
	cprof_buffer_printf(&answer.body, "%s\n", why);
	cprof_http_server_answer(&exchange->request, &answer);
}

static enum MHD_Result send_answer(struct exchange *exchange)
{
	struct client *client = exchange->client;
	const struct cprof_microhttpd_api *mhd = client->server->mhd;
	if (!exchange->response)
		return MHD_NO;
	client->due_mono_ns = cprof_clock_mono_ns() + client->server->limits.answer_ns;
	enum MHD_Result done =
		mhd->queue_response(exchange->connection, exchange->status, exchange->response);
	mhd->destroy_response(exchange->response);
	exchange->response = NULL;
	exchange->state = SENDING;
	return done;
}

/* ---- requests ---- */

/* The address as it was sent, before libmicrohttpd takes it apart; what is returned is the exchange's from now on. */
static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *connection)
{
	(void)ctx;
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	const char *query = strchr(uri, '?');
	if (!exchange)
		return NULL;
	exchange->connection = connection;
	exchange->query = strdup(query ? query + 1 : "");
	return exchange;
}

static const char *header(const struct exchange *exchange, const char *name)
{
	return exchange->client->server->mhd->lookup_connection_value(exchange->connection,
								      MHD_HEADER_KIND, name);
}

/* The first call for a request: its head is there. */
static enum MHD_Result begin(struct exchange *exchange, struct client *client, const char *path,
			     const char *method)
{
	exchange->client = client;
	exchange->path = strdup(path);
	exchange->method = strdup(method);
	const char *accept = header(exchange, "Accept");
	exchange->accept = strdup(accept ? accept : "");
	if (!exchange->path || !exchange->method || !exchange->query || !exchange->accept)
		return MHD_NO;
	client->now = exchange;
	const char *length = header(exchange, "Content-Length");
	const char *type = header(exchange, "Content-Type");
	if (length && strtoull(length, NULL, 10) > client->server->limits.body_bytes)
		exchange->state = TOO_LONG;
	exchange->request = (struct cprof_http_request){
		.method = exchange->method,
		.path = exchange->path,
		.query = exchange->query,
		.accept = exchange->accept,
		.is_form = type && strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0,
	};
	return MHD_YES;
}

static enum MHD_Result take_body(struct exchange *exchange, const char *bytes, size_t *n)
{
	if (exchange->body.len + *n > exchange->client->server->limits.body_bytes)
		exchange->state = TOO_LONG;
	if (exchange->state == TAKING)
		cprof_buffer_append(&exchange->body, bytes, *n);
	*n = 0;
	return exchange->body.failed ? MHD_NO : MHD_YES;
}

/* True: whoever it is has not said what lets him in, and has been told so. */
static bool keep_out(struct exchange *exchange)
{
	struct cprof_http_token *token = exchange->client->server->token;
	struct cprof_http_answer answer = { .status = MHD_HTTP_UNAUTHORIZED,
					    .content_type = TEXT_PLAIN,
					    .authenticate = AUTHENTICATE,
					    .go_pprof = true };
	const enum cprof_http_token_answer is =
		token ? cprof_http_token_check(token, header(exchange, "Authorization"))
		      : CPROF_HTTP_TOKEN_RIGHT;
	if (is == CPROF_HTTP_TOKEN_UNKNOWN)
		refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE,
		       "the server cannot read its token any more, and lets nobody in until it can");
	if (is == CPROF_HTTP_TOKEN_WRONG) {
		cprof_buffer_puts(
			&answer.body,
			"a token is needed: \"Authorization: Bearer TOKEN\", or the token as "
			"the password (http://user:TOKEN@...)\n");
		cprof_http_server_answer(&exchange->request, &answer);
	}
	return is != CPROF_HTTP_TOKEN_RIGHT;
}

static void hand_over(struct exchange *exchange)
{
	struct cprof_http_server *server = exchange->client->server;
	const struct cprof_http_headers headers = {
		.host = header(exchange, "Host"),
		.origin = header(exchange, "Origin"),
		.fetch_site = header(exchange, "Sec-Fetch-Site"),
	};
	exchange->request.host = headers.host;
	const char *why = cprof_http_access_refuse(&headers, server->any_host);
	if (exchange->state == TOO_LONG) {
		char most[64];
		snprintf(most, sizeof(most), "a request may have %zu KiB at most",
			 server->limits.body_bytes >> 10);
		refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, most);
	} else if (why) {
		refuse(exchange, MHD_HTTP_FORBIDDEN, why);
	} else if (!keep_out(exchange)) {
		exchange->state = WAITING;
		exchange->client->due_mono_ns = 0; /* how long it may take is the handler's */
		exchange->request.body = exchange->body.data;
		exchange->request.n_body = exchange->body.len;
		server->handler.ask(server->handler.ctx, &exchange->request);
	}
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *bytes,
				  size_t *n, void **context)
{
	(void)version;
	struct cprof_http_server *server = ctx;
	struct exchange *exchange = *context;
	const union MHD_ConnectionInfo *info =
		server->mhd->get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	if (!exchange || !info || !info->socket_context)
		return MHD_NO;
	if (!exchange->client)
		return begin(exchange, info->socket_context, path, method);
	if (*n)
		return take_body(exchange, bytes, n);
	if (exchange->state == TAKING || exchange->state == TOO_LONG)
		hand_over(exchange);
	if (exchange->state == READY)
		return send_answer(exchange);
	if (exchange->state != WAITING)
		return MHD_NO;
	server->mhd->suspend_connection(connection);
	exchange->suspended = true;
	return MHD_YES;
}

/* The answer has been sent, or the connection has broken. */
static void on_completed(void *ctx, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode code)
{
	(void)connection;
	(void)code;
	struct cprof_http_server *server = ctx;
	struct exchange *exchange = *context;
	if (!exchange)
		return;
	if (exchange->client) {
		exchange->client->now = NULL;
		exchange->client->due_mono_ns = cprof_clock_mono_ns() + server->limits.request_ns;
	}
	if (exchange->state == WAITING)
		server->handler.gone(server->handler.ctx, &exchange->request);
	if (exchange->response)
		server->mhd->destroy_response(exchange->response);
	cprof_buffer_deinit(&exchange->body);
	free(exchange->method);
	free(exchange->path);
	free(exchange->query);
	free(exchange->accept);
	free(exchange);
	*context = NULL;
}

/* ---- the server ---- */

static struct MHD_Daemon *start(struct cprof_http_server *server, int listen_fd)
{
	const struct MHD_OptionItem options[] = {
		{ MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, (intptr_t)server->limits.clients, NULL },
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL },
		{ MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server },
		{ MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server },
		{ MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_uri, server },
		{ MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	return server->mhd->start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
					 on_request, server, MHD_OPTION_ARRAY, options,
					 MHD_OPTION_END);
}

struct cprof_error *cprof_http_server_new(int listen_fd, bool any_host,
					  const struct cprof_http_limits *limits,
					  const struct cprof_http_handler *handler,
					  struct cprof_http_server **ret_server)
{
	CPROF_AUTO(close) int fd = listen_fd;
	CPROF_AUTO(free) struct cprof_http_server *server = calloc(1, sizeof(*server));
	if (!server)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_microhttpd_api_load(&server->mhd);
	if (err)
		return err;
	server->limits = *limits;
	if (!server->limits.body_bytes)
		server->limits.body_bytes = BODY_MAX;
	server->handler = *handler;
	server->any_host = any_host;
	server->daemon = start(server, fd);
	if (!server->daemon)
		return cprof_error_new(CPROF_ERR_OS, "libmicrohttpd did not start");
	const union MHD_DaemonInfo *info =
		server->mhd->get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	server->epoll_fd = info->epoll_fd;
	cprof_take_fd(&fd); /* the daemon closes it */
	*ret_server = cprof_take_ptr(&server);
	return NULL;
}

void cprof_http_server_demand(struct cprof_http_server *server, struct cprof_http_token *token)
{
	server->token = token;
	server->any_host = true;
}

static void hang_up(struct cprof_http_server *server, struct client *client)
{
	struct exchange *exchange = client->now;
	if (exchange && exchange->state == WAITING) {
		exchange->state = GONE;
		server->handler.gone(server->handler.ctx, &exchange->request);
		if (exchange->suspended)
			server->mhd->resume_connection(exchange->connection);
		exchange->suspended = false;
	}
	shutdown(client->fd, SHUT_RDWR);
	client->due_mono_ns = 0;
}

void cprof_http_server_free(struct cprof_http_server *server)
{
	if (!server)
		return;
	/* A daemon with suspended connections does not stop. */
	for (struct client *client = server->clients; client; client = client->next)
		hang_up(server, client);
	server->mhd->run(server->daemon);
	server->mhd->stop_daemon(server->daemon);
	free(server);
}

/* Its end would be the next that is heard of it. */
static bool is_listened_to(const struct client *client)
{
	return !client->now || client->now->suspended || client->now->state == TAKING ||
	       client->now->state == TOO_LONG;
}

size_t cprof_http_server_poll(const struct cprof_http_server *server, struct pollfd *fds, size_t n,
			      size_t cap)
{
	if (n < cap)
		fds[n++] = (struct pollfd){ .fd = server->epoll_fd, .events = POLLIN };
	/*
	 * libmicrohttpd does not look at a connection while it is suspended, and not for the end of one whose request is there in
	 * part only.
	 */
	for (struct client *client = server->clients; client && n < cap; client = client->next) {
		if (is_listened_to(client))
			fds[n++] = (struct pollfd){ .fd = client->fd, .events = POLLRDHUP };
	}
	return n;
}

uint64_t cprof_http_server_due_mono_ns(const struct cprof_http_server *server)
{
	MHD_UNSIGNED_LONG_LONG ms;
	uint64_t due = UINT64_MAX;
	if (server->mhd->get_timeout(server->daemon, &ms) == MHD_YES)
		due = cprof_clock_mono_ns() + ms * 1000000;
	for (struct client *client = server->clients; client; client = client->next) {
		if (client->due_mono_ns && client->due_mono_ns < due)
			due = client->due_mono_ns;
	}
	return due;
}

static struct client *client_of(const struct cprof_http_server *server, int fd)
{
	struct client *client = server->clients;
	while (client && client->fd != fd)
		client = client->next;
	return client;
}

/*
 * With as many clients as there may be, libmicrohttpd stops to wait for new ones, and begins again only in the turn after
 * one has left.
 */
static void run_daemon(struct cprof_http_server *server)
{
	size_t before;
	do {
		before = server->n_clients;
		server->mhd->run(server->daemon);
	} while (server->n_clients < before);
}

void cprof_http_server_run(struct cprof_http_server *server, const struct pollfd *fds, size_t n)
{
	/* What came before the end of a connection is looked at first. */
	run_daemon(server);
	const uint64_t now = cprof_clock_mono_ns();
	for (size_t i = 0; i < n; i++) {
		struct client *client = fds[i].revents && fds[i].fd != server->epoll_fd
						? client_of(server, fds[i].fd)
						: NULL;
		if (client && client->half_closed && is_listened_to(client))
			hang_up(server, client);
		else if (client)
			client->half_closed = true;
	}
	for (struct client *client = server->clients; client; client = client->next) {
		if (client->due_mono_ns && client->due_mono_ns <= now)
			hang_up(server, client);
	}
	run_daemon(server);
}

size_t cprof_http_server_clients(const struct cprof_http_server *server)
{
	return server->n_clients;
}

uint64_t cprof_http_server_answers(const struct cprof_http_server *server, unsigned hundreds)
{
	return server->answers[hundreds];
}
