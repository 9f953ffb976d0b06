// SPDX-License-Identifier: Apache-2.0

// The flame graph and the bar in use: what a hand, a keyboard and an address do to them. Numbers are held against the server's other pages.

import { check, drawn, must, ready, seen, show } from "./browser.mjs";

const state = (page) => page.evaluate(() => ({ hash: location.hash, span: window.cprofPage.span, from: window.cprofPage.from, whole: window.cprofPage.panes[0].whole }));

// The middle of the widest frame of a name, in pixels of the window.
async function placeOf(page, name) {
  const place = await page.evaluate((wanted) => {
    const view = window.cprofPage, pane = view.panes[view.panes.length - 1], box = view.canvas.getBoundingClientRect();
    let best = -1;
    for (let i = 0; i < pane.tree.n; i++)
      if (view.names[pane.tree.frame[i]] === wanted && (best < 0 || pane.width[i] > pane.width[best])) best = i;
    if (best < 0) return null;
    return { x: box.left + (pane.start[best] + pane.width[best] / 2 - view.from) / view.span * box.width, y: box.top + view.offset + pane.tree.depth[best] * 18 + 9 };
  }, name);
  must(place, `no frame is called ${name}`);
  return place;
}

async function click(page, name, options) {
  const { x, y } = await placeOf(page, name);
  await page.mouse.click(x, y, options);
  await drawn(page);
}

async function back(page, wanted) {
  await page.goBack();
  await page.waitForFunction((hash) => location.hash === hash, wanted);
  await drawn(page);
}

async function zoomsByMouse(page, url) {
  await show(page, url);
  const first = await seen(page);
  await click(page, "work");
  must(/zoom=/.test((await state(page)).hash), "a click does not zoom");
  must(await seen(page) !== first, "the picture is the same after zooming");
  await back(page, "");
  must(await seen(page) === first, "going back does not show what was there");
  const { x, y } = await placeOf(page, "work");
  await page.mouse.move(x, y);
  await page.mouse.wheel(0, -300);
  await page.waitForFunction(() => window.cprofPage.span < window.cprofPage.panes[0].whole);
  await page.click("#reset");
  await page.waitForFunction(() => window.cprofPage.span === window.cprofPage.panes[0].whole);
}

async function works(page, url) {
  await show(page, url);
  const first = await seen(page);
  await page.focus("#graph");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => window.cprofPage.state.zoom);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !(window.cprofPage.state.zoom > 0));
  await page.keyboard.press("Escape");
  await page.keyboard.press("m");
  await page.waitForSelector("#menu:not([hidden])");
  for (const key of ["ArrowDown", "ArrowDown", "ArrowUp", "Escape"]) await page.keyboard.press(key);
  must(await page.isHidden("#menu"), "Escape does not close the menu");
  await page.keyboard.press("i");
  await page.waitForFunction(() => window.cprofPage.state.view === "inverted");
  await page.keyboard.press("i");
  await page.waitForFunction(() => window.cprofPage.state.view === "icicle");
  await page.keyboard.press("t");
  must(await page.isHidden("#table"), "t does not hide the table");
  await page.keyboard.press("t");
  must(first, "nothing was there");
}

// Whatever can be clicked can be reached by the tabulator.
async function isReached(page, url) {
  await show(page, url);
  const wanted = await page.evaluate(() => [...document.querySelectorAll("button, a[href], input, select, canvas[tabindex]")].filter((element) => element.offsetParent && !element.disabled && element.tabIndex >= 0)
    .map((element, i) => { element.dataset.nr = i; return i; }).length);
  const met = new Set();
  for (let i = 0; i < wanted + 700 && met.size < wanted; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => document.activeElement.dataset.nr);
    if (at !== undefined) met.add(at);
  }
  const missed = await page.$$eval("[data-nr]", (all, ones) => all.filter((element) => !ones.includes(element.dataset.nr)).map((element) => element.outerHTML.slice(0, 80)), [...met]);
  must(!missed.length, `not reached: ${missed.join(", ")}`);
}

async function searches(page, url) {
  await show(page, url);
  await page.keyboard.press("/");
  await page.keyboard.type("^work|spin");
  await page.waitForFunction(() => /in 2 names, [0-9]+ frames/.test(document.getElementById("found").textContent));
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => / 1 of /.test(document.getElementById("found").textContent));
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => / 2 of /.test(document.getElementById("found").textContent));
  await page.keyboard.press("Shift+Enter");
  await page.waitForFunction(() => / 1 of /.test(document.getElementById("found").textContent));
  must((await state(page)).hash.includes("find="), "the address does not tell what is searched");
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !location.hash.includes("find="));
}

