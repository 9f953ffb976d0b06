/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.mjs - the data of convert/output/flame_data.h as the page works with it.
 *
 * names: of functions, and behind them of the groups of a tree that is split. Columns of values: the one of a type, or in a
 * comparison two: what is new, then what is old.
 */
import { treeOfRows } from "./tree.mjs";

export function readProfile(data) {
  const per = data.diff ? 2 : 1;
  return {
    ...data, per, others: namesOfOthers(data.others), guessed: new Set(data.functions.guessed),
    trees: data.trees.map((rows) => ({ by: rows.by, names: data.functions.name.concat(rows.groups), tree: treeOfRows(rows) })),
  };
}

/* Names that share their beginnings with the one before; null where they had no room. */
function namesOfOthers(others) {
  if (!others) return null;
  let before = "";
  return others.rest.map((rest, i) => { before = before.slice(0, others.same[i]) + rest; return before; });
}

/* Whether it is sure that a pattern finds no function that is not listed. */
export function noneMatches(others, pattern) {
  const expression = new RegExp(pattern, "i");
  return others !== null && !others.some((name) => expression.test(name));
}

/* How wide a node of these values is by a type: in a comparison the larger of old and new. */
export function weigher(profile, type) {
  const at = type * profile.per;
  return profile.per === 2 ? (values) => Math.max(values[at], values[at + 1]) : (values) => values[at];
}

/* By node: widths that add up, from what each is wide by itself. */
export function widths(profile, tree, type) {
  const weigh = weigher(profile, type), width = new Float64Array(tree.n);
  for (let i = tree.n - 1; i >= 0; i--) {
    width[i] += weigh(tree.self.map((column) => column[i]));
    if (tree.parent[i] >= 0) width[tree.parent[i]] += width[i];
  }
  return width;
}

/* The value of a type in columns: what is new, less what is old where there is that. */
export function netValue(profile, columns, type, i) {
  const at = type * profile.per;
  return profile.per === 2 ? columns[at][i] - columns[at + 1][i] : columns[at][i];
}

/* Whether a comparison's two sides are equal in every function and by every type. */
export function nothingChanged(profile) {
  const { flat } = profile.functions;
  if (profile.per !== 2) return false;
  for (let c = 0; c < flat.length; c += 2)
    for (let i = 0; i < flat[c].length; i++) if (flat[c][i] !== flat[c + 1][i]) return false;
  return profile.trees[0].tree.n > 0 || profile.functions.name.length > 0;
}
