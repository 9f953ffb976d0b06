/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_layout.h"

#include <assert.h>
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "cprof/buffer.h"
#include "cprof/hash.h"
#include "symbolize/names/kernel_cache.h"

#define MAGIC "cproftl1"
#define KEY   "task_struct.layout"

/* In the byte order of this machine; of one boot. */
struct kept {
	char magic[8];
	uint64_t boot, checksum;
	struct cprof_thread_layout layout;
};
static_assert(sizeof(struct cprof_thread_layout) == 56, "layout of the cache file");
static_assert(sizeof(struct kept) == 80, "layout of the cache file");

#define ROW(member) offsetof(struct cprof_thread_iter_row, member)
/* clang-format off */
const struct cprof_thread_layout_field cprof_thread_layout_fields[CPROF_THREAD_LAYOUT_FIELDS] = {
	{ "pid", NULL, 4, ROW(tid) },
	{ "__state", "state", 4, ROW(state) },
	{ "exit_state", NULL, 4, ROW(exit_state) },
	{ "on_cpu", NULL, 4, ROW(on_cpu) },
	{ "thread_info.cpu", "cpu", 4, ROW(cpu) },
	{ "flags", NULL, 4, ROW(task_flags) },
	{ "nvcsw", NULL, 8, ROW(voluntary) },
	{ "nivcsw", NULL, 8, ROW(involuntary) },
	{ "se.sum_exec_runtime", NULL, 8, ROW(ran_ns) },
	{ "se.exec_start", NULL, 8, ROW(last_ns) },
	{ "start_time", NULL, 8, ROW(start_ns) },
};
/* clang-format on */

/* Member `name` (n bytes) of struct type `type`: its byte offset and type; looks into unnamed members one level deep. */
static bool member(const struct btf *btf, uint32_t type, const char *name, size_t n,
		   uint32_t *offset, uint32_t *ret_type)
{
	const struct btf_type *t = btf__type_by_id(btf, type);
	if (!t || !btf_is_composite(t))
		return false;
	const struct btf_member *m = btf_members(t);
	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		const char *found = btf__name_by_offset(btf, m[i].name_off);
		if (found && strncmp(found, name, n) == 0 && !found[n]) {
			*offset += btf_member_bit_offset(t, i) / 8;
			*ret_type = m[i].type;
			return true;
		}
	}
	return false;
}

/* "se.exec_start" in task_struct. */
static bool member_path(const struct btf *btf, uint32_t type, const char *path,
			uint32_t *ret_offset)
{
	uint32_t offset = 0;
	while (path && *path) {
		size_t n = strcspn(path, ".");
		if (!member(btf, type, path, n, &offset, &type))
			return false;
		path += n + (path[n] == '.');
	}
	*ret_offset = offset;
	return path != NULL;
}

static struct cprof_error *missing(const char *what)
{
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "BPF task iterator: this kernel's task_struct has no %s", what);
}

static struct cprof_error *find_all(const struct btf *btf, struct cprof_thread_layout *layout)
{
	const int hook = btf__find_by_name_kind(btf, "bpf_iter_task", BTF_KIND_FUNC);
	const int task = btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT);
	if (task < 0 || !member_path(btf, (uint32_t)task, "tgid", &layout->tgid) ||
	    !member_path(btf, (uint32_t)task, "comm", &layout->comm))
		return missing("tgid or comm");
	for (size_t i = 0; i < CPROF_THREAD_LAYOUT_FIELDS; i++) {
		const struct cprof_thread_layout_field *field = &cprof_thread_layout_fields[i];
		if (!member_path(btf, (uint32_t)task, field->path, &layout->fields[i]) &&
		    !member_path(btf, (uint32_t)task, field->older_path, &layout->fields[i]))
			return missing(field->path);
	}
	if (hook < 0)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "BPF task iterator: not in this kernel");
	layout->hook = (uint32_t)hook;
	return NULL;
}

struct cprof_error *cprof_thread_layout_read(struct cprof_thread_layout *ret_layout)
{
	struct btf *btf = btf__load_vmlinux_btf();
	if (!btf)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "BPF task iterator: the kernel's BTF: %s", strerror(errno));
	struct cprof_error *err = find_all(btf, ret_layout);
	btf__free(btf);
	return err;
}

/* ---- kept for this boot ---- */

bool cprof_thread_layout_load(const char *dir, struct cprof_thread_layout *ret_layout)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct kept kept;
	const uint64_t boot = dir ? cprof_kernel_cache_boot() : 0;
	if (!boot)
		return false;
	struct cprof_error *err = cprof_cache_dir_read(dir, KEY, sizeof(kept), &bytes);
	const bool whole = !err && bytes.len == sizeof(kept);
	cprof_error_free(err);
	if (!whole)
		return false;
	memcpy(&kept, bytes.data, sizeof(kept));
	if (memcmp(kept.magic, MAGIC, sizeof(kept.magic)) != 0 || kept.boot != boot ||
	    kept.checksum != cprof_hash_bytes(&kept.layout, sizeof(kept.layout)))
		return false;
	*ret_layout = kept.layout;
	return true;
}

void cprof_thread_layout_save(const char *dir, const struct cprof_thread_layout *layout)
{
	struct kept kept = { .boot = dir ? cprof_kernel_cache_boot() : 0, .layout = *layout };
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	if (!kept.boot)
		return;
	memcpy(kept.magic, MAGIC, sizeof(kept.magic));
	kept.checksum = cprof_hash_bytes(&kept.layout, sizeof(kept.layout));
	cprof_buffer_append(&bytes, &kept, sizeof(kept));
	cprof_error_free(cprof_cache_dir_write(dir, KEY, &bytes));
}
