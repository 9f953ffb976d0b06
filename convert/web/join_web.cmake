# SPDX-License-Identifier: Apache-2.0
# The web view's page: cmake -DFROM=FOLDER -DFLAME=FOLDER -DTO=FILE -P join_web.cmake
#
# Its own modules and styles behind those of the flame graph, whose document stands in a template of the page. The hashes of its
# script and style are written beside it, for the policy in the answer's head.
cmake_minimum_required(VERSION 3.18)

foreach(module tree transform profile search format color state picture table page)
	list(APPEND MODULES ${FLAME}/${module})
endforeach()
foreach(module address dom bar load layout graph functions jumps code stacks movements leaks strip start)
	list(APPEND MODULES ${FROM}/${module})
endforeach()
set(STYLES ${FLAME}/style.css ${FROM}/web.css)
file(READ ${FROM}/page.html PAGE)
file(READ ${FLAME}/page.html flame)
string(FIND "${flame}" "<header>" begin)
string(FIND "${flame}" "<script id=\"data\"" end)
math(EXPR length "${end} - ${begin}")
string(SUBSTRING "${flame}" ${begin} ${length} flame)
string(REPLACE "@FLAME@" "${flame}" PAGE "${PAGE}")
include(${CMAKE_CURRENT_LIST_DIR}/../output/assets/join.cmake)
file(WRITE ${TO}.script-hash "${SCRIPT_HASH}")
file(WRITE ${TO}.style-hash "${STYLE_HASH}")
