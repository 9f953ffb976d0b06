/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_shim_left.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/heap/inject/heap_claim.h"
#include "attach/heap/inject/heap_install.h"
#include "attach/heap/inject/heap_row.h"
#include "base/cleanup.h"

#define RUNS_MAX 16u
#define LIVE_MAX (1u << 24) /* more entries than any profile asks for */

/* Is the data mapping that the code page names there, and is it that? In a forked child it is all zeros. */
static bool data_is_there(const struct cprof_maps *maps, const struct cprof_shim_image *image)
{
	const struct cprof_map *map = cprof_maps_find(maps, image->data);
	const uint64_t entries = image->live_mask + 1;
	uint64_t magic;
	return map && !map->inode && map->prot == (PROT_READ | PROT_WRITE) && entries &&
	       entries <= LIVE_MAX &&
	       image->data_bytes ==
		       sizeof(struct cprof_shim_data) + entries * sizeof(struct cprof_shim_live) &&
	       image->data_bytes <= map->end - image->data &&
	       maps->memory.read(maps->memory.ctx, image->data, &magic, sizeof(magic)) &&
	       (magic == image->nonce || magic == 0);
}

static struct cprof_error *other_version(const struct cprof_maps *maps, uint32_t version)
{
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_UNSUPPORTED,
		"what is left in process %d was made by another version of cprof-attach (layout %u, "
		"not %u)",
		(int)maps->pid, (unsigned)version, (unsigned)CPROF_SHIM_VERSION);
	return cprof_error_hint(err,
				"it does no harm; that version's cprof-attach -repair %d "
				"removes it",
				(int)maps->pid);
}

static struct cprof_error *not_believed(const struct cprof_maps *maps,
					const struct cprof_shim_patch *row, const char *why)
{
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_BAD_DATA,
		"what is left in process %d names a change at 0x%llx that is not believed: %s; "
		"nothing was touched",
		(int)maps->pid, (unsigned long long)row->addr, why);
	return cprof_error_hint(err, "it does no harm, and goes with the process");
}

/* The page is the target's memory: of its rows those stay that are true, and where one is false all is left alone. */
static struct cprof_error *keep_true_rows(const struct cprof_maps *maps,
					  struct cprof_shim_image *image)
{
	const uint32_t named = image->n_patches < CPROF_SHIM_MAX_ENTRIES ? image->n_patches
									 : CPROF_SHIM_MAX_ENTRIES;
	const char *why;
	image->n_patches = 0;
	for (uint32_t i = 0; i < named; i++) {
		const struct cprof_shim_patch row = image->patches[i];
		switch (cprof_heap_row_check(maps, &row, &why)) {
		case CPROF_HEAP_ROW_TRUE:
			image->patches[image->n_patches++] = row;
			break;
		case CPROF_HEAP_ROW_NOTHING:
			break;
		case CPROF_HEAP_ROW_FALSE:
			return not_believed(maps, &row, why);
		}
	}
	return NULL;
}

/* Take over one code page as if we had made it. */
static struct cprof_error *adopt(struct cprof_heap_install *install, const struct cprof_map *map,
				 const struct cprof_shim_image *image)
{
	struct cprof_heap_pages *pages = &install->pages;
	struct cprof_heap_image *place = &pages->images[pages->n_images];
	struct cprof_error *err = cprof_heap_claim_busy(install->maps, image);
	if (!err && image->magic && image->version != CPROF_SHIM_VERSION)
		err = other_version(install->maps, image->version);
	if (err)
		return err;
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
	return image->magic ? keep_true_rows(install->maps, place->copy) : NULL;
}

/* The code pages of one run. */
static struct cprof_error *adopt_all(struct cprof_heap_install *install, uint64_t nonce)
{
	const struct cprof_map *map;
	uint64_t from = 0;
	CPROF_AUTO(free) struct cprof_shim_image *image = malloc(sizeof(*image));
	if (!image)
		return cprof_error_no_memory();
	while (install->pages.n_images < CPROF_HEAP_IMAGES_MAX &&
	       cprof_heap_claim_find(install->maps, from, &map, image)) {
		from = map->end;
		if (image->nonce != nonce)
			continue;
		struct cprof_error *err = adopt(install, map, image);
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *take_out(struct cprof_heap_install *install, uint64_t nonce,
				    struct cprof_heap_shim_left *ret_left)
{
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (!err)
		err = adopt_all(install, nonce);
	if (err || !install->pages.n_images)
		return err;
	ret_left->pages += install->pages.n_images;
	err = cprof_remote_find_gadgets(install->maps, &install->gadgets);
	install->attached = true;
	if (!err)
		err = cprof_heap_install_detach(install, NULL, NULL);
	ret_left->restored += install->restored;
	ret_left->lost_objects += install->lost_objects;
	ret_left->page_kept = ret_left->page_kept || install->page_kept;
	if (install->page_kept)
		memcpy(ret_left->kept_why, install->kept_why, sizeof(ret_left->kept_why));
	cprof_stop_tally_join(&ret_left->stops, &install->detach_stops);
	return err;
}

/* One that left its pages because somebody was inside, and those that came after it, each have pages of their own. */
static struct cprof_error *runs_left(struct cprof_maps *maps, uint64_t *nonces, size_t *ret_n)
{
	const struct cprof_map *map;
	uint64_t from = 0;
	CPROF_AUTO(free) struct cprof_shim_image *image = malloc(sizeof(*image));
	if (!image)
		return cprof_error_no_memory();
	*ret_n = 0;
	while (*ret_n < RUNS_MAX && cprof_heap_claim_find(maps, from, &map, image)) {
		size_t i = 0;
		while (i < *ret_n && nonces[i] != image->nonce)
			i++;
		if (i == *ret_n)
			nonces[(*ret_n)++] = image->nonce;
		from = map->end;
	}
	return NULL;
}

struct cprof_error *cprof_heap_shim_left_remove(struct cprof_target *target,
						struct cprof_maps *maps,
						struct cprof_heap_shim_left *ret_left)
{
	uint64_t nonces[RUNS_MAX];
	size_t n = 0;
	*ret_left = (struct cprof_heap_shim_left){ 0 };
	struct cprof_error *err = cprof_maps_refresh(maps);
	if (!err)
		err = runs_left(maps, nonces, &n);
	for (size_t i = 0; !err && i < n; i++) {
		struct cprof_heap_install install;
		cprof_heap_install_init(&install, target, maps, NULL);
		err = take_out(&install, nonces[i], ret_left);
		cprof_heap_install_deinit(&install);
	}
	return err;
}
