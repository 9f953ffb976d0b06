/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.mjs - where each page of the web view begins: its bar, its data, its picture or table.
 */
import { dataAddress } from "./address.mjs";
import { fillBar } from "./bar.mjs";
import { notice } from "./dom.mjs";
import { fetchData, showWhen } from "./load.mjs";
import { showChooser, showPeek, showTop } from "./functions.mjs";
import { showDisasm, showSource } from "./code.mjs";
import { showGraph } from "./graph.mjs";
import { showTraces } from "./stacks.mjs";
import { showMovements } from "./movements.mjs";
import { showLeaks } from "./leaks.mjs";
import { showStrip } from "./strip.mjs";
import { readProfile } from "./profile.mjs";
import { Page } from "./page.mjs";

function showFlame(place, data) {
  place.replaceChildren(document.getElementById("flame").content.cloneNode(true));
  window.cprofPage = new Page(readProfile(data));
}

/* A row for each page: how its data is shown, and whether it is about functions that have to be named. */
const SHOWS = {
  flamegraph: { show: showFlame },
  top: { show: showTop },
  graph: { show: showGraph },
  peek: { show: showPeek, needs: true },
  source: { show: showSource, needs: true },
  disasm: { show: showDisasm, needs: true },
  traces: { show: showTraces },
  movements: { show: showMovements },
  leaks: { show: showLeaks },
};

function start() {
  const state = JSON.parse(document.getElementById("state").textContent), place = document.getElementById("content");
  const { show, needs } = SHOWS[state.page], recording = state.recordings.find(({ number }) => number === state.profile);
  const isOpen = needs && !state.query.f;
  document.title = `${recording ? recording.name : "cprof"}: ${state.page}`;
  fillBar(state);
  document.addEventListener("keydown", (event) => {
    const find = document.getElementById("find");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || !find) return;
    event.preventDefault();
    find.select();
  });
  if (!recording && !state.recordings.length) {
    document.getElementById("more-profiles").click();
    place.replaceChildren(notice("Nothing is recorded yet", ["Choose a profile and press Record; what was recorded stays here to be looked at and compared."]));
    document.body.dataset.ready = "true";
    return;
  }
  if (state.timed) showStrip(document.getElementById("strip"));
  showWhen(place, "Preparing\u2026", fetchData(dataAddress(isOpen ? "top" : state.page, location.search)),
    (data) => (isOpen ? showChooser(place, data, state, state.page) : show(place, data, state)));
}

start();
