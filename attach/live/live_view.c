/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/live/live_view.h"

#include <stdlib.h>
#include <string.h>

#include "convert/profile/measure.h"

#define PRINTABLE(key) ((key) >= ' ' && (key) < 0x100 && (key) != 0x7f)

const char *const cprof_live_view_keys[] = {
	"f l t m  by function, line, thread, module",
	"k        the kernel's frames: on, off",
	"v        another value of the profile",
	"1 2 3 4  sort by this column",
	"/ TEXT   only names with it; Esc: all",
	"space    freeze, go on",
	"s        save a profile of what is seen",
	"up down  mark a row: its whole name",
	"home end page up, page down",
	"?        these keys",
	"q        quit",
};
const size_t cprof_live_view_n_keys =
	sizeof(cprof_live_view_keys) / sizeof(cprof_live_view_keys[0]);

void cprof_live_view_init(struct cprof_live_view *view, const char *mode)
{
	/* Waits have their own place at the leaf always, and memory matters since the start. */
	const bool waits = strcmp(mode, "block") == 0 || strcmp(mode, "mutex") == 0;
	*view = (struct cprof_live_view){
		.kernel = true,
		.column = waits                       ? CPROF_LIVE_TOTAL_NOW
			  : strcmp(mode, "heap") == 0 ? CPROF_LIVE_TOTAL_ALL
						      : CPROF_LIVE_OWN_NOW,
	};
}

void cprof_live_view_deinit(struct cprof_live_view *view)
{
	free(view->rows);
	*view = (struct cprof_live_view){ 0 };
}

/* ---- which rows, in which order ---- */

struct order {
	enum cprof_live_column column;
	size_t type;
};

static int compare(const void *a, const void *b, void *arg)
{
	/* What ties in this column is told apart by those that say most besides. */
	static const enum cprof_live_column next[] = { CPROF_LIVE_OWN_ALL, CPROF_LIVE_TOTAL_ALL };
	const struct cprof_live_row *one = *(const struct cprof_live_row *const *)a;
	const struct cprof_live_row *other = *(const struct cprof_live_row *const *)b;
	const struct order *order = arg;
	enum cprof_live_column column = order->column;
	for (size_t i = 0; i <= sizeof(next) / sizeof(next[0]); i++) {
		const int64_t x = cprof_measure_abs(one->values[column][order->type]);
		const int64_t y = cprof_measure_abs(other->values[column][order->type]);
		if (x != y)
			return x > y ? -1 : 1;
		column = next[i % 2];
	}
	return strcmp(one->name, other->name);
}

static bool shown(const struct cprof_live_view *view, const struct cprof_live_row *row)
{
	for (size_t c = 0; c < CPROF_LIVE_COLUMNS; c++) {
		if (row->values[c][view->type])
			return strcasestr(row->name, view->search) != NULL;
	}
	return false;
}

struct cprof_error *cprof_live_view_refresh(struct cprof_live_view *view,
					    const struct cprof_live_model *model)
{
	const struct cprof_live_table *table = &model->tables[view->group][view->kernel];
	if (!view->typed)
		view->type = model->default_type;
	if (view->cap < table->n) {
		const struct cprof_live_row **more =
			realloc(view->rows, 2 * table->n * sizeof(*more));
		if (!more)
			return cprof_error_no_memory();
		view->rows = more;
		view->cap = 2 * table->n;
	}
	view->n_rows = 0;
	for (size_t i = 0; i < table->n; i++) {
		if (shown(view, &table->rows[i]))
			view->rows[view->n_rows++] = &table->rows[i];
	}
	struct order order = { view->column, view->type };
	if (view->n_rows)
		qsort_r(view->rows, view->n_rows, sizeof(view->rows[0]), compare, &order);
	if (view->first >= view->n_rows)
		view->first = view->n_rows ? view->n_rows - 1 : 0;
	return NULL;
}

