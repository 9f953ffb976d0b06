/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/ask.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/modes/mode.h"
#include "convert/http/http_query.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define ROOT               "/debug/pprof/"
#define FGPROF             "/debug/fgprof" /* where Go programs have a wall-clock profile */
#define SECONDS_DEFAULT    30
#define TOO_LONG           "seconds is 3600 at most"
#define NOT_POSITIVE       "invalid value for \"seconds\" - must be a positive integer"
#define SECONDS_WITH_DEBUG "seconds and debug params are incompatible"

void cprof_ask_deinit(struct cprof_ask *ask)
{
	cprof_buffer_deinit(&ask->location);
}

static void refuse(struct cprof_ask *ask, unsigned status, const char *why)
{
	ask->kind = CPROF_ASK_REFUSED;
	ask->status = status;
	ask->why = why;
}

/* ---- paths ---- */

static void drop_last(struct cprof_buffer *out)
{
	while (out->len && out->data[out->len - 1] != '/')
		out->len--;
	out->len -= out->len > 0;
	if (out->data)
		out->data[out->len] = 0;
}

void cprof_ask_clean_path(const char *path, struct cprof_buffer *out)
{
	bool slash = false;
	while (*path) {
		path += strspn(path, "/");
		const size_t n = strcspn(path, "/");
		slash = path[n] == '/' || !n;
		if (n == 2 && strncmp(path, "..", 2) == 0)
			drop_last(out);
		else if (n && !(n == 1 && *path == '.'))
			cprof_buffer_printf(out, "/%.*s", (int)n, path);
		else
			slash = true;
		path += n;
	}
	if (slash || !out->len)
		cprof_buffer_putc(out, '/');
}

/* "/pid/N" before a path of /debug/, which is what it returns; else the path itself. */
static const char *skip_pid(const char *path, pid_t *ret_pid)
{
	char *end;
	if (strncmp(path, "/pid/", 5) != 0 || !isdigit((unsigned char)path[5]))
		return path;
	errno = 0;
	const long pid = strtol(path + 5, &end, 10);
	if (strncmp(end, "/debug/", strlen("/debug/")) != 0)
		return path;
	*ret_pid = errno || pid <= 0 || pid > INT32_MAX ? -1 : (pid_t)pid;
	return end;
}

/* True: the request has to come back under another path. */
static bool redirect(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	CPROF_AUTO(buffer) struct cprof_buffer clean = { 0 };
	pid_t pid;
	cprof_ask_clean_path(request->path, &clean);
	if (strcmp(skip_pid(cprof_buffer_text(&clean), &pid), "/debug/pprof") == 0)
		cprof_buffer_putc(&clean, '/');
	if (strcmp(cprof_buffer_text(&clean), request->path) == 0)
		return false;
	ask->kind = CPROF_ASK_REDIRECT;
	cprof_buffer_puts(&ask->location, cprof_buffer_text(&clean));
	if (*request->query)
		cprof_buffer_printf(&ask->location, "?%s", request->query);
	return true;
}

/* ---- parameters ---- */

/* As Go's FormValue: of a posted form first, then of the address. */
static bool value(const struct cprof_http_request *request, const char *name,
		  struct cprof_buffer *text)
{
	const bool posted =
		request->is_form && request->n_body &&
		(strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0 ||
		 strcmp(request->method, "PATCH") == 0);
	return (posted &&
		cprof_http_query_get((const char *)request->body, request->n_body, name, text)) ||
	       cprof_http_query_get(request->query, strlen(request->query), name, text);
}

/* As strconv.ParseInt: no blanks, all digits; *ret_value is the nearest there is where it is too large. */
static bool whole_number(const char *text, int64_t *ret_value)
{
	char *end;
	const char *digits = text + (*text == '-' || *text == '+');
	errno = 0;
	*ret_value = strtoll(text, &end, 10);
	if (!isdigit((unsigned char)*digits) || *end) {
		*ret_value = 0;
		return false;
	}
	return errno == 0;
}

static void read_debug(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (value(request, "debug", &text))
		whole_number(cprof_buffer_text(&text), &ask->debug);
	ask->form.shape = ask->debug ? CPROF_SHAPE_TEXT : CPROF_SHAPE_PPROF;
	cprof_buffer_deinit(&text);
	ask->form.all_labels =
		value(request, "labels", &text) && strcmp(cprof_buffer_text(&text), "all") == 0;
}

