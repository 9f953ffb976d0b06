/* SPDX-License-Identifier: Apache-2.0 */
/* The flame graph's modules without a page: node flamegraph_modules.mjs FOLDER. A line a check; the status says whether all hold. */
import assert from "node:assert";
import { pathToFileURL } from "node:url";

const from = async (name) => import(pathToFileURL(`${process.argv[2]}/${name}.mjs`));
const { TreeBuilder, FILLER, sums, invertTree, callersTree, calleesTree, frameSums, treeOfRows, orderByName } = await from("tree");
const { transformTree, exactly, framesThatMatch } = await from("transform");
const { searchTree } = await from("search");
const { formatValue, formatMatch, shortenName, visibleName } = await from("format");
const { readState, writeState } = await from("state");
const { widths, nothingChanged, readProfile } = await from("profile");
const { makePane, nodeAt } = await from("picture");
const { sortRows } = await from("table");

const weigh = (values) => values[0];
const names = [];
const number = (name) => (names.includes(name) ? names.indexOf(name) : names.push(name) - 1);

/* A tree of "a;b;c 3" lines, "*" for narrow frames; and back, sorted. */
function treeOf(...lines) {
  const builder = new TreeBuilder(1);
  for (const line of lines) {
    const [stack, value] = line.split(" ");
    let node = 0;
    for (const name of stack.split(";")) node = builder.child(node, name === "*" ? FILLER : number(name), name === "*" ? 2 : 0);
    builder.add(node, [+value]);
  }
  return builder.finish(weigh);
}
function linesOf(tree) {
  const lines = [];
  for (let i = 0; i < tree.n; i++) {
    if (!tree.self[0][i]) continue;
    const stack = [];
    for (let at = i; at >= 0; at = tree.parent[at]) stack.unshift(tree.frame[at] === FILLER ? "*" : names[tree.frame[at]]);
    lines.push(`${stack.join(";")} ${tree.self[0][i]}`);
  }
  return lines.sort();
}

let failed = 0;
function check(what, does) {
  try {
    does();
    console.log(`ok ${what}`);
  } catch (error) {
    failed++;
    console.log(`not ok ${what}: ${error.message}`);
  }
}
const same = assert.deepStrictEqual;
const steps = (tree, ...list) => linesOf(transformTree(tree, names, list.map(([op, pattern]) => ({ op, pattern })), weigh));

const work = treeOf("main;work;spin 60", "main;work 30", "main;idle 10");
const recursive = treeOf("main;f;g;f;h 4", "main;f 3", "main;g;f 2", "main;f;f;f 1");

check("siblings stand by name, fillers last, and nothing else changes", () => {
  const tree = treeOf("r;b;y 1", "r;b;x 9", "r;* 50", "r;a 2", "q 3", "r;c 7"), ordered = orderByName(tree, names);
  same([...ordered.frame].map((frame) => (frame === FILLER ? "*" : names[frame])), ["q", "r", "a", "b", "x", "y", "c", "*"]);
  same(linesOf(ordered), linesOf(tree));
  same([...sums(ordered, 0)], [3, 69, 2, 10, 9, 1, 7, 50]);
  same([...ordered.depth], [0, 0, 1, 1, 2, 2, 1, 1]);
});
check("rows become a tree", () => {
  const tree = treeOfRows({ up: [0, 0, 0, 2, 2], frame: [0, 1, 2, 3, -7], self: [[0, 30, 60, 10, 5]] });
  same([...tree.depth], [0, 1, 2, 1, 0]);
  same([...tree.parent], [-1, 0, 1, 0, -1]);
  same([...tree.end], [4, 3, 3, 4, 5]);
  same([tree.frame[4], tree.joined[4]], [FILLER, 7]);
});
check("siblings stand heaviest first, what was joined last", () => {
  const tree = treeOf("main;*;x 50", "main;a 1", "main;b 2");
  same([...tree.frame].map((frame) => (frame === FILLER ? "*" : names[frame])), ["main", "b", "a", "*", "x"]);
});
check("sums go up", () => same([...sums(work, 0)], [100, 90, 60, 10]));
check("inverted stacks begin at their leaves", () =>
  same(linesOf(invertTree(work, weigh)), ["idle;main 10", "spin;work;main 60", "work;main 30"]));
check("inverting twice changes nothing", () =>
  same(linesOf(invertTree(invertTree(recursive, weigh), weigh)), linesOf(recursive)));
check("callees of a function count recursion once", () => {
  const tree = calleesTree(recursive, number("f"), weigh);
  same(linesOf(tree), ["f 5", "f;f;f 1", "f;g;f;h 4"]);
  same(sums(tree, 0)[0], 10);
});
check("callers of a function count recursion once", () =>
  same(linesOf(callersTree(recursive, number("f"), weigh)), ["f;g;main 2", "f;main 8"]));
check("sums by function count recursion once", () => {
  const { flat, cum } = frameSums(recursive, 0);
  same([flat.get(number("f")), cum.get(number("f")), cum.get(number("g")), cum.get(number("main"))], [6, 10, 6, 10]);
});
check("focus keeps stacks that go through", () =>
  same(steps(work, ["focus", "^spin$"]), ["main;work;spin 60"]));
