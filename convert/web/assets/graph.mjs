/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph.mjs - the page of the graph of calls: drawn by Graphviz where that is installed, else by layout.mjs.
 */
import { dataAddress, linkTo } from "./address.mjs";
import { make, makeSvg } from "./dom.mjs";
import { emptyNotice, patternOf, scaleOf } from "./functions.mjs";
import { fetchData } from "./load.mjs";
import { layoutGraph } from "./layout.mjs";
import { shortenName, visibleName } from "./format.mjs";
import { changeColor, frameColor } from "./color.mjs";

function nodeLines(node, scale) {
  return [shortenName(visibleName(node.name), 44), `${scale.value(node.flat)} (${scale.share(node.flat)})`,
    ...(node.cum === node.flat ? [] : [`of ${scale.value(node.cum)} (${scale.share(node.cum)})`])];
}

function drawNode(node, place, box, scale, state, isDark) {
  const lines = nodeLines(node, scale), fill = state.base ? changeColor(Math.sign(node.cum), isDark) : frameColor({ name: node.name, module: "", isDark }, "package");
  const to = linkTo("peek", location.search, { f: patternOf(node), g: null });
  return makeSvg("a", { href: to, class: "node" }, makeSvg("title", {}, document.createTextNode(visibleName(node.name))),
    makeSvg("rect", { x: place.x - box.width / 2, y: place.y - box.height / 2, width: box.width, height: box.height, rx: 4, fill }),
    ...lines.map((text, i) => makeSvg("text", { x: place.x, y: place.y - box.height / 2 + 17 + i * 15, "text-anchor": "middle", "font-size": i ? 11 : box.size },
      document.createTextNode(text))));
}

function drawEdge(call, from, to, boxes, scale, most) {
  const a = from.y + boxes[0].height / 2, b = to.y - boxes[1].height / 2, isDown = b > a;
  const bend = isDown ? (b - a) / 2 : 60, width = 0.7 + 4 * Math.abs(call.value) / most;
  const path = from === to ? `M ${from.x + boxes[0].width / 2} ${from.y - 6} c 40 -20 40 32 0 12`
    : `M ${from.x} ${a} C ${from.x} ${a + bend}, ${to.x} ${b - bend}, ${to.x} ${b}`;
  return makeSvg("g", { class: "edge" },
    makeSvg("path", { d: path, "stroke-width": width, "marker-end": "url(#arrow)", ...(call.indirect ? { "stroke-dasharray": "4 3" } : {}) }),
    makeSvg("text", { x: from === to ? from.x + boxes[0].width / 2 + 34 : (from.x + to.x) / 2, y: (a + b) / 2, "text-anchor": "middle" }, document.createTextNode(scale.value(call.value))));
}

function drawOwn(data, state) {
  const scale = scaleOf(data), isDark = matchMedia("(prefers-color-scheme: dark)").matches, most = Math.max(1, ...data.calls.map((call) => Math.abs(call.value)));
  const boxes = data.nodes.map((node) => {
    const lines = nodeLines(node, scale), size = Math.round(11 + 9 * Math.sqrt(Math.min(1, Math.abs(scale.part(node.flat)))));
    return { width: Math.max(90, 14 + lines[0].length * size * 0.58, ...lines.slice(1).map((text) => text.length * 6.4 + 14)), height: 10 + lines.length * 15 + (size - 11), size };
  });
  const { places, width, height } = layoutGraph(boxes, data.calls), edge = 20;
  return makeSvg("svg", { width: width + 2 * edge, height: height + 2 * edge, viewBox: `${-edge} ${-edge} ${width + 2 * edge} ${height + 2 * edge}`, role: "group", "aria-label": "Graph of calls" },
    makeSvg("defs", {}, makeSvg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" },
      makeSvg("path", { d: "M 0 0 L 8 4 L 0 8 z", fill: "var(--dim)" }))),
    ...data.calls.map((call) => drawEdge(call, places[call.from], places[call.to], [boxes[call.from], boxes[call.to]], scale, most)),
    ...data.nodes.map((node, i) => drawNode(node, places[i], boxes[i], scale, state, isDark)));
}

/* Graphviz's picture, without what a picture does not need. */
function readPicture(text) {
  const picture = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (picture.nodeName !== "svg") return null;
  for (const other of picture.querySelectorAll("script, foreignObject, image, style")) other.remove();
  for (const element of picture.querySelectorAll("*")) {
    for (const { name } of [...element.attributes]) if (/^on|href$|^style$/.test(name)) element.removeAttribute(name);
  }
  const ground = picture.querySelector("g.graph > polygon");
  if (ground) ground.setAttribute("fill", "none");
  picture.classList.add("foreign");
  return document.importNode(picture, true);
}

function zoomable(drawing, picture) {
  const box = picture.getAttribute("viewBox").split(/[ ,]+/).map(Number);
  const whole = () => Math.min(1, (drawing.clientWidth - 4) / box[2]);
  let zoom = 0;
  const apply = () => {
    picture.setAttribute("width", Math.round(box[2] * zoom));
    picture.setAttribute("height", Math.round(box[3] * zoom));
  };
  const by = (factor) => { zoom = Math.max(0.05, Math.min(8, zoom * factor)); apply(); };
  requestAnimationFrame(() => { zoom = Math.max(0.25, whole()); apply(); });
  drawing.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    by(Math.exp(-event.deltaY * 0.002));
  }, { passive: false });
  return [make("button", { onclick: () => by(1.25), "aria-label": "larger" }, "+"), make("button", { onclick: () => by(0.8), "aria-label": "smaller" }, "\u2212"),
    make("button", { onclick: () => { zoom = whole(); apply(); } }, "Fit")];
}

async function graphvizPicture() {
  try { return readPicture(await fetchData(dataAddress("graph", location.search, "svg"), true)); } catch { return null; }
}

export async function showGraph(place, data, state) {
  if (!data.nodes.length) {
    place.replaceChildren(emptyNotice(data, state));
    return;
  }
  const isOwn = location.hash === "#layout=own", foreign = isOwn ? null : await graphvizPicture(), picture = foreign || drawOwn(data, state);
  const drawing = make("div", { id: "drawing", tabIndex: 0, role: "group", "aria-label": "Graph of calls; scrolls" }, picture);
  const other = make("button", { onclick: () => { location.hash = isOwn ? "" : "layout=own"; location.reload(); } }, isOwn ? "Drawn by Graphviz" : "Drawn here");
  place.replaceChildren(make("div", { className: "page graph-page" },
    make("div", { className: "tools" }, ...zoomable(drawing, picture), foreign || isOwn ? other : null,
      make("span", { className: "dim" }, `${data.labels[data.labels.length - 1] || ""}`), make("a", { href: linkTo("top", location.search) }, "the same as a table")), drawing));
}
