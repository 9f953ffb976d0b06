/* SPDX-License-Identifier: Apache-2.0 */
/* The web view's modules that need no page: node web_modules.mjs FOLDER. A line a check; the status says whether all hold. */
import assert from "node:assert";
import { pathToFileURL } from "node:url";

const from = async (name) => import(pathToFileURL(`${process.argv[2]}/${name}.mjs`));
const { layoutGraph } = await from("layout");
const { queryWith, linkTo, dataAddress } = await from("address");
const { jumpLanes, jumpTarget } = await from("jumps");

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
check("jumps are known in every form of objdump's, and nothing else is one", () => {
  const rows = [["jmp    1139 <main+0x9>", "1139"], ["bnd jmp 1030 <_init+0x30>", "1030"], ["jne    5e <f+0x5e>", "5e"], ["jne,pn 10a0", "10a0"], ["loopne 7 <f>", "7"],
    ["jmp    ffffffff81000010 <std::vector<int>::f()+0x10>", "ffffffff81000010"], ["jrcxz  0x1139", "1139"], ["b.ne\t1234 <f+0x4>  // b.any", "1234"], ["b\tadd <f>", "add"], ["b.lo\t1234  // b.ul, b.last", "1234"],
    ["cbz\tx0, 1234 <f>", "1234"], ["tbnz\tw0, #31, 1234 <f>", "1234"], ["jmp    *0x2fca(%rip)        # 3fd8 <f>", null], ["notrack jmp *%rax", null], ["jmp    *0x2000(,%rax,8)", null],
    ["jmp    QWORD PTR [rip+0x2fca]        # 3fd8", null], ["jmp    rax", null], ["call   1139 <main>", null], ["bl\t1139 <main>", null], ["add    $0x1139,%rax", null], ["br\tx16", null],
    ["bfi\tw0, w1, #2, #3", null]];
  for (const [text, target] of rows) assert.strictEqual(jumpTarget(text), target, text);
});
check("jumps that cross each other have lanes of their own", () => {
  const line = (address, text) => [address, 0, 0, text];
  const jumps = jumpLanes([line("10", "jmp 16 <f>"), line("12", "je 18 <f>"), line("14", "jne 00000012 <f>"), line("16", "jmp 99 <g>"), line("18", "jmp 18 <f>")]);
  assert.deepStrictEqual(jumps.map(({ from: at, to, lane }) => [at, to, lane]), [[2, 1, 0], [0, 3, 1], [1, 4, 2]]);
});
process.exit(failed ? 1 : 0);
