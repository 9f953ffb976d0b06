/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.mjs - the page: its controls, what follows from its state, and keys.
 *
 * There is one state (state.mjs); it lives in the address, and every change of it goes through the address, so that the
 * browser's back and forward work. What is made of it (trees, widths, sums) is kept until the state's part it hangs on changes.
 */
import { TreeBuilder, sums, frameSums, invertTree, callersTree, calleesTree, orderByName, FILLER } from "./tree.mjs";
import { STEPS, transformTree, exactly, framesThatMatch } from "./transform.mjs";
import { weigher, widths, netValue, nothingChanged, noneMatches } from "./profile.mjs";
import { searchTree } from "./search.mjs";
import { formatValue, formatShare, formatMatch, visibleName } from "./format.mjs";
import { frameColor, changeColor } from "./color.mjs";
import { readState, writeState, VIEWS } from "./state.mjs";
import { ROW, makePane, nodeAt, depthAt, visibleRows, drawPane, drawMinimap } from "./picture.mjs";
import { MOST_ROWS, sortRows, fillTable } from "./table.mjs";

const byId = (id) => document.getElementById(id);

export class Page {
  constructor(profile) {
    this.profile = profile;
    this.state = null;
    this.current = null; /* { pane, node } that keys move */
    this.sortBy = "cum";
    this.hit = -1;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.fillControls();
    this.listen();
    this.follow();
  }

  /* The type of value that is shown, and its column. */
  get type() { return this.types.indexOf(this.state.type) >= 0 ? this.types.indexOf(this.state.type) : this.profile.type; }
  get column() { return this.type * this.profile.per; }
  get types() { return this.profile.types.map((type) => type.name); }
  get total() { return this.profile.types[this.type].total; }
  get names() { return this.source.names; }
  value(value) { return formatValue(value * this.profile.ratio, this.profile.types[this.type].unit); }
  share(value) { return formatShare(value, this.total); }

  fillControls() {
    const { profile } = this, option = (text, value) => Object.assign(document.createElement("option"), { textContent: text, value });
    document.title = `${visibleName(profile.title)}: flame graph`;
    byId("title").textContent = visibleName(profile.title);
    byId("labels").textContent = visibleName(profile.labels).replaceAll("\\u000a", "\n");
    byId("type").append(...profile.types.map((type) => option(visibleName(type.name), type.name)));
    byId("view").append(...Object.entries(VIEWS).map(([key, text]) => option(text, key)));
    byId("by").append(...profile.trees.map(({ by }) => option(by ? `by ${visibleName(by)}` : "all together", by)));
    byId("by").hidden = profile.trees.length < 2;
    byId("type").hidden = profile.types.length < 2;
    byId("legend").hidden = profile.per !== 2;
    byId("color").hidden = profile.per === 2;
    byId("same").hidden = !nothingChanged(profile);
    for (const head of document.querySelectorAll("th[data-sort]")) {
      const sort = () => { this.sortBy = head.dataset.sort; this.showTable(); };
      head.firstElementChild.onclick = sort;
    }
  }

  go(change) {
    const next = { ...this.state, ...change };
    const fragment = writeState(next);
    if (fragment !== writeState(this.state)) location.hash = fragment;
    this.follow(); /* at once: the next key may come before the browser says that the address has changed */
  }

  /* Everything that follows from the address. */
  follow() {
    const before = this.state, state = readState(location.hash);
    this.state = state;
    this.makeTree();
    this.makePanes();
    this.makeSearch();
    for (const key of ["view", "by", "color", "order"]) byId(key).value = state[key];
    byId("type").value = this.types[this.type];
    if (document.activeElement !== byId("find")) byId("find").value = state.find;
    byId("what").textContent = `${visibleName(this.types[this.type])}, ${this.value(this.total)} in all`;
    this.showSteps();
    this.showSearch();
    this.showTable();
    if (!before || before.zoom !== state.zoom || before.view !== state.view) byId("stage").scrollTop = state.view === "flame" ? 1e9 : 0;
    this.draw();
  }

