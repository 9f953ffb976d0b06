/* SPDX-License-Identifier: Apache-2.0 */
/* What requests say, and to whom they may say it: the pure parts of convert/http and attach/serve. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/http/http_access.h"
#include "convert/http/http_address.h"
#include "convert/http/http_query.h"
#include "convert/http/http_token.h"
#include "base/work_result.h"
#include "attach/serve/ask.h"
#include "attach/serve/debug_text.h"
#include "attach/serve/tenant_list.h"
#include "base/cleanup.h"
#include "cprof/pprof_read.h"
#include "tests/unit/test.h"

TEST(http_query_reads_parameters_as_go_does)
{
	static const struct {
		const char *query, *name, *want; /* NULL: not there */
	} rows[] = {
		{ "seconds=5", "seconds", "5" },       { "seconds=1&seconds=3", "seconds", "1" },
		{ "a=b&seconds=5&c", "seconds", "5" }, { "a=b&seconds=5&c", "c", "" },
		{ "seconds=", "seconds", "" },         { "secondss=5", "seconds", NULL },
		{ "second=5", "seconds", NULL },       { "debug=1;seconds=1", "debug", NULL },
		{ "debug=%zz", "debug", NULL },        { "debug=%zz&debug=2", "debug", "2" },
		{ "debug=%3", "debug", NULL },         { "debug=%", "debug", NULL },
		{ "%64ebug=%31+%2b", "debug", "1 +" }, { "debug=%00x", "debug", "" },
		{ "&&=&debug=1&", "debug", "1" },      { "", "debug", NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer value = { 0 };
		const bool found = cprof_http_query_get(rows[i].query, strlen(rows[i].query),
							rows[i].name, &value);
		if (found != (rows[i].want != NULL))
			TEST_FAIL("%s in %s: %s", rows[i].name, rows[i].query,
				  found ? "found" : "not found");
		if (found)
			CHECK_STR(cprof_buffer_text(&value), rows[i].want);
	}
}

