/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaks.mjs - the page of leaks: stacks whose blocks live long and grow in sum, what each had in use over time, and how sure its growth is.
 */
import { linkTo } from "./address.mjs";
import { make, notice } from "./dom.mjs";
import { patternOf, scaleOf } from "./functions.mjs";
import { visibleName } from "./format.mjs";

const LEAK_COLUMNS = ["Per minute", "At least", "At most", "In use", "Of it old", "Sure", "In use over time", "Stack"];
const LINE_WIDTH = 160, LINE_HEIGHT = 28;

/* "x,y x,y" of a line from the left to the right; the largest value is at the top. */
export function linePoints(seconds, values, width, height) {
  const last = seconds[seconds.length - 1] || 1, most = Math.max(1, ...values);
  return values.map((value, i) => `${(seconds[i] / last * width).toFixed(1)},${(height - value / most * height).toFixed(1)}`).join(" ");
}

function lineDrawing(seconds, row) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ width: LINE_WIDTH, height: LINE_HEIGHT, viewBox: `0 -1 ${LINE_WIDTH} ${LINE_HEIGHT + 2}`, role: "img", "aria-label": "in use over time" })) svg.setAttribute(key, value);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  for (const [key, value] of Object.entries({ points: linePoints(seconds, row.inuse, LINE_WIDTH, LINE_HEIGHT), fill: "none", stroke: "currentColor" })) line.setAttribute(key, value);
  svg.append(line);
  return svg;
}

function leakStack(row) {
  const [leaf = "(no stack)", ...callers] = row.stack;
  return make("td", { className: "name" }, make("a", { href: linkTo("peek", location.search, { f: patternOf({ name: leaf }), si: "inuse_space" }), title: callers.join("\n") }, visibleName(leaf)),
    make("div", { className: "dim" }, callers.slice(0, 3).map(visibleName).join(" \u2190 ")));
}

function leakRow(row, data, bytes) {
  const numbers = [row.bytes_per_second * 60, Math.max(0, row.at_least) * 60, row.at_most * 60, row.inuse_bytes, row.old_bytes];
  return make("tr", {}, ...numbers.map((number) => make("td", { className: "num" }, bytes(number))),
    make("td", { title: `${row.old_samples} sampled blocks` }, row.sure ? "yes" : "maybe"), make("td", {}, lineDrawing(data.seconds, row)), leakStack(row));
}

export function showLeaks(place, data) {
  const scale = scaleOf({ unit: "bytes", ratio: 1, total: 0 }), bytes = (number) => scale.value(Math.round(number));
  const from = data.seconds[data.from_moment], to = data.seconds[data.seconds.length - 1];
  const basis = data.old_seconds ? `Blocks that have lived ${data.old_seconds} s or longer, from ${from} s to ${to} s: what lives less than ${Math.round(to / 2)} s does not grow here.` : `All blocks, from ${from} s to ${to} s.`;
  if (!data.rows.length) {
    place.replaceChildren(notice("No stack grows", [`${basis} ${data.stacks} stacks were looked at.`]));
    return;
  }
  place.replaceChildren(make("div", { className: "page" },
    make("p", { className: "sub" }, `${basis} All stacks together: ${bytes(data.whole.bytes_per_second * 60)} a minute. ${data.growing} of ${data.stacks} stacks grow, ${data.sure} for sure; \u201cat least\u201d and \u201cat most\u201d are each right in ${data.confidence} of 100 cases.`),
    make("table", { className: "list" }, make("thead", {}, make("tr", {}, ...LEAK_COLUMNS.map((text) => make("th", { scope: "col", className: text === "Stack" ? "name" : "" }, text)))),
      make("tbody", {}, ...data.rows.map((row) => leakRow(row, data, bytes))))));
}
