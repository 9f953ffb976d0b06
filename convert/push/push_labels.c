/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_labels.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/printable.h"

void cprof_push_labels_deinit(struct cprof_push_labels *labels)
{
	for (size_t i = 0; i < labels->len; i++) {
		free(labels->items[i].name);
		free(labels->items[i].value);
	}
	free(labels->items);
	*labels = (struct cprof_push_labels){ 0 };
}

const char *cprof_push_labels_get(const struct cprof_push_labels *labels, const char *name)
{
	for (size_t i = 0; i < labels->len; i++) {
		if (strcmp(labels->items[i].name, name) == 0)
			return labels->items[i].value;
	}
	return NULL;
}

void cprof_push_labels_put_name(const struct cprof_push_grammar *grammar, const char *name,
				size_t n, struct cprof_buffer *out)
{
	if (!grammar) {
		cprof_buffer_append(out, name, n);
		return;
	}
	if (!grammar->digit_first && isdigit((unsigned char)*name))
		cprof_buffer_putc(out, '_');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)name[i];
		bool good = c < 0x80 && (isalnum(c) || strchr(grammar->more_in_names, c));
		cprof_buffer_putc(out, good ? (char)c : '_');
	}
}

/* Shortened between characters. */
static size_t fitting(const char *text, size_t n, size_t max)
{
	if (!max || n <= max)
		return n;
	for (n = max; n && ((unsigned char)text[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

void cprof_push_labels_put_value(const struct cprof_push_grammar *grammar, const char *value,
				 struct cprof_buffer *out)
{
	CPROF_AUTO(free) char *text = cprof_printable_take(strdup(value));
	out->failed = out->failed || !text;
	if (!text)
		return;
	size_t n = fitting(text, strlen(text), grammar ? grammar->max_value : 0);
	const char *not = grammar && grammar->not_in_values ? grammar->not_in_values : "";
	for (size_t i = 0; i < n; i++)
		cprof_buffer_putc(out, strchr(not, text[i]) ? '_' : text[i]);
}

static struct cprof_error *append(struct cprof_push_labels *labels, const char *name,
				  const char *value)
{
	if (!CPROF_ARRAY_ROOM(labels->items, labels->len, labels->cap, 1))
		return cprof_error_no_memory();
	struct cprof_push_label label = { .name = strdup(name), .value = strdup(value) };
	if (!label.name || !label.value) {
		free(label.name);
		free(label.value);
		return cprof_error_no_memory();
	}
	labels->items[labels->len++] = label;
	return NULL;
}

static struct cprof_error *cannot(const struct cprof_push_labels *labels,
				  const struct cprof_push_grammar *grammar, const char *pair,
				  const char *name)
{
	if (cprof_push_labels_get(labels, name))
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "the label %.*s is there already as %s",
					(int)strcspn(pair, "="), pair, name),
			"this server knows letters, digits and _ in names of labels; "
			"give the two different names");
	if (grammar && grammar->max_labels && labels->len >= grammar->max_labels)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "the label %.*s is one too many",
					(int)strcspn(pair, "="), pair),
			"this server takes %zu labels of a profile", grammar->max_labels);
	return NULL;
}

struct cprof_error *cprof_push_labels_add(struct cprof_push_labels *labels,
					  const struct cprof_push_grammar *grammar,
					  const char *pair, bool found)
{
	const char *equals = strchr(pair, '=');
	if (!equals || equals == pair || !equals[1] || strncmp(pair, "__", 2) == 0)
		return NULL;
	CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer value = { 0 };
	cprof_push_labels_put_name(grammar, pair, (size_t)(equals - pair), &name);
	cprof_push_labels_put_value(grammar, equals + 1, &value);
	struct cprof_error *err = cprof_buffer_error(&name);
	if (!err)
		err = cprof_buffer_error(&value);
	if (err)
		return err;
	err = cannot(labels, grammar, pair, cprof_buffer_text(&name));
	if (!err)
		return append(labels, cprof_buffer_text(&name), cprof_buffer_text(&value));
	if (!found)
		return err;
	cprof_error_free(err);
	return NULL;
}
