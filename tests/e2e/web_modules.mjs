/* SPDX-License-Identifier: Apache-2.0 */
/* The web view's modules that need no page: node web_modules.mjs FOLDER. A line a check; the status says whether all hold. */
import assert from "node:assert";
import { pathToFileURL } from "node:url";

const from = async (name) => import(pathToFileURL(`${process.argv[2]}/${name}.mjs`));
const { layoutGraph } = await from("layout");
const { queryWith, linkTo, dataAddress } = await from("address");

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

/* A graph from a seed: n nodes, some of them in circles, some alone. */
function graphOf(n, seed) {
  let state = seed;
  const random = () => { state = (state * 1103515245 + 12345) % 2147483648; return state / 2147483648; };
  const nodes = Array.from({ length: n }, () => ({ width: 60 + 100 * random(), height: 30 + 20 * random() }));
  const edges = Array.from({ length: Math.floor(n * 1.5) }, () => ({ from: Math.floor(random() * n), to: Math.floor(random() * n) }));
  return { nodes, edges };
}

check("no node lies on another, and all lie in the picture", () => {
  for (let seed = 1; seed < 40; seed++) {
    const { nodes, edges } = graphOf(1 + seed, seed), { places, width, height } = layoutGraph(nodes, edges);
    const box = (i) => ({ left: places[i].x - nodes[i].width / 2, right: places[i].x + nodes[i].width / 2, top: places[i].y - nodes[i].height / 2, end: places[i].y + nodes[i].height / 2 });
    for (let i = 0; i < nodes.length; i++) {
      const a = box(i);
      assert(a.left >= -0.01 && a.top >= -0.01 && a.right <= width + 0.01 && a.end <= height + 0.01, `seed ${seed}: node ${i} is outside`);
      for (let j = 0; j < i; j++) {
        const b = box(j);
        assert(a.right <= b.left + 0.01 || b.right <= a.left + 0.01 || a.end <= b.top + 0.01 || b.end <= a.top + 0.01, `seed ${seed}: ${i} lies on ${j}`);
      }
    }
  }
});
check("callers stand above callees where there is no circle", () => {
  const nodes = Array.from({ length: 6 }, () => ({ width: 80, height: 30 })), edges = [[0, 1], [0, 2], [1, 3], [2, 3], [3, 4], [0, 4]].map(([a, b]) => ({ from: a, to: b }));
  const { places } = layoutGraph(nodes, edges);
  for (const { from: a, to: b } of edges) assert(places[a].y < places[b].y, `${a} is not above ${b}`);
});
check("a circle, a node that calls itself, and nothing at all have places", () => {
  const nodes = [{ width: 10, height: 10 }, { width: 10, height: 10 }];
  layoutGraph(nodes, [{ from: 0, to: 1 }, { from: 1, to: 0 }, { from: 1, to: 1 }]).places.forEach(({ x, y }) => assert(Number.isFinite(x) && Number.isFinite(y)));
});
check("addresses keep what they say, and change what is asked", () => {
  assert.strictEqual(queryWith("?f=a&si=cpu", { f: "x y&z", si: null }), "?f=x+y%26z");
  assert.strictEqual(queryWith("?f=a&format=json", { f: null }), "");
  assert.strictEqual(linkTo("flamegraph", "?f=a"), "./?f=a");
  assert.strictEqual(dataAddress("top", "?f=a"), "./top?f=a&format=json");
});
process.exit(failed ? 1 : 0);
