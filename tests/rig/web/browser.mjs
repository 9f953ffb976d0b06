// SPDX-License-Identifier: Apache-2.0

// A browser that takes nothing in silence: what a page says on its console, throws, is refused by its policy or fails to load is kept,
// and a check that leaves some of it has failed.

import { chromium } from "playwright-core";

let failed = false;

export function say(kind, what, why = "") {
  failed ||= kind === "FAIL";
  console.log(`${kind} web: ${what}${why ? `: ${why}` : ""}`);
}

export const hasFailed = () => failed;

export function must(holds, why) {
  if (!holds) throw new Error(why);
}

export async function openBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

function watch(page, said) {
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) said.push(message.text()); });
  page.on("pageerror", (error) => said.push(`thrown: ${error.message}`));
  page.on("dialog", (dialog) => { said.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("requestfailed", (request) => said.push(`failed: ${request.url()}: ${request.failure().errorText}`));
}

// One check in a page of its own; `does` is given the page and throws what is wrong. `expects`: what the console may say.
export async function check(browser, what, does, options = {}, expects = null) {
  const said = [], context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
  try {
    await context.addInitScript(() => addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
    const page = await context.newPage();
    page.setDefaultTimeout(30000);
    watch(page, said);
    await does(page);
    const rest = said.filter((text) => !expects || !expects.test(text));
    if (rest.length) throw new Error(rest.join("; "));
    say("PASS", what);
  } catch (error) {
    say("FAIL", what, String(error.message).split("\n").slice(0, 3).join(" "));
  } finally {
    await context.close();
  }
}

// The page at an address, once it says that all of it is there and has been drawn.
export async function show(page, url) {
  await page.goto(url);
  await ready(page);
}

export async function ready(page) {
  await page.waitForFunction(() => document.body.dataset.ready === "true");
  await drawn(page);
}

export async function drawn(page) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

// What somebody sees of a flame graph: its picture, its words, its rows.
export async function seen(page) {
  await drawn(page);
  return page.evaluate(() => JSON.stringify([document.getElementById("graph").toDataURL(), ...["what", "found", "steps", "rows"].map((id) => document.getElementById(id).textContent)]));
}