async function undoes(page, url) {
  await show(page, url);
  const entries = ["Only stacks through it", "Without stacks through it", "Stacks from here on", "Merge it into its callers", "Collapse its recursion"], pictures = [await seen(page)];
  const hashes = [""];
  for (const entry of entries) {
    await click(page, "spin", { button: "right" });
    await page.getByRole("menuitem", { name: entry }).click();
    await page.waitForFunction((n) => document.querySelectorAll("#steps button").length === n, 1);
    pictures.push(await seen(page));
    hashes.push((await state(page)).hash);
    await page.click("#steps button");
    await page.waitForFunction(() => document.getElementById("steps").hidden);
    must(await seen(page) === pictures[0], `"${entry}" is not undone`);
  }
  for (let i = 0; i < hashes.length; i++) {
    await page.evaluate((hash) => { location.hash = hash; }, hashes[i]);
    await page.waitForFunction((n) => document.querySelectorAll("#steps button").length === n, i ? 1 : 0);
    must(await seen(page) === pictures[i], `${hashes[i]} does not show the same again`);
  }
}

async function isShownAgain(page, url) {
  for (const hash of ["#view=inverted&find=spin", "#view=sandwich&function=work", "#view=flame&zoom=1", "#focus=%5Espin%24&order=name&color=plain"]) {
    await page.goto("about:blank");
    await show(page, url + hash);
    const first = await seen(page);
    await page.reload();
    await ready(page);
    must(await seen(page) === first, `${hash} is something else after reloading`);
  }
}

// The two halves of a sandwich hold what the function has in all, and so does its row.
async function addsUp(page, url) {
  await show(page, `${url}#view=sandwich&function=work`);
  const [{ cum, flat }] = (await (await fetch(`${url}peek?format=json&f=${encodeURIComponent("^work$")}`)).json()).nodes.filter(({ name }) => name === "work");
  const got = await page.evaluate(() => ({ panes: window.cprofPage.panes.map((pane) => pane.sum[0][0]), row: window.cprofPage.rows().find(({ name }) => name === "work") }));
  must(got.panes.every((sum) => sum === cum), `${got.panes} where peek says ${cum}`);
  must(got.row.cum === cum && got.row.flat === flat, "the table differs from peek");
}

async function follows(page, url) {
  await show(page, url);
  const light = await seen(page);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForFunction((before) => document.getElementById("graph").toDataURL() !== before, JSON.parse(light)[0]);
  const [r] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g).map(Number);
  must(r < 80, "the ground is not dark");
}

async function isBrushed(page, url) {
  await show(page, url);
  await page.waitForSelector("#strip:not([hidden]) svg");
  await page.focus("#strip svg");
  await page.keyboard.press("ArrowRight");
  for (let i = 0; i < 10; i++) await page.keyboard.press("Shift+ArrowRight");
  await Promise.all([page.waitForURL(/time=/), page.keyboard.press("Enter")]);
  await ready(page);
  const total = await page.evaluate(() => window.cprofPage.total), { total: wanted } = await (await fetch(`${url}top?format=json&${new URL(page.url()).searchParams}`)).json();
  must(total === wanted, `${total} where /top says ${wanted}`);
  must(await page.isVisible("#chips button"), "the chosen time is not told");
}

async function compares(page, url, file) {
  await show(page, url);
  await page.click("#more-profiles");
  await page.setInputFiles("#file", file);
  await page.waitForURL(/base=/);
  await ready(page);
  must(await page.isVisible("#legend"), "there is no legend");
  await page.getByRole("link", { name: "Changes" }).click();
  await page.waitForURL(/movements/);
  await ready(page);
  const rows = await page.$$eval(".list tbody tr", (all) => all.map((row) => row.textContent)), { changed } = await (await fetch(page.url() + "&format=json")).json();
  must(rows.length === changed && changed > 0, `${rows.length} rows of ${changed} changes`);
}

async function tells(page, url) {
  await show(page, url);
  const { x, y } = await placeOf(page, "work");
  await page.mouse.move(x, y);
  await page.waitForSelector("#tip:not([hidden])");
  const text = await page.textContent("#tip");
  must(/work.*of all.*of its caller.*by itself/.test(text), text);
  must(text.includes("work.c:12"), `no file and line in: ${text}`);
}

export async function checkUse(browser, { url, other }) {
  const all = { "zoom by click, wheel and back": zoomsByMouse, "by keyboard alone": works, "everything is reached by Tab": isReached, "search and its steps": searches,
    "each step is undone, each is in the address": undoes, "a reload shows the same": isShownAgain, "a sandwich has peek's numbers": addsUp, "dark when the system is": follows,
    "a part of the time": isBrushed, "what the pointer is told": tells };
  for (const [what, does] of Object.entries(all)) await check(browser, what, (page) => does(page, url));
  await check(browser, "a file to compare with", (page) => compares(page, url, other));
}
