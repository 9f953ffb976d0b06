/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/kernel_names.h"

#include "symbolize/names/kernel_cache.h"

void cprof_kernel_names_deinit(struct cprof_kernel_names *names)
{
	cprof_kernel_deinit(&names->kernel);
	cprof_kernel_debug_deinit(&names->debug);
	*names = (struct cprof_kernel_names){ 0 };
}

static struct cprof_error *read_table(struct cprof_kernel_names *names, uint64_t boot,
				      struct cprof_buffer *notes)
{
	names->read = true;
	cprof_kernel_deinit(&names->kernel);
	struct cprof_error *err = cprof_kernel_read(&names->kernel, names->text);
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		return err;
	if (err)
		cprof_buffer_printf(notes, "no kernel names: %s\n", err->message);
	else if (names->kernel.restricted)
		cprof_buffer_puts(
			notes,
			"no kernel names: /proc/kallsyms hides its addresses; hint: run as "
			"root, or set kernel.kptr_restrict to 0 and kernel.perf_event_paranoid to 1\n");
	else if (boot)
		cprof_kernel_cache_save(&names->kernel, names->cache_dir, boot);
	cprof_error_free(err);
	return NULL;
}

/* The table that has `addr`: what the disk knows of this boot, or else the kernel's own, modules and all. */
static struct cprof_error *need_table(struct cprof_kernel_names *names, uint64_t addr,
				      struct cprof_buffer *notes)
{
	uint64_t boot = 0;
	if (names->read)
		return NULL;
	if (!names->tried && names->cache_dir) {
		boot = cprof_kernel_cache_boot();
		if (cprof_kernel_cache_load(&names->kernel, names->cache_dir, boot))
			boot = 0; /* need not be written again */
	}
	names->tried = true;
	if (addr >= names->kernel.start && addr < names->kernel.end)
		return NULL;
	return read_table(names, boot, notes);
}

/* Is what the disk had of this boot not what was written there? */
static bool is_broken(const struct cprof_kernel_names *names)
{
	return names->kernel.file && cprof_piece_file_is_broken(names->kernel.file);
}

struct cprof_error *cprof_kernel_names_find(struct cprof_kernel_names *names, uint64_t addr,
					    struct cprof_buffer *notes,
					    struct cprof_kernel_symbol *ret_symbol)
{
	struct cprof_error *err = need_table(names, addr, notes);
	bool found = !err && cprof_kernel_find(&names->kernel, addr, ret_symbol);
	if (!err && !found && is_broken(names)) {
		err = read_table(names, cprof_kernel_cache_boot(), notes);
		found = !err && cprof_kernel_find(&names->kernel, addr, ret_symbol);
	}
	if (!found)
		*ret_symbol = (struct cprof_kernel_symbol){ 0 };
	return err;
}

bool cprof_kernel_names_range(struct cprof_kernel_names *names, struct cprof_buffer *notes,
			      uint64_t *ret_start, uint64_t *ret_end)
{
	const struct cprof_kernel *kernel = &names->kernel;
	if (!names->tried)
		cprof_error_free(need_table(names, 0, notes));
	if (!kernel->start || kernel->end <= kernel->start)
		return false;
	*ret_start = kernel->start;
	*ret_end = kernel->end;
	return true;
}

/* In the kernel proper. */
static struct cprof_error *place_in_vmlinux(struct cprof_kernel_names *names, uint64_t addr,
					    struct cprof_module **ret_module,
					    uint64_t *ret_file_addr)
{
	struct cprof_error *err = cprof_kernel_debug_find(&names->debug, NULL);
	if (err || !names->debug.module)
		return err;
	*ret_module = names->debug.module;
	*ret_file_addr = cprof_kernel_debug_file_addr(&names->debug, names->kernel.start, addr);
	return NULL;
}

struct cprof_error *cprof_kernel_names_place(struct cprof_kernel_names *names, uint64_t addr,
					     struct cprof_buffer *notes,
					     struct cprof_module **ret_module,
					     uint64_t *ret_file_addr)
{
	*ret_module = NULL;
	*ret_file_addr = addr;
	struct cprof_error *err = need_table(names, addr, notes);
	if (err)
		return err;
	if (addr >= names->kernel.start && addr < names->kernel.end)
		return place_in_vmlinux(names, addr, ret_module, ret_file_addr);
	struct cprof_kernel_symbol symbol;
	return cprof_kernel_find(&names->kernel, addr, &symbol) && *symbol.module
		       ? cprof_kernel_debug_loaded(&names->debug, symbol.module, ret_module)
		       : NULL;
}
