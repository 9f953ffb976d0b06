/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_repair.h"

#include "attach/cli/interrupt.h"
#include "attach/heap/heap_repair.h"
#include "base/cleanup.h"

static void say_restored(const struct cprof_cmd_repair *command,
			 const struct cprof_heap_shim_left *done)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "restored %u places; %u page%s ", done->restored, done->pages,
			    done->pages == 1 ? "" : "s");
	if (done->page_kept)
		cprof_buffer_printf(&text, "kept because %s: try again later", done->kept_why);
	else
		cprof_buffer_puts(&text, "removed");
	char stops[128];
	cprof_stop_tally_text(&done->stops, stops, sizeof(stops));
	cprof_buffer_printf(&text, "; its threads stood still %s", stops);
	command->say(command->ctx, cprof_buffer_text(&text));
}

static void say_left(const struct cprof_cmd_repair *command,
		     const struct cprof_heap_uprobe_left *left)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (left->removed)
		cprof_buffer_printf(&text, "took out %u breakpoint%s that nobody held any more",
				    left->removed, left->removed == 1 ? "" : "s");
	if (left->held)
		cprof_buffer_printf(&text, "%s%u breakpoint%s of another tool left alone, in %s",
				    left->removed ? "; " : "", left->held,
				    left->held == 1 ? "" : "s", left->path);
	if (text.len)
		command->say(command->ctx, cprof_buffer_text(&text));
}

struct cprof_error *cprof_cmd_repair(const struct cprof_cmd_repair *command, bool *ret_kept)
{
	struct cprof_heap_repair done;
	cprof_interrupt_hold(true);
	struct cprof_error *err = cprof_heap_repair(command->pid, &done);
	cprof_interrupt_hold(false);
	if (err)
		return err;
	if (done.shim.pages)
		say_restored(command, &done.shim);
	else if (!done.breakpoints.removed)
		command->say(command->ctx, "nothing of a heap profile is left in it");
	say_left(command, &done.breakpoints);
	*ret_kept = done.shim.page_kept;
	return NULL;
}