TEST(http_access_is_for_this_machine_and_not_for_pages_of_others)
{
	static const struct {
		struct cprof_http_headers headers;
		bool any_host, may;
	} rows[] = {
		{ { "127.0.0.1:6060", NULL, NULL }, false, true },
		{ { "127.1.2.3", NULL, NULL }, false, true },
		{ { "localhost:6060", NULL, NULL }, false, true },
		{ { "LocalHost", NULL, NULL }, false, true },
		{ { "[::1]:6060", NULL, NULL }, false, true },
		{ { "[::1]", NULL, NULL }, false, true },
		{ { NULL, NULL, NULL }, false, true }, /* HTTP/1.0 */
		{ { "evil.example", NULL, NULL }, false, false },
		{ { "localhost.evil.example", NULL, NULL }, false, false },
		{ { "127.0.0.1.evil.example", NULL, NULL }, false, false },
		{ { "127.0.0.1:6060.evil.example", NULL, NULL }, false, false },
		{ { "[::1].evil.example", NULL, NULL }, false, false },
		{ { "0.0.0.0:6060", NULL, NULL }, false, false },
		{ { "128.0.0.1", NULL, NULL }, false, false },
		{ { "anything", NULL, NULL }, true, true }, /* a unix socket */
		{ { "127.0.0.1:6060", "http://127.0.0.1:6060", NULL }, false, true },
		{ { "127.0.0.1:6060", "http://127.0.0.1:7070", NULL }, false, false },
		{ { "127.0.0.1:6060", "https://127.0.0.1:6060", NULL }, false, true },
		{ { "127.0.0.1:6060", "ftp://127.0.0.1:6060", NULL }, false, false },
		{ { "127.0.0.1:6060", "http://evil.example", NULL }, false, false },
		{ { "127.0.0.1:6060", "null", NULL }, false, false },
		{ { "127.0.0.1:6060", NULL, "cross-site" }, false, false },
		{ { "127.0.0.1:6060", NULL, "same-origin" }, false, true },
		{ { "127.0.0.1:6060", NULL, "none" }, false, true },
		{ { "anything", "http://evil.example", NULL }, true, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = cprof_http_access_refuse(&rows[i].headers, rows[i].any_host);
		if (!why != rows[i].may)
			TEST_FAIL("row %zu: %s", i, why ? why : "allowed");
	}
}

TEST(http_address_is_of_the_loopback_or_a_unix_socket)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} rows[] = {
		{ "127.0.0.1:6060", "http://127.0.0.1:6060" },
		{ "127.9.9.9:1", "http://127.9.9.9:1" },
		{ "localhost:6060", "http://127.0.0.1:6060" },
		{ ":6060", "http://127.0.0.1:6060" },
		{ "[::1]:80", "http://[::1]:80" },
		{ "unix:/run/x.sock", "unix:/run/x.sock" },
		{ "0.0.0.0:6060", NULL },
		{ "192.168.1.1:6060", NULL },
		{ "[::]:6060", NULL },
		{ "::1:6060", NULL },
		{ "[fe80::1]:6060", NULL },
		{ "127.0.0.1", NULL },
		{ "127.0.0.1:", NULL },
		{ "127.0.0.1:65536", NULL },
		{ "127.0.0.1:99999999999999999999", NULL },
		{ "127.0.0.1:6060x", NULL },
		{ "127.0.0.1:-1", NULL },
		{ "example.org:80", NULL },
		{ "unix:relative", NULL },
		{ "unix:", NULL },
		{ "", NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
		struct cprof_http_address address;
		struct cprof_error *err = cprof_http_address_parse(rows[i].text, &address);
		if (!err != (rows[i].want != NULL))
			TEST_FAIL("%s: %s", rows[i].text, err ? err->message : "taken");
		if (!err)
			cprof_http_address_url(&address, -1, &url);
		else
			CHECK_UINT(err->code, CPROF_ERR_USAGE);
		if (!err)
			CHECK_STR(cprof_buffer_text(&url), rows[i].want);
		cprof_error_free(err);
	}
}

TEST(http_address_whose_server_has_no_time_is_taken_and_not_waited_for)
{
	char dir[] = "/tmp/cprof-http-test-XXXXXX", text[64];
	struct cprof_http_address address;
	int full = 0, fd = socket(AF_UNIX, SOCK_STREAM, 0), again;
	CHECK(mkdtemp(dir));
	snprintf(text, sizeof(text), "unix:%s/s", dir);
	CHECK(!cprof_http_address_parse(text, &address));
	const struct sockaddr *name = (const struct sockaddr *)&address.addr;
	CHECK(fd >= 0 && bind(fd, name, address.len) == 0 && listen(fd, 0) == 0);
	while (connect(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), name, address.len) == 0)
		CHECK(++full < 100);
	CHECK(errno == EAGAIN);
	struct cprof_error *err = cprof_http_address_listen(&address, &again);
	CHECK(err && err->code == CPROF_ERR_EXISTS);
	cprof_error_free(err);
	CHECK(close(fd) == 0);
	/* The same name, once nobody listens. */
	CHECK(!cprof_http_address_listen(&address, &again));
	cprof_http_address_forget(&address);
	/* A file is nobody who listens. */
	CHECK(close(creat(text + 5, 0600)) == 0);
	err = cprof_http_address_listen(&address, &again);
	CHECK(err && strstr(err->message, "/s exists already, and is no socket"));
	cprof_error_free(err);
	CHECK(unlink(text + 5) == 0 && rmdir(dir) == 0);
}

