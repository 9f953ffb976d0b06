# SPDX-License-Identifier: Apache-2.0
# cmake -DPROGRAM=cprof-attach -DSOURCE=x.1.in -DOUTPUT=x.1 -DVERSION=1.2 -P make-man.cmake
execute_process(COMMAND ${PROGRAM} -man-options OUTPUT_VARIABLE OPTIONS RESULT_VARIABLE STATUS)
if(STATUS)
	message(FATAL_ERROR "${PROGRAM} -man-options: ${STATUS}")
endif()
configure_file(${SOURCE} ${OUTPUT} @ONLY)
