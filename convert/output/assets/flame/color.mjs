/* SPDX-License-Identifier: Apache-2.0 */
/*
 * color.mjs - what colour a frame has.
 *
 * Two palettes that people with any colour vision can tell apart: warm hues of one lightness for packages (the difference is a
 * help and carries no fact), orange to blue for grown to shrunk. Dark pages have darker frames with light text.
 */
function hashOf(text) {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) >>> 0;
  return hash;
}

/* Package, namespace or class: the name up to its last part. */
function scopeOf(name) {
  return name.replace(/[(<].*$/, "").replace(/(::|\.)[^:.]*$/, "");
}

export function frameColor({ name, module, isDark }, by) {
  if (by === "plain") return isDark ? "hsl(32 30% 34%)" : "hsl(36 70% 78%)";
  const hash = hashOf(by === "module" ? module || "" : scopeOf(name));
  const hue = /^\[?(kernel|vmlinux)/.test(module || "") ? 215 : 14 + hash % 40;
  return isDark ? `hsl(${hue} ${30 + (hash >> 6) % 20}% ${30 + (hash >> 12) % 8}%)`
    : `hsl(${hue} ${62 + (hash >> 6) % 25}% ${70 + (hash >> 12) % 11}%)`;
}

/* change: -1, all that was there has gone, to 1, all of it is new. */
export function changeColor(change, isDark) {
  if (!change) return isDark ? "hsl(0 0% 32%)" : "hsl(0 0% 86%)";
  const much = Math.min(1, 0.25 + 0.75 * Math.abs(change)), hue = change > 0 ? 28 : 214;
  return isDark ? `hsl(${hue} ${Math.round(20 + 55 * much)}% ${Math.round(32 + 6 * much)}%)`
    : `hsl(${hue} ${Math.round(30 + 60 * much)}% ${Math.round(86 - 20 * much)}%)`;
}
