/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/index_page.h"

static void put_escaped(struct cprof_buffer *out, const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == '<' || *text == '>' || *text == '&' ||
		    *text == '"' || *text == '\'')
			cprof_buffer_printf(out, "&#%d;", (unsigned char)*text);
		else
			cprof_buffer_putc(out, *text);
	}
}

/* The look of Go's own page, which people and some tools know. */
static void put_head(const struct cprof_target *target, struct cprof_buffer *out)
{
	cprof_buffer_puts(out, "<html>\n<head>\n<title>/debug/pprof/</title>\n<style>\n"
			       ".profile-name{\n\tdisplay:inline-block;\n\twidth:6rem;\n}\n"
			       "</style>\n</head>\n<body>\n/debug/pprof/\n<br>\n<p>Process ");
	cprof_buffer_printf(out, "%d, ", (int)target->pid);
	put_escaped(out, target->comm);
	cprof_buffer_puts(out, target->exited ? ", which has ended" : "");
	cprof_buffer_puts(out,
			  ". Set debug=1 as a query parameter to export in legacy text format</p>\n"
			  "<br>\nTypes of profiles available:\n<table>\n"
			  "<thead><td>Count</td><td>Profile</td></thead>\n");
}

void cprof_index_page_write(const struct cprof_target *target, cprof_index_state_fn *state,
			    void *ctx, struct cprof_buffer *out)
{
	put_head(target, out);
	for (size_t i = 0; i < cprof_n_endpoints; i++) {
		const struct cprof_endpoint *endpoint = &cprof_endpoints[i];
		if (!endpoint->summary)
			continue;
		cprof_buffer_puts(out, "<tr><td>");
		state(ctx, endpoint, out);
		cprof_buffer_printf(out, "</td><td><a href='%s?debug=1'>%s</a></td></tr>\n",
				    endpoint->name, endpoint->name);
	}
	cprof_buffer_puts(out, "</table>\n<a href=\"goroutine?debug=2\">full thread stack dump"
			       "</a>\n<br>\n<p>\nProfile Descriptions:\n<ul>\n");
	for (size_t i = 0; i < cprof_n_endpoints; i++) {
		const struct cprof_endpoint *endpoint = &cprof_endpoints[i];
		if (endpoint->summary)
			cprof_buffer_printf(out, "<li><div class=profile-name>%s: </div> %s</li>\n",
					    endpoint->name, endpoint->summary);
	}
	cprof_buffer_puts(out, "</ul>\n</p>\n</body>\n</html>\n");
}
