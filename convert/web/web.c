/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/web.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/http/http_query.h"
#include "convert/output/json.h"
#include "convert/web/shell.h"
#include "convert/web/web_visit.h"
#include "cprof/pprof_read.h"

#define WORKS_MAX   4u /* at once; others wait for their turn */
#define SECONDS_MAX 3600

/*
 * Only the page's own script and style run, whatever a profile's names say; nothing is loaded from elsewhere; no other
 * site shows it in a frame.
 */
#define POLICY                                                                                     \
	"default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; "                \
	"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct cprof_web {
	struct cprof_web_options options;
	struct cprof_web_recordings recordings;
	unsigned profile, base; /* shown where an address names no others; base 0: none */
	struct cprof_web_visit *visits[CPROF_WEB_VISITS_MAX]; /* in the order they came */
	size_t n_visits, n_works;
};

struct cprof_error *cprof_web_new(const struct cprof_web_options *options,
				  struct cprof_web **ret_web)
{
	struct cprof_web *web = calloc(1, sizeof(*web));
	if (!web)
		return cprof_error_no_memory();
	web->options = *options;
	*ret_web = web;
	return NULL;
}

void cprof_web_free(struct cprof_web *web)
{
	if (!web)
		return;
	for (size_t i = 0; i < web->n_visits; i++)
		cprof_web_visit_free(web->visits[i]);
	cprof_web_recordings_deinit(&web->recordings);
	free(web);
}

struct cprof_error *cprof_web_add(struct cprof_web *web, struct cprof_profile *profile,
				  const char *name, bool is_base)
{
	return cprof_web_recordings_add(&web->recordings, profile, name, true,
					is_base ? &web->base : &web->profile);
}

/* ---- answers ---- */

static void answer(struct cprof_http_request *request, unsigned status, const char *type,
		   struct cprof_buffer *body)
{
	struct cprof_http_answer answer = { .status = status,
					    .content_type = type,
					    .policy = "default-src 'none'; frame-ancestors 'none'",
					    .no_store = true,
					    .body = *body };
	*body = (struct cprof_buffer){ 0 };
	cprof_http_server_answer(request, &answer);
}

static unsigned status_of(enum cprof_error_code code)
{
	switch (code) {
	case CPROF_ERR_USAGE:
		return 400;
	case CPROF_ERR_BAD_DATA:
		return 422;
	case CPROF_ERR_DENIED:
		return 403;
	case CPROF_ERR_UNSUPPORTED:
		return 501;
	case CPROF_ERR_NO_MEMORY:
		return 503;
	default:
		return 500;
	}
}

static bool get(const struct cprof_http_request *request, const char *name,
		struct cprof_buffer *value)
{
	return cprof_http_query_get(request->query, strlen(request->query), name, value);
}

/* What is posted is always answered so. */
static bool wants_json(const struct cprof_http_request *request)
{
	CPROF_AUTO(buffer) struct cprof_buffer format = { 0 };
	return strstr(request->accept, "application/json") != NULL ||
	       strcmp(request->method, "POST") == 0 ||
	       (get(request, "format", &format) && strcmp(cprof_buffer_text(&format), "json") == 0);
}

static void put_error(FILE *out, bool json, const char *message, const char *hint)
{
	if (json) {
		fputs("{\"error\":", out);
		cprof_json_put_string(out, message);
		fputs(",\"hint\":", out);
		cprof_json_put_string(out, hint ? hint : "");
		fputs("}\n", out);
	} else {
		fprintf(out, "%s\n%s%s%s", message, hint ? "hint: " : "", hint ? hint : "",
			hint ? "\n" : "");
	}
}

/* As JSON or as text. */
static void answer_words(struct cprof_http_request *request, unsigned status, bool json,
			 const char *message, const char *hint)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	struct cprof_buffer body = { .failed = true };
	if (out)
		put_error(out, json, message, hint);
	if (out && fclose(out) == 0)
		body = (struct cprof_buffer){ .data = (uint8_t *)text, .len = n, .cap = n + 1 };
	answer(request, status, json ? "application/json" : "text/plain; charset=utf-8", &body);
}

/* Takes `err`. */
static void answer_error(struct cprof_http_request *request, bool json, struct cprof_error *err)
{
	answer_words(request, status_of(err->code), json, err->message, err->hint);
	cprof_error_free(err);
}

static void refuse(struct cprof_http_request *request, unsigned status, const char *why)
{
	answer_words(request, status, wants_json(request), why, NULL);
}

/* ---- which profiles ---- */

/* A number, or `otherwise` where nothing is said; "none" is 0. */
static struct cprof_error *read_number(const struct cprof_buffer *text, unsigned otherwise,
				       unsigned *ret)
{
	const char *word = cprof_buffer_text(text);
	*ret = otherwise;
	if (!*word)
		return NULL;
	*ret = 0;
	if (strcmp(word, "none") == 0)
		return NULL;
	char *end;
	unsigned long number = strtoul(word, &end, 10);
	if (*end || number == 0 || number > 1000000000)
		return cprof_error_new(CPROF_ERR_USAGE, "\"%s\" is no number of a recording", word);
	*ret = (unsigned)number;
	return NULL;
}

