#include "convert/output/assets.h"

/* CPROF_ASSET_DIR is set by CMake. The assembler reads the file; the C compiler only learns its length. */
#define ASSET(name, file)                                                                          \
	__asm__(".section .rodata\n"                                                               \
		".global cprof_asset_" name "\n"                                                   \
		".type cprof_asset_" name ", %object\n"                                            \
		"cprof_asset_" name ":\n"                                                          \
		".incbin \"" CPROF_ASSET_DIR "/" file "\"\n"                                       \
		"1:\n"                                                                             \
		".byte 0\n"                                                                        \
		".balign 8\n"                                                                      \
		".global cprof_asset_" name "_len\n"                                               \
		".type cprof_asset_" name "_len, %object\n"                                        \
		"cprof_asset_" name "_len:\n"                                                      \
		".quad 1b - cprof_asset_" name "\n"                                                \
		".previous\n")

ASSET("flamegraph", "flamegraph.html");
