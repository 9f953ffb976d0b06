/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/delivery_rig.h"

#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "cprof/pprof_write.h"
#include "tests/unit/test.h"

/* ---- the clock ---- */

static uint64_t wall_ns(void *ctx)
{
	return ((struct rig_clock *)ctx)->wall_ns;
}

static uint64_t boot_ns(void *ctx)
{
	return ((struct rig_clock *)ctx)->boot_ns;
}

static void sleep_ns(void *ctx, uint64_t ns)
{
	struct rig_clock *clock = ctx;
	clock->wall_ns += ns;
	clock->boot_ns += ns;
	clock->slept_ns += ns;
}

static uint64_t chance(void *ctx)
{
	return ((struct rig_clock *)ctx)->chance;
}

struct cprof_clockwork rig_clock(struct rig_clock *ctx)
{
	return (struct cprof_clockwork){ .ctx = ctx,
					 .wall_ns = wall_ns,
					 .boot_ns = boot_ns,
					 .sleep_ns = sleep_ns,
					 .chance = chance };
}

/* ---- spool and profiles ---- */

static void open_spool(struct rig *rig)
{
	CHECK(!cprof_spool_open(rig->dir, NULL, &rig->clock, &rig->counts, &rig->spool));
}

void rig_grow(struct rig *rig, uint32_t n)
{
	char name[32];
	cprof_profile_free(rig->profile);
	bool ok = !cprof_profile_new(&rig->profile) &&
		  !cprof_profile_add_type(rig->profile, "samples", "count");
	for (uint32_t i = 0; i < n && ok; i++) {
		struct cprof_function function = { 0 };
		struct cprof_line line = { 0 };
		const int64_t value = i + 1;
		uint32_t location;
		snprintf(name, sizeof(name), "function_%u", i);
		ok = !cprof_profile_string(rig->profile, name, &function.name) &&
		     !cprof_profile_function(rig->profile, &function, &line.function) &&
		     !cprof_profile_add_location(rig->profile, &(struct cprof_location){ 0 }, &line,
						 1, &location) &&
		     !cprof_profile_add_sample(rig->profile, &location, 1, NULL, 0, &value);
	}
	CHECK(ok);
	rig->body.len = 0;
	CHECK(!cprof_pprof_encode(rig->profile, 1, &rig->body));
}

void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->server.fd = -1;
	snprintf(rig->dir, sizeof(rig->dir), "/tmp/cprof-spool-test-XXXXXX");
	CHECK(mkdtemp(rig->dir));
	rig->clock_ctx = (struct rig_clock){ .wall_ns = cprof_clock_wall_ns(),
					     .boot_ns = 1000 * CPROF_NS_PER_S };
	rig->clock = rig_clock(&rig->clock_ctx);
	rig_grow(rig, 3);
	open_spool(rig);
}

void rig_reopen(struct rig *rig)
{
	cprof_spool_deinit(&rig->spool);
	open_spool(rig);
}

void rig_pass(struct rig *rig, uint64_t seconds)
{
	sleep_ns(&rig->clock_ctx, seconds * CPROF_NS_PER_S);
}

struct cprof_push rig_push(struct rig *rig, const char *url, unsigned number)
{
	snprintf(rig->service, sizeof(rig->service), "s%04u", number);
	rig->profile->time_ns = (int64_t)rig->clock_ctx.wall_ns;
	rig->body.len = 0;
	CHECK(!cprof_pprof_encode(rig->profile, 1, &rig->body));
	return (struct cprof_push){ .url = url,
				    .backend = "auto",
				    .service = rig->service,
				    .kind = "cpu",
				    .profile = rig->profile,
				    .from_wall_ns = rig->clock_ctx.wall_ns,
				    .until_wall_ns = rig->clock_ctx.wall_ns,
				    .body = rig->body.data,
				    .n_body = rig->body.len };
}

static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* ---- the server ---- */

/* The whole request; NULL where the client hangs up before. */
static char *read_request(int fd, size_t *ret_n)
{
	size_t cap = 4u << 20, n = 0, want = SIZE_MAX;
	char *text = malloc(cap);
	while (text && n < want && n < cap - 1) {
		ssize_t got = read(fd, text + n, cap - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		text[n] = 0;
		char *end = want == SIZE_MAX ? memmem(text, n, "\r\n\r\n", 4) : NULL;
		char *length = end ? strcasestr(text, "content-length:") : NULL;
		if (end)
			want = (size_t)(end + 4 - text) +
			       (length ? strtoull(length + 15, NULL, 10) : 0);
	}
	*ret_n = n;
	if (n >= want)
		return text;
	free(text);
	return NULL;
}

static void answer(struct rig_server *server, int fd)
{
	size_t n;
	char *request = read_request(fd, &n);
	if (!request)
		return;
	for (size_t i = 0; i < n; i++)
		request[i] = request[i] ? request[i] : ' ';
	pthread_mutex_lock(&server->lock);
	unsigned turn = server->n_answers ? server->n_answers - 1 : 0;
	const char *text = NULL;
	if (server->n_answers) {
		text = server->answers[0];
		if (turn) {
			memmove(server->answers, server->answers + 1,
				turn * sizeof(*server->answers));
			server->n_answers--;
		}
	}
	if (server->n < RIG_REQUESTS_MAX)
		server->requests[server->n++] = request;
	else
		free(request);
	pthread_mutex_unlock(&server->lock);
	if (text && write(fd, text, strlen(text)) < 0)
		perror("write");
}

static void *serve(void *ctx)
{
	struct rig_server *server = ctx;
	sem_post(&server->ready);
	for (;;) {
		int fd = accept(server->fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		answer(server, fd);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
}

void rig_serve(struct rig *rig)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(addr);
	struct rig_server *server = &rig->server;
	server->fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(server->fd >= 0 && bind(server->fd, (struct sockaddr *)&addr, n) == 0 &&
	      listen(server->fd, 64) == 0 &&
	      getsockname(server->fd, (struct sockaddr *)&addr, &n) == 0);
	snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u", ntohs(addr.sin_port));
	pthread_mutex_init(&server->lock, NULL);
	CHECK(sem_init(&server->ready, 0, 0) == 0 &&
	      pthread_create(&server->thread, NULL, serve, server) == 0);
	/* A child that is forked while the thread still allocates inherits AddressSanitizer's lock, and waits for it for ever. */
	while (sem_wait(&server->ready) != 0)
		;
}

void rig_answer(struct rig *rig, unsigned n, const char *const *answers)
{
	pthread_mutex_lock(&rig->server.lock);
	rig->server.n_answers = n;
	memcpy(rig->server.answers, answers, n * sizeof(*answers));
	pthread_mutex_unlock(&rig->server.lock);
}

unsigned rig_requests(struct rig *rig)
{
	pthread_mutex_lock(&rig->server.lock);
	unsigned n = rig->server.n;
	pthread_mutex_unlock(&rig->server.lock);
	return n;
}

void rig_deinit(struct rig *rig)
{
	if (rig->server.fd >= 0) {
		shutdown(rig->server.fd, SHUT_RDWR);
		pthread_join(rig->server.thread, NULL);
		close(rig->server.fd);
		for (unsigned i = 0; i < rig->server.n; i++)
			free(rig->server.requests[i]);
	}
	cprof_spool_deinit(&rig->spool);
	cprof_profile_free(rig->profile);
	cprof_buffer_deinit(&rig->body);
	remove_dir(rig->dir);
}
