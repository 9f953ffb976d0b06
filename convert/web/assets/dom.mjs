/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dom.mjs - making parts of a document. Text is set as text: what a profile says is never markup.
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key in element && !key.includes("-") && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function notice(title, lines, isBad = false) {
  return make("div", { className: `notice${isBad ? " bad" : ""}`, role: isBad ? "alert" : "status" },
    make("h2", {}, title), ...lines.map((line) => (typeof line === "string" ? make("p", {}, line) : line)));
}

/* A share as a bar from the left; of a change, from the middle. */
export function shareBar(share, isChange) {
  const width = Math.min(1, Math.abs(share)) * (isChange ? 50 : 100);
  const color = isChange ? (share > 0 ? "var(--grew)" : "var(--less)") : "hsl(28 80% 55%)";
  return makeSvg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSvg("rect", { x: 0, y: 0, width: 100, height: 10, fill: "var(--bar)" }),
    makeSvg("rect", { x: isChange ? (share > 0 ? 50 : 50 - width) : 0, y: 0, width, height: 10, fill: color }));
}
