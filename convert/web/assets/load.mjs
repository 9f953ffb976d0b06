/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.mjs - fetching a page's data, with what is shown meanwhile and what is said when it fails.
 */
import { make, notice } from "./dom.mjs";

export class LoadError extends Error {
  constructor(message, hint, status) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

export async function fetchData(address, asText = false) {
  let answer;
  try {
    answer = await fetch(address, { headers: { Accept: asText ? "*/*" : "application/json" } });
  } catch {
    throw new LoadError("The server does not answer", "Is cprof still running? Start it again and reload this page.", 0);
  }
  let text;
  try {
    text = await answer.text();
  } catch {
    throw new LoadError("The answer broke off", "Is cprof still running? Reload this page.", answer.status);
  }
  if (answer.ok) return asText ? text : JSON.parse(text);
  let said = { error: text.split("\n")[0], hint: "" };
  try { said = JSON.parse(text); } catch { /* it was text */ }
  throw new LoadError(said.error, said.hint, answer.status);
}

/* Shows `work`'s result in `place`; after a moment that it goes on, and for how long. */
export async function showWhen(place, what, work, show) {
  const begin = performance.now(), clock = make("span");
  const tick = () => { clock.textContent = ` ${Math.round((performance.now() - begin) / 1000)} s`; };
  const timer = setTimeout(() => {
    place.replaceChildren(notice("", [make("p", {}, make("span", { className: "spin" }), what, clock)]));
  }, 250), ticker = setInterval(tick, 1000);
  try {
    const data = await work;
    clearTimeout(timer);
    await show(data);
  } catch (error) {
    clearTimeout(timer);
    place.replaceChildren(failure(error));
    if (!(error instanceof LoadError)) throw error;
  } finally {
    clearInterval(ticker);
    document.body.dataset.ready = "true";
  }
}

export function failure(error) {
  const isKnown = error instanceof LoadError, lines = [];
  if (isKnown && error.hint) lines.push(error.hint);
  if (location.search) lines.push(make("p", {}, make("a", { href: location.pathname }, "Show it without any filters")));
  const title = isKnown ? error.message : "This page could not be shown";
  return notice(title[0].toUpperCase() + title.slice(1), isKnown ? lines : [String(error), ...lines], true);
}
