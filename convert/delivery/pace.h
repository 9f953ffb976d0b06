/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/delivery/pace.h - how fast one of many catches up, so that a server which returns is not stormed.
 *
 * When a collector comes back, everybody has a spool full of profiles for it. Each sends them at one and a half times the rate at which it
 * makes new ones, and so all together never come faster than that over their everyday rate, whoever knows how many they are.
 */
#ifndef CPROF_CONVERT_DELIVERY_PACE_H
#define CPROF_CONVERT_DELIVERY_PACE_H

#include <stdint.h>

#define CPROF_PACE_RATIO 1.5

/*
 * The time between two profiles for a server, of which `kept` were put into the spool in the `elapsed_ns` since we began; 0 while there
 * were none.
 */
uint64_t cprof_pace_ns(uint64_t elapsed_ns, uint64_t kept);

#endif
