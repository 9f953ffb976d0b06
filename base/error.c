/* SPDX-License-Identifier: Apache-2.0 */
#define CPROF_BASE_ERROR_C
#include "cprof/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"

static struct cprof_error out_of_memory = {
	.code = CPROF_ERR_NO_MEMORY,
	.message = (char[]){ "out of memory" },
};

struct cprof_error *cprof_error_no_memory(void)
{
	return &out_of_memory;
}

/* The errno values a caller acts on, and those that say the same wherever they come up; every other errno stays CPROF_ERR_OS. */
/* clang-format off */
static const struct {
	int os_errno;
	enum cprof_error_code code;
	const char *hint; /* NULL: the caller may know one */
} errno_codes[] = {
	{ ESRCH, CPROF_ERR_NO_TARGET, NULL },
	{ EPERM, CPROF_ERR_DENIED, NULL },
	{ EACCES, CPROF_ERR_DENIED, NULL },
	{ ENOMEM, CPROF_ERR_NO_MEMORY, NULL },
	{ ENOSYS, CPROF_ERR_UNSUPPORTED, NULL },
	{ EOPNOTSUPP, CPROF_ERR_UNSUPPORTED, NULL },
	{ EMFILE, CPROF_ERR_OS, "raise ulimit -n" },
	{ EFBIG, CPROF_ERR_OS, "ulimit -f or the file system allows no larger file" },
};
/* clang-format on */

/* Takes `message`; NULL means its own allocation already failed. */
static struct cprof_error *make(enum cprof_error_code code, int os_errno, char *message)
{
	struct cprof_error *err = message ? malloc(sizeof(*err)) : NULL;
	if (!err) {
		free(message);
		return &out_of_memory;
	}
	*err = (struct cprof_error){ .code = code, .os_errno = os_errno, .message = message };
	return err;
}

/* Names and words of others are in most messages, and a message goes to a terminal or a log. */
static char *format(const char *fmt, va_list ap)
{
	char *text;
	return vasprintf(&text, fmt, ap) < 0 ? NULL : cprof_printable_take_lines(text);
}

struct cprof_error *cprof_error_new(enum cprof_error_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *message = format(fmt, ap);
	va_end(ap);
	return make(code, 0, message);
}

struct cprof_error *cprof_error_os(int os_errno, const char *fmt, ...)
{
	enum cprof_error_code code = CPROF_ERR_OS;
	const char *hint = NULL;
	for (size_t i = 0; i < sizeof(errno_codes) / sizeof(errno_codes[0]); i++) {
		if (errno_codes[i].os_errno != os_errno)
			continue;
		code = errno_codes[i].code;
		hint = errno_codes[i].hint;
	}
	if (code == CPROF_ERR_NO_MEMORY)
		return &out_of_memory;

	va_list ap;
	va_start(ap, fmt);
	char *what = format(fmt, ap);
	va_end(ap);

	char *message = NULL;
	if (what && asprintf(&message, "%s: %s", what, strerror(os_errno)) < 0)
		message = NULL;
	free(what);
	struct cprof_error *err = make(code, os_errno, message);
	return hint ? cprof_error_hint(err, "%s", hint) : err;
}

struct cprof_error *cprof_error_wrap(struct cprof_error *err, const char *fmt, ...)
{
	if (err == &out_of_memory)
		return err;

	va_list ap;
	va_start(ap, fmt);
	char *context = format(fmt, ap);
	va_end(ap);

	/* Losing the context is better than losing the cause, so a failure here keeps `err`. */
	char *message;
	if (context && asprintf(&message, "%s: %s", context, err->message) >= 0) {
		free(err->message);
		err->message = message;
	}
	free(context);
	return err;
}

struct cprof_error *cprof_error_hint(struct cprof_error *err, const char *fmt, ...)
{
	if (err == &out_of_memory)
		return err;

	va_list ap;
	va_start(ap, fmt);
	char *hint = format(fmt, ap);
	va_end(ap);

	free(err->hint);
	err->hint = hint;
	return err;
}

struct cprof_error *cprof_error_copy(const struct cprof_error *err)
{
	if (err == &out_of_memory)
		return &out_of_memory;
	struct cprof_error *copy = make(err->code, err->os_errno, strdup(err->message));
	return err->hint ? cprof_error_hint(copy, "%s", err->hint) : copy;
}

int cprof_error_exit_status(const struct cprof_error *err)
{
	if (!err)
		return 0;
	switch (err->code) {
	case CPROF_ERR_USAGE:
		return 2;
	case CPROF_ERR_NO_TARGET:
		return 3;
	case CPROF_ERR_DENIED:
		return 4;
	case CPROF_ERR_UNDELIVERED:
		return 5;
	case CPROF_ERR_NO_MEMORY:
	case CPROF_ERR_OS:
	case CPROF_ERR_UNSUPPORTED:
	case CPROF_ERR_BAD_DATA:
	case CPROF_ERR_EXISTS:
		return 1;
	}
	return 1;
}

void cprof_error_free(struct cprof_error *err)
{
	if (!err || err == &out_of_memory)
		return;
	free(err->message);
	free(err->hint);
	free(err);
}
