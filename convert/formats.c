#include <string.h>

#include "convert/formats.h"

const struct cprof_format *const cprof_formats[] = {
	&cprof_format_top,
	&cprof_format_text,
	NULL,
};

const struct cprof_format *cprof_format_find(const char *name)
{
	for (size_t i = 0; cprof_formats[i]; i++) {
		if (strcmp(cprof_formats[i]->name, name) == 0)
			return cprof_formats[i];
	}
	return NULL;
}
