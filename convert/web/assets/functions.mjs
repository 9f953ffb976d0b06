/* SPDX-License-Identifier: Apache-2.0 */
/*
 * functions.mjs - the pages of functions: top, a table that sorts and filters, and peek, callers and callees.
 */
import { linkTo } from "./address.mjs";
import { make, notice, shareBar } from "./dom.mjs";
import { exactly } from "./transform.mjs";
import { formatShare, formatValue, visibleName } from "./format.mjs";

const MOST_SHOWN = 2000;

/* Values of a page's data as texts. */
export function scaleOf(data) {
  return {
    value: (value) => formatValue(value * data.ratio, data.unit),
    share: (value) => formatShare(value, data.total),
    part: (value) => (data.total ? value / data.total : 0),
  };
}

const signed = (value, text, isChange) => (isChange && value > 0 ? `+${text}` : text);
const tone = (value, isChange) => (isChange && value ? (value > 0 ? " more" : " fewer") : "");

/* A pattern that finds this entry: by its function where it has one. */
export function patternOf(node) {
  return exactly(node.function || node.file || node.name);
}

function links(node, state) {
  const to = (page, text) => make("a", { href: linkTo(page, location.search, { f: patternOf(node), ...(page === "flamegraph" ? {} : { g: null }) }) }, text);
  if (state.query.g === "modules" || state.query.g === "files") return make("span", {}, to("flamegraph", "flame"));
  return make("span", {}, to("peek", "peek"), to("source", "source"), to("disasm", "disasm"), to("flamegraph", "flame"));
}

function topRow(node, sum, state, scale, isChange) {
  const number = (value, text, extra = "") => make("td", { className: `num${tone(value, isChange)}${extra}` }, signed(value, text, isChange));
  const inlined = ["", " (inline)", " (partial-inline)"][node.inlined];
  return make("tr", {},
    number(node.flat, scale.value(node.flat)), number(node.flat, scale.share(node.flat)), make("td", { className: "bar" }, shareBar(scale.part(node.flat), isChange)),
    number(sum, scale.share(sum), " wide"),
    number(node.cum, scale.value(node.cum)), number(node.cum, scale.share(node.cum)), make("td", { className: "bar" }, shareBar(scale.part(node.cum), isChange)),
    make("td", { className: "name" }, make("a", { href: linkTo("peek", location.search, { f: patternOf(node), g: null }) }, visibleName(node.name) + inlined),
      make("div", { className: "where" }, node.file && !node.name.includes(node.file) ? visibleName(node.file) + (node.line ? `:${node.line}` : "") : "")),
    make("td", { className: "name go wide" }, links(node, state)));
}

export function sortNodes(nodes, by, isUp) {
  const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const order = by === "name" ? byName : (a, b) => Math.abs(b[by]) - Math.abs(a[by]) || byName(a, b);
  const sorted = [...nodes].sort(order);
  return isUp ? sorted.reverse() : sorted;
}

export function matcher(pattern) {
  if (!pattern) return () => true;
  try {
    const expression = new RegExp(pattern, "i");
    return (text) => expression.test(text);
  } catch {
    const plain = pattern.toLowerCase();
    return (text) => text.toLowerCase().includes(plain);
  }
}

