/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/formats/input_format.h"

#include <string.h>

#include "base/cleanup.h"
#include "convert/formats/utf16.h"
#include "convert/profile/inflate.h"
#include "cprof/pprof_read.h"

#define MAX_BEFORE 32 /* lines before a profile that are looked past */

/* In the order in which they are tried, after pprof's own format. */
static const struct cprof_input_format *const formats[] = {
	&cprof_input_cpu,      &cprof_input_heap,
	&cprof_input_jemalloc, &cprof_input_count,
	&cprof_input_thread,   &cprof_input_contention,
	&cprof_input_java,     &cprof_input_perf_script,
	&cprof_input_folded,   NULL,
};

/* Those that begin with a line of their own, which may stand behind others. */
static const struct cprof_input_format *const headed[] = {
	&cprof_input_heap,
	&cprof_input_jemalloc,
	&cprof_input_count,
	&cprof_input_thread,
	&cprof_input_contention,
	&cprof_input_java,
	NULL,
};

/* What people take for a profile by mistake, or because another tool would have taken it. */
struct foreign {
	const char *begins, *what, *hint;
};

/* Files of bytes: no text, whatever stands in them. */
static const struct foreign foreign_bytes[] = {
	{ "PERFILE2", "a recording of perf",
	  "perf script -i FILE writes it as text, which is understood; a pipe will do" },
	{ "FLR", "a recording of Java's flight recorder",
	  "async-profiler's jfrconv writes it as folded stacks, which are understood" },
	{ "\177ELF", "a program", "cprof PROGRAM PROFILE; cprof-attach records one" },
	{ "\x28\xb5\x2f\xfd", "compressed with zstd",
	  "zstd -dc FILE decompresses it; a pipe will do" },
	{ "\xfd"
	  "7zXZ",
	  "compressed with xz", "xz -dc FILE decompresses it; a pipe will do" },
	{ "BZh", "compressed with bzip2", "bzip2 -dc FILE decompresses it; a pipe will do" },
	{ "\x04\x22\x4d\x18", "compressed with lz4",
	  "lz4 -dc FILE decompresses it; a pipe will do" },
	{ "PK\3\4", "a zip archive", "unpack it with unzip first" },
	{ "\xff\xfe", "text in UTF-32", "make UTF-8 of it first, with iconv" },
};

static const struct foreign foreign_texts[] = {
	{ "go 1.", "an execution trace of a Go program", "go tool trace FILE reads it" },
	{ "goroutine ", "stacks of goroutines as text", "fetch it with debug=1 or without debug" },
	{ "<", "a web page",
	  "profiles of Go programs are at /debug/pprof/profile, /debug/pprof/heap ..." },
	{ "{", "JSON", "pprof files, folded stacks and the text of perf script are understood" },
	{ "[", "JSON", "pprof files, folded stacks and the text of perf script are understood" },
};

static bool is_text(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] < 0x20 && bytes[i] != '\t' && bytes[i] != '\r' && bytes[i] != '\n')
			return false;
	}
	return n > 0;
}

static struct cprof_error *find_foreign(const struct foreign *rows, size_t n_rows,
					const uint8_t *bytes, size_t n, size_t at)
{
	for (const struct foreign *row = rows; row < rows + n_rows; row++) {
		size_t length = strlen(row->begins);
		if (n - at >= length && memcmp(bytes + at, row->begins, length) == 0)
			return cprof_error_hint(
				cprof_error_new(CPROF_ERR_BAD_DATA,
						"no profile: from byte %zu on it is %s", at,
						row->what),
				"%s", row->hint);
	}
	return NULL;
}

static struct cprof_error *unknown_text(const uint8_t *bytes, size_t n, size_t at)
{
	const char *text = (const char *)bytes + at;
	if (at == n)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "no profile: nothing but blanks up to byte %zu", n);
	size_t line = strcspn(text, "\r\n");
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_BAD_DATA, "no profile: text of no known kind: %.*s",
				line < 120 ? (int)line : 120, text),
		"as text it is none of: folded stacks, perf script, profiles of gperftools, jemalloc and Go");
}

/* The error of the reader of pprof's own format says little where the file was never meant to be one. Takes `err`. */
static struct cprof_error *explain(struct cprof_error *err, const uint8_t *bytes, size_t n)
{
	size_t blank = strspn((const char *)bytes, " \t\r\n");
	struct cprof_error *better = find_foreign(
		foreign_texts, sizeof(foreign_texts) / sizeof(foreign_texts[0]), bytes, n, blank);
	if (!better)
		better =
			find_foreign(foreign_bytes,
				     sizeof(foreign_bytes) / sizeof(foreign_bytes[0]), bytes, n, 0);
	if (!better && is_text(bytes, n < 256 ? n : 256))
		better = unknown_text(bytes, n, blank);
	if (better)
		cprof_error_free(err);
	return better ? better : err;
}

