/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/java/java_vm.h"
#include "symbolize/unwind/unwind_impl.h"
#include "symbolize/unwind/unwind_java.h"

struct cprof_java_vm *cprof_walk_java(struct cprof_walk *w, const struct cprof_module *module)
{
	struct cprof_walk_java *java = &w->unwinder->java;
	const struct cprof_maps *maps = w->input->maps;
	uint32_t epoch = w->unwinder->rules.epoch;
	if (module->kind != CPROF_MODULE_ANONYMOUS || !maps->memory.read)
		return NULL;
	if (java->maps != maps || java->generation != maps->generation || java->epoch != epoch)
		*java = (struct cprof_walk_java){ maps, maps->generation, epoch,
						  cprof_java_vm_get(maps, w->unwinder->modules,
								    epoch) };
	return java->vm;
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
