/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/http/http_token.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/secret.h"
#include "cprof/buffer.h"

#define GIVEN_MAX 32768 /* of an Authorization header; a token has half of that at most */

struct cprof_http_token {
	const char *path;
	char *text;       /* owned; NULL: the file cannot be read */
	struct stat read; /* the file as it was read, or could not be */
};

/* ---- the file ---- */

static void forget(struct cprof_http_token *token)
{
	if (token->text)
		explicit_bzero(token->text, strlen(token->text));
	free(token->text);
	token->text = NULL;
}

struct cprof_error *cprof_http_token_open(const char *path, struct cprof_http_token **ret_token)
{
	CPROF_AUTO(free) struct cprof_http_token *token = calloc(1, sizeof(*token));
	if (!token)
		return cprof_error_no_memory();
	token->path = path;
	struct cprof_error *err = cprof_secret_read_kept(path, &token->read, &token->text);
	if (!err)
		*ret_token = cprof_take_ptr(&token);
	return err;
}

void cprof_http_token_free(struct cprof_http_token *token)
{
	if (token)
		forget(token);
	free(token);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The change time also moves when the rights do. */
static bool is_as_read(const struct cprof_http_token *token, const struct stat *now)
{
	return token->text && now->st_dev == token->read.st_dev &&
	       now->st_ino == token->read.st_ino && now->st_size == token->read.st_size &&
	       same_time(&now->st_mtim, &token->read.st_mtim) &&
	       same_time(&now->st_ctim, &token->read.st_ctim);
}

static void refresh(struct cprof_http_token *token)
{
	struct stat now;
	if (stat(token->path, &now) == 0 && is_as_read(token, &now))
		return;
	forget(token);
	cprof_error_free(cprof_secret_read_kept(token->path, &token->read, &token->text));
}

/* ---- what a client says ---- */

static int sextet(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* RFC 4648 "Base 64 Encoding", with padding or without; false: something else. */
static bool decode(const char *text, struct cprof_buffer *out)
{
	unsigned bits = 0, n_bits = 0;
	for (; sextet(*text) >= 0; text++) {
		bits = (bits << 6 | (unsigned)sextet(*text)) & 0xffffff;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		cprof_buffer_putc(out, (char)(bits >> n_bits & 0xff));
	}
	return text[strspn(text, "= ")] == 0;
}

/* Appends what was given as the token; false: nothing that could be one. */
static bool take_given(const char *authorization, struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer pair = { 0 };
	const size_t n = strcspn(authorization, " ");
	const char *rest = authorization + n + strspn(authorization + n, " ");
	if (strlen(rest) > GIVEN_MAX)
		return false;
	if (n == strlen("Bearer") && strncasecmp(authorization, "Bearer", n) == 0) {
		cprof_buffer_puts(out, rest);
		return true;
	}
	if (n != strlen("Basic") || strncasecmp(authorization, "Basic", n) != 0 ||
	    !decode(rest, &pair))
		return false;
	const char *colon = memchr(cprof_buffer_text(&pair), ':', pair.len);
	if (colon)
		cprof_buffer_puts(out, colon + 1);
	return colon != NULL;
}

/* As long for any `given` of the same length. */
static bool equal(const char *token, const char *given)
{
	const size_t n = strlen(token), n_given = strlen(given);
	volatile unsigned char differ = n != n_given;
	for (size_t i = 0; i < n_given; i++)
		differ |= (unsigned char)(given[i] ^ token[n ? i % n : 0]);
	return !differ;
}

enum cprof_http_token_answer cprof_http_token_check(struct cprof_http_token *token,
						    const char *authorization)
{
	CPROF_AUTO(buffer) struct cprof_buffer given = { 0 };
	refresh(token);
	if (!token->text)
		return CPROF_HTTP_TOKEN_UNKNOWN;
	if (!authorization || !take_given(authorization, &given) || given.failed)
		return CPROF_HTTP_TOKEN_WRONG;
	return equal(token->text, cprof_buffer_text(&given)) ? CPROF_HTTP_TOKEN_RIGHT
							     : CPROF_HTTP_TOKEN_WRONG;
}
