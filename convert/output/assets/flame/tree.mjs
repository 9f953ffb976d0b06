/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.mjs - all stacks as one tree in flat arrays, and how trees are made of trees.
 *
 * A tree: n nodes in pre-order, siblings in their order. By node: depth, parent (-1: none), end (behind its last descendant),
 * frame (a number of profile.names; FILLER for narrow siblings that were joined), joined (how many those were); and by
 * column of values: self. Nothing here knows names or a page.
 */
export const FILLER = -1;

/* Rows as flame_data.h describes them. */
export function treeOfRows(rows) {
  const n = rows.up.length, depth = new Int32Array(n), frame = new Int32Array(n), joined = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    depth[i] = i ? depth[i - 1] + 1 - rows.up[i] : 0;
    frame[i] = rows.frame[i] < 0 ? FILLER : rows.frame[i];
    joined[i] = rows.frame[i] < 0 ? -rows.frame[i] : 0;
  }
  return linkTree({ n, depth, frame, joined, self: rows.self.map((column) => Float64Array.from(column)) });
}

function linkTree(tree) {
  const parent = new Int32Array(tree.n), end = new Int32Array(tree.n), path = [];
  for (let i = 0; i < tree.n; i++) {
    while (path.length > tree.depth[i]) end[path.pop()] = i;
    parent[i] = path.length ? path[path.length - 1] : -1;
    path.push(i);
  }
  while (path.length) end[path.pop()] = tree.n;
  return Object.assign(tree, { parent, end });
}

/* The same tree with siblings in the order of their names, so that two recordings look alike; fillers stay last. */
export function orderByName(tree, names) {
  const children = new Map(), rows = { depth: [], frame: [], joined: [], from: [] };
  for (let i = 0; i < tree.n; i++) {
    if (!children.has(tree.parent[i])) children.set(tree.parent[i], []);
    children.get(tree.parent[i]).push(i);
  }
  const key = (i) => (tree.frame[i] === FILLER ? "\uffff" : names[tree.frame[i]]);
  const backwards = (a, b) => (key(a) < key(b) ? 1 : key(a) > key(b) ? -1 : b - a), open = [...(children.get(-1) || [])].sort(backwards);
  while (open.length) {
    const i = open.pop();
    rows.depth.push(tree.depth[i]);
    rows.frame.push(tree.frame[i]);
    rows.joined.push(tree.joined[i]);
    rows.from.push(i);
    if (children.has(i)) open.push(...children.get(i).sort(backwards));
  }
  return linkTree({ n: tree.n, depth: Int32Array.from(rows.depth), frame: Int32Array.from(rows.frame), joined: Int32Array.from(rows.joined),
    self: tree.self.map((column) => Float64Array.from(rows.from, (i) => column[i])) });
}

/* By node: its own and everything below it. */
export function sums(tree, column) {
  const sum = Float64Array.from(tree.self[column]);
  for (let i = tree.n - 1; i >= 0; i--)
    if (tree.parent[i] >= 0) sum[tree.parent[i]] += sum[i];
  return sum;
}

