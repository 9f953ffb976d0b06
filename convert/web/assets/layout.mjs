/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.mjs - places for a graph of calls: callers above callees, few crossings. For where Graphviz is not installed.
 *
 * Layers as by Sugiyama: circles are broken where a walk from the roots meets itself, a node stands one below its lowest caller,
 * and each layer is sorted by the middles of its neighbours, some times down and up.
 */
const GAP_X = 24, GAP_Y = 70;

/* nodes: [{ width, height }]; edges: [{ from, to }]. Returns { places: [{ x, y }], width, height }; x and y are middles. */
export function layoutGraph(nodes, edges) {
  const parts = componentsOf(nodes.length, edges).map((part) => {
    const number = new Map(part.map((node, i) => [node, i]));
    const inside = edges.filter(({ from }) => number.has(from)).map(({ from, to }) => ({ from: number.get(from), to: number.get(to) }));
    return { part, ...layoutPart(part.map((node) => nodes[node]), inside) };
  });
  return packParts(nodes.length, parts);
}

/* Nodes that hang together, the largest group first. */
function componentsOf(n, edges) {
  const root = [...Array(n).keys()], find = (i) => { while (root[i] !== i) i = root[i] = root[root[i]]; return i; };
  for (const { from, to } of edges) root[find(from)] = find(to);
  const groups = new Map();
  for (let i = 0; i < n; i++) groups.set(find(i), [...(groups.get(find(i)) || []), i]);
  return [...groups.values()].sort((a, b) => b.length - a.length);
}

/* Groups side by side in rows, as wide as the widest, or as makes the whole about square. */
function packParts(n, parts) {
  const area = parts.reduce((sum, part) => sum + (part.width + GAP_X) * (part.height + GAP_Y), 0);
  const most = Math.max(...parts.map((part) => part.width), 1.5 * Math.sqrt(area)), places = new Array(n);
  let x = 0, y = 0, tall = 0, width = 1;
  for (const part of parts) {
    if (x && x + part.width > most) { y += tall + GAP_Y / 2; x = tall = 0; }
    part.part.forEach((node, i) => { places[node] = { x: part.places[i].x + x, y: part.places[i].y + y }; });
    x += part.width + 2 * GAP_X;
    tall = Math.max(tall, part.height);
    width = Math.max(width, x - 2 * GAP_X);
  }
  return { places, width, height: Math.max(1, y + tall) };
}

function layoutPart(nodes, edges) {
  const layerOf = layersOf(nodes.length, forwardEdges(nodes.length, edges)), layers = [];
  layerOf.forEach((layer, i) => (layers[layer] ||= []).push(i));
  const around = nodes.map(() => ({ above: [], below: [] }));
  for (const { from, to } of edges) {
    if (from === to) continue;
    const [a, b] = layerOf[from] <= layerOf[to] ? [from, to] : [to, from];
    around[a].below.push(b);
    around[b].above.push(a);
  }
  sortLayers(layers, around);
  return placeNodes(nodes, layers, around);
}

/* Edges that do not lead back to where a walk came from. */
function forwardEdges(n, edges) {
  const out = Array.from({ length: n }, () => []), state = new Uint8Array(n), forward = [], isCalled = new Uint8Array(n);
  for (const { from, to } of edges) if (from !== to) { out[from].push(to); isCalled[to] = 1; }
  const visit = (root) => {
    const path = [[root, 0]];
    state[root] = 1;
    while (path.length) {
      const step = path[path.length - 1], [node, at] = step;
      if (at === out[node].length) { state[node] = 2; path.pop(); continue; }
      step[1]++;
      const to = out[node][at];
      if (state[to] === 1) continue;
      forward.push([node, to]);
      if (!state[to]) { state[to] = 1; path.push([to, 0]); }
    }
  };
  for (let i = 0; i < n; i++) if (!isCalled[i] && !state[i]) visit(i);
  for (let i = 0; i < n; i++) if (!state[i]) visit(i);
  return forward;
}

function layersOf(n, forward) {
  const layer = new Array(n).fill(0), waits = new Int32Array(n), out = Array.from({ length: n }, () => []);
  for (const [from, to] of forward) { out[from].push(to); waits[to]++; }
  const ready = [...Array(n).keys()].filter((i) => !waits[i]);
  for (const node of ready) {
    for (const to of out[node]) {
      layer[to] = Math.max(layer[to], layer[node] + 1);
      if (!--waits[to]) ready.push(to);
    }
  }
  return layer;
}

function sortLayers(layers, around) {
  const place = new Map();
  const number = () => layers.forEach((layer) => layer.forEach((node, i) => place.set(node, i / layer.length)));
  const middle = (node, side) => {
    const others = around[node][side];
    return others.length ? others.reduce((sum, other) => sum + place.get(other), 0) / others.length : place.get(node);
  };
  number();
  for (let sweep = 0; sweep < 8; sweep++) {
    const side = sweep % 2 ? "below" : "above", order = sweep % 2 ? [...layers].reverse() : layers;
    for (const layer of order) {
      const key = new Map(layer.map((node) => [node, middle(node, side)]));
      layer.sort((a, b) => key.get(a) - key.get(b));
      layer.forEach((node, i) => place.set(node, i / layer.length));
    }
  }
}

function placeNodes(nodes, layers, around) {
  const places = nodes.map(() => ({ x: 0, y: 0 }));
  let y = 0;
  for (const layer of layers) {
    const tallest = Math.max(...layer.map((node) => nodes[node].height));
    let x = 0;
    for (const node of layer) {
      places[node] = { x: x + nodes[node].width / 2, y: y + tallest / 2 };
      x += nodes[node].width + GAP_X;
    }
    y += tallest + GAP_Y;
  }
  for (let pass = 0; pass < 12; pass++) for (const layer of pass % 2 ? layers : [...layers].reverse()) pull(layer, nodes, places, around, pass % 2 ? "above" : "below");
  const left = Math.min(...places.map((place, i) => place.x - nodes[i].width / 2));
  for (const place of places) place.x -= left;
  return { places, width: Math.max(...places.map((place, i) => place.x + nodes[i].width / 2), 1), height: Math.max(1, y - GAP_Y) };
}

/* Towards the middle of the neighbours, as far as those beside it leave room. */
function pull(layer, nodes, places, around, side) {
  const wish = (node) => {
    const others = around[node][side];
    return others.length ? others.reduce((sum, other) => sum + places[other].x, 0) / others.length : places[node].x;
  };
  const room = (a, b) => (nodes[a].width + nodes[b].width) / 2 + GAP_X;
  for (let i = 0; i < layer.length; i++) {
    const least = i ? places[layer[i - 1]].x + room(layer[i - 1], layer[i]) : -Infinity;
    places[layer[i]].x = Math.max(least, wish(layer[i]));
  }
  for (let i = layer.length - 2; i >= 0; i--) {
    const most = places[layer[i + 1]].x - room(layer[i], layer[i + 1]), least = i ? places[layer[i - 1]].x + room(layer[i - 1], layer[i]) : -Infinity;
    places[layer[i]].x = Math.max(least, Math.min(most, wish(layer[i]), places[layer[i]].x));
  }
}
