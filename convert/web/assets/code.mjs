/* SPDX-License-Identifier: Apache-2.0 */
/*
 * code.mjs - the pages of code: source lines and instructions, the heavy ones warm.
 */
import { linkTo, queryWith } from "./address.mjs";
import { make, makeSvg, notice } from "./dom.mjs";
import { scaleOf } from "./functions.mjs";
import { jumpLanes } from "./jumps.mjs";
import { visibleName } from "./format.mjs";

const CODE_ROW = 18;

/* How warm a line is: by its share of the heaviest one here. */
function warm(row, value, most) {
  if (!value || !most) return;
  row.classList.add("hot");
  row.style.setProperty("--heat", `${Math.round(8 + 42 * Math.abs(value) / most)}%`);
}

const heaviest = (lines) => lines.reduce((most, line) => Math.max(most, Math.abs(line[2])), 0);
const shown = (value, scale) => (value ? scale.value(value) : "");

function head(routine, scale) {
  return [make("h2", {}, visibleName(routine.function)),
    make("p", { className: "sub" }, `${scale.value(routine.flat)} by itself, ${scale.value(routine.cum)} in all (${scale.share(routine.cum)})${routine.file ? `, ${visibleName(routine.file)}` : ""}`)];
}

function sourceTable(routine, scale) {
  const most = heaviest(routine.lines);
  return make("div", { className: "scroll" }, make("table", { className: "code" },
    make("thead", { hidden: true }, make("tr", {}, ...["Self", "Total", "Line", "Source"].map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...routine.lines.map(([line, flat, cum, text]) => {
      const row = make("tr", {}, make("td", {}, shown(flat, scale)), make("td", {}, shown(cum, scale)), make("td", { className: "line" }, String(line)),
        make("td", { className: "text" }, visibleName(text).replaceAll("\\u0009", "\t")));
      warm(row, cum, most);
      return row;
    }))));
}

function missing(failure) {
  return make("div", { className: "trace" }, make("strong", {}, "The source is not here. "), visibleName(failure),
    make("p", { className: "sub" }, "Start cprof where the sources are, or tell it with -source_path=DIR; -trim_path=PREFIX takes off what only the building machine has."));
}

export function showSource(place, data) {
  const scale = scaleOf(data), isWhole = new URLSearchParams(location.search).get("whole") === "1";
  place.replaceChildren(make("div", { className: "page" },
    make("div", { className: "tools" },
      make("span", { className: "dim" }, data.n > data.routines.length ? `${data.routines.length} of ${data.n} functions` : `${data.n} function${data.n === 1 ? "" : "s"}`),
      make("a", { href: queryWith(location.search, { whole: isWhole ? null : "1" }) || location.pathname }, isWhole ? "only these functions" : "whole files"),
      make("a", { href: linkTo("disasm", location.search) }, "instructions")),
    ...data.routines.flatMap((routine) => [...head(routine, scale), routine.failure ? missing(routine.failure) : sourceTable(routine, scale)])));
}

function drawJumps(jumps, rows) {
  const most = Math.min(12, jumps.reduce((lane, jump) => Math.max(lane, jump.lane + 1), 0)), width = most * 6 + 14;
  const lines = jumps.filter(({ lane }) => lane < most).map(({ from, to, lane }) => {
    const x = width - 10 - lane * 6, a = from * CODE_ROW + CODE_ROW / 2, b = to * CODE_ROW + CODE_ROW / 2;
    return makeSvg("path", { d: `M ${width - 4} ${a} H ${x} V ${b} H ${width - 3} m -4 -3 l 4 3 l -4 3`, fill: "none", stroke: "var(--dim)" });
  });
  return { width, picture: makeSvg("svg", { class: "jumps", width, height: rows * CODE_ROW, "aria-hidden": "true" }, ...lines) };
}

function disasmTable(routine, scale) {
  const most = heaviest(routine.lines), jumps = jumpLanes(routine.lines), { width, picture } = drawJumps(jumps, routine.lines.length);
  const rows = [], jumpFrom = new Map(jumps.map((jump) => [jump.from, jump]));
  let before = "";
  routine.lines.forEach(([address, flat, cum, text, name, file, line], i) => {
    const where = `${name ? `${name} ` : ""}${file}${line ? `:${line}` : ""}`, jump = jumpFrom.get(i);
    const code = make("td", { className: "text" }, jump ? make("a", { href: "#", onclick: (event) => { event.preventDefault(); goTo(rows[jump.to]); } }, visibleName(text)) : visibleName(text).replaceAll("\\u0009", " "));
    const row = make("tr", {}, make("td", { className: "gutter" }), make("td", {}, shown(flat, scale)), make("td", {}, shown(cum, scale)), make("td", { className: "line" }, address), code,
      make("td", { className: "place" }, where === before ? "" : visibleName(where)));
    row.firstChild.style.minWidth = `${width}px`;
    row.style.height = `${CODE_ROW}px`;
    before = where;
    warm(row, cum, most);
    rows.push(row);
  });
  return make("div", { className: "scroll" }, jumps.length ? picture : null, make("table", { className: "code disasm" }, make("tbody", {}, ...rows)));
}

function goTo(row) {
  for (const other of document.querySelectorAll(".code tr.shown")) other.classList.remove("shown");
  row.classList.add("shown");
  row.scrollIntoView({ block: "center" });
}

export function showDisasm(place, data) {
  const scale = scaleOf(data);
  if (!data.routines.length) {
    place.replaceChildren(notice("No instructions", ["No sampled function that this program has matches."]));
    return;
  }
  place.replaceChildren(make("div", { className: "page" },
    make("div", { className: "tools" }, make("span", { className: "dim" }, `${data.routines.length} of ${data.n} functions`), make("a", { href: linkTo("source", location.search) }, "source")),
    ...data.routines.flatMap((routine) => [...head(routine, scale), disasmTable(routine, scale)])));
}
