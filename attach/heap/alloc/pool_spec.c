/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/pool_spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define HINT                                                                                       \
	"for example -heap-hook alloc=pool_alloc,size=arg2,free=pool_free,ptr=arg2; docs/heap.md " \
	"tells more"

static const struct cprof_shim_operand no_operand = { .arg = CPROF_SHIM_NO_ARG };

/* ---- values ---- */

static struct cprof_error *bad(const char *what, const char *why)
{
	return cprof_error_hint(cprof_error_new(CPROF_ERR_USAGE, "\"%s\" %s", what, why), HINT);
}

/* "arg2" or "arg2:32". False: `text` does not begin so. */
static bool is_argument(const char *text)
{
	return strncmp(text, "arg", 3) == 0;
}

static struct cprof_error *operand(const char *text, struct cprof_shim_operand *ret)
{
	char *end;
	if (!is_argument(text) || !isdigit((unsigned char)text[3]))
		return bad(text, "is no argument: they are called arg1 to arg6");
	errno = 0;
	unsigned long n = strtoul(text + 3, &end, 10);
	if (errno || n < 1 || n > CPROF_SHIM_ARGS)
		return bad(text, "is out of range: the arguments 1 to 6 are in registers");
	if (*end && strcmp(end, ":32") != 0)
		return bad(text, "is no argument: after its number may come :32, where it is an "
				 "int, and nothing else");
	*ret = (struct cprof_shim_operand){ .arg = (uint8_t)(n - 1), .low = *end == ':' };
	return NULL;
}

static struct cprof_error *bytes(const char *text, uint32_t *ret)
{
	uint64_t value;
	struct cprof_error *err = cprof_options_value("heap-hook", CPROF_OPT_SIZE, text, &value);
	if (err) {
		cprof_error_free(err);
		return bad(text, "is neither an argument (arg1 to arg6) nor a number of bytes");
	}
	if (value < 1 || value > INT32_MAX)
		return bad(text, "is out of range: a size is between 1 and 2147483647 bytes");
	*ret = (uint32_t)value;
	return NULL;
}

/* "arg2", "arg1*arg2", "arg1*48", "48". */
static struct cprof_error *size(char *text, struct cprof_shim_pool *pool)
{
	char *star = strchr(text, '*');
	if (star)
		*star = 0;
	if (!is_argument(text))
		return star ? bad(text, "cannot be multiplied: the first factor is an argument")
			    : bytes(text, &pool->bytes);
	struct cprof_error *err = operand(text, &pool->size);
	if (err || !star)
		return err;
	return is_argument(star + 1) ? operand(star + 1, &pool->times)
				     : bytes(star + 1, &pool->bytes);
}

static struct cprof_error *name_or_addr(char *text, struct cprof_pool_place *ret)
{
	if (!*text)
		return bad(text, "names nothing: a function's name or address is wanted");
	if (isdigit((unsigned char)*text)) {
		char *end;
		errno = 0;
		ret->addr = strtoull(text, &end, 16);
		if (strncmp(text, "0x", 2) != 0 || *end || errno || !ret->addr)
			return bad(text, "is no address: these are written 0x55d0c0ffee00");
		return NULL;
	}
	char *at = strchr(text, '@');
	if (at) {
		*at = 0;
		ret->object = at + 1;
		if (!at[1] || at == text)
			return bad(text, "is only half of NAME@OBJECT");
	}
	ret->name = text;
	return NULL;
}

/* ---- the whole ---- */

struct given {
	char *alloc, *size, *old, *free, *ptr;
};

/* Where the value ends: a comma, but not one among the parameters of a C++ name. */
static char *value_end(char *text)
{
	int depth = 0;
	for (; *text && (*text != ',' || depth > 0); text++)
		depth += (*text == '(' || *text == '<') - (*text == ')' || *text == '>');
	return text;
}

