/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_words.h"

#include <string.h>

#include "base/cleanup.h"
#include "convert/net/grpc_head.h"
#include "convert/push/push_url.h"

/* The server's words on one line. */
static void put_line(struct cprof_buffer *out, const char *words)
{
	bool space = false;
	for (const char *at = words; *at; at++) {
		bool blank = (unsigned char)*at <= ' ';
		if (!blank && space)
			cprof_buffer_putc(out, ' ');
		if (!blank)
			cprof_buffer_putc(out, *at);
		space = blank && out->len;
	}
}

static bool is_locked_out(const struct cprof_push_answer *answer)
{
	return answer->status == 401 || answer->status == 403 ||
	       answer->grpc_status == CPROF_GRPC_UNAUTHENTICATED ||
	       answer->grpc_status == CPROF_GRPC_DENIED;
}

static struct cprof_error *with_hint(const struct cprof_push_words *words,
				     const struct cprof_push_answer *answer,
				     struct cprof_error *err)
{
	if (is_locked_out(answer))
		return cprof_error_hint(err, "%s%s%s",
					words->logged_in
						? "what was sent to log in with was not taken"
						: "nothing was sent to log in with",
					words->how_to_log_in ? ": " : "",
					words->how_to_log_in ? words->how_to_log_in : "");
	if (answer->status == 407)
		return cprof_error_hint(err, "the proxy wants to be logged in to: "
					     "http://USER:PASSWORD@PROXY in https_proxy or "
					     "http_proxy");
	if (answer->status >= 300 && answer->status < 400)
		return cprof_error_hint(err, "redirects are not followed; use the final URL");
	if (answer->status == 404 || answer->status == 405 || answer->status == 415)
		return cprof_error_hint(err, "it was spoken to as %s; %s", words->backend->name,
					cprof_push_url_kinds());
	if (strstr(answer->words, "active series"))
		return cprof_error_hint(err,
					"the server has as many series as it takes: send fewer "
					"labels, or raise its limit");
	if (strstr(answer->words, "ingestion window"))
		return cprof_error_hint(err, "the profile is older or newer than the server takes");
	return err;
}

struct cprof_error *cprof_push_words_problem(const struct cprof_push_words *words,
					     const struct cprof_push_exchange *exchange)
{
	const struct cprof_push_answer *answer = &exchange->answer;
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	if (!exchange->came)
		return cprof_error_new(CPROF_ERR_UNDELIVERED, "push to %s: %s", words->shown,
				       exchange->problem);
	put_line(&line, answer->words);
	const char *colon = line.len ? ": " : "";
	bool grpc = words->backend->grpc && answer->status == 200;
	struct cprof_error *err;
	if (grpc && answer->grpc_status < 0)
		err = cprof_error_new(CPROF_ERR_UNDELIVERED,
				      "push to %s: the answer ended before its gRPC status",
				      words->shown);
	else if (grpc)
		err = cprof_error_new(
			CPROF_ERR_UNDELIVERED, "push to %s: the server answered gRPC status %d%s%s",
			words->shown, answer->grpc_status, colon, cprof_buffer_text(&line));
	else
		err = cprof_error_new(CPROF_ERR_UNDELIVERED,
				      "push to %s: the server answered %ld%s%s", words->shown,
				      answer->status, colon, cprof_buffer_text(&line));
	return with_hint(words, answer, err);
}

struct cprof_error *cprof_push_words_tried(struct cprof_error *err, unsigned tried)
{
	if (tried < 2)
		return err;
	struct cprof_error *more = cprof_error_new(CPROF_ERR_UNDELIVERED,
						   "%s (the last of several tries)", err->message);
	if (err->hint)
		more = cprof_error_hint(more, "%s", err->hint);
	cprof_error_free(err);
	return more;
}
