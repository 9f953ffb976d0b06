/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/live/live_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/live/live_cells.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "convert/profile/measure.h"

#define TOP_LINES   3  /* above the rows */
#define NUMBER      9  /* columns of a number, with the blank before it */
#define ALL_NUMBERS 60 /* from so many columns on there is room for all of them */
#define WITH_VALUE  96 /* and for the value besides its share */
#define NUMBER_MAX  48

struct painting {
	struct cprof_live_page *page;
	const struct cprof_live_model *model;
	const struct cprof_live_view *view;
	const struct cprof_live_look *look;
	struct cprof_live_cells cells;
	bool failed;
};

static const char *const group_names[CPROF_LIVE_GROUPS] = { "function", "line", "thread",
							    "module" };

size_t cprof_live_page_rows(size_t lines)
{
	return lines > TOP_LINES + 1 ? lines - TOP_LINES - 1 : 0;
}

/* ---- lines ---- */

static bool begin(struct painting *painting, enum cprof_live_style style)
{
	struct cprof_live_page *page = painting->page;
	if (painting->look->screen && page->n == painting->look->lines)
		return false;
	if (!CPROF_ARRAY_ROOM(page->lines, page->n, page->cap, 1)) {
		painting->failed = true;
		return false;
	}
	page->lines[page->n++] = (struct cprof_live_line){ page->text.len, style };
	painting->cells = (struct cprof_live_cells){ &page->text, painting->look->utf8,
						     painting->look->columns };
	return true;
}

static void end(struct painting *painting)
{
	const struct cprof_live_page *page = painting->page;
	if (painting->look->screen && page->lines[page->n - 1].style == CPROF_LIVE_REVERSE)
		cprof_live_cells_fill(&painting->cells);
	cprof_buffer_putc(&painting->page->text, 0);
}

static void put(struct painting *painting, const char *text)
{
	cprof_live_cells_text(&painting->cells, text, SIZE_MAX, false);
}

static void put_line(struct painting *painting, enum cprof_live_style style, const char *text)
{
	if (!begin(painting, style))
		return;
	cprof_live_cells_name(&painting->cells, text, SIZE_MAX);
	end(painting);
}

/* ---- the top ---- */

static void put_amount(struct cprof_buffer *out, const struct painting *painting, int64_t value,
		       uint64_t ns)
{
	const char *unit = painting->model->types[painting->view->type].unit;
	cprof_buffer_puts(out, "  ");
	cprof_measure_label(out, value, unit, "auto");
	cprof_buffer_printf(out, " in %.1fs", (double)ns / (double)CPROF_NS_PER_S);
}

static void paint_title(struct painting *painting)
{
	const struct cprof_live_model *model = painting->model;
	const size_t type = painting->view->type;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!begin(painting, CPROF_LIVE_BOLD))
		return;
	cprof_live_cells_name(&painting->cells, painting->look->title, SIZE_MAX);
	if (painting->view->frozen)
		put(painting, "  FROZEN");
	if (!model->windows) {
		put(painting, "  waits for the first window");
	} else {
		put_amount(&text, painting, model->totals[0][type], model->now_ns);
		put_amount(&text, painting, model->totals[1][type], model->all_ns);
		put(painting, cprof_buffer_text(&text));
	}
	end(painting);
}

static void put_search(const struct painting *painting, struct cprof_buffer *out)
{
	const struct cprof_live_view *view = painting->view;
	if (view->searching || view->search[0])
		cprof_buffer_printf(out, "/%s%s  ", view->search, view->searching ? "_" : "");
}

static void paint_state(struct painting *painting)
{
	const struct cprof_live_view *view = painting->view;
	const struct cprof_live_table *table = &painting->model->tables[view->group][view->kernel];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 }, type = { 0 };
	put_search(painting, &text);
	if (painting->model->n_types)
		cprof_buffer_printf(&type, "%s ", painting->model->types[view->type].name);
	cprof_buffer_printf(&text, "%sby %s, kernel %s", cprof_buffer_text(&type),
			    group_names[view->group], view->kernel ? "on" : "off");
	if (painting->look->lost)
		cprof_buffer_printf(&text, ", %" PRIu64 " samples lost", painting->look->lost);
	if (table->folded)
		cprof_buffer_puts(&text, ", rare ones are one row");
	put_line(painting, CPROF_LIVE_PLAIN,
		 painting->look->message && !view->searching ? painting->look->message
							     : cprof_buffer_text(&text));
}

/* ---- numbers ---- */

static bool is_shown(const struct painting *painting, enum cprof_live_column column)
{
	return painting->look->columns >= ALL_NUMBERS ||
	       column / CPROF_LIVE_OWN_ALL == painting->view->column / CPROF_LIVE_OWN_ALL;
}

static void paint_heads(struct painting *painting)
{
	static const char *const names[CPROF_LIVE_COLUMNS] = { "own now", "tot now", "own all",
							       "tot all" };
	char head[NUMBER + 1];
	if (!begin(painting, CPROF_LIVE_REVERSE))
		return;
	for (size_t c = 0; c < CPROF_LIVE_COLUMNS; c++) {
		if (!is_shown(painting, (enum cprof_live_column)c))
			continue;
		snprintf(head, sizeof(head), "%s%s", c == painting->view->column ? ">" : "",
			 names[c]);
		cprof_live_cells_text(&painting->cells, head, NUMBER, true);
	}
	if (painting->look->columns >= WITH_VALUE)
		cprof_live_cells_text(&painting->cells, "value", NUMBER, true);
	put(painting, "  ");
	put(painting, group_names[painting->view->group]);
	end(painting);
}

