/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.mjs - numbers and names as people read them.
 */
const UNIT_STEPS = {
  nanoseconds: [[3600e9, "h"], [60e9, "min"], [1e9, "s"], [1e6, "ms"], [1e3, "\u00b5s"], [1, "ns"]],
  microseconds: [[60e6, "min"], [1e6, "s"], [1e3, "ms"], [1, "\u00b5s"]],
  milliseconds: [[60e3, "min"], [1e3, "s"], [1, "ms"]],
  seconds: [[3600, "h"], [60, "min"], [1, "s"]],
  bytes: [[2 ** 40, "TB"], [2 ** 30, "GB"], [2 ** 20, "MB"], [2 ** 10, "kB"], [1, "B"]],
};

export function formatValue(value, unit) {
  const size = Math.abs(value), steps = Object.hasOwn(UNIT_STEPS, unit) ? UNIT_STEPS[unit] : [];
  for (const [factor, name] of steps)
    if (size >= factor) return `${(value / factor).toFixed(factor === 1 ? 0 : 2)} ${name}`;
  return value.toLocaleString("en", { maximumFractionDigits: 2 }) + (unit && !steps.length && unit !== "count" ? ` ${unit}` : "");
}

export function formatShare(value, total) {
  return total ? `${(100 * value / total).toFixed(2)}%` : "0%";
}

/* What a search found, and how much more it may be: nothing that can be seen in the number is not said. */
export function formatMatch(least, most, total) {
  const more = formatShare(most - least, total);
  return formatShare(least, total) + (/^0(\.00)?%$/.test(more) ? "" : ` (at most ${more} more in frames too narrow for a name)`);
}

/* A name with what cannot be seen, or would turn what stands beside it around, spelt out. */
export function visibleName(name) {
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/* A name in at most `room` characters: first without its packages or namespaces, then with its middle left out. */
export function shortenName(name, room) {
  if (name.length <= room) return name;
  const plain = name.replace(/^.*\/(?=[^/(<]*[.(])/, "");
  const last = plain.replace(/^[^(<]*(?:::|\.)(?=[^:.(<]+(?:::|\.)?[^:.(<]*(?:$|[(<]))/, "");
  for (const shorter of [plain, last]) if (shorter.length <= room) return shorter;
  if (room < 3) return "";
  const head = Math.ceil((room - 1) / 2);
  return `${last.slice(0, head)}\u2026${last.slice(last.length - (room - 1 - head))}`;
}
