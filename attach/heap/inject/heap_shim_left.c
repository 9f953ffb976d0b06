#include "attach/heap/inject/heap_shim_left.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/heap/inject/heap_claim.h"
#include "attach/heap/inject/heap_install.h"
#include "base/cleanup.h"

/* Is the data mapping that the code page names there, and is it that? In a forked child it is all zeros. */
static bool data_is_there(const struct cprof_maps *maps, const struct cprof_shim_image *image)
{
	const struct cprof_map *map = cprof_maps_find(maps, image->data);
	uint64_t magic;
	return map && !map->inode && map->prot == (PROT_READ | PROT_WRITE) &&
	       image->data + image->data_bytes <= map->end &&
	       maps->memory.read(maps->memory.ctx, image->data, &magic, sizeof(magic)) &&
	       (magic == image->nonce || magic == 0);
}

static struct cprof_error *busy(const struct cprof_maps *maps, const struct cprof_shim_image *image)
{
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_DENIED, "a heap profile of process %d is being taken by PID %llu",
		(int)maps->pid, (unsigned long long)image->tool_pid);
	return cprof_error_hint(err, "it cleans up by itself: end it with kill -INT %llu",
				(unsigned long long)image->tool_pid);
}

/* Take over one code page as if we had made it. */
static struct cprof_error *adopt(struct cprof_heap_install *install, const struct cprof_map *map,
				 const struct cprof_shim_image *image)
{
	if (image->magic && cprof_heap_claim_alive(image)) {
		/* In a forked child the parent's run is alive, but has nothing to do with this process. */
		uint64_t magic = 0;
		install->maps->memory.read(install->maps->memory.ctx, image->data, &magic,
					   sizeof(magic));
		if (magic)
			return busy(install->maps, image);
	}
	struct cprof_heap_pages *pages = &install->pages;
	struct cprof_heap_image *place = &pages->images[pages->n_images];
	place->copy = malloc(sizeof(*place->copy));
	if (!place->copy)
		return cprof_error_no_memory();
	*place->copy = *image;
	place->addr = map->start;
	place->mapped = true;
	pages->n_images++;
	pages->image_bytes = image->magic ? image->image_bytes : map->end - map->start;
	if (image->magic && !pages->data_mapped && data_is_there(install->maps, image)) {
		pages->data = image->data;
		pages->data_bytes = image->data_bytes;
		pages->data_mapped = true;
	}
	return NULL;
}

static struct cprof_error *adopt_all(struct cprof_heap_install *install)
{
	const struct cprof_map *map;
	uint64_t from = 0;
	CPROF_AUTO(free) struct cprof_shim_image *image = malloc(sizeof(*image));
	if (!image)
		return cprof_error_no_memory();
	while (install->pages.n_images < CPROF_HEAP_IMAGES_MAX &&
	       cprof_heap_claim_find(install->maps, from, &map, image)) {
		struct cprof_error *err = adopt(install, map, image);
		if (err)
			return err;
		from = map->end;
	}
	return NULL;
}

static struct cprof_error *take_out(struct cprof_heap_install *install,
				    struct cprof_heap_shim_left *ret_left)
{
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (!err)
		err = adopt_all(install);
	if (err || !install->pages.n_images)
		return err;
	ret_left->pages = install->pages.n_images;
	err = cprof_remote_find_gadgets(install->maps, &install->gadgets);
	install->attached = true;
	if (!err)
		err = cprof_heap_install_detach(install, NULL, NULL);
	ret_left->restored = install->restored;
	ret_left->lost_objects = install->lost_objects;
	ret_left->page_kept = install->page_kept;
	ret_left->kept_why = install->kept_why;
	ret_left->pause_ns = install->detach_ns;
	return err;
}

struct cprof_error *cprof_heap_shim_left_remove(struct cprof_target *target,
						struct cprof_maps *maps,
						struct cprof_heap_shim_left *ret_left)
{
	struct cprof_heap_install install;
	*ret_left = (struct cprof_heap_shim_left){ 0 };
	cprof_heap_install_init(&install, target, maps, NULL);
	struct cprof_error *err = take_out(&install, ret_left);
	cprof_heap_install_deinit(&install);
	return err;
}