  makeTree() {
    const { profile, state } = this;
    const key = JSON.stringify([state.by, state.steps, this.type]);
    if (key === this.treeKey) return;
    this.treeKey = key;
    this.weigh = weigher(profile, this.type);
    this.source = profile.trees.find(({ by }) => by === state.by) || profile.trees[0];
    this.tree = transformTree(this.source.tree, this.source.names, state.steps, this.weigh);
    this.frames = null;
    this.panesKey = "";
  }

  makePanes() {
    const { profile, state } = this, key = [state.view, state.order, state.function, this.treeKey].join("\n");
    if (key !== this.panesKey) {
      this.panesKey = key;
      this.panes = this.panesOf(state.view);
      for (const pane of this.panes) this.addSums(pane);
      this.current = null;
    }
    const zoom = state.zoom === "" ? -1 : +state.zoom, first = this.panes[0];
    this.zoom = state.view !== "sandwich" && Number.isInteger(zoom) && zoom >= 0 && zoom < first.tree.n ? zoom : -1;
    this.from = this.zoom >= 0 ? first.start[this.zoom] : 0;
    this.span = this.zoom >= 0 ? first.width[this.zoom] : Math.max(...this.panes.map((pane) => pane.whole), 0);
    return profile;
  }

  panesOf(view) {
    const pane = (made, upwards, skip) => {
      const tree = this.state.order === "name" ? orderByName(made, this.names) : made;
      return makePane(tree, widths(this.profile, tree, this.type), upwards, skip);
    };
    if (view === "inverted") return [pane(invertTree(this.tree, this.weigh))];
    if (view !== "sandwich") return [pane(this.tree, view === "flame")];
    const frame = this.names.indexOf(this.state.function);
    if (frame < 0) return [pane(new TreeBuilder(this.tree.self.length).finish(this.weigh))];
    return [pane(callersTree(this.tree, frame, this.weigh), true, 1), pane(calleesTree(this.tree, frame, this.weigh))];
  }

  addSums(pane) {
    pane.sum = Array.from({ length: this.profile.per }, (_, c) => sums(pane.tree, this.column + c));
  }
  net(pane, i) { return this.profile.per === 2 ? pane.sum[0][i] - pane.sum[1][i] : pane.sum[0][i]; }

  /* The sums by function: over the profile as it is, and of the tree where steps have changed it. */
  rows() {
    const { profile } = this, { functions } = profile;
    if (this.frames && this.framesKey === this.treeKey) return this.frames;
    this.framesKey = this.treeKey;
    if (!this.state.steps.length) {
      this.frames = functions.name.map((name, frame) => ({ frame, name, flat: netValue(profile, functions.flat, this.type, frame),
        cum: netValue(profile, functions.cum, this.type, frame) }));
    } else {
      const parts = Array.from({ length: profile.per }, (_, c) => frameSums(this.tree, this.column + c));
      const net = (kind, frame) => (parts[0][kind].get(frame) || 0) - (parts[1] ? parts[1][kind].get(frame) || 0 : 0);
      this.frames = [...parts[0].cum.keys()].filter((frame) => frame >= 0 && frame < functions.name.length)
        .map((frame) => ({ frame, name: this.names[frame], flat: net("flat", frame), cum: net("cum", frame) }));
    }
    return this.frames;
  }

  makeSearch() {
    this.found = null;
    this.foundError = "";
    if (!this.state.find) return;
    try { this.matching = framesThatMatch(this.names, this.state.find, "i"); } catch { this.foundError = "not a regular expression"; return; }
    const pane = this.panes[this.panes.length - 1];
    const { functions, unlisted } = this.profile, names = [...this.matching].map((frame) => this.names[frame]);
    this.isChosen = names.length === 1 && this.state.find === exactly(names[0]); /* one row of the table; the others stay */
    const isAll = !unlisted || this.isChosen || noneMatches(this.profile.others, this.state.find);
    this.found = searchTree(this.tree, this.matching, this.column, this.state.steps.length ? null : functions, isAll);
    this.hits = searchTree(pane.tree, this.matching, this.column, null).hits;
  }

