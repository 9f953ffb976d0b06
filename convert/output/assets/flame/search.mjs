/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search.mjs - which frames a pattern finds, and what they weigh in the whole profile.
 *
 * A frame within a frame that matches is not counted again. What was joined because it is narrow has no name in the tree,
 * but each function's sum over the profile is known: the truth lies between `least` and `most`, which are equal where
 * nothing was joined, where one function alone matches, and where samples are in what matches by themselves.
 */
import { FILLER, sums, frameSums, outermost } from "./tree.mjs";

/* known: the profile's functions, or null where the tree has been transformed. isAll: no other name can match. */
export function searchTree(tree, frames, column, known, isAll) {
  const total = sums(tree, column), hits = [], weightOf = (set) => outermost(tree, set).reduce((sum, i) => sum + total[i], 0);
  for (let i = 0; i < tree.n; i++) if (frames.has(tree.frame[i])) hits.push(i);
  const seen = weightOf(frames), most = weightOf(new Set([...frames, FILLER])); /* what is not seen is in what was joined */
  if (!known) return { hits, least: seen, most };
  const shown = frameSums(tree, column).cum;
  let largest = 0, missing = 0, own = 0; /* a sample is in one function by itself: these add up */
  for (const frame of frames) {
    const all = known.cum[column][frame];
    if (all === undefined) continue;
    largest = Math.max(largest, all);
    own += known.flat[column][frame];
    missing += Math.max(0, all - (shown.get(frame) || 0));
  }
  const least = Math.max(seen, largest, own);
  if (!isAll) return { hits, least, most: Math.max(least, most) };
  return { hits, least, most: frames.size === 1 ? least : Math.max(least, Math.min(most, seen + missing)) };
}
