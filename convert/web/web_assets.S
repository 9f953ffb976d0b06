/* SPDX-License-Identifier: Apache-2.0 */
/* What convert/web/web_assets.h declares; see convert/output/assets.S for why it is assembly. */
	.section .rodata
	.globl	cprof_asset_web_page
	.type	cprof_asset_web_page, %object
cprof_asset_web_page:
	.incbin	"web.html"
end:
	.byte	0
	.globl	cprof_asset_web_script_hash
	.type	cprof_asset_web_script_hash, %object
cprof_asset_web_script_hash:
	.incbin	"web.html.script-hash"
	.byte	0
	.globl	cprof_asset_web_style_hash
	.type	cprof_asset_web_style_hash, %object
cprof_asset_web_style_hash:
	.incbin	"web.html.style-hash"
	.byte	0
	.p2align 3
	.globl	cprof_asset_web_page_len
	.type	cprof_asset_web_page_len, %object
cprof_asset_web_page_len:
	.quad	end - cprof_asset_web_page
	.section .note.GNU-stack, "", %progbits