  showSearch() {
    const step = byId("found");
    byId("previous").disabled = byId("next").disabled = !this.found || !this.hits.length;
    if (!this.found) { step.textContent = this.foundError; return; }
    const { least, most } = this.found, at = this.hits.indexOf(this.hit) + 1;
    step.textContent = `${formatMatch(least, most, this.total)} in ${this.matching.size.toLocaleString("en")} ` +
      `${this.matching.size === 1 ? "name" : "names"}` +
      (this.hits.length ? `, ${at ? `${at.toLocaleString("en")} of ` : ""}${this.hits.length.toLocaleString("en")} frames` : "");
  }

  stepHit(by) {
    if (!this.found || !this.hits.length) return;
    const at = this.hits.indexOf(this.hit), n = this.hits.length;
    this.hit = this.hits[at < 0 ? (by > 0 ? 0 : n - 1) : (at + by + n) % n];
    this.select(this.panes[this.panes.length - 1], this.hit, true);
    this.showSearch();
  }

  showSteps() {
    const { steps } = this.state, chips = steps.map((step, at) => {
      const chip = document.createElement("button");
      chip.textContent = `${STEPS[step.op].says} ${step.op === "direct" ? "" : visibleName(step.pattern)} \u00d7`;
      chip.title = "undo this step";
      chip.onclick = () => this.go({ steps: steps.filter((_, i) => i !== at), zoom: "" });
      return chip;
    });
    if (this.state.view === "sandwich") {
      const about = document.createElement("span");
      about.textContent = this.names.includes(this.state.function) ? `callers above, callees below: ${visibleName(this.state.function)}`
        : "Sandwich: choose a function in the table, or by the menu of a frame.";
      chips.push(about);
    }
    byId("steps").replaceChildren(...chips);
    byId("steps").hidden = !chips.length;
  }

  showTable() {
    const matching = this.found && !this.isChosen ? this.matching : null, isDiff = this.profile.per === 2;
    const rows = this.rows().filter((row) => !matching || matching.has(row.frame));
    const sorted = sortRows(rows, this.sortBy), sign = (value) => (isDiff && value > 0 ? "+" : "");
    const number = (value) => sign(value) + this.value(value), part = (value) => sign(value) + this.share(value);
    fillTable(byId("rows"), sorted, (row) => [number(row.flat), part(row.flat), number(row.cum), part(row.cum), visibleName(row.name)],
      (row) => this.found && this.isChosen && this.matching.has(row.frame),
      (row) => (this.state.view === "sandwich" ? this.go({ function: row.name, zoom: "" }) : this.go({ find: exactly(row.name) })));
    for (const head of document.querySelectorAll("th[data-sort]"))
      head.setAttribute("aria-sort", head.dataset.sort === this.sortBy ? (this.sortBy === "name" ? "ascending" : "descending") : "none");
    const more = Math.max(0, rows.length - MOST_ROWS), { unlisted } = this.profile;
    byId("more").textContent = [more ? `${more.toLocaleString("en")} more rows: search to see them.` : "",
      unlisted ? `${unlisted.toLocaleString("en")} light functions are not in this page; their values are in its sums.` : ""].join(" ");
  }

  /* What is at a point of the canvas. */
  at(event) {
    const box = this.canvas.getBoundingClientRect(), place = this.from + (event.clientX - box.left) / box.width * this.span;
    let top = this.offset - byId("stage").scrollTop;
    for (const pane of this.panes) {
      const row = Math.floor((event.clientY - box.top - top) / ROW);
      if (row >= 0 && row < pane.rows) {
        const node = nodeAt(pane, place, depthAt(pane, row));
        return node < 0 ? null : { pane, node };
      }
      top += pane.rows * ROW;
    }
    return null;
  }

  name(pane, i) {
    const { tree } = pane;
    if (tree.frame[i] !== FILLER) return visibleName(this.names[tree.frame[i]]);
    return `${tree.joined[i].toLocaleString("en")} narrow ${tree.joined[i] === 1 ? "frame" : "frames"}`;
  }

