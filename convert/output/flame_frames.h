/*
 * convert/output/flame_frames.h - which frames of a stack tree a page of limited size shows, and what the others become.
 *
 * The widest frames are taken as they are. What is left below one of them, too narrow for the room, becomes one frame
 * without a name there ("narrow"), and what those call is put together by name: of 60,000 narrow callers of one function
 * the function is still seen and found with all its weight. Writing the page is report_flamegraph.c's.
 */
#ifndef CPROF_CONVERT_OUTPUT_FLAME_FRAMES_H
#define CPROF_CONVERT_OUTPUT_FLAME_FRAMES_H

#include "convert/graph/stack_tree.h"
#include "cprof/error.h"

#define CPROF_FLAME_NARROW                                                                         \
	UINT32_MAX /* as a frame's info: several frames that have no room of their own */

struct cprof_flame_frame {
	uint32_t info;   /* in the tree's infos, or CPROF_FLAME_NARROW */
	uint64_t weight; /* what it is wide; in a comparison all changes below it */
	int64_t value;   /* the sum of them */
	uint32_t first_child, next_sibling; /* frames; CPROF_GRAPH_NONE: none */
	uint32_t nodes; /* of the tree that it stands for: a list of flame_frames.c's own */
	bool in_narrow; /* it is below a narrow frame */
};

struct cprof_flame_frames {
	struct cprof_flame_frame *all; /* owned; parents before children */
	uint32_t n, room;
	uint32_t first_root; /* CPROF_GRAPH_NONE: there is nothing */
	uint64_t width;      /* of all roots */
	uint64_t left_out;   /* weight of what is in no frame and below no narrow one */
	uint32_t n_nameless; /* nodes of the tree that are in narrow frames or left out */
};

/* Choose from `tree`, for about `bytes` bytes of page: numbers for each frame, and each name once. */
struct cprof_error *cprof_flame_frames_choose(struct cprof_graph *tree, size_t bytes,
					      struct cprof_flame_frames *ret_frames);
void cprof_flame_frames_deinit(struct cprof_flame_frames *frames);
static inline void cprof_auto_flame_frames(struct cprof_flame_frames *frames)
{
	cprof_flame_frames_deinit(frames);
}

#endif
