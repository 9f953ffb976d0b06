#include "convert/source.h"

#include "base/cleanup.h"
#include "convert/pprof_read.h"

/* In the order in which they are tried, after pprof's own format. */
static const struct cprof_source_format *const formats[] = {
	&cprof_source_cpu,         &cprof_source_heap,       &cprof_source_count,
	&cprof_source_thread,      &cprof_source_contention, &cprof_source_java,
	&cprof_source_perf_script, &cprof_source_folded,     NULL,
};

struct cprof_error *cprof_source_decode(const uint8_t *bytes, size_t n,
					struct cprof_profile **ret_profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	struct cprof_error *err = NULL;
	if (cprof_pprof_is_gzip(bytes, n)) {
		err = cprof_pprof_inflate(bytes, n, &plain);
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
		return pprof_err;
	cprof_error_free(pprof_err);
	if (err)
		return err;
	*ret_profile = profile;
	return NULL;
}
