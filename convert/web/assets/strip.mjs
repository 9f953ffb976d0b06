/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strip.mjs - the strip of time above every page, where samples say when they were taken; a part that is chosen filters all pages.
 */
import { dataAddress, queryWith } from "./address.mjs";
import { make, makeSvg } from "./dom.mjs";
import { fetchData } from "./load.mjs";
import { formatValue, visibleName } from "./format.mjs";

const HEIGHT = 54, COLORS = ["#2f6fdb", "#d97706", "#0d9488", "#a21caf", "#65a30d", "#dc2626", "#6366f1", "#a16207", "#9a9a97"];

/* Columns of stacked rectangles; what is negative, in a comparison, counts by its size. */
export function stackColumns(series, n) {
  const sums = Array.from({ length: n }, (_, i) => series.reduce((sum, { values }) => sum + Math.abs(values[i]), 0)), most = Math.max(1, ...sums);
  return series.map(({ values }, at) => values.map((value, i) => {
    const below = series.slice(0, at).reduce((sum, other) => sum + Math.abs(other.values[i]), 0);
    return { low: below / most, high: (below + Math.abs(value)) / most };
  }));
}

/* The part [from, to) that two places between 0 and 1 choose, in the data's nanoseconds. */
export function chosenTime(data, a, b) {
  const span = data.to - data.from + 1, [low, high] = a < b ? [a, b] : [b, a];
  const from = Math.floor(data.from + low * span), to = Math.ceil(data.from + high * span);
  return to > from ? `${from},${to}` : "";
}

function readChoice(data) {
  const found = /^(-?\d+),(-?\d+)$/.exec(new URLSearchParams(location.search).get("time") || "");
  if (!found) return null;
  const span = data.to - data.from + 1;
  return [(+found[1] - data.from) / span, (+found[2] - data.from) / span];
}

function draw(picture, data, series) {
  const n = data.values.length, width = 100 / n;
  stackColumns(series, n).forEach((columns, at) => {
    const path = columns.map(({ low, high }, i) => (high > low ? `M${(i * width).toFixed(3)} ${(HEIGHT * (1 - high)).toFixed(2)}h${width.toFixed(3)}V${(HEIGHT * (1 - low)).toFixed(2)}h-${width.toFixed(3)}z` : "")).join("");
    picture.append(makeSvg("path", { d: path, fill: COLORS[at % COLORS.length] }));
  });
}

export async function showStrip(place) {
  let data;
  try { data = await fetchData(dataAddress("time", location.search)); } catch { return; } /* the page itself says what is wrong */
  if (!data.values) return;
  const splits = [{ by: "", series: [{ name: "", values: data.values }] }, ...data.splits], cover = makeSvg("rect", { y: 0, height: HEIGHT, fill: "var(--link)", "fill-opacity": 0.25 });
  const picture = makeSvg("svg", { viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: "none", role: "slider", tabindex: 0, "aria-label": "Time", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0 });
  const keys = make("div", { className: "keys" }), said = make("span", { className: "dim", role: "status" });
  let choice = readChoice(data), dragged = null;
  const tell = () => {
    const span = data.to - data.from + 1, at = (share) => formatValue(Math.round(share * span), "nanoseconds");
    cover.setAttribute("x", choice ? 100 * Math.min(...choice) : 0);
    cover.setAttribute("width", choice ? 100 * Math.abs(choice[1] - choice[0]) : 0);
    picture.setAttribute("aria-valuenow", choice ? Math.round(100 * Math.min(...choice)) : 0);
    picture.setAttribute("aria-valuetext", choice ? `${at(Math.min(...choice))} to ${at(Math.max(...choice))}` : "all");
    said.textContent = choice ? `${at(Math.min(...choice))} to ${at(Math.max(...choice))}` : `${at(1)}; drag, or use arrows and Enter, to choose a part`;
  };
  const apply = () => { location.search = queryWith(location.search, { time: (choice && chosenTime(data, ...choice)) || null }); };
  const show = (by) => {
    const { series } = splits.find((split) => split.by === by);
    picture.replaceChildren();
    draw(picture, data, series);
    picture.append(cover);
    keys.replaceChildren(...(by ? series.map(({ name }, i) => {
      const mark = make("i");
      mark.style.background = COLORS[i % COLORS.length];
      return make("span", {}, mark, visibleName(name) || "others");
    }) : []));
  };
  const where = (event) => { const box = picture.getBoundingClientRect(); return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)); };
  picture.onpointerdown = (event) => { dragged = where(event); picture.setPointerCapture(event.pointerId); };
  picture.onpointermove = (event) => { if (dragged !== null) { choice = [dragged, where(event)]; tell(); } };
  picture.onpointerup = (event) => {
    const from = dragged, to = where(event);
    dragged = null;
    choice = Math.abs(to - from) < 0.004 ? null : [from, to];
    apply();
  };
  picture.onkeydown = (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key], [a, b] = choice || [0, 0.1];
    if (step) choice = event.shiftKey ? [a, Math.max(a + 0.01, Math.min(1, b + step))] : [Math.max(0, a + step), Math.min(1, b + step)];
    else if (event.key === "Enter") apply();
    else if (event.key === "Escape") { choice = null; apply(); } else return;
    event.preventDefault();
    tell();
  };
  const by = make("select", { "aria-label": "Time by", hidden: splits.length < 2, onchange: (event) => show(event.target.value) },
    ...splits.map((split) => make("option", { value: split.by }, split.by ? `by ${split.by}` : "all together")));
  by.value = splits.length > 1 ? splits[1].by : "";
  place.replaceChildren(picture, by, said, keys);
  place.hidden = false;
  show(by.value);
  tell();
  dispatchEvent(new Event("resize"));
}