/* A tree that is put together by paths: nodes are numbers, 0 is above all roots. */
export class TreeBuilder {
  constructor(columns) {
    this.parent = [-1];
    this.frame = [FILLER];
    this.joined = [0];
    this.self = Array.from({ length: columns }, () => [0]);
    this.children = new Map();
  }
  child(parent, frame, joined = 0) {
    const key = parent * 8388608 + frame + 1;
    let node = this.children.get(key);
    if (node === undefined) {
      node = this.parent.length;
      this.children.set(key, node);
      this.parent.push(parent);
      this.frame.push(frame);
      this.joined.push(0);
      for (const column of this.self) column.push(0);
    }
    this.joined[node] += joined;
    return node;
  }
  add(node, values) {
    for (let c = 0; c < values.length; c++) this.self[c][node] += values[c];
  }
  /* Siblings from the widest down by `weigh` of their sums; fillers last; without what is empty. */
  finish(weigh) {
    const count = this.parent.length, total = this.self.map((column) => Float64Array.from(column));
    for (let i = count - 1; i > 0; i--)
      for (const column of total) column[this.parent[i]] += column[i];
    const weight = Float64Array.from({ length: count }, (_, i) => weigh(total.map((column) => column[i])));
    const first = new Int32Array(count).fill(-1), next = new Int32Array(count).fill(-1);
    const last = (i) => (this.frame[i] === FILLER ? 1 : 0);
    const order = Array.from({ length: count - 1 }, (_, i) => i + 1)
      .sort((a, b) => last(b) - last(a) || weight[a] - weight[b] || b - a);
    for (const i of order) {
      next[i] = first[this.parent[i]];
      first[this.parent[i]] = i;
    }
    const rows = { depth: [], frame: [], joined: [], from: [] };
    for (let i = first[0], depth = 0; i > 0;) {
      if (total.some((column) => column[i])) {
        rows.depth.push(depth);
        rows.frame.push(this.frame[i]);
        rows.joined.push(this.joined[i]);
        rows.from.push(i);
        if (first[i] > 0) {
          i = first[i];
          depth++;
          continue;
        }
      }
      while (i > 0 && next[i] < 0) {
        i = this.parent[i];
        depth--;
      }
      if (i > 0) i = next[i];
    }
    return linkTree({ n: rows.depth.length, depth: Int32Array.from(rows.depth), frame: Int32Array.from(rows.frame),
      joined: Int32Array.from(rows.joined), self: this.self.map((column) => Float64Array.from(rows.from, (i) => column[i])) });
  }
}

function valuesAt(columns, i) {
  return columns.map((column) => column[i]);
}

/* Every stack upside down: roots are the functions that samples were in, below them who called them. */
export function invertTree(tree, weigh) {
  const builder = new TreeBuilder(tree.self.length);
  for (let i = 0; i < tree.n; i++) {
    if (!tree.self.some((column) => column[i])) continue;
    let node = 0;
    for (let at = i; at >= 0; at = tree.parent[at]) node = builder.child(node, tree.frame[at], tree.joined[at]);
    builder.add(node, valuesAt(tree.self, i));
  }
  return builder.finish(weigh);
}

/* The nodes of a function that have no other of the same above them: with recursion counted once, all its weight. */
export function outermost(tree, frames) {
  const found = [];
  for (let i = 0; i < tree.n;) {
    if (frames.has(tree.frame[i])) {
      found.push(i);
      i = tree.end[i];
    } else {
      i++;
    }
  }
  return found;
}

/* Who calls a function, upside down: it is the root. */
export function callersTree(tree, frame, weigh) {
  const builder = new TreeBuilder(tree.self.length), total = tree.self.map((_, c) => sums(tree, c));
  for (const i of outermost(tree, new Set([frame]))) {
    let node = 0;
    for (let at = i; at >= 0; at = tree.parent[at]) node = builder.child(node, tree.frame[at], tree.joined[at]);
    builder.add(node, valuesAt(total, i));
  }
  return builder.finish(weigh);
}

/* What a function calls: it is the root. */
export function calleesTree(tree, frame, weigh) {
  const builder = new TreeBuilder(tree.self.length), place = new Int32Array(tree.n);
  for (const root of outermost(tree, new Set([frame]))) {
    for (let i = root; i < tree.end[root]; i++) {
      place[i] = builder.child(i === root ? 0 : place[tree.parent[i]], tree.frame[i], tree.joined[i]);
      builder.add(place[i], valuesAt(tree.self, i));
    }
  }
  return builder.finish(weigh);
}

/* What each frame has by itself and with its callees, recursion counted once: Maps of frame to value. */
export function frameSums(tree, column) {
  const flat = new Map(), cum = new Map(), total = sums(tree, column), open = new Map(), path = [];
  for (let i = 0; i < tree.n; i++) {
    while (path.length > tree.depth[i]) {
      const left = path.pop();
      open.set(left, open.get(left) - 1);
    }
    const frame = tree.frame[i], above = open.get(frame) || 0;
    flat.set(frame, (flat.get(frame) || 0) + tree.self[column][i]);
    if (!above) cum.set(frame, (cum.get(frame) || 0) + total[i]);
    open.set(frame, above + 1);
    path.push(frame);
  }
  return { flat, cum };
}