static struct cprof_error *choose(const struct cprof_web *web, struct cprof_web_visit *visit)
{
	const bool needs_base = visit->page->json->flags & CPROF_FORMAT_COMPARES;
	struct cprof_error *err = read_number(&visit->query.profile, web->profile, &visit->profile);
	if (!err)
		err = read_number(&visit->query.base, web->base, &visit->base);
	if (!err && needs_base && !visit->base)
		err = cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "there is nothing to compare with"),
			"choose another profile, or a file, with Compare");
	return err;
}

/* ---- pages ---- */

/* The page itself, which comes at once: it asks for its data then. */
static void answer_shell(const struct cprof_web *web, struct cprof_web_visit *visit)
{
	char policy[512];
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	const struct cprof_shell shell = {
		.page = visit->page->name,
		.query = &visit->query,
		.recordings = &web->recordings,
		.profile = visit->profile,
		.base = visit->base,
		.options = &web->options,
	};
	struct cprof_http_answer answer = { .status = 200,
					    .content_type = "text/html; charset=utf-8",
					    .no_store = true,
					    .body = { .failed = true } };
	if (out)
		cprof_shell_write(&shell, out);
	if (out && fclose(out) == 0)
		answer.body =
			(struct cprof_buffer){ .data = (uint8_t *)text, .len = n, .cap = n + 1 };
	snprintf(policy, sizeof(policy), POLICY, cprof_shell_script_hash(),
		 cprof_shell_style_hash());
	answer.policy = policy;
	cprof_http_server_answer(visit->request, &answer);
}

/* In what form; false: as the page. */
static bool choose_form(struct cprof_web_visit *visit)
{
	const char *format = cprof_buffer_text(&visit->query.format);
	if (strcmp(format, "text") == 0)
		visit->form = CPROF_WEB_TEXT;
	else if (strcmp(format, "svg") == 0 && strcmp(visit->page->name, "graph") == 0)
		visit->form = CPROF_WEB_SVG;
	else if (!visit->page->download && !visit->page->is_strip && !wants_json(visit->request))
		return false;
	return true;
}

static void enqueue(struct cprof_web *web, struct cprof_web_visit *visit)
{
	if (web->n_visits == CPROF_WEB_VISITS_MAX) {
		refuse(visit->request, 503, "too many requests are being answered: try again");
		cprof_web_visit_free(visit);
		return;
	}
	visit->options = &web->options;
	visit->recordings = &web->recordings;
	visit->request->handler_data = visit;
	web->visits[web->n_visits++] = visit; /* it begins in the next run */
}

static void ask_for_page(struct cprof_web *web, struct cprof_web_visit *visit)
{
	struct cprof_error *err =
		cprof_web_query_read(visit->request->query, &web->options.config, &visit->query);
	if (!err)
		err = choose(web, visit);
	const bool data = choose_form(visit);
	if (err) {
		answer_error(visit->request, wants_json(visit->request), err);
		cprof_web_visit_free(visit);
	} else if (data) {
		enqueue(web, visit);
	} else {
		answer_shell(web, visit);
		cprof_web_visit_free(visit);
	}
}

/* ---- recording and uploading ---- */

static bool is_kind(const struct cprof_web_options *options, const char *what)
{
	const char *const *kind = options->kinds;
	while (kind && *kind && strcmp(*kind, what) != 0)
		kind++;
	return !*what || (kind && *kind);
}

static void ask_for_recording(struct cprof_web *web, struct cprof_web_visit *visit)
{
	CPROF_AUTO(buffer) struct cprof_buffer seconds = { 0 };
	struct cprof_http_request *request = visit->request;
	visit->seconds = -1;
	if (get(request, "seconds", &seconds))
		visit->seconds = strtoll(cprof_buffer_text(&seconds), NULL, 10);
	get(request, "what", &visit->text);
	const char *why = !web->options.record
				  ? "the profile is from a file: there is nothing to record again"
			  : !is_kind(&web->options, cprof_buffer_text(&visit->text))
				  ? "the source offers no profile of that name"
			  : visit->seconds > SECONDS_MAX ? "seconds is 3600 at most"
							 : NULL;
	if (!why) {
		enqueue(web, visit);
		return;
	}
	refuse(request, 400, why);
	cprof_web_visit_free(visit);
}

/* What a browser tells as the file's name. */
static void ask_for_upload(struct cprof_web *web, struct cprof_web_visit *visit)
{
	get(visit->request, "name", &visit->text);
	if (!visit->text.len)
		cprof_buffer_puts(&visit->text, "uploaded");
	enqueue(web, visit);
}