static struct cprof_error *try_all(const struct cprof_input_format *const *all, const char *bytes,
				   size_t n, struct cprof_profile **ret_profile)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && !*ret_profile && all[i]; i++) {
		err = all[i]->read(bytes, n, ret_profile);
		if (err)
			err = cprof_error_wrap(err, "%s", all[i]->name);
	}
	return err;
}

/* A profile behind what a tool said before it began; a program's own messages, say, where both went to one file. */
static struct cprof_error *try_behind(const char *bytes, size_t n,
				      struct cprof_profile **ret_profile)
{
	const char *at = bytes, *end = bytes + n;
	size_t first_n = strcspn(bytes, "\r\n");
	CPROF_AUTO(buffer) struct cprof_buffer note = { 0 };
	for (int skipped = 1; skipped <= MAX_BEFORE; skipped++) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at || ++at == end)
			return NULL;
		struct cprof_error *err = try_all(headed, at, (size_t)(end - at), ret_profile);
		if (err)
			return cprof_error_wrap(err, "behind byte %zu", (size_t)(at - bytes));
		if (!*ret_profile)
			continue;
		cprof_buffer_printf(&note,
				    skipped == 1 ? "%d line before the profile was left out: %.*s"
						 : "%d lines before the profile were left out, "
						   "the first is: %.*s",
				    skipped, first_n < 120 ? (int)first_n : 120, bytes);
		err = cprof_buffer_error(&note);
		return err ? err
			   : cprof_profile_add_comment(*ret_profile, cprof_buffer_text(&note));
	}
	return NULL;
}

/* Text as an editor or a shell of another system writes it, as UTF-8. Others' bytes stay where they are. */
static struct cprof_error *as_utf8(const uint8_t **bytes, size_t *n, struct cprof_buffer *converted)
{
	while (*n >= 3 && memcmp(*bytes, "\xef\xbb\xbf", 3) == 0) {
		*bytes += 3;
		*n -= 3;
	}
	if (!cprof_utf16_is(*bytes, *n))
		return NULL;
	struct cprof_error *err = cprof_utf16_to_utf8(*bytes, *n, converted);
	*bytes = converted->data;
	*n = converted->len;
	return err;
}

/* POSIX, pax "ustar Interchange Format": the magic stands behind the name of the first file, which could be a frame. */
static struct cprof_error *find_tar(const uint8_t *bytes, size_t n)
{
	if (n < 512 || memcmp(bytes + 257, "ustar", 5) != 0)
		return NULL;
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_BAD_DATA, "no profile: it is a tar archive"),
		"unpack it with tar first");
}

/* What is no pprof file. */
static struct cprof_error *read_other(const uint8_t *bytes, size_t n,
				      struct cprof_profile **ret_profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer converted = { 0 };
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = as_utf8(&bytes, &n, &converted);
	/* A function's name may begin as some of them do. */
	if (!err && n && (bytes[0] >= 0x80 || !is_text(bytes, n < 256 ? n : 256)))
		err = find_foreign(foreign_bytes, sizeof(foreign_bytes) / sizeof(foreign_bytes[0]),
				   bytes, n, 0);
	if (!err)
		err = find_tar(bytes, n);
	if (!err)
		err = try_all(formats, (const char *)bytes, n, &profile);
	if (!err && !profile)
		err = try_behind((const char *)bytes, n, &profile);
	if (!err)
		*ret_profile = cprof_take_ptr(&profile);
	return err;
}

struct cprof_error *cprof_input_read(const uint8_t *bytes, size_t n, uint32_t *ret_notes,
				     struct cprof_profile **ret_profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	struct cprof_error *err = NULL;
	if (cprof_inflate_is_gzip(bytes, n)) {
		err = cprof_inflate(bytes, n, &plain);
		if (err)
			return err;
		bytes = plain.data;
		n = plain.len;
	}
	struct cprof_profile *profile = NULL;
	uint32_t n_notes = 0;
	struct cprof_error *pprof_err = cprof_pprof_decode(bytes, n, &profile);
	if (pprof_err) {
		err = read_other(bytes, n, &profile);
		n_notes = profile ? profile->n_comments : 0;
	}
	if (!profile && !err)
		return explain(pprof_err, bytes, n);
	cprof_error_free(pprof_err);
	if (err)
		return err;
	if (ret_notes)
		*ret_notes = n_notes;
	*ret_profile = profile;
	return NULL;
}