  marks(frame) {
    return (this.profile.functions.inlined[frame] ? "\u21b3 " : "") + (this.profile.guessed.has(frame) ? "\u2248 " : "");
  }

  describe(pane, i) {
    const { tree } = pane, frame = tree.frame[i], sum = this.net(pane, i), up = tree.parent[i], { functions, modules, files } = this.profile;
    const own = netValue(this.profile, tree.self, this.type, i), lines = [this.name(pane, i)];
    if (this.profile.per === 2)
      lines.push(`${this.value(pane.sum[1][i])} before, ${this.value(pane.sum[0][i])} after: ${sum > 0 ? "+" : ""}${this.value(sum)} (${this.share(sum)})`);
    else
      lines.push(`${this.value(sum)}, ${this.share(sum)} of all` + (up >= 0 ? `, ${formatShare(sum, this.net(pane, up))} of ${pane.upwards && this.state.view === "sandwich" || this.state.view === "inverted" ? "its callee" : "its caller"}` : ""),
        `${this.value(own)} by itself`);
    const module = functions.module[frame] >= 0 ? modules[functions.module[frame]] : "";
    if (module) lines.push(`in ${visibleName(module)}${functions.inlined[frame] ? ", inlined" : ""}`);
    else if (functions.inlined[frame]) lines.push("inlined");
    if (this.profile.guessed.has(frame)) lines.push("\u2248 in some stack by a guess: what it called has no unwind information");
    if (functions.file[frame] >= 0) lines.push(visibleName(files[functions.file[frame]]) + (functions.line[frame] > 0 ? `:${functions.line[frame]}` : ""));
    return lines;
  }

