/* SPDX-License-Identifier: Apache-2.0 */
/*
 * movements.mjs - the page of changes: the largest first, with what there was before and is after, and whether chance explains it.
 */
import { linkTo } from "./address.mjs";
import { make, notice, shareBar } from "./dom.mjs";
import { matcher, patternOf, scaleOf } from "./functions.mjs";
import { visibleName } from "./format.mjs";

const COLUMNS = { flat: "Self, change", cum: "Total, change", before: "Before", after: "After", name: "Function" };
const NORMS = { none: "values are as they were recorded", total: "the newer profile is scaled to the total of the base", duration: "the newer profile is scaled to the duration of the base" };

function rowsOf(data) {
  return data.entries.map((entry) => ({ ...entry, flat: entry.flat_after - entry.flat_before, cum: entry.cum_after - entry.cum_before, before: entry.cum_before, after: entry.cum_after }));
}

function sureness(sure, value) {
  if (sure === null || !value) return make("td");
  return make("td", { title: sure ? "more than chance explains, by 95 %" : "chance alone may explain it" }, sure ? "sure" : "chance");
}

function changeCells(value, sure, scale, most) {
  const tone = value > 0 ? "num more" : value < 0 ? "num fewer" : "num", sign = value > 0 ? "+" : "";
  return [make("td", { className: tone }, sign + scale.value(value)), make("td", { className: tone }, sign + scale.share(value)),
    make("td", { className: "bar" }, shareBar(most ? value / most : 0, true)), sureness(sure, value)];
}

function movementRow(row, scale, most) {
  return make("tr", {}, ...changeCells(row.flat, row.flat_sure, scale, most.flat), ...changeCells(row.cum, row.cum_sure, scale, most.cum),
    make("td", { className: "num wide" }, scale.value(row.before)), make("td", { className: "num wide" }, scale.value(row.after)),
    make("td", { className: "name" }, make("a", { href: linkTo("peek", location.search, { f: patternOf(row) }) }, visibleName(row.name))));
}

/* The largest changes first, whatever their direction. */
export function sortMovements(rows, by) {
  const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  return [...rows].sort(by === "name" ? byName : (a, b) => Math.abs(b[by]) - Math.abs(a[by]) || byName(a, b));
}

export function showMovements(place, data, state) {
  if (!data.changed) {
    place.replaceChildren(notice("Nothing changed", ["Every function has the same value in both profiles."]));
    return;
  }
  const scale = scaleOf(data), rows = rowsOf(data), body = make("tbody"), heads = {};
  const most = { flat: Math.max(1, ...rows.map((row) => Math.abs(row.flat))), cum: Math.max(1, ...rows.map((row) => Math.abs(row.cum))) };
  const find = make("input", { type: "search", id: "find", placeholder: "Find a function", "aria-label": "Find a function" });
  let by = state.query.sort === "cum" ? "cum" : "flat";
  const fill = () => {
    const matches = matcher(find.value);
    body.replaceChildren(...sortMovements(rows.filter((row) => matches(row.name)), by).slice(0, 2000).map((row) => movementRow(row, scale, most)));
    for (const [key, head] of Object.entries(heads)) head.setAttribute("aria-sort", key === by ? "descending" : "none");
  };
  const head = (key) => {
    heads[key] = make("th", { scope: "col", colSpan: key === "flat" || key === "cum" ? 4 : 1, className: key === "name" ? "name" : key === "before" || key === "after" ? "wide" : "" },
      make("button", { onclick: () => { by = key; fill(); } }, COLUMNS[key]));
    return heads[key];
  };
  const change = data.after - data.before;
  find.oninput = fill;
  place.replaceChildren(make("div", { className: "page" },
    make("p", { className: "sub" }, `${scale.value(data.before)} before, ${scale.value(data.after)} after: `,
      make("strong", { className: change > 0 ? "more" : "fewer" }, `${change > 0 ? "+" : ""}${scale.value(change)} (${scale.share(change)})`), `; ${NORMS[state.query.norm]}.`,
      data.noise ? " \u201cSure\u201d: the numbers of samples differ by more than 1.96 \u221a(before + after), which chance does in 5 % of cases."
        : " How much is chance is not known: nothing in these profiles counts samples."),
    make("div", { className: "tools" }, find, make("span", { className: "dim" }, `${rows.length} of ${data.changed} entries that changed`)),
    make("table", { className: "list" }, make("thead", {}, make("tr", {}, ...Object.keys(COLUMNS).map(head))), body)));
  fill();
}