TEST(http_address_of_other_machines_reach_is_known_as_one)
{
	static const struct {
		const char *text;
		bool is_private, is_wildcard;
	} rows[] = {
		{ "127.0.0.1:1", true, false },      { "[::1]:1", true, false },
		{ "unix:/x", true, false },          { "0.0.0.0:1", false, true },
		{ "[::]:1", false, true },           { "192.0.2.1:1", false, false },
		{ "[2001:db8::1]:1", false, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_http_address address;
		CHECK(!cprof_http_address_parse_any(rows[i].text, &address));
		struct cprof_error *err = cprof_http_address_check_private(&address);
		if (!err != rows[i].is_private ||
		    cprof_http_address_is_wildcard(&address) != rows[i].is_wildcard)
			TEST_FAIL("%s: %s", rows[i].text, err ? err->message : "private");
		cprof_error_free(err);
	}
}

/* A file of its own with this content, in place of what was there. */
static void put_file(const char *path, const char *content)
{
	unlink(path);
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
	close(fd);
}

TEST(http_token_lets_in_who_knows_it)
{
	static const struct {
		const char *header;
		bool right;
	} rows[] = {
		{ "Bearer s3cret:x", true },
		{ "bearer   s3cret:x", true },
		{ "Basic YW55Ym9keTpzM2NyZXQ6eA==", true }, /* anybody:s3cret:x */
		{ "BASIC OnMzY3JldDp4", true },             /* :s3cret:x */
		{ "Basic OnMzY3JldDp5", false },            /* :s3cret:y */
		{ "Basic czNjcmV0", false },                /* no colon */
		{ "Basic !!!!", false },
		{ "Basic", false },
		{ "Bearer", false },
		{ "Bearer ", false },
		{ "Bearer s3cret:", false },
		{ "Bearer s3cret:xx", false },
		{ "Bearer s3cret:xs3cret:x", false },
		{ "Bearer S3cret:x", false },
		{ "Digest s3cret:x", false },
		{ "s3cret:x", false },
		{ "", false },
		{ NULL, false },
	};
	char path[] = "/tmp/cprof-token-XXXXXX";
	struct cprof_http_token *token;
	close(mkstemp(path));
	put_file(path, "s3cret:x\nnot this\n");
	CHECK(!cprof_http_token_open(path, &token));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const bool right =
			cprof_http_token_check(token, rows[i].header) == CPROF_HTTP_TOKEN_RIGHT;
		if (right != rows[i].right)
			TEST_FAIL("%s: %d", rows[i].header ? rows[i].header : "none", right);
	}
	put_file(path, "another");
	CHECK(cprof_http_token_check(token, "Bearer s3cret:x") == CPROF_HTTP_TOKEN_WRONG);
	CHECK(cprof_http_token_check(token, "Bearer another") == CPROF_HTTP_TOKEN_RIGHT);
	CHECK(chmod(path, 0644) == 0);
	CHECK(cprof_http_token_check(token, "Bearer another") == CPROF_HTTP_TOKEN_UNKNOWN);
	CHECK(chmod(path, 0600) == 0);
	CHECK(cprof_http_token_check(token, "Bearer another") == CPROF_HTTP_TOKEN_RIGHT);
	unlink(path);
	CHECK(cprof_http_token_check(token, "Bearer another") == CPROF_HTTP_TOKEN_UNKNOWN);
	cprof_http_token_free(token);
}