/* Of a profile: whatever is no time is the default, as in Go; parts of a second can be had, which Go does not know. */
static void read_window(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	char *end;
	double seconds = 0;
	if (value(request, "seconds", &text)) {
		seconds = strtod(cprof_buffer_text(&text), &end);
		if (*end || !(seconds >= 0.001))
			seconds = 0;
	}
	if (seconds > CPROF_ASK_SECONDS_MAX)
		refuse(ask, 400, TOO_LONG);
	else
		ask->length_ns = (uint64_t)((seconds > 0 ? seconds : SECONDS_DEFAULT) *
					    (double)CPROF_NS_PER_S);
}

static void read_difference(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	int64_t seconds;
	if (!value(request, "seconds", &text) || !text.len)
		return;
	const bool fits = whole_number(cprof_buffer_text(&text), &seconds);
	if (seconds <= 0 || !fits)
		refuse(ask, 400, NOT_POSITIVE);
	else if (ask->debug)
		refuse(ask, 400, SECONDS_WITH_DEBUG);
	else if (seconds > CPROF_ASK_SECONDS_MAX)
		refuse(ask, 400, TOO_LONG);
	else
		ask->length_ns = (uint64_t)seconds * CPROF_NS_PER_S;
}

/* `hz`, or `rate`, as Go's runtime calls it. */
static void read_cpu(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	CPROF_AUTO(buffer) struct cprof_buffer hz = { 0 }, event = { 0 };
	char *end;
	if ((value(request, "hz", &hz) && hz.len) || (value(request, "rate", &hz) && hz.len)) {
		ask->rate = strtod(cprof_buffer_text(&hz), &end);
		if (*end || !(ask->rate >= 0.1 && ask->rate <= CPROF_ASK_HZ_MAX))
			refuse(ask, 400, "hz is a number between 0.1 and 1000");
	}
	if (value(request, "event", &event) && event.len >= CPROF_ASK_EVENT_MAX)
		refuse(ask, 400, "event is a name of at most 63 bytes");
	else if (event.len)
		memcpy(ask->event, event.data, event.len + 1);
}

/*
 * `rate` of what is counted from the start: its recording has the server's. For waits of some seconds a recording of its own
 * is made; a heap cannot be recorded twice at once.
 */
static void read_rate(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	int64_t rate;
	if (ask->kind == CPROF_ASK_REFUSED || !value(request, "rate", &text) || !text.len)
		return;
	const bool good = whole_number(cprof_buffer_text(&text), &rate);
	if (strcmp(ask->endpoint->mode, "threadcreate") == 0)
		return; /* every one is counted */
	if (strcmp(ask->endpoint->mode, "heap") == 0)
		refuse(ask, 400,
		       "the heap is recorded at the rate that the server was started with "
		       "(-rate): it cannot be recorded twice at once");
	else if (!good || rate < CPROF_ASK_RATE_NS_MIN || rate > CPROF_ASK_RATE_NS_MAX)
		refuse(ask, 400, "rate is a number of nanoseconds between 1000 and 1000000000");
	else if (!ask->length_ns)
		refuse(ask, 400,
		       "rate goes with seconds: what is counted from the start has the rate that "
		       "the server was started with (-rate)");
	else
		ask->rate = (double)rate;
}

/* Into `place`; false: there is no room for it. */
static bool read_choice(const struct cprof_http_request *request, const char *name,
			char place[CPROF_PROFILE_FORM_CHOICE])
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!value(request, name, &text) || !text.len)
		return true;
	if (text.len >= CPROF_PROFILE_FORM_CHOICE || memchr(text.data, 0, text.len))
		return false;
	memcpy(place, text.data, text.len);
	return true;
}

static bool has_threads(const struct cprof_ask *ask)
{
	const struct cprof_mode *mode = NULL;
	cprof_error_free(cprof_mode_find(ask->endpoint->mode, &mode));
	return mode && !mode->no_threads;
}

