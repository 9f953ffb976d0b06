// SPDX-License-Identifier: Apache-2.0

// Every page as it opens: without a word on the console, at any width, light and dark, and without a serious fault for those who
// do not see it or have no mouse (axe-core).

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { check, drawn, must, show } from "./browser.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGES = ["", "top", "graph#layout=own", "graph", "peek", "peek?f=work", "source", "source?f=work", "disasm", "traces", "top?g=lines", "top?f=nothing_has_this_name",
  "top?f=(", "#view=sandwich&function=work", "#view=inverted&find=work", "#view=flame&by=thread"];
const WIDTHS = [360, 1400, 4000];

// Its own script is run beside the page's policy, by the debugger.
async function audit(page, width) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  must(!serious.length, serious.map(({ id, nodes }) => `${id} at ${nodes.slice(0, 3).map(({ target }) => target).join(" | ")}`).join("; ") + `, ${width} pixels wide`);
}

async function fits(page, width) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  must(wide <= width, `it is ${wide} pixels wide`);
}

// What is not there, or is asked for wrongly, is answered by such a status, and the browser tells of that itself.
const refusalOf = (path) => (path === "top?f=(" ? /status of 400/ : /^source\?f=|^disasm|nothing|^graph$/.test(path) ? /status of (422|501)/ : null);

async function look(page, url, path) {
  await show(page, url + path);
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    await drawn(page);
    await fits(page, width);
    await audit(page, width);
  }
}

export async function checkPages(browser, { name, url, compares }) {
  for (const path of [...PAGES, ...(compares ? ["movements"] : [])]) {
    for (const colorScheme of ["light", "dark"])
      await check(browser, `${name}: /${path} at ${WIDTHS.join(", ")} pixels, ${colorScheme}`, (page) => look(page, url, path), { colorScheme }, refusalOf(path));
  }
}
