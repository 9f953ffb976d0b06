# SPDX-License-Identifier: Apache-2.0
# The flame graph as one page: cmake -DFROM=FOLDER -DTO=FILE -P join.cmake
#
# Another page can be made likewise: who includes this names its MODULES, STYLES and PAGE (paths without and with suffix).
#
# Modules are put one behind the other, what they import before them, without their import lines and without `export`, so
# names at the top of a module are to be different in all of them. The page's policy names the hashes of its script and style
# and lets no other run.
if(NOT MODULES)
	foreach(module tree transform profile search format color state picture table page main)
		list(APPEND MODULES ${FROM}/${module})
	endforeach()
	set(STYLES ${FROM}/style.css)
	file(READ ${FROM}/page.html PAGE)
endif()

# `hex` as base64 with padding.
function(base64_of hex result)
	set(letters ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
	set(text "")
	string(LENGTH "${hex}" length)
	math(EXPR last "${length} - 1")
	foreach(at RANGE 0 ${last} 6)
		string(SUBSTRING "${hex}00" ${at} 6 three)
		math(EXPR number "0x${three}")
		foreach(shift 18 12 6 0)
			math(EXPR digit "(${number} >> ${shift}) & 63")
			string(SUBSTRING "${letters}" ${digit} 1 letter)
			string(APPEND text "${letter}")
		endforeach()
	endforeach()
	# 32 bytes are 43 letters and one that only fills up.
	string(SUBSTRING "${text}" 0 43 text)
	set(${result} "${text}=" PARENT_SCOPE)
endfunction()

set(SCRIPT "\"use strict\";\n")
foreach(module ${MODULES})
	file(READ ${module}.mjs text)
	string(REGEX REPLACE "(^|\n)import [^\n]*" "\\1" text "${text}")
	string(REGEX REPLACE "(^|\n)export " "\\1" text "${text}")
	string(APPEND SCRIPT "${text}")
endforeach()
set(STYLE "")
foreach(style ${STYLES})
	file(READ ${style} text)
	string(APPEND STYLE "${text}")
endforeach()
foreach(part SCRIPT STYLE)
	string(SHA256 hex "${${part}}")
	base64_of(${hex} base64)
	set(${part}_HASH "sha256-${base64}")
	string(REPLACE "@${part}_HASH@" "${${part}_HASH}" PAGE "${PAGE}")
	string(REPLACE "@${part}@" "${${part}}" PAGE "${PAGE}")
endforeach()
file(WRITE ${TO} "${PAGE}")