/* `threads` and `tid`: only samples of these. */
static void read_threads(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	struct cprof_thread_choice *choice = NULL;
	if (ask->kind == CPROF_ASK_REFUSED || !ask->endpoint->mode)
		return;
	if (!read_choice(request, "threads", ask->form.threads) ||
	    !read_choice(request, "tid", ask->form.tids)) {
		refuse(ask, 400, "threads and tid are texts of at most 63 bytes");
		return;
	}
	if (!cprof_profile_form_chooses(&ask->form))
		return;
	if (!has_threads(ask)) {
		refuse(ask, 400,
		       "threads and tid do not go with this profile: its samples are of no thread");
		return;
	}
	if (ask->endpoint->kind == CPROF_ENDPOINT_DELTA) {
		refuse(ask, 400,
		       "threads and tid go with seconds=N: what one has been told since the last "
		       "time is told to all");
		return;
	}
	struct cprof_error *err = cprof_profile_form_choice(&ask->form, &choice);
	cprof_thread_choice_free(choice);
	if (err)
		refuse(ask, 400,
		       "threads is a regular expression of RE2, and tid a list of ids: 12,13");
	cprof_error_free(err);
}

/* ---- the whole ---- */

static void read_parameters(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	switch (ask->endpoint->kind) {
	case CPROF_ENDPOINT_WINDOW:
		read_debug(request, ask);
		ask->debug = 0; /* a profile has no text, in Go neither */
		ask->form.shape = CPROF_SHAPE_PPROF;
		read_window(request, ask);
		read_cpu(request, ask);
		break;
	case CPROF_ENDPOINT_SPELL:
		read_debug(request, ask);
		ask->debug = 0;
		ask->form.shape = CPROF_SHAPE_PPROF;
		read_window(request, ask);
		read_cpu(request, ask);
		if (*ask->event)
			refuse(ask, 400,
			       "event goes with profile: a wall-clock profile is of time");
		break;
	case CPROF_ENDPOINT_SINCE:
		read_debug(request, ask);
		read_difference(request, ask);
		read_rate(request, ask);
		break;
	case CPROF_ENDPOINT_MOMENT:
		read_debug(request, ask);
		read_difference(request, ask);
		break;
	case CPROF_ENDPOINT_DELTA:
		read_debug(request, ask);
		break;
	case CPROF_ENDPOINT_NOT_THERE:
		refuse(ask, 501, ask->endpoint->refusal);
		break;
	case CPROF_ENDPOINT_CMDLINE:
	case CPROF_ENDPOINT_SYMBOL:
		break;
	}
}

static void read_pid(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	int64_t pid;
	if (ask->pid || !value(request, "pid", &text))
		return;
	const bool good = whole_number(cprof_buffer_text(&text), &pid) && pid > 0;
	ask->pid = good && pid <= INT32_MAX ? (pid_t)pid : -1;
}

/* What is of the server and of no one process. */
static void read_site(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	static const struct {
		const char *path;
		enum cprof_ask_kind kind;
	} rows[] = { { "/targets", CPROF_ASK_TARGETS }, { "/", CPROF_ASK_TARGETS },
		     { "/sd", CPROF_ASK_DISCOVERY },    { "/metrics", CPROF_ASK_METRICS },
		     { "/healthz", CPROF_ASK_HEALTH },  { "/readyz", CPROF_ASK_READY } };
	CPROF_AUTO(buffer) struct cprof_buffer format = { 0 };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(request->path, rows[i].path) == 0)
			ask->kind = rows[i].kind;
	}
	if (ask->kind == CPROF_ASK_TARGETS && value(request, "format", &format) &&
	    strcmp(cprof_buffer_text(&format), "json") == 0)
		ask->kind = CPROF_ASK_TARGETS_JSON;
}

void cprof_ask_read(const struct cprof_http_request *request, struct cprof_ask *ask)
{
	const size_t n_root = strlen(ROOT);
	*ask = (struct cprof_ask){ .kind = CPROF_ASK_NOT_FOUND };
	if (redirect(request, ask))
		return;
	read_site(request, ask);
	const char *path = skip_pid(request->path, &ask->pid);
	const bool fgprof = strcmp(path, FGPROF) == 0;
	if (!fgprof && strncmp(path, ROOT, n_root) != 0)
		return;
	read_pid(request, ask);
	ask->kind = CPROF_ASK_INDEX;
	if (!fgprof && !path[n_root])
		return;
	ask->endpoint = cprof_endpoint_find(fgprof ? "wall" : path + n_root);
	if (!ask->endpoint) {
		refuse(ask, 404, "Unknown profile");
		return;
	}
	ask->kind = CPROF_ASK_ENDPOINT;
	ask->form.endpoint = (uint8_t)(ask->endpoint - cprof_endpoints);
	read_parameters(request, ask);
	read_threads(request, ask);
}