  paint() {
    const style = getComputedStyle(document.documentElement), is = (name) => style.getPropertyValue(name).trim();
    const { functions, modules } = this.profile, isDark = this.dark.matches, colors = new Map();
    return {
      fill: (pane, i) => {
        if (this.profile.per === 2) {
          const [now, then] = [pane.sum[0][i], pane.sum[1][i]];
          return changeColor((now - then) / Math.max(now, then, 1), isDark);
        }
        const frame = pane.tree.frame[i];
        if (!colors.has(frame))
          colors.set(frame, frameColor({ name: this.names[frame], module: modules[functions.module[frame]], isDark }, this.state.color));
        return colors.get(frame);
      },
      isHit: (pane, i) => this.found && this.matching.has(pane.tree.frame[i]),
      isCurrent: (pane, i) => this.current && this.current.pane === pane && this.current.node === i,
      name: (pane, i) => this.marks(pane.tree.frame[i]) + this.name(pane, i),
      hit: is("--match"), hitText: is("--match-text"), text: is("--frame-text"), filler: is("--filler"), ring: is("--fg"), shade: is("--shade"),
      letter: 6.3,
    };
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.drawNow(); });
  }

  drawNow() {
    byId("map").hidden = this.state.view === "sandwich" || !this.panes.some((pane) => pane.tree.n); /* before anything is measured */
    const stage = byId("stage"), pixels = stage.clientWidth, height = stage.clientHeight, paint = this.paint();
    const rows = this.panes.reduce((sum, pane) => sum + pane.rows, 0);
    const needed = this.state.view === "flame" || this.state.view === "sandwich" ? rows : visibleRows(this.panes[0], this.from, this.span, pixels);
    byId("room").style.height = `${Math.max(height, needed * ROW)}px`;
    this.offset = this.state.view === "flame" ? Math.max(0, height - rows * ROW) : 0;
    const context = this.size(this.canvas, pixels, height);
    let top = this.offset - stage.scrollTop;
    for (const pane of this.panes) {
      drawPane(context, pane, { from: this.from, span: this.span, pixels, top, height }, paint);
      top += pane.rows * ROW;
    }
    const empty = !this.panes.some((pane) => pane.tree.n);
    byId("empty").hidden = !empty || this.state.view === "sandwich";
    this.drawMap(paint);
    byId("reset").disabled = this.span === (this.panes[0] ? this.panes[0].whole : 0) || empty;
  }

  drawMap(paint) {
    const map = byId("map"), pane = this.panes[this.panes.length - 1];
    if (map.hidden) return;
    drawMinimap(this.size(map, map.clientWidth, map.clientHeight), pane,
      { from: this.from, span: this.span, pixels: map.clientWidth, height: map.clientHeight }, paint);
  }

  size(canvas, width, height) {
    const ratio = devicePixelRatio || 1, context = canvas.getContext("2d");
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      if (canvas === this.canvas) canvas.style.height = `${height}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    return context;
  }

  select(pane, node, isShown) {
    this.current = { pane, node };
    byId("detail").textContent = this.describe(pane, node).join("; ");
    if (isShown) this.bringIntoView(pane, node);
    this.draw();
  }

  bringIntoView(pane, i) {
    const start = pane.start[i], end = start + pane.width[i], stage = byId("stage");
    if (start < this.from || end > this.from + this.span || pane.width[i] < this.span / stage.clientWidth) {
      this.span = Math.min(pane.whole, Math.max(pane.width[i] * 4, pane.whole / 1e9));
      this.from = Math.max(0, Math.min(pane.whole - this.span, start + pane.width[i] / 2 - this.span / 2));
      this.drawNow();
    }
    const depth = pane.tree.depth[i] - pane.skip, row = pane.upwards ? pane.rows - 1 - depth : depth;
    const above = this.panes.slice(0, this.panes.indexOf(pane)).reduce((sum, other) => sum + other.rows, 0);
    const y = this.offset + (above + row) * ROW;
    if (y < stage.scrollTop || y + ROW > stage.scrollTop + stage.clientHeight) stage.scrollTop = y - stage.clientHeight / 2;
  }

  zoomTo(pane, node) {
    if (this.state.view !== "sandwich") { this.go({ zoom: node < 0 ? "" : String(node) }); return; }
    if (node >= 0 && pane.tree.frame[node] !== FILLER) this.go({ function: this.names[pane.tree.frame[node]] });
  }

  zoomBy(factor, middle) {
    const whole = Math.max(...this.panes.map((pane) => pane.whole), 0), span = Math.min(whole, Math.max(whole / 1e9, this.span * factor));
    this.from = Math.max(0, Math.min(whole - span, middle - (middle - this.from) * (span / this.span || 1)));
    this.span = span;
    this.draw();
  }

  moveBy(share) {
    const whole = Math.max(...this.panes.map((pane) => pane.whole), 0);
    this.from = Math.max(0, Math.min(whole - this.span, this.from + share * this.span));
    this.draw();
  }

  step(op, frame) {
    this.go({ steps: [...this.state.steps, { op, pattern: op === "direct" ? "" : exactly(this.names[frame]) }], zoom: "" });
  }

  openMenu(at, x, y) {
    const { pane, node } = at, frame = pane.tree.frame[node], menu = byId("menu"), isFrame = frame !== FILLER;
    const stack = () => {
      const names = [];
      for (let i = node; i >= 0; i = pane.tree.parent[i]) names.push(this.name(pane, i));
      return (this.state.view === "inverted" || pane.skip ? names : names.reverse()).join("\n");
    };
    const entries = [["Zoom here", () => this.zoomTo(pane, node), true],
      ["Callers and callees", () => this.go({ view: "sandwich", function: this.names[frame], zoom: "" }), isFrame],
      ["Only stacks through it", () => this.step("focus", frame), isFrame],
      ["Without stacks through it", () => this.step("ignore", frame), isFrame],
      ["Stacks from here on", () => this.step("from", frame), isFrame],
      ["Merge it into its callers", () => this.step("hide", frame), isFrame],
      ["Collapse its recursion", () => this.step("collapse", frame), isFrame],
      ["Collapse all direct recursion", () => this.step("direct", frame), true],
      ["Copy name", () => this.copy(this.name(pane, node)), true],
      ["Copy stack", () => this.copy(stack()), true]];
    menu.replaceChildren(...entries.filter(([, , can]) => can).map(([text, does]) => {
      const entry = document.createElement("button");
      entry.setAttribute("role", "menuitem");
      entry.textContent = text;
      entry.onclick = () => { this.closeMenu(); does(); };
      return entry;
    }));
    menu.hidden = false;
    menu.style.left = `${Math.max(0, Math.min(x, innerWidth - menu.offsetWidth - 8))}px`;
    menu.style.top = `${Math.max(0, Math.min(y, innerHeight - menu.offsetHeight - 8))}px`;
    menu.firstElementChild.focus();
  }
  closeMenu() {
    if (byId("menu").hidden) return false;
    byId("menu").hidden = true;
    this.canvas.focus();
    return true;
  }

  copy(text) {
    const area = byId("copy");
    area.hidden = false;
    area.value = text;
    area.select();
    document.execCommand("copy"); /* the clipboard's newer interface is not there for pages from files */
    area.hidden = true;
    byId("detail").textContent = "copied";
  }

  listen() {
    const stage = byId("stage"), tip = byId("tip");
    this.canvas = byId("graph");
    addEventListener("hashchange", () => { if (writeState(readState(location.hash)) !== writeState(this.state)) this.follow(); });
    addEventListener("resize", () => this.draw());
    this.dark.addEventListener("change", () => this.draw());
    stage.onscroll = () => this.draw();
    for (const key of ["type", "by"]) byId(key).onchange = (event) => this.go({ [key]: event.target.value, zoom: "" });
    byId("color").onchange = (event) => this.go({ color: event.target.value });
    byId("order").onchange = (event) => this.go({ order: event.target.value, zoom: "" });
    byId("view").onchange = (event) => this.changeView(event.target.value);
    byId("find").oninput = (event) => {
      history.replaceState(null, "", `#${writeState({ ...this.state, find: event.target.value })}`);
      this.hit = -1;
      this.follow();
    };
    byId("find").onkeydown = (event) => { if (event.key === "Enter") this.stepHit(event.shiftKey ? -1 : 1); };
    byId("next").onclick = () => this.stepHit(1);
    byId("previous").onclick = () => this.stepHit(-1);
    byId("reset").onclick = () => this.reset();
    byId("list").onclick = () => this.toggleTable();
    this.canvas.onclick = (event) => { const at = this.at(event); if (at) this.zoomTo(at.pane, at.node); };
    this.canvas.oncontextmenu = (event) => {
      const at = this.at(event);
      if (!at) return;
      event.preventDefault();
      tip.hidden = true;
      this.openMenu(at, event.clientX, event.clientY);
    };
    this.canvas.onmousemove = (event) => this.showTip(event);
    this.canvas.onmouseleave = () => { tip.hidden = true; };
    this.canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.listenMap();
    document.onkeydown = (event) => this.onKey(event);
    document.addEventListener("mousedown", (event) => { if (!byId("menu").contains(event.target)) byId("menu").hidden = true; });
  }

  listenMap() {
    const map = byId("map"), move = (event) => {
      if (!(event.buttons & 1)) return;
      const { whole } = this.panes[0], box = map.getBoundingClientRect();
      this.from = Math.max(0, Math.min(whole - this.span, (event.clientX - box.left) / box.width * whole - this.span / 2));
      this.draw();
    };
    map.onpointerdown = move;
    map.onpointermove = move;
  }

  changeView(view) {
    const chosen = this.current && this.current.pane.tree.frame[this.current.node];
    const name = this.state.function || (chosen >= 0 ? this.names[chosen] : "") || (sortRows(this.rows(), "flat")[0] || { name: "" }).name;
    this.go({ view, zoom: "", function: view === "sandwich" ? name : "" });
  }

  reset() {
    if (this.state.zoom) this.go({ zoom: "" });
    else { this.makePanes(); this.draw(); }
  }

  toggleTable() {
    const isOpen = byId("table").classList.toggle("closed");
    byId("list").setAttribute("aria-expanded", String(!isOpen));
    this.draw();
  }

  showTip(event) {
    const at = this.at(event), tip = byId("tip");
    this.canvas.style.cursor = at ? "pointer" : "default";
    tip.hidden = !at || !byId("menu").hidden;
    if (tip.hidden) return;
    const lines = this.describe(at.pane, at.node).map((text) => Object.assign(document.createElement("div"), { textContent: text }));
    tip.replaceChildren(...lines);
    tip.style.left = `${Math.max(0, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${event.clientY + 20 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 8 : event.clientY + 20}px`;
  }

  onWheel(event) {
    const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY), box = this.canvas.getBoundingClientRect();
    if (!isSideways && !event.ctrlKey && event.shiftKey) return; /* scrolls */
    event.preventDefault();
    if (isSideways) this.moveBy(event.deltaX / box.width);
    else this.zoomBy(Math.exp(event.deltaY * 0.002), this.from + (event.clientX - box.left) / box.width * this.span);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (this.closeMenu()) return;
      if (event.target.id === "find") { event.target.blur(); this.go({ find: "" }); return; }
      this.goUp();
      return;
    }
    if (!byId("menu").hidden && event.key.startsWith("Arrow")) { this.moveInMenu(event); return; }
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const keys = { "/": () => byId("find").select(), n: () => this.stepHit(1), N: () => this.stepHit(-1), t: () => this.toggleTable(),
      "+": () => this.zoomBy(0.5, this.from + this.span / 2), "-": () => this.zoomBy(2, this.from + this.span / 2), 0: () => this.reset(),
      i: () => this.changeView(this.state.view === "inverted" ? "icicle" : "inverted"), s: () => this.changeView("sandwich"),
      a: () => this.moveBy(-0.2), d: () => this.moveBy(0.2) };
    if (Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); return; }
    if (event.target === this.canvas) this.onGraphKey(event);
  }

  moveInMenu(event) {
    const entries = [...byId("menu").children], at = entries.indexOf(document.activeElement);
    event.preventDefault();
    entries[(at + (event.key === "ArrowDown" ? 1 : entries.length - 1)) % entries.length].focus();
  }

  goUp() {
    const { tree } = this.panes[0];
    if (this.zoom >= 0) this.go({ zoom: tree.parent[this.zoom] < 0 ? "" : String(tree.parent[this.zoom]) });
    else this.reset();
  }

  /* Arrows go from frame to frame, as they lie in the picture. */
  onGraphKey(event) {
    const pane = this.current ? this.current.pane : this.panes[this.panes.length - 1], { tree } = pane;
    if (!tree.n) return;
    const i = this.current ? this.current.node : -1, away = pane.upwards ? "ArrowUp" : "ArrowDown", back = pane.upwards ? "ArrowDown" : "ArrowUp";
    let to = -1;
    if (i < 0 && !event.key.startsWith("Arrow")) return; /* Tab goes on */
    if (i < 0) to = Math.max(this.zoom, 0);
    else if (event.key === away) to = tree.end[i] > i + 1 ? i + 1 : i;
    else if (event.key === back) to = tree.parent[i] >= 0 ? tree.parent[i] : i;
    else if (event.key === "ArrowRight") to = tree.end[i] < tree.n && tree.parent[tree.end[i]] === tree.parent[i] ? tree.end[i] : i;
    else if (event.key === "ArrowLeft") to = this.siblingBefore(tree, i);
    else if (event.key === "Enter") this.zoomTo(pane, i);
    else if (event.key === "m" || event.key === "ContextMenu") {
      const box = this.canvas.getBoundingClientRect();
      this.openMenu(this.current, box.left + 40, box.top + 40);
    } else return;
    event.preventDefault();
    if (to >= 0) this.select(pane, to, true);
  }

  siblingBefore(tree, i) {
    let before = i;
    for (let at = tree.parent[i] < 0 ? 0 : tree.parent[i] + 1; at < i; at = tree.end[at]) before = at;
    return before;
  }
}