size_t cprof_live_view_marked(const struct cprof_live_view *view)
{
	size_t i = 0;
	while (i < view->n_rows && view->rows[i]->key != view->marked)
		i++;
	return view->marked ? i : view->n_rows;
}

/* ---- keys ---- */

static void mark(struct cprof_live_view *view, size_t at, size_t page)
{
	if (!view->n_rows)
		return;
	at = at < view->n_rows ? at : view->n_rows - 1;
	view->marked = view->rows[at]->key;
	if (at < view->first)
		view->first = at;
	else if (page && at >= view->first + page)
		view->first = at - page + 1;
}

static bool move(struct cprof_live_view *view, int key, size_t page)
{
	const size_t at = cprof_live_view_marked(view);
	const bool none = at == view->n_rows;
	const size_t from = none ? view->first : at;
	switch (key) {
	case CPROF_LIVE_KEY_UP:
		mark(view, from ? from - !none : 0, page);
		return true;
	case CPROF_LIVE_KEY_DOWN:
		mark(view, from + !none, page);
		return true;
	case CPROF_LIVE_KEY_PAGE_UP:
		mark(view, from > page ? from - page : 0, page);
		return true;
	case CPROF_LIVE_KEY_PAGE_DOWN:
		mark(view, from + page, page);
		return true;
	case CPROF_LIVE_KEY_HOME:
		mark(view, 0, page);
		return true;
	case CPROF_LIVE_KEY_END:
		mark(view, SIZE_MAX, page);
		return true;
	default:
		return false;
	}
}

/* A character of several bytes goes as a whole. */
static void take_back(char *text)
{
	size_t n = strlen(text);
	while (n && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
		n--;
	text[n ? n - 1 : 0] = 0;
}

static void search(struct cprof_live_view *view, int key)
{
	const size_t n = strlen(view->search);
	if (key == CPROF_LIVE_KEY_ESCAPE) {
		view->search[0] = 0;
		view->searching = false;
	} else if (key == CPROF_LIVE_KEY_ENTER || key == '\r') {
		view->searching = false;
	} else if (key == CPROF_LIVE_KEY_BACKSPACE) {
		take_back(view->search);
	} else if (PRINTABLE(key) && n + 1 < sizeof(view->search)) {
		view->search[n] = (char)key;
		view->search[n + 1] = 0;
	}
	view->first = 0;
}

static void regroup(struct cprof_live_view *view, enum cprof_live_group group)
{
	view->group = group;
	view->marked = 0;
	view->first = 0;
}

static void change(struct cprof_live_view *view, const struct cprof_live_model *model, int key)
{
	static const char groups[] = "fltm"; /* in the order of enum cprof_live_group */
	const char *group = key > 0 && key < 0x80 ? strchr(groups, key) : NULL;
	if (group)
		regroup(view, (enum cprof_live_group)(group - groups));
	else if (key >= '1' && key < '1' + CPROF_LIVE_COLUMNS)
		view->column = (enum cprof_live_column)(key - '1');
	else if (key == 'k')
		view->kernel = !view->kernel;
	else if (key == ' ')
		view->frozen = !view->frozen;
	else if (key == '/')
		view->searching = true;
	else if (key == CPROF_LIVE_KEY_ESCAPE)
		view->search[0] = 0;
	if (key == 'v' && model->n_types) {
		view->type = (view->type + 1) % model->n_types;
		view->typed = true;
	}
}

enum cprof_live_wish cprof_live_view_key(struct cprof_live_view *view,
					 const struct cprof_live_model *model, int key, size_t page)
{
	if (move(view, key, page))
		return CPROF_LIVE_WISH_NONE;
	if (view->searching) {
		search(view, key);
		return CPROF_LIVE_WISH_NONE;
	}
	const bool help = view->help;
	view->help = !help && (key == '?' || key == 'h');
	if (key == 'q')
		return CPROF_LIVE_WISH_QUIT;
	if (key == 's')
		return CPROF_LIVE_WISH_SAVE;
	change(view, model, key);
	return CPROF_LIVE_WISH_NONE;
}