export function showTop(place, data, state) {
  if (!data.nodes.length) {
    place.replaceChildren(emptyNotice(data, state));
    return;
  }
  const scale = scaleOf(data), isChange = state.base > 0, words = new URLSearchParams(location.hash.slice(1));
  let by = words.get("by") || state.query.sort || "flat", isUp = words.get("up") === "1";
  const body = make("tbody"), count = make("span", { className: "dim", role: "status" });
  const find = make("input", { type: "search", id: "find", placeholder: "Find a function", "aria-label": "Find a function", value: words.get("find") || "" });
  const heads = {};
  const keep = () => {
    const next = new URLSearchParams();
    if (by !== state.query.sort) next.set("by", by);
    if (isUp) next.set("up", "1");
    if (find.value) next.set("find", find.value);
    history.replaceState(null, "", `${location.pathname}${location.search}${next.toString() ? `#${next}` : ""}`);
  };
  const fill = () => {
    const matches = matcher(find.value), rows = sortNodes(data.nodes.filter((node) => matches(node.name)), by, isUp);
    let sum = 0;
    body.replaceChildren(...rows.slice(0, MOST_SHOWN).map((node) => { sum += node.flat; return topRow(node, sum, state, scale, isChange); }));
    const flat = rows.reduce((all, node) => all + node.flat, 0);
    count.textContent = `${rows.length} of ${data.nodes_in_all} entries, ${scale.value(flat)} by themselves (${scale.share(flat)})` +
      (rows.length > MOST_SHOWN ? `; the first ${MOST_SHOWN} are shown` : "");
    for (const [key, head] of Object.entries(heads)) head.setAttribute("aria-sort", key === by ? (isUp ? "ascending" : "descending") : "none");
  };
  const head = (key, text, span = 1) => {
    heads[key] = make("th", { scope: "col", colSpan: span, className: key === "name" ? "name" : "" }, make("button", { onclick: () => { isUp = by === key && !isUp; by = key; keep(); fill(); } }, text));
    return heads[key];
  };
  find.oninput = () => { keep(); fill(); };
  place.replaceChildren(make("div", { className: "page" },
    make("div", { className: "tools" }, find, count, make("a", { href: linkTo("top", location.search, {}) + (location.search ? "&" : "?") + "format=text" }, "as text")),
    make("table", { className: "list" },
      make("thead", {}, make("tr", {}, head("flat", isChange ? "Self, change" : "Self", 3), make("th", { className: "wide", scope: "col" }, "Sum"),
        head("cum", isChange ? "Total, change" : "Total", 3), head("name", "Name"), make("th", { className: "wide", scope: "col", "aria-label": "Other pages" }))),
      body)));
  fill();
}

export function emptyNotice(data, state) {
  if (state.base) return notice("Nothing changed", ["Both profiles have the same values in every function that these filters leave."]);
  return notice("Nothing to show", [data.total ? "The filters leave no samples." : "The profile has no samples of this value.",
    make("p", {}, make("a", { href: location.pathname }, "Show it without any filters"))]);
}

export function showPeek(place, data, state) {
  const scale = scaleOf(data), isChange = state.base > 0, body = make("tbody");
  const row = (kind, name, value, share, own) => make("tr", { className: kind },
    make("td", { className: `num${tone(own ?? 0, isChange)}` }, own === undefined ? "" : signed(own, scale.value(own), isChange)),
    make("td", { className: `num${tone(value, isChange)}` }, signed(value, scale.value(value), isChange)), make("td", { className: "num" }, share),
    make("td", { className: "name" }, kind === "self" ? visibleName(name)
      : make("a", { href: linkTo("peek", location.search, { f: exactly(name) }) }, visibleName(name))));
  for (const node of data.nodes) {
    const at = body.children.length;
    for (const call of node.callers) body.append(row("caller", call.name, call.value, formatShare(call.value, node.cum)));
    body.append(row("self", node.name, node.cum, scale.share(node.cum), node.flat));
    for (const call of node.callees) body.append(row("callee", call.name, call.value, formatShare(call.value, node.cum)));
    body.children[at].classList.add("first");
    body.lastChild.classList.add("last");
  }
  place.replaceChildren(make("div", { className: "page" },
    make("div", { className: "tools" }, make("span", { className: "dim" }, `${data.nodes.length} function${data.nodes.length === 1 ? "" : "s"}: who calls it above, what it calls below`)),
    make("table", { className: "list peek" },
      make("thead", {}, make("tr", {}, ...["Self", "Total", "%", "Function"].map((text, i) => make("th", { scope: "col", className: i === 3 ? "name" : "" }, text)))), body)));
}

/* Pages about one function, before there is one: which? */
export function showChooser(place, data, state, page) {
  const scale = scaleOf(data), list = make("tbody");
  const find = make("input", { type: "search", id: "find", placeholder: "Name, or a regular expression", "aria-label": "Function" });
  const fill = () => {
    const matches = matcher(find.value);
    list.replaceChildren(...sortNodes(data.nodes, "flat").filter((node) => matches(node.name)).slice(0, 40).map((node) => make("tr", {},
      make("td", { className: "num" }, scale.value(node.flat)), make("td", { className: "num" }, scale.share(node.flat)),
      make("td", { className: "name" }, make("a", { href: linkTo(page, location.search, { f: patternOf(node) }) }, visibleName(node.name))))));
  };
  find.oninput = fill;
  find.onkeydown = (event) => { if (event.key === "Enter" && find.value) location.href = linkTo(page, location.search, { f: find.value }); };
  place.replaceChildren(make("div", { className: "page" }, make("h2", {}, "Which function?"), make("p", { className: "sub" }, "Choose one, or type an expression and press Enter."),
    make("div", { className: "tools" }, find),
    make("table", { className: "list" }, make("thead", {}, make("tr", {}, ...["Self", "%", "Function"].map((text) => make("th", { scope: "col" }, text)))), list)));
  fill();
}
