/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.mjs - what the page shows, as the fragment of its address: a link shows the same again.
 *
 * type, view, function (of a sandwich), by (label), zoom (node), find, color, order (of siblings); and steps in their order as OP=PATTERN.
 */
import { STEPS } from "./transform.mjs";

export const VIEWS = { icicle: "Icicle", flame: "Flame", inverted: "Inverted", sandwich: "Sandwich" };
const PLAIN_STATE = { type: "", view: "icicle", function: "", by: "", zoom: "", find: "", color: "package", order: "weight" };

export function readState(fragment) {
  const state = { ...PLAIN_STATE, steps: [] };
  for (const [key, value] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    if (Object.hasOwn(STEPS, key)) state.steps.push({ op: key, pattern: value });
    else if (Object.hasOwn(PLAIN_STATE, key)) state[key] = value;
  }
  if (!Object.hasOwn(VIEWS, state.view)) state.view = "icicle";
  return state;
}

export function writeState(state) {
  const words = new URLSearchParams();
  for (const key of Object.keys(PLAIN_STATE)) if (state[key] !== PLAIN_STATE[key]) words.append(key, state[key]);
  for (const { op, pattern } of state.steps) words.append(op, pattern);
  return words.toString();
}
