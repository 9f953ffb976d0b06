/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.mjs - what is shown, as the query of the page's address: the parameters of convert/web/web_query.h.
 *
 * A link keeps what is said and changes some of it; a value of null takes a parameter out.
 */
export function queryWith(search, changes) {
  const words = new URLSearchParams(search);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined) words.delete(key);
    else words.set(key, value);
  }
  words.delete("format");
  const text = words.toString();
  return text ? `?${text}` : "";
}

export function linkTo(page, search, changes = {}) {
  return `./${page === "flamegraph" ? "" : page}${queryWith(search, changes)}`;
}

/* The same address, for its data. */
export function dataAddress(page, search, format = "json") {
  const words = new URLSearchParams(search);
  words.set("format", format);
  return `./${page}?${words}`;
}

/* Parameters that narrow the profile down, and what they are called. */
export const FILTERS = {
  f: "only stacks through", i: "without stacks through", h: "hide frames", s: "show only frames", sf: "from frame", prunefrom: "cut below frame",
  tf: "only labels", ti: "without labels", ts: "labels shown", th: "labels hidden", time: "time", from: "from", to: "until",
};
