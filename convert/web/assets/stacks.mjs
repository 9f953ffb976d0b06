/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stacks.mjs - the page of traces: the heaviest samples with their labels and whole stacks.
 */
import { make } from "./dom.mjs";
import { emptyNotice, matcher, scaleOf } from "./functions.mjs";
import { linkTo } from "./address.mjs";
import { exactly } from "./transform.mjs";
import { visibleName } from "./format.mjs";

const MOST_FRAMES = 12;

function traceCard(trace, names, scale) {
  const frames = trace.frames.map((frame) => make("li", {}, make("a", { href: linkTo("peek", location.search, { f: exactly(names[frame]) }) }, visibleName(names[frame]))));
  const list = make("ol", {}, ...frames.slice(0, MOST_FRAMES));
  const rest = frames.slice(MOST_FRAMES);
  const more = rest.length ? make("button", { onclick: () => { list.append(...rest); more.remove(); } }, `${rest.length} callers more`) : null;
  return make("section", { className: "trace" },
    make("div", { className: "head" }, make("strong", {}, scale.value(trace.value)), make("span", { className: "dim" }, scale.share(trace.value)),
      ...trace.labels.map(([key, value]) => make("span", { className: "label" }, `${visibleName(key)}: ${visibleName(value)}`))), list, more);
}

export function showTraces(place, data, state) {
  if (!data.traces.length) {
    place.replaceChildren(emptyNotice(data, state));
    return;
  }
  const scale = scaleOf(data), cards = make("div"), count = make("span", { className: "dim", role: "status" });
  const find = make("input", { type: "search", id: "find", placeholder: "Find in stacks and labels", "aria-label": "Find in stacks and labels" });
  const fill = () => {
    const matches = matcher(find.value), fits = data.names.map(matches);
    const found = data.traces.filter((trace) => trace.frames.some((frame) => fits[frame]) || trace.labels.some(([key, value]) => matches(`${key}=${value}`)));
    cards.replaceChildren(...found.slice(0, 200).map((trace) => traceCard(trace, data.names, scale)));
    count.textContent = `${found.length} of ${data.n} samples, the heaviest first${found.length > 200 ? "; 200 are shown" : ""}`;
  };
  find.oninput = fill;
  place.replaceChildren(make("div", { className: "page" }, make("div", { className: "tools" }, find, count), cards));
  fill();
}
