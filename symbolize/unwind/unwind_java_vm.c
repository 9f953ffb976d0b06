/* SPDX-License-Identifier: Apache-2.0 */
/* The Java machine of the process that a walk is in: found once, and asked what the interpreter's frames run. */
#include "symbolize/java/java_vm.h"
#include "symbolize/unwind/unwind_impl.h"
#include "symbolize/unwind/unwind_java.h"

struct cprof_java_vm *cprof_walk_java(struct cprof_walk *w, const struct cprof_module *module)
{
	struct cprof_unwinder *unwinder = w->unwinder;
	struct cprof_walk_no_java *none = &unwinder->no_java;
	const struct cprof_maps *maps = w->input->maps;
	uint32_t epoch = unwinder->rules.epoch;
	if (module->kind != CPROF_MODULE_ANONYMOUS || !maps->memory.read ||
	    (none->maps == maps && none->generation == maps->generation && none->epoch == epoch))
		return NULL;
	struct cprof_java_vm *vm =
		cprof_java_vm_get(maps, unwinder->modules, epoch, &unwinder->java_hint);
	if (!vm)
		*none = (struct cprof_walk_no_java){ maps, maps->generation, epoch };
	return vm;
}

void cprof_walk_interpreted(struct cprof_walk *w)
{
	const struct cprof_maps *maps = w->input->maps;
	const struct cprof_arch *arch = w->unwinder->arch;
	struct cprof_frame *frame = &w->stack->frames[w->stack->len - 1];
	struct cprof_java_vm *vm = w->module ? cprof_walk_java(w, w->module) : NULL;
	uint64_t method;
	if (!vm || !(w->regs.valid >> arch->fp & 1) ||
	    !cprof_walk_word(w, w->regs.r[arch->fp] - CPROF_JAVA_METHOD_BELOW, &method) ||
	    !cprof_java_vm_method(vm, &maps->memory, method)) {
		w->failed = false;
		return;
	}
	const struct cprof_map *map = cprof_maps_find(maps, method);
	if (!map)
		return;
	frame->code = (struct cprof_code_addr){ method, false };
	frame->map = map;
}