check("ignore drops stacks that go through", () => same(steps(work, ["ignore", "work"]), ["main;idle 10"]));
check("hide gives a function's value to its callers", () =>
  same(steps(work, ["hide", "^work$"]), ["main 30", "main;idle 10", "main;spin 60"]));
check("a hidden root leaves what it calls", () =>
  same(steps(work, ["hide", "^main$"]), ["idle 10", "work 30", "work;spin 60"]));
check("from begins at a function", () => same(steps(work, ["from", "^work$"]), ["work 30", "work;spin 60"]));
check("recursion of a function is collapsed", () =>
  same(steps(recursive, ["collapse", "^f$"]), ["main;f 4", "main;f;h 4", "main;g;f 2"]));
check("direct recursion is collapsed", () =>
  same(steps(recursive, ["direct", ""]), ["main;f 4", "main;f;g;f;h 4", "main;g;f 2"]));
check("steps are taken in their order", () =>
  same(steps(work, ["hide", "^main$"], ["focus", "^main$"]), []));
check("steps that mean nothing change nothing", () =>
  same(steps(work, ["focus", "("], ["toString", "x"]), linesOf(work)));
check("an exact pattern fits its name alone", () => {
  const hostile = ["a.b(c)[d]{2}|^$\\/+*?", "axb(c)"];
  same([...framesThatMatch(hostile, exactly(hostile[0]))], [0]);
});
check("search counts nested matches once", () => {
  const { hits, least, most } = searchTree(work, framesThatMatch(names, "^(work|spin)$"), 0, null, true);
  same([hits.length, least, most], [2, 90, 90]);
});
check("search counts what was joined, exactly for one function", () => {
  const tree = treeOf("main;hot 40", "main;* 60"), known = { cum: [[]], flat: [[]] };
  known.cum[0][number("hot")] = known.flat[0][number("hot")] = 95;
  const { least, most } = searchTree(tree, new Set([number("hot")]), 0, known, true);
  same([least, most], [95, 95]);
});
check("search says what it cannot know as a range", () => {
  const tree = treeOf("main;p 10", "main;* 90"), known = { cum: [[]], flat: [[]] };
  for (const [name, all] of [["p", 30], ["q", 25]]) {
    known.cum[0][number(name)] = all;
    known.flat[0][number(name)] = 0;
  }
  const { least, most } = searchTree(tree, new Set([number("p"), number("q")]), 0, known, true);
  same([least, most], [30, 55]);
  same(formatMatch(least, most, 100), "30.00% (at most 25.00% more in frames too narrow for a name)");
  same(formatMatch(30, 30, 100), "30.00%");
});
check("a name that is not in the page may be in all that was joined", () => {
  const tree = treeOf("main;p 10", "main;* 50", "main;r 40"), known = { cum: [[]], flat: [[]] };
  known.cum[0][number("p")] = known.flat[0][number("p")] = 10;
  const { least, most } = searchTree(tree, new Set([number("p")]), 0, known, false);
  same([least, most], [10, 60]);
});
check("a comparison is as wide as its larger side, added up", () => {
  const profile = readProfile({ diff: true, others: null, functions: { name: ["m", "a", "b"], flat: [[0, 5, 0], [0, 2, 4]] },
    trees: [{ by: "", groups: [], up: [0, 0, 1], frame: [0, 1, 2], self: [[0, 5, 0], [0, 2, 4]] }] });
  same([...widths(profile, profile.trees[0].tree, 0)], [9, 5, 4]);
  same(nothingChanged(profile), false);
});
check("a place and a depth are a node", () => {
  const pane = makePane(work, sums(work, 0));
  same([nodeAt(pane, 0, 2), nodeAt(pane, 59, 2), nodeAt(pane, 60, 2), nodeAt(pane, 95, 1), nodeAt(pane, 100, 0)], [2, 2, -1, 3, -1]);
});
check("the address keeps the state, and nothing else", () => {
  const state = { ...readState(""), view: "inverted", find: "a&b=c#\u202e", steps: [{ op: "hide", pattern: "^x+$" }, { op: "focus", pattern: "%" }] };
  same(readState(`#${writeState(state)}`), state);
  same(writeState(readState("#__proto__=1&view=constructor&bogus=2")), "");
});
check("values have units", () =>
  same([formatValue(1.5e9, "nanoseconds"), formatValue(-2048, "bytes"), formatValue(1234, "count"), formatValue(7, "toString")],
    ["1.50 s", "-2.00 kB", "1,234", "7 toString"]));
check("long names lose their packages first and their ends never", () =>
  same([shortenName("github.com/very/long/path/server.(*Conn).Serve", 24), shortenName("std::collections::map::insert", 8),
    shortenName("a_name_without_parts_at_all", 11), shortenName("x", 5)],
  ["server.(*Conn).Serve", "insert", "a_nam\u2026t_all", "x"]));
check("what cannot be seen is spelt out", () => same(visibleName("a\u0000b\u202ec\u200f"), "a\\u0000b\\u202ec\\u200f"));
check("rows are sorted by size of change", () =>
  same(sortRows([{ name: "a", cum: 1 }, { name: "b", cum: -5 }, { name: "c", cum: 5 }], "cum").map((row) => row.name), ["b", "c", "a"]));
process.exitCode = failed ? 1 : 0;
