/*
 * attach/heap/inject/heap_install.h - put the shim into a process and take it out again.
 *
 * Owns everything that is done to the target: two kinds of mappings (shim_proto.h), a jump at each entry point, and
 * that all of it is undone. Order and record make every moment a good one to die in: the code page says what will be
 * changed before it is changed, every change is one store, and what is half done works or does nothing.
 *
 *   plan      symbols, code, addresses: the target runs
 *   attach    all threads stopped: map, fill, move threads out of the first instructions, jumps, go
 *   detach    all threads stopped: bytes back and compared; unmap once nobody is inside; go
 *
 * Stopping is ptrace.h's, calls in the target remote.h's, relocation patch.h's; samples are heap_reader.h's.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_INSTALL_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_INSTALL_H

#include "attach/heap/alloc/alloc_find.h"
#include "attach/heap/inject/patch.h"
#include "attach/heap/alloc/pool_spec.h"
#include "attach/target/ptrace.h"
#include "attach/target/remote.h"
#include "attach/heap/shim/shim_proto.h"
#include "attach/target/target.h"
#include "base/error.h"

#define CPROF_HEAP_IMAGES_MAX 4

/* One code mapping; all entry points it serves are within 2 GiB. */
struct cprof_heap_image {
	uint64_t addr;
	struct cprof_shim_image
		*copy; /* owned; as it is (to be) in the target, the code behind it */
	bool mapped;
};

struct cprof_heap_hook {
	struct cprof_alloc_entry entry;
	uint32_t image, stub; /* indices */
	uint64_t trampoline;  /* run-time address of the trampoline */
	struct cprof_patch patch;
	char *refused;  /* owned; why it is not patched; NULL: it is */
	bool beyond_us; /* refused for a limit of ours, not for what it is like */
	bool by_uprobe; /* watched by a uprobe (heap_method.c) */
	bool slow;      /* one of the dear ones */
};

struct cprof_heap_install {
	struct cprof_target *target;   /* borrowed */
	struct cprof_maps *maps;       /* borrowed */
	struct cprof_modules *modules; /* borrowed */
	struct cprof_alloc_entries entries;
	struct cprof_remote_gadgets gadgets;
	struct cprof_heap_image images[CPROF_HEAP_IMAGES_MAX];
	uint32_t n_images;
	uint64_t image_bytes; /* of each code mapping */
	uint64_t data, data_bytes, live_entries;
	bool data_mapped, attached;
	struct cprof_heap_hook *hooks; /* owned */
	size_t n_hooks, n_done;        /* those before n_done are in place (or refused) */
	uint64_t nonce;
	uint64_t period;

	/*
	 * Called when hooks from number `from` on are planned and before any of them is put in place: may refuse more of
	 * them, and watch them in another way. May be NULL.
	 */
	struct cprof_error *(*planned)(void *ctx, size_t from);
	void *planned_ctx;

	/* For the summary. */
	uint64_t attach_ns,
		detach_ns; /* how long the threads stood still; detach: the longest of its stops */
	uint32_t patched, restored, moved;
	bool page_kept;
	const char *kept_why;  /* what the last try to unmap found; static text */
	uint32_t lost_objects; /* patches whose mapping was gone or another by then */
};

/* What is wanted. */
struct cprof_heap_install_options {
	uint64_t period;                      /* bytes; 1: every call */
	bool suspend_seccomp;                 /* we may: root */
	const struct cprof_pool_specs *pools; /* borrowed; the user's own allocators; NULL: none */
};

void cprof_heap_install_init(struct cprof_heap_install *install, struct cprof_target *target,
			     struct cprof_maps *maps, struct cprof_modules *modules);
/* Gives memory back; does not touch the target. */
void cprof_heap_install_deinit(struct cprof_heap_install *install);

/*
 * Find entry points, choose addresses, relocate, and put the shim in. Stops all threads for a few milliseconds. On error
 * the target is as it was.
 *
 * Errors: NO_TARGET, DENIED (permission; traced by another; another cprof-attach is active: says which),
 * USAGE (a pool that is not there), UNSUPPORTED (no allocator found, none of its entry points can be patched, no room, seccomp).
 */
struct cprof_error *cprof_heap_attach(struct cprof_heap_install *install,
				      const struct cprof_heap_install_options *options);

/*
 * Hook the allocators of objects that were mapped since (dlopen); install->maps must be fresh. Stops the threads only if there
 * are any. What cannot be hooked gets its reason. Errors as cprof_heap_attach(); after one of them what was in place
 * is in place still; if the threads could not be stopped the next call tries again.
 */
struct cprof_error *cprof_heap_extend(struct cprof_heap_install *install);

/* Called by detach while the threads stand still and the original bytes are back: the last look at the data. */
typedef struct cprof_error *cprof_heap_final(void *ctx);

/*
 * Take it out. Stops all threads for a few milliseconds, more than once if one of them is inside our code; after
 * about a second of that the pages are left (harmless, nothing leads to them) and page_kept is set. A target that has
 * ended or runs another program by now is no error. `final` may be NULL.
 */
struct cprof_error *cprof_heap_detach(struct cprof_heap_install *install, cprof_heap_final *final,
				      void *ctx);

/* Bytes at `addr` of the data mapping; false if the target or the mapping is gone. Does not stop the target. */
bool cprof_heap_read(const struct cprof_heap_install *install, uint64_t addr, void *buf, size_t n);
bool cprof_heap_write(const struct cprof_heap_install *install, uint64_t addr, const void *buf,
		      size_t n);

/* The code blob, as built (shim_blob.S). */
extern const uint8_t cprof_shim_blob[];
extern const uint8_t cprof_shim_blob_end[];

#endif
