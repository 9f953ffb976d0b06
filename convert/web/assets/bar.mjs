/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bar.mjs - the bar above every page: pages, value, filters, profiles to compare. Everything in it is in the address.
 */
import { FILTERS, linkTo, queryWith } from "./address.mjs";
import { make } from "./dom.mjs";
import { visibleName } from "./format.mjs";

const PAGES = { flamegraph: "Flame graph", top: "Top", graph: "Graph", peek: "Peek", source: "Source", disasm: "Disasm", traces: "Traces" };
const GRANULARITIES = { functions: "functions", filefunctions: "functions and files", files: "files", lines: "lines", addresses: "addresses", modules: "modules" };
const part = (id) => document.getElementById(id);

function go(changes) { location.search = queryWith(location.search, changes); }

function choice(values, chosen, change, label) {
  const select = make("select", { "aria-label": label, onchange: (event) => change(event.target.value) },
    ...Object.entries(values).map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
  select.value = chosen;
  return select;
}

function fillTabs(state) {
  const pages = { ...PAGES, ...((state.types || []).includes("history_space") ? { leaks: "Leaks" } : {}), ...(state.base ? { movements: "Changes" } : {}) };
  part("tabs").append(...Object.entries(pages).map(([page, text]) =>
    make("a", { href: linkTo(page, location.search), "aria-current": page === state.page ? "page" : null }, text)));
  part("download").href = linkTo("download", location.search);
}

function fillValues(state) {
  const { types = [] } = state, si = state.query.si;
  const chosen = types.includes(si) ? si : types[+si] !== undefined && si !== "" ? types[+si] : types[state.type];
  part("si-box").hidden = types.length < 2;
  part("si").append(...types.map((type) => make("option", { value: type, selected: type === chosen }, visibleName(type))));
  part("si").onchange = (event) => go({ si: event.target.value });
}

function filterField(state, key, text) {
  return make("label", {}, text, make("input", { type: "text", name: key, value: state.query[key] || "", autocomplete: "off", spellcheck: false,
    placeholder: ["from", "to"].includes(key) ? "2s, 500ms" : key.startsWith("t") && key !== "time" ? "key=value" : "regular expression" }));
}

function check(state, key, text) {
  return make("label", { className: "check" }, make("input", { type: "checkbox", name: key, checked: state.query[key] === "true" }), text);
}

function fillFilters(state) {
  const form = part("filters"), { query } = state;
  const keys = ["f", "i", "h", "s", "sf", ...(state.keys && state.keys.length ? ["tf", "ti"] : []), ...(state.timed || state.query.from || state.query.to ? ["from", "to"] : [])];
  form.append(...keys.map((key) => filterField(state, key, FILTERS[key])),
    make("label", {}, "one entry for each", choice(GRANULARITIES, query.g, () => {}, "Granularity")),
    make("label", {}, "at most", make("input", { type: "number", name: "n", min: -1, value: query.n, title: "most entries; -1 is as many as fit" })),
    check(state, "trim", "leave out what is small"), check(state, "noinlines", "inlined as their callers"),
    check(state, "rel", "shares of what is left"),
    make("button", { type: "submit" }, "Apply"),
    make("button", { type: "button", onclick: () => { location.href = linkTo(state.page, "", kept()); } }, "Clear"));
  form.querySelector("select").name = "g";
  form.onsubmit = (event) => {
    event.preventDefault();
    const changes = {};
    for (const field of form.elements) {
      if (!field.name) continue;
      const value = field.type === "checkbox" ? String(field.checked) : field.value;
      if (value !== String(query[field.name] ?? "")) changes[field.name] = value;
    }
    go(changes);
  };
}

/* What stays when filters are taken out: which profiles, which value. */
function kept() {
  const words = new URLSearchParams(location.search);
  return Object.fromEntries(["profile", "base", "norm", "si"].filter((key) => words.has(key)).map((key) => [key, words.get(key)]));
}

function fillChips(state) {
  const words = new URLSearchParams(location.search), shown = Object.keys(FILTERS).filter((key) => state.query[key] || words.get(key));
  if (state.query.g !== "functions") shown.push("g");
  part("chips").hidden = !shown.length;
  part("chips").append(...shown.map((key) => {
    const value = key === "g" ? `by ${GRANULARITIES[state.query.g]}` : key === "time" ? "a part of the time" : `${FILTERS[key]} ${visibleName(state.query[key] || words.get(key))}`;
    return make("button", { title: "take this out", onclick: () => go({ [key]: key === "g" ? "functions" : state.query[key] && !words.has(key) ? "" : words.has(key) && key !== "time" ? "" : null }) }, `${value} \u00d7`);
  }));
  part("more-filters").textContent = shown.length ? `Filters (${shown.length})` : "Filters";
}

function nameOf(recording) {
  const when = recording.time_ns ? new Date(recording.time_ns / 1e6).toLocaleTimeString() : "";
  return `${recording.number}: ${visibleName(recording.name)}${when ? `, ${when}` : ""}`;
}

async function send(address, body, status) {
  const begin = performance.now();
  const timer = setInterval(() => { status.textContent = `working\u2026 ${Math.round((performance.now() - begin) / 1000)} s`; }, 500);
  status.textContent = "working\u2026";
  try {
    const answer = await fetch(address, { method: "POST", headers: { Accept: "application/json" }, body });
    const text = await answer.text();
    if (!answer.ok) {
      let said = text;
      try { said = JSON.parse(text).error; } catch { /* it was text */ }
      status.textContent = said;
      return null;
    }
    return JSON.parse(text).number;
  } catch {
    status.textContent = "the server does not answer";
    return null;
  } finally {
    clearInterval(timer);
  }
}

function fillProfiles(state) {
  const box = part("profiles"), status = make("span", { role: "status", id: "working" });
  const names = Object.fromEntries(state.recordings.map((recording) => [recording.number, nameOf(recording)]));
  const file = make("input", { type: "file", hidden: true, id: "file", "aria-label": "A profile from this machine" });
  file.onchange = async () => {
    if (!file.files.length) return;
    const number = await send(`./upload?name=${encodeURIComponent(file.files[0].name)}`, file.files[0], status);
    if (number) go({ base: String(number) });
  };
  const parts = !state.recordings.length ? [] : [make("label", {}, "shown", choice(names, String(state.profile), (value) => go({ profile: value }), "Profile")),
    make("label", {}, "compared with", choice({ none: "nothing", ...names }, state.base ? String(state.base) : "none", (value) => go({ base: value }), "Base")),
    state.base ? make("label", {}, "made comparable by", choice({ none: "nothing", total: "their totals", duration: "their durations" }, state.query.norm,
      (value) => go({ norm: value }), "Normalized")) : null,
    state.base ? make("button", { type: "button", onclick: () => go({ profile: String(state.base), base: String(state.profile) }) }, "Swap") : null,
    make("button", { type: "button", onclick: () => file.click() }, "Compare with a file\u2026"), file];
  box.append(...parts.filter((element) => element));
  if (state.live) fillRecorder(state, box, status);
  box.append(status);
}

function fillRecorder(state, box, status) {
  const seconds = make("input", { type: "number", min: 1, max: 3600, value: 10, "aria-label": "Seconds" });
  const isFirst = !state.recordings.length;
  const kind = state.kinds.length ? choice({ ...(isFirst ? {} : { "": "the same" }), ...Object.fromEntries(state.kinds.map((name) => [name, name])) }, isFirst ? state.kinds.find((name) => /profile$/.test(name)) || state.kinds[0] : "", () => {}, "Kind of profile") : null;
  const record = async () => {
    const what = kind ? kind.value : "";
    const number = await send(`./record?seconds=${seconds.value}&what=${encodeURIComponent(what)}`, null, status);
    if (number) go({ profile: String(number), base: "none", ...(what ? { si: null } : {}) });
  };
  box.append(make("label", {}, "seconds", seconds), kind ? make("label", {}, "profile", kind) : "",
    make("button", { type: "button", id: "record", onclick: record }, isFirst ? "Record" : "Record again"));
}

function folds(button, box) {
  const show = (isOpen) => {
    part(box).hidden = !isOpen;
    part(button).setAttribute("aria-expanded", String(isOpen));
  };
  part(button).onclick = () => {
    show(part(box).hidden);
    const first = part(box).querySelector("input, select");
    if (!part(box).hidden && first) first.focus();
    dispatchEvent(new Event("resize"));
  };
}

export function fillBar(state) {
  fillTabs(state);
  fillValues(state);
  fillFilters(state);
  fillChips(state);
  fillProfiles(state);
  part("more-profiles").textContent = state.live ? "Record, compare" : "Compare";
  folds("more-filters", "filters");
  folds("more-profiles", "profiles");
}