void cprof_web_ask(struct cprof_web *web, struct cprof_http_request *request, const char *path)
{
	const bool post = strcmp(request->method, "POST") == 0;
	const struct cprof_web_page *page = cprof_web_page_find(path);
	const bool record = strcmp(path, "/record") == 0, upload = strcmp(path, "/upload") == 0;
	if (!page && !record && !upload) {
		refuse(request, 404, "there is no such page; / is the flame graph");
		return;
	}
	if (post != (record || upload) || (!post && strcmp(request->method, "GET") != 0 &&
					   strcmp(request->method, "HEAD") != 0)) {
		refuse(request, 405, post ? "this page is not posted to" : "use POST here");
		return;
	}
	struct cprof_web_visit *visit = calloc(1, sizeof(*visit));
	if (!visit) {
		refuse(request, 503, "out of memory");
		return;
	}
	*visit = (struct cprof_web_visit){ .request = request,
					   .page = page,
					   .work = CPROF_WORK_NONE };
	visit->task = record ? CPROF_WEB_RECORD : upload ? CPROF_WEB_UPLOAD : CPROF_WEB_REPORT;
	if (record)
		ask_for_recording(web, visit);
	else if (upload)
		ask_for_upload(web, visit);
	else
		ask_for_page(web, visit);
}

/* ---- work ---- */

static void forget(struct cprof_web *web, size_t at)
{
	web->n_works -= web->visits[at]->works;
	cprof_web_visit_free(web->visits[at]);
	web->n_visits--;
	memmove(&web->visits[at], &web->visits[at + 1],
		(web->n_visits - at) * sizeof(web->visits[0]));
}

bool cprof_web_gone(struct cprof_web *web, const struct cprof_http_request *request)
{
	for (size_t i = 0; i < web->n_visits; i++) {
		if (web->visits[i] != request->handler_data)
			continue;
		forget(web, i);
		return true;
	}
	return false;
}

size_t cprof_web_poll(const struct cprof_web *web, struct pollfd *fds, size_t n)
{
	for (size_t i = 0; i < web->n_visits; i++) {
		if (web->visits[i]->works)
			fds[n++] = (struct pollfd){ .fd = web->visits[i]->work.reader.fd,
						    .events = POLLIN };
	}
	return n;
}

bool cprof_web_due(const struct cprof_web *web)
{
	return web->n_works < WORKS_MAX && web->n_works < web->n_visits;
}

static void answer_report(struct cprof_web_visit *visit, struct cprof_buffer *bytes)
{
	static const char *const types[] = { "application/json", "text/plain; charset=utf-8",
					     "image/svg+xml" };
	const char *file = visit->page->download;
	char disposition[96] = "";
	if (file)
		snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s\"", file);
	struct cprof_http_answer answer = {
		.status = 200,
		.content_type = file ? "application/vnd.google.protobuf+gzip" : types[visit->form],
		.disposition = file ? disposition : NULL,
		.policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
		.no_store = true,
		.body = *bytes,
	};
	*bytes = (struct cprof_buffer){ 0 };
	cprof_http_server_answer(visit->request, &answer);
}

/* Keep what has been recorded or uploaded, and tell its number. */
static void answer_recording(struct cprof_web *web, struct cprof_web_visit *visit,
			     const struct cprof_buffer *bytes)
{
	struct cprof_profile *profile;
	struct cprof_buffer body = { 0 };
	unsigned number = 0;
	struct cprof_error *err = cprof_pprof_decode(bytes->data, bytes->len, &profile);
	const char *name = cprof_buffer_text(&visit->text);
	if (!err)
		err = cprof_web_recordings_add(&web->recordings, profile, *name ? name : "recorded",
					       false, &number);
	if (err) {
		answer_error(visit->request, true, err);
		return;
	}
	cprof_buffer_printf(&body, "{\"number\":%u}\n", number);
	answer(visit->request, 200, "application/json", &body);
}

static void finish(struct cprof_web *web, struct cprof_web_visit *visit)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *err = cprof_work_reader_finish(&visit->work.reader, &bytes);
	if (err && err->code == CPROF_ERR_OS && !err->hint)
		err = cprof_error_hint(err, "it may have needed too much memory or time: narrow it "
					    "down with a filter");
	if (err)
		answer_error(visit->request, visit->form == CPROF_WEB_JSON, err);
	else if (visit->task == CPROF_WEB_REPORT)
		answer_report(visit, &bytes);
	else
		answer_recording(web, visit, &bytes);
}

static void begin(struct cprof_web *web, size_t at)
{
	struct cprof_web_visit *visit = web->visits[at];
	struct cprof_error *err = cprof_web_visit_start(visit);
	web->n_works += visit->works;
	if (!err)
		return;
	answer_error(visit->request, visit->form == CPROF_WEB_JSON, err);
	forget(web, at);
}

void cprof_web_run(struct cprof_web *web)
{
	for (size_t i = 0; i < web->n_visits;) {
		struct cprof_web_visit *visit = web->visits[i];
		if (!visit->works || !cprof_work_reader_take(&visit->work.reader)) {
			i++;
			continue;
		}
		finish(web, visit);
		forget(web, i);
	}
	for (size_t i = 0; cprof_web_due(web) && i < web->n_visits; i++) {
		if (!web->visits[i]->works)
			begin(web, i);
	}
}