static struct cprof_error *split(char *text, struct given *given)
{
	const struct {
		const char *key;
		char **value;
	} keys[] = { { "alloc=", &given->alloc },
		     { "size=", &given->size },
		     { "old=", &given->old },
		     { "free=", &given->free },
		     { "ptr=", &given->ptr } };
	for (char *at = text, *end; at; at = end) {
		size_t k = 0;
		while (k < 5 && strncmp(at, keys[k].key, strlen(keys[k].key)) != 0)
			k++;
		char *value = k < 5 ? at + strlen(keys[k].key) : at;
		end = value_end(value);
		end = *end ? (*end = 0, end + 1) : NULL;
		if (k == 5)
			return bad(at,
				   "is not alloc=FUNCTION, size=argN, free=FUNCTION, ptr=argN or "
				   "old=argN");
		if (*keys[k].value)
			return bad(at,
				   "is there twice: give a -heap-hook for each pair of functions");
		*keys[k].value = value;
	}
	return NULL;
}

static struct cprof_error *alloc_part(const struct given *given, struct cprof_pool_spec *spec)
{
	if (!given->alloc)
		return given->size || given->old
			       ? bad(spec->text, "has a size but no alloc=FUNCTION")
			       : NULL;
	if (!given->size)
		return bad(spec->text, "does not say which argument is the size: size=argN");
	struct cprof_error *err = name_or_addr(given->alloc, &spec->alloc);
	if (!err)
		err = size(given->size, &spec->alloc_args);
	if (!err && given->old)
		err = operand(given->old, &spec->alloc_args.old);
	return err;
}

static struct cprof_error *free_part(const struct given *given, struct cprof_pool_spec *spec)
{
	if (!given->free)
		return given->ptr ? bad(spec->text, "has a ptr but no free=FUNCTION") : NULL;
	if (strcmp(given->free, "none") == 0) {
		if (!given->alloc || given->ptr || given->old)
			return bad(spec->text, "says free=none, which goes with alloc= and size= "
					       "only");
		spec->alloc_args.untracked = 1;
		return NULL;
	}
	struct cprof_error *err = name_or_addr(given->free, &spec->free);
	return err || !given->ptr ? err : operand(given->ptr, &spec->free_arg);
}

struct cprof_error *cprof_pool_spec_parse(const char *text, struct cprof_pool_spec *ret_spec)
{
	struct cprof_pool_spec spec = {
		.text = text,
		.copy = strdup(text),
		.alloc_args = { .size = no_operand, .times = no_operand, .old = no_operand },
	};
	struct given given = { 0 };
	if (!spec.copy)
		return cprof_error_no_memory();
	struct cprof_error *err = split(spec.copy, &given);
	if (!err)
		err = alloc_part(&given, &spec);
	if (!err)
		err = free_part(&given, &spec);
	if (err) {
		cprof_pool_spec_deinit(&spec);
		return cprof_error_wrap(err, "-heap-hook");
	}
	*ret_spec = spec;
	return NULL;
}

void cprof_pool_spec_deinit(struct cprof_pool_spec *spec)
{
	free(spec->copy);
	*spec = (struct cprof_pool_spec){ 0 };
}

struct cprof_error *cprof_pool_specs_parse(const struct cprof_strings *texts,
					   struct cprof_pool_specs *ret_specs)
{
	struct cprof_pool_specs specs = { .all = calloc(texts->len + 1, sizeof(*specs.all)) };
	if (!specs.all)
		return cprof_error_no_memory();
	for (; specs.n < texts->len; specs.n++) {
		struct cprof_error *err =
			cprof_pool_spec_parse(texts->items[specs.n], &specs.all[specs.n]);
		if (err) {
			cprof_pool_specs_deinit(&specs);
			return err;
		}
	}
	*ret_specs = specs;
	return NULL;
}

void cprof_pool_specs_deinit(struct cprof_pool_specs *specs)
{
	for (size_t i = 0; i < specs->n; i++)
		cprof_pool_spec_deinit(&specs->all[i]);
	free(specs->all);
	*specs = (struct cprof_pool_specs){ 0 };
}