TEST(ask_reads_a_request_as_net_http_pprof_does)
{
	enum {
		ENDPOINT,
		INDEX,
		REDIRECT,
		NOT_FOUND,
		TARGETS,
		JSON,
		DISCOVERY,
		METRICS,
		HEALTH,
		READY
	};
	static const struct {
		const char *method, *path, *query, *body;
		unsigned status; /* of a refusal; 0: none */
		int kind;
		double seconds;
		int shape;
		const char *text; /* of a refusal, or where it is sent to */
	} rows[] = {
		{ "GET", "/debug/pprof/", "", NULL, 0, INDEX, 0, 0, NULL },
		{ "GET", "/debug/pprof", "", NULL, 0, REDIRECT, 0, 0, "/debug/pprof/" },
		{ "GET", "/debug//pprof/heap", "a=1", NULL, 0, REDIRECT, 0, 0,
		  "/debug/pprof/heap?a=1" },
		{ "GET", "/debug/x/../pprof/./heap", "", NULL, 0, REDIRECT, 0, 0,
		  "/debug/pprof/heap" },
		{ "GET", "/../..", "", NULL, 0, REDIRECT, 0, 0, "/" },
		{ "GET", "/", "", NULL, 0, TARGETS, 0, 0, NULL },
		{ "GET", "/targets", "", NULL, 0, TARGETS, 0, 0, NULL },
		{ "GET", "/targets", "format=json", NULL, 0, JSON, 0, 0, NULL },
		{ "GET", "/targets/", "", NULL, 0, NOT_FOUND, 0, 0, NULL },
		{ "GET", "/sd", "", NULL, 0, DISCOVERY, 0, 0, NULL },
		{ "GET", "/metrics", "", NULL, 0, METRICS, 0, 0, NULL },
		{ "GET", "/healthz", "", NULL, 0, HEALTH, 0, 0, NULL },
		{ "GET", "/readyz", "", NULL, 0, READY, 0, 0, NULL },
		{ "GET", "/pid/12/debug/pprof", "", NULL, 0, REDIRECT, 0, 0,
		  "/pid/12/debug/pprof/" },
		{ "GET", "/pid/12/debug/pprof/nosuch", "", NULL, 404, 0, 0, 0, "Unknown profile" },
		{ "GET", "/pid/12", "", NULL, 0, NOT_FOUND, 0, 0, NULL },
		{ "GET", "/pid/x/debug/pprof/", "", NULL, 0, NOT_FOUND, 0, 0, NULL },
		{ "GET", "/debug/other", "", NULL, 0, NOT_FOUND, 0, 0, NULL },
		{ "GET", "/debug/pprof/nosuch", "", NULL, 404, 0, 0, 0, "Unknown profile" },
		{ "GET", "/debug/pprof/heap/", "", NULL, 404, 0, 0, 0, "Unknown profile" },
		{ "GET", "/debug/pprof/Heap", "", NULL, 404, 0, 0, 0, "Unknown profile" },
		{ "GET", "/debug/pprof/nosuch", "seconds=x", NULL, 404, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/trace", "", NULL, 501, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/heap", "", NULL, 0, ENDPOINT, 0, CPROF_SHAPE_PPROF, NULL },
		{ "GET", "/debug/pprof/heap", "debug=1", NULL, 0, ENDPOINT, 0, CPROF_SHAPE_TEXT,
		  NULL },
		{ "GET", "/debug/pprof/heap", "debug=-1", NULL, 0, ENDPOINT, 0, CPROF_SHAPE_TEXT,
		  NULL },
		{ "GET", "/debug/pprof/heap", "debug=99999999999999999999", NULL, 0, ENDPOINT, 0,
		  CPROF_SHAPE_TEXT, NULL },
		{ "GET", "/debug/pprof/heap", "debug=abc", NULL, 0, ENDPOINT, 0, CPROF_SHAPE_PPROF,
		  NULL },
		{ "GET", "/debug/pprof/heap", "debug=1x", NULL, 0, ENDPOINT, 0, CPROF_SHAPE_PPROF,
		  NULL },
		{ "GET", "/debug/pprof/heap", "seconds=7", NULL, 0, ENDPOINT, 7, 0, NULL },
		{ "GET", "/debug/pprof/heap", "seconds=", NULL, 0, ENDPOINT, 0, 0, NULL },
		{ "GET", "/debug/pprof/heap", "seconds=0", NULL, 400, 0, 0, 0,
		  "invalid value for \"seconds\" - must be a positive integer" },
		{ "GET", "/debug/pprof/heap", "seconds=1.5", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/heap", "seconds=1s", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/heap", "seconds=9223372036854775808", NULL, 400, 0, 0, 0,
		  "invalid value for \"seconds\" - must be a positive integer" },
		{ "GET", "/debug/pprof/heap", "seconds=3601", NULL, 400, 0, 0, 0,
		  "seconds is 3600 at most" },
		{ "GET", "/debug/pprof/heap", "seconds=1&debug=1", NULL, 400, 0, 0, 0,
		  "seconds and debug params are incompatible" },
		{ "POST", "/debug/pprof/heap", "seconds=9", "seconds=2", 0, ENDPOINT, 2, 0, NULL },
		{ "GET", "/debug/pprof/heap", "seconds=9", "seconds=2", 0, ENDPOINT, 9, 0, NULL },
		{ "GET", "/debug/pprof/profile", "", NULL, 0, ENDPOINT, 30, 0, NULL },
		{ "GET", "/debug/pprof/profile", "seconds=abc", NULL, 0, ENDPOINT, 30, 0, NULL },
		{ "GET", "/debug/pprof/profile", "seconds=-1", NULL, 0, ENDPOINT, 30, 0, NULL },
		{ "GET", "/debug/pprof/profile", "seconds=nan", NULL, 0, ENDPOINT, 30, 0, NULL },
		{ "GET", "/debug/pprof/profile", "seconds=0.5", NULL, 0, ENDPOINT, 0.5, 0, NULL },
		{ "GET", "/debug/pprof/profile", "seconds=1e9", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/profile", "seconds=inf", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/profile", "seconds=1&debug=1", NULL, 0, ENDPOINT, 1, 0,
		  NULL },
		{ "GET", "/debug/pprof/profile", "hz=500", NULL, 0, ENDPOINT, 30, 0, NULL },
		{ "GET", "/debug/pprof/profile", "hz=100000", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/profile", "hz=x", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/profile", "rate=50", NULL, 0, ENDPOINT, 30, 0, NULL },
		{ "GET", "/debug/pprof/profile", "rate=1001", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/block", "seconds=2&rate=1000", NULL, 0, ENDPOINT, 2, 0,
		  NULL },
		{ "GET", "/debug/pprof/block", "seconds=2&rate=999", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/block", "seconds=x&rate=1000", NULL, 400, 0, 0, 0,
		  "invalid value for \"seconds\" - must be a positive integer" },
		{ "GET", "/debug/pprof/mutex", "rate=1000", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/heap", "seconds=2&rate=1000", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/delta_heap", "seconds=2&debug=1", NULL, 0, ENDPOINT, 0,
		  CPROF_SHAPE_TEXT, NULL },
		{ "GET", "/debug/fgprof", "seconds=14", NULL, 0, ENDPOINT, 14, 0, NULL },
		{ "GET", "/debug/fgprof", "seconds=14&event=cycles", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/wall", "debug=1", NULL, 0, ENDPOINT, 30, 0, NULL },
		{ "GET", "/pid/12/debug/fgprof", "", NULL, 0, ENDPOINT, 30, 0, NULL },
		{ "GET", "/debug/fgprof/x", "", NULL, 0, NOT_FOUND, 0, 0, NULL },
		{ "GET", "/debug/pprof/cmdline", "seconds=x", NULL, 0, ENDPOINT, 0, 0, NULL },
		{ "GET", "/debug/pprof/wall", "threads=io-.*&tid=3,4", NULL, 0, ENDPOINT, 30, 0,
		  NULL },
		{ "GET", "/debug/pprof/wall", "threads=", NULL, 0, ENDPOINT, 30, 0, NULL },
		{ "GET", "/debug/pprof/profile", "threads=(", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/block", "tid=x", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/block", "tid=-1", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/goroutine",
		  "threads=0123456789012345678901234567890123456789012345678901234567890123", NULL,
		  400, 0, 0, 0, "threads and tid are texts of at most 63 bytes" },
		{ "GET", "/debug/pprof/heap", "threads=x", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/delta_block", "threads=x", NULL, 400, 0, 0, 0, NULL },
		{ "GET", "/debug/pprof/cmdline", "threads=(", NULL, 0, ENDPOINT, 0, 0, NULL },
	};
	static const enum cprof_ask_kind kinds[] = {
		[ENDPOINT] = CPROF_ASK_ENDPOINT,   [INDEX] = CPROF_ASK_INDEX,
		[REDIRECT] = CPROF_ASK_REDIRECT,   [NOT_FOUND] = CPROF_ASK_NOT_FOUND,
		[TARGETS] = CPROF_ASK_TARGETS,     [JSON] = CPROF_ASK_TARGETS_JSON,
		[DISCOVERY] = CPROF_ASK_DISCOVERY, [METRICS] = CPROF_ASK_METRICS,
		[HEALTH] = CPROF_ASK_HEALTH,       [READY] = CPROF_ASK_READY,
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_http_request request = {
			.method = rows[i].method,
			.path = rows[i].path,
			.query = rows[i].query,
			.body = (const uint8_t *)rows[i].body,
			.n_body = rows[i].body ? strlen(rows[i].body) : 0,
			.is_form = rows[i].body != NULL,
		};
		struct cprof_ask ask;
		cprof_ask_read(&request, &ask);
		const enum cprof_ask_kind want =
			rows[i].status ? CPROF_ASK_REFUSED : kinds[rows[i].kind];
		if (ask.kind != want || (rows[i].status && ask.status != rows[i].status))
			TEST_FAIL("row %zu, %s?%s: kind %d, status %u", i, rows[i].path,
				  rows[i].query, (int)ask.kind, ask.status);
		if (want == CPROF_ASK_ENDPOINT) {
			CHECK_UINT(ask.length_ns, rows[i].seconds * 1e9);
			CHECK_UINT(ask.form.shape, rows[i].shape);
		}
		if (rows[i].text && rows[i].status)
			CHECK_STR(ask.why, rows[i].text);
		else if (rows[i].text)
			CHECK_STR(cprof_buffer_text(&ask.location), rows[i].text);
		cprof_ask_deinit(&ask);
	}
}

TEST(ask_knows_which_process_is_meant)
{
	static const struct {
		const char *path, *query;
		pid_t want;
	} rows[] = {
		{ "/debug/pprof/heap", "", 0 },
		{ "/pid/12/debug/pprof/heap", "", 12 },
		{ "/pid/12/debug/pprof/", "", 12 },
		{ "/pid/12/debug/pprof/heap", "pid=13", 12 },
		{ "/debug/pprof/heap", "pid=13", 13 },
		{ "/debug/pprof/heap", "pid=13&pid=14", 13 },
		{ "/debug/pprof/heap", "pid=", -1 },
		{ "/debug/pprof/heap", "pid=x", -1 },
		{ "/debug/pprof/heap", "pid=-5", -1 },
		{ "/debug/pprof/heap", "pid=0", -1 },
		{ "/debug/pprof/heap", "pid=4294967297", -1 },
		{ "/pid/4294967297/debug/pprof/heap", "", -1 },
		{ "/pid/0/debug/pprof/heap", "", -1 },
		{ "/pid/99999999999999999999/debug/pprof/heap", "", -1 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_http_request request = { .method = "GET",
							    .path = rows[i].path,
							    .query = rows[i].query };
		struct cprof_ask ask;
		cprof_ask_read(&request, &ask);
		if (ask.pid != rows[i].want)
			TEST_FAIL("%s?%s: %d", rows[i].path, rows[i].query, (int)ask.pid);
		cprof_ask_deinit(&ask);
	}
}

TEST(tenant_list_finds_containers_and_pods_in_the_names_of_cgroups)
{
#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD "01234567-89ab-cdef-0123-456789abcdef"
	static const struct {
		const char *cgroup, *id, *pod;
	} rows[] = {
		{ "0::/system.slice/docker-" ID ".scope\n", ID, "" },
		{ "12:cpu:/docker/" ID "\n0::/\n", ID, "" },
		{ "0::/kubepods.slice/kubepods-pod01234567_89ab_cdef_0123_456789abcdef.slice/"
		  "cri-containerd-" ID ".scope\n",
		  ID, POD },
		{ "0::/kubepods/burstable/pod" POD "/" ID "\n", ID, POD },
		{ "0::/user.slice/podman-1.scope\n", "", "" },
		{ "0::/x/" ID "0\n", "", "" },
		{ "0::/\n", "", "" },
		{ "", "", "" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer id = { 0 }, pod = { 0 };
		cprof_tenant_list_container(rows[i].cgroup, &id, &pod);
		CHECK_STR(cprof_buffer_text(&id), rows[i].id);
		CHECK_STR(cprof_buffer_text(&pod), rows[i].pod);
	}
#undef ID
#undef POD
}

/* ---- results of works ---- */

static struct cprof_error *through_a_pipe(const void *bytes, size_t n, struct cprof_buffer *ret)
{
	int ends[2];
	CHECK(pipe(ends) == 0);
	CHECK(write(ends[1], bytes, n) == (ssize_t)n);
	close(ends[1]);
	struct cprof_work_reader reader = { .fd = ends[0] };
	while (!cprof_work_reader_take(&reader))
		;
	struct cprof_error *err = cprof_work_reader_finish(&reader, ret);
	cprof_work_reader_deinit(&reader);
	return err;
}

/* What cprof_work_result_send() writes. */
static size_t written(const struct cprof_error *err, const struct cprof_buffer *bytes, char *room,
		      size_t n)
{
	int ends[2];
	CHECK(pipe(ends) == 0);
	cprof_work_result_send(ends[1], err, bytes);
	close(ends[1]);
	const ssize_t got = read(ends[0], room, n);
	close(ends[0]);
	CHECK(got > 0);
	return (size_t)got;
}

TEST(work_result_brings_bytes_and_errors_and_notices_when_it_was_cut_off)
{
	char room[1024];
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 }, got = { 0 };
	cprof_buffer_puts(&bytes, "a profile");
	size_t n = written(NULL, &bytes, room, sizeof(room));
	CHECK(!through_a_pipe(room, n, &got));
	CHECK_STR(cprof_buffer_text(&got), "a profile");
	for (size_t part = 0; part < n; part++) {
		CPROF_AUTO(buffer) struct cprof_buffer nothing = { 0 };
		struct cprof_error *err = through_a_pipe(room, part, &nothing);
		CHECK(err && err->code == CPROF_ERR_OS);
		cprof_error_free(err);
	}
	struct cprof_error *sent = cprof_error_hint(
		cprof_error_new(CPROF_ERR_DENIED, "attach to 42: %s", "no"), "be root");
	n = written(sent, NULL, room, sizeof(room));
	CPROF_AUTO(buffer) struct cprof_buffer nothing = { 0 };
	struct cprof_error *err = through_a_pipe(room, n, &nothing);
	CHECK(err && err->code == CPROF_ERR_DENIED);
	CHECK_STR(err->message, "attach to 42: no");
	CHECK_STR(err->hint, "be root");
	cprof_error_free(err);
	cprof_error_free(sent);
}

/* ---- differences and texts ---- */

static struct cprof_profile *heap_profile(int64_t allocs, int64_t inuse, int64_t time_ns)
{
	struct cprof_profile *profile;
	uint32_t name, place;
	CHECK(!cprof_profile_new(&profile));
	static const char *const types[] = { "alloc_objects", "alloc_space", "inuse_objects",
					     "inuse_space" };
	for (size_t i = 0; i < 4; i++)
		CHECK(!cprof_profile_add_type(profile, types[i], i % 2 ? "bytes" : "count"));
	CHECK(!cprof_profile_string(profile, "make_list", &name));
	struct cprof_function function = { .name = name, .system_name = name };
	struct cprof_line line = { .line = 12 };
	struct cprof_location location = { .address = 0x1010 };
	CHECK(!cprof_profile_function(profile, &function, &line.function));
	CHECK(!cprof_profile_add_location(profile, &location, &line, 1, &place));
	const int64_t values[] = { allocs, allocs * 10, inuse, inuse * 10 };
	CHECK(!cprof_profile_add_sample(profile, &place, 1, NULL, 0, values));
	profile->time_ns = 1000;
	profile->duration_ns = time_ns - 1000;
	return profile;
}

TEST(profile_form_takes_counts_off_each_other_and_keeps_what_is_in_use)
{
	static const struct {
		int64_t first[2], last[2], want[2];
	} rows[] = {
		{ { 5, 2 }, { 9, 4 }, { 4, 4 } },
		{ { 5, 4 }, { 9, 1 }, { 4, 1 } }, /* freed meanwhile: Go says -3 */
		{ { 9, 4 }, { 5, 4 }, { 0, 4 } }, /* never below zero */
		{ { 5, 3 }, { 5, 3 }, { 0, 3 } },
	};
	struct cprof_profile_form form = {
		.endpoint = (uint8_t)(cprof_endpoint_find("heap") - cprof_endpoints),
		.shape = CPROF_SHAPE_PART,
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer first = { 0 }, last = { 0 }, out = { 0 };
		CPROF_AUTO(profile) struct cprof_profile *got = NULL;
		const int64_t *a = rows[i].first, *b = rows[i].last;
		CHECK(!cprof_profile_form_write(&form, heap_profile(a[0], a[1], 4000), &first));
		CHECK(!cprof_profile_form_write(&form, heap_profile(b[0], b[1], 9000), &last));
		CHECK(!cprof_profile_form_difference(&form, &first, &last, &out));
		CHECK(!cprof_pprof_decode(out.data, out.len, &got));
		CHECK_UINT(got->n_samples, 1);
		CHECK_UINT(got->values[0], rows[i].want[0]);
		CHECK_UINT(got->values[1], rows[i].want[0] * 10);
		CHECK_UINT(got->values[2], rows[i].want[1]);
		CHECK_UINT(got->time_ns, 9000);
		CHECK_UINT(got->duration_ns, 5000);
	}
}

TEST(debug_text_is_what_gos_readers_know)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = heap_profile(5, 2, 4000);
	CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
	CHECK(!cprof_debug_text_write(profile, "heap", "heap", &out));
	CHECK_STR(cprof_buffer_text(&out), "heap profile: 2: 20 [5: 50] @ heapprofile\n"
					   "2: 20 [5: 50] @ 0x1011\n"
					   "#\t0x1011\tmake_list\n\n");
	cprof_buffer_deinit(&out);
	CHECK(!cprof_debug_text_write(profile, NULL, "goroutine", &out));
	CHECK_STR(cprof_buffer_text(&out), "goroutine profile: total 5\n"
					   "5 @ 0x1011\n"
					   "#\t0x1011\tmake_list\n\n");
	cprof_buffer_deinit(&out);
	CHECK(!cprof_debug_text_write(profile, "mutex", "mutex", &out));
	CHECK_STR(cprof_buffer_text(&out), "--- mutex:\ncycles/second=1000000000\n"
					   "sampling period=1\n"
					   "50 5 @ 0x1011\n"
					   "#\t0x1011\tmake_list\n\n");
}

/* A thread that ended while it was looked at; Go's reader refuses a text with "5 @" alone. */
TEST(debug_text_has_an_address_where_there_is_no_stack)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = heap_profile(5, 2, 4000);
	CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
	profile->samples[0].n_locations = 0;
	CHECK(!cprof_debug_text_write(profile, NULL, "goroutine", &out));
	CHECK_STR(cprof_buffer_text(&out), "goroutine profile: total 5\n"
					   "5 @ 0x2\n"
					   "#\t0x2\t[no stack]\n\n");
}
