/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/heap_sizes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/options.h"

/* One end; an empty one is `open`. */
static struct cprof_error *parse_end(const char *text, size_t n, uint64_t open, uint64_t *ret)
{
	CPROF_AUTO(free) char *end = strndup(text, n);
	if (!end)
		return cprof_error_no_memory();
	*ret = open;
	if (!*end)
		return NULL;
	struct cprof_error *err = cprof_options_value("heap-size", CPROF_OPT_SIZE, end, ret);
	if (!err && *ret > CPROF_HEAP_SIZES_LIMIT)
		err = cprof_error_new(CPROF_ERR_USAGE,
				      "-heap-size: no call asks for as much as %s bytes", end);
	return err;
}

static struct cprof_error *parse(const char *text, struct cprof_heap_sizes *sizes)
{
	const char *colon = strchr(text, ':');
	const size_t first = colon ? (size_t)(colon - text) : strlen(text);
	const char *last = colon ? colon + 1 : text;
	if (!first && !*last)
		return cprof_error_new(CPROF_ERR_USAGE, "-heap-size: \"%s\" names no size", text);
	struct cprof_error *err = parse_end(text, first, 0, &sizes->min);
	if (!err)
		err = parse_end(last, strlen(last), CPROF_HEAP_SIZES_LIMIT, &sizes->max);
	if (!err && sizes->min > sizes->max)
		err = cprof_error_new(CPROF_ERR_USAGE,
				      "-heap-size: nothing is between %" PRIu64 " and %" PRIu64
				      " bytes: the smaller one comes first",
				      sizes->min, sizes->max);
	return err;
}

struct cprof_error *cprof_heap_sizes_parse(const char *text, struct cprof_heap_sizes *ret_sizes)
{
	struct cprof_heap_sizes sizes = { .given = true };
	struct cprof_error *err = parse(text, &sizes);
	if (!err) {
		*ret_sizes = sizes;
		return NULL;
	}
	return err->code == CPROF_ERR_NO_MEMORY
		       ? err
		       : cprof_error_hint(err, "-heap-size MIN:MAX, as 4080:4096, 1m: or :512; a "
					       "single number is that size only");
}

uint64_t cprof_heap_sizes_least(const struct cprof_heap_sizes *sizes)
{
	return sizes->given ? sizes->min : 0;
}

uint64_t cprof_heap_sizes_span(const struct cprof_heap_sizes *sizes)
{
	return sizes->given ? sizes->max - sizes->min : UINT64_MAX;
}

void cprof_heap_sizes_text(const struct cprof_heap_sizes *sizes, char text[CPROF_HEAP_SIZES_TEXT])
{
	*text = 0;
	if (!sizes->given)
		return;
	if (sizes->min == sizes->max)
		snprintf(text, CPROF_HEAP_SIZES_TEXT, "%" PRIu64 " bytes", sizes->min);
	else if (sizes->max == CPROF_HEAP_SIZES_LIMIT)
		snprintf(text, CPROF_HEAP_SIZES_TEXT, "%" PRIu64 " bytes and more", sizes->min);
	else
		snprintf(text, CPROF_HEAP_SIZES_TEXT, "%" PRIu64 " to %" PRIu64 " bytes",
			 sizes->min, sizes->max);
}