/* At most NUMBER - 1 characters: what is cut would be another number. */
static void write_amount(char text[NUMBER_MAX], int64_t value, const char *unit, bool sign)
{
	const struct cprof_measure amount = cprof_measure_scale(value, unit, "auto");
	const double size = fabs(amount.value);
	const int decimals = size >= 100 || size == floor(size) ? 0 : 1;
	const int n = snprintf(text, NUMBER_MAX, sign ? "%+.*f%s" : "%.*f%s", decimals,
			       amount.value, amount.unit);
	if (n >= NUMBER)
		snprintf(text, NUMBER_MAX, sign ? "%+.0e" : "%.1e", (double)value);
}

static void paint_number(struct painting *painting, const struct cprof_live_row *row,
			 enum cprof_live_column column)
{
	const struct cprof_live_model *model = painting->model;
	const size_t type = painting->view->type;
	const int64_t value = row->values[column][type];
	const int64_t total = model->totals[column / CPROF_LIVE_OWN_ALL][type];
	char text[NUMBER_MAX] = "-";
	if (value && column < CPROF_LIVE_OWN_ALL && model->states[type])
		write_amount(text, value, model->types[type].unit, true);
	else if (value && total)
		snprintf(text, sizeof(text), "%.1f%%", 100 * (double)value / (double)total);
	cprof_live_cells_text(&painting->cells, text, NUMBER, true);
}

static void paint_row(struct painting *painting, const struct cprof_live_row *row)
{
	const struct cprof_live_view *view = painting->view;
	char value[NUMBER_MAX];
	if (!begin(painting, painting->look->screen && row->key == view->marked ? CPROF_LIVE_REVERSE
										: CPROF_LIVE_PLAIN))
		return;
	for (size_t c = 0; c < CPROF_LIVE_COLUMNS; c++) {
		if (is_shown(painting, (enum cprof_live_column)c))
			paint_number(painting, row, (enum cprof_live_column)c);
	}
	if (painting->look->columns >= WITH_VALUE) {
		write_amount(value, row->values[view->column][view->type],
			     painting->model->types[view->type].unit, false);
		cprof_live_cells_text(&painting->cells, value, NUMBER, true);
	}
	put(painting, "  ");
	cprof_live_cells_name(&painting->cells, row->name, SIZE_MAX);
	end(painting);
}

/* ---- the whole ---- */

/* Nothing in use may be because all is freed again, which is worth a look. */
static const char *why_no_rows(const struct painting *painting)
{
	const struct cprof_live_model *model = painting->model;
	if (painting->view->search[0])
		return "no name has that: Esc shows all";
	for (size_t t = 0; t < model->n_types; t++) {
		if (model->totals[1][t])
			return "none of it: v shows another value";
	}
	return "nothing happens";
}

static void paint_rows(struct painting *painting, size_t most)
{
	const struct cprof_live_view *view = painting->view;
	for (size_t i = view->first; i < view->n_rows && i - view->first < most; i++)
		paint_row(painting, view->rows[i]);
	if (!view->n_rows && painting->model->windows)
		put_line(painting, CPROF_LIVE_PLAIN, why_no_rows(painting));
}

static void paint_keys(struct painting *painting, size_t most)
{
	for (size_t i = 0; i < cprof_live_view_n_keys && i < most; i++)
		put_line(painting, CPROF_LIVE_PLAIN, cprof_live_view_keys[i]);
}

static void paint_foot(struct painting *painting)
{
	const struct cprof_live_view *view = painting->view;
	const size_t marked = cprof_live_view_marked(view);
	while (painting->page->n + 1 < painting->look->lines && !painting->failed)
		put_line(painting, CPROF_LIVE_PLAIN, "");
	if (!begin(painting, CPROF_LIVE_BOLD))
		return;
	if (view->searching)
		put(painting, "Enter keeps the search, Esc ends it");
	else if (marked < view->n_rows)
		cprof_live_cells_name(&painting->cells, view->rows[marked]->name, SIZE_MAX);
	else
		put(painting, "? keys  q quit  space freeze  s save  / search");
	end(painting);
}

struct cprof_error *cprof_live_page_paint(struct cprof_live_page *page,
					  const struct cprof_live_model *model,
					  const struct cprof_live_view *view,
					  const struct cprof_live_look *look)
{
	struct painting painting = { .page = page, .model = model, .view = view, .look = look };
	const size_t most = look->screen ? cprof_live_page_rows(look->lines) : look->lines;
	page->text.len = 0;
	page->n = 0;
	paint_title(&painting);
	paint_state(&painting);
	paint_heads(&painting);
	if (view->help)
		paint_keys(&painting, most);
	else
		paint_rows(&painting, most);
	if (look->screen)
		paint_foot(&painting);
	return painting.failed ? cprof_error_no_memory() : cprof_buffer_error(&page->text);
}

void cprof_live_page_deinit(struct cprof_live_page *page)
{
	cprof_buffer_deinit(&page->text);
	free(page->lines);
	*page = (struct cprof_live_page){ 0 };
}

const char *cprof_live_page_line(const struct cprof_live_page *page, size_t line)
{
	return (const char *)page->text.data + page->lines[line].at;
}
