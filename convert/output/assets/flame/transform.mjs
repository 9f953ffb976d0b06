/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transform.mjs - steps that change which stacks and frames are shown, one after the other.
 *
 * A step: { op, pattern }, with a row of STEPS for each op. Steps only ever make a new tree, so that each can be undone.
 */
import { TreeBuilder, FILLER, outermost } from "./tree.mjs";

/* A pattern that only this name fits. */
export function exactly(name) {
  return "^" + name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&") + "$";
}

/* The numbers of the names that fit. */
export function framesThatMatch(names, pattern, flags = "") {
  const expression = new RegExp(pattern, flags), found = new Set();
  for (let i = 0; i < names.length; i++) if (expression.test(names[i])) found.add(i);
  return found;
}

/* The tree of the nodes that `place` gives a new one for: place(node, place of its parent, builder); -1 drops what is below. */
function rebuild(tree, place, weigh) {
  const builder = new TreeBuilder(tree.self.length), at = new Int32Array(tree.n);
  for (let i = 0; i < tree.n;) {
    at[i] = place(i, tree.parent[i] < 0 ? 0 : at[tree.parent[i]], builder);
    if (at[i] < 0) {
      i = tree.end[i];
      continue;
    }
    builder.add(at[i], tree.self.map((column) => column[i]));
    i++;
  }
  return builder.finish(weigh);
}

const keepNode = (tree, i, above, builder) => builder.child(above, tree.frame[i], tree.joined[i]);

/* Only stacks that go through one of these. */
function focusOn(tree, frames, weigh) {
  const builder = new TreeBuilder(tree.self.length), at = new Int32Array(tree.n), inside = new Uint8Array(tree.n);
  for (const root of outermost(tree, frames)) inside.fill(1, root, tree.end[root]);
  for (let i = 0; i < tree.n; i++) {
    at[i] = keepNode(tree, i, tree.parent[i] < 0 ? 0 : at[tree.parent[i]], builder);
    if (inside[i]) builder.add(at[i], tree.self.map((column) => column[i]));
  }
  return builder.finish(weigh);
}

/* Stacks begin at the first of these. */
function showFrom(tree, frames, weigh) {
  const builder = new TreeBuilder(tree.self.length), at = new Int32Array(tree.n);
  for (const root of outermost(tree, frames)) {
    for (let i = root; i < tree.end[root]; i++) {
      at[i] = keepNode(tree, i, i === root ? 0 : at[tree.parent[i]], builder);
      builder.add(at[i], tree.self.map((column) => column[i]));
    }
  }
  return builder.finish(weigh);
}

/* A frame below itself, with others between them or not, becomes the one above. */
function collapse(tree, frames, weigh) {
  const nearest = new Map(), path = [];
  return rebuild(tree, (i, above, builder) => {
    while (path.length > tree.depth[i]) {
      const left = path.pop();
      nearest.set(left.frame, left.before);
    }
    const frame = tree.frame[i], before = nearest.get(frame);
    const node = frames.has(frame) && before !== undefined ? before : keepNode(tree, i, above, builder);
    path.push({ frame, before });
    nearest.set(frame, node);
    return node;
  }, weigh);
}

/* A frame right below itself becomes the one above. */
function collapseDirect(tree, weigh) {
  return rebuild(tree, (i, above, builder) =>
    (tree.parent[i] >= 0 && tree.frame[i] !== FILLER && tree.frame[tree.parent[i]] === tree.frame[i]
      ? above : keepNode(tree, i, above, builder)), weigh);
}

export const STEPS = {
  focus: { says: "only stacks through", does: focusOn },
  ignore: { says: "without stacks through",
    does: (tree, frames, weigh) =>
      rebuild(tree, (i, above, builder) => (frames.has(tree.frame[i]) ? -1 : keepNode(tree, i, above, builder)), weigh) },
  hide: { says: "merged into callers:",
    does: (tree, frames, weigh) =>
      rebuild(tree, (i, above, builder) => (frames.has(tree.frame[i]) ? above : keepNode(tree, i, above, builder)), weigh) },
  from: { says: "stacks from", does: showFrom },
  collapse: { says: "recursion collapsed:", does: collapse },
  direct: { says: "direct recursion collapsed", does: (tree, frames, weigh) => collapseDirect(tree, weigh) },
};

/* All steps in their order. Steps that are not known, or whose pattern is no expression, change nothing. */
export function transformTree(tree, names, steps, weigh) {
  for (const { op, pattern } of steps) {
    if (!Object.hasOwn(STEPS, op)) continue;
    let frames;
    try { frames = framesThatMatch(names, pattern); } catch { continue; }
    tree = STEPS[op].does(tree, frames, weigh);
  }
  return tree;
}
