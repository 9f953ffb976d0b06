# SPDX-License-Identifier: Apache-2.0
# cmake -DHEADERS=DIR -DTO=FILE -P exports.cmake: the linker's list of what libcprof exports: what the public headers declare.
file(GLOB PATHS ${HEADERS}/*.h)
set(NAMES "")
foreach(PATH ${PATHS})
	file(READ ${PATH} TEXT)
	string(REGEX REPLACE "/\\*([^*]|\\*+[^*/])*\\*+/" "" TEXT "${TEXT}") # comments
	string(REGEX MATCHALL "cprof_[a-z0-9_]+ *\\(" FUNCTIONS "${TEXT}")
	string(REGEX MATCHALL "extern const [^;]*cprof_[a-z0-9_]+(\\[\\])?;" DATA "${TEXT}")
	foreach(FOUND ${FUNCTIONS} ${DATA})
		string(REGEX REPLACE ".*(cprof_[a-z0-9_]+)[^a-z0-9_]*$" "\\1" NAME "${FOUND}")
		list(APPEND NAMES ${NAME})
	endforeach()
endforeach()
list(SORT NAMES)
list(REMOVE_DUPLICATES NAMES)
string(REPLACE ";" ";\n\t\t" NAMES "${NAMES}")
file(WRITE ${TO} "CPROF_0 {\n\tglobal:\n\t\t${NAMES};\n\tlocal: *;\n};\n")
