#include "convert/formats/input_format.h"

#include <string.h>

#include "base/cleanup.h"
#include "convert/profile/inflate.h"
#include "cprof/pprof_read.h"

/* In the order in which they are tried, after pprof's own format. */
static const struct cprof_input_format *const formats[] = {
	&cprof_input_cpu,      &cprof_input_heap,
	&cprof_input_jemalloc, &cprof_input_count,
	&cprof_input_thread,   &cprof_input_contention,
	&cprof_input_java,     &cprof_input_perf_script,
	&cprof_input_folded,   NULL,
};

/* What people take for a profile by mistake, or because another tool would have taken it. */
static const struct {
	const char *begins, *what, *hint;
} foreign[] = {
	{ "PERFILE2", "a recording of perf",
	  "perf script -i FILE writes it as text, which is understood; a pipe will do" },
	{ "\177ELF", "a program", "cprof PROGRAM PROFILE; cprof-attach records one" },
	{ "\x28\xb5\x2f\xfd", "compressed with zstd",
	  "zstd -dc FILE decompresses it; a pipe will do" },
	{ "\xfd"
	  "7zXZ",
	  "compressed with xz", "xz -dc FILE decompresses it; a pipe will do" },
	{ "BZh", "compressed with bzip2", "bzip2 -dc FILE decompresses it; a pipe will do" },
	{ "go 1.", "an execution trace of a Go program", "go tool trace FILE reads it" },
	{ "goroutine ", "stacks of goroutines as text", "fetch it with debug=1 or without debug" },
	{ "<", "a web page",
	  "profiles of Go programs are at /debug/pprof/profile, /debug/pprof/heap ..." },
	{ "{", "JSON", "pprof files, folded stacks and the text of perf script are understood" },
};

static bool is_text(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] < 0x20 && bytes[i] != '\t' && bytes[i] != '\r' && bytes[i] != '\n')
			return false;
	}
	return n > 0;
}

/* The error of the reader of pprof's own format says little where the file was never meant to be one. */
static struct cprof_error *explain(struct cprof_error *err, const uint8_t *bytes, size_t n)
{
	size_t blank = strspn((const char *)bytes, " \t\r\n");
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		size_t length = strlen(foreign[i].begins);
		if (n - blank < length || memcmp(bytes + blank, foreign[i].begins, length) != 0)
			continue;
		cprof_error_free(err);
		return cprof_error_hint(cprof_error_new(CPROF_ERR_BAD_DATA,
							"no profile: from byte %zu on it is %s",
							blank, foreign[i].what),
					"%s", foreign[i].hint);
	}
	if (is_text(bytes, n < 256 ? n : 256))
		return cprof_error_hint(
			err,
			"as text it is none of: folded stacks, perf script, profiles of gperftools, jemalloc and Go");
	return err;
}

struct cprof_error *cprof_input_decode(const uint8_t *bytes, size_t n,
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
	struct cprof_error *pprof_err = cprof_pprof_decode(bytes, n, &profile);
	for (size_t i = 0; pprof_err && !err && !profile && formats[i]; i++) {
		err = formats[i]->read((const char *)bytes, n, &profile);
		if (err)
			err = cprof_error_wrap(err, "%s", formats[i]->name);
	}
	if (!profile && !err)
		return explain(pprof_err, bytes, n);
	cprof_error_free(pprof_err);
	if (err)
		return err;
	*ret_profile = profile;
	return NULL;
}
