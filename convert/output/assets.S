/* SPDX-License-Identifier: Apache-2.0 */
/* What convert/output/assets.h declares. In the assembler's own file: what a C file's assembly defines, link time optimization does not know. */
	.section .rodata
	.globl	cprof_asset_flamegraph
	.type	cprof_asset_flamegraph, %object
cprof_asset_flamegraph:
	.incbin	"flamegraph.html"
end:
	.byte	0
	.p2align 3
	.globl	cprof_asset_flamegraph_len
	.type	cprof_asset_flamegraph_len, %object
cprof_asset_flamegraph_len:
	.quad	end - cprof_asset_flamegraph
	.section .note.GNU-stack, "", %progbits
