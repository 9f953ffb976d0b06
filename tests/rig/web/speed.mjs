// SPDX-License-Identifier: Apache-2.0

// How long a large profile takes until it is seen, and how fast it moves then. Numbers, and no judgement: what draws here may be a processor.

import { must, openBrowser, show } from "./browser.mjs";

// From the first byte asked for to a picture that has been given to the screen, and what of it was whose.
async function firstPicture(browser, url) {
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  await show(page, url);
  const times = await page.evaluate(() => {
    const [data] = performance.getEntriesByType("resource").filter(({ name }) => name.includes("flamegraph?"));
    return { all: performance.now(), asked: data.requestStart, first: data.responseStart, last: data.responseEnd, bytes: data.encodedBodySize };
  });
  await page.close();
  return times;
}

// Draws one picture after another, moved a little each time, as a hand does that pans; what each took to draw, and what they were apart.
async function pan(page, pictures) {
  return page.evaluate((n) => new Promise((done) => {
    const view = window.cprofPage, drawing = [], apart = [];
    view.zoomBy(0.25, view.panes[0].whole / 3);
    let before = 0, i = 0;
    const next = (now) => {
      if (before) apart.push(now - before);
      before = now;
      if (i++ === n) { done({ drawing, apart }); return; }
      view.from = Math.max(0, Math.min(view.panes[0].whole - view.span, view.from + (i % 40 < 20 ? 1 : -1) * view.span / 50));
      const begin = performance.now();
      view.drawNow();
      drawing.push(performance.now() - begin);
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }), pictures);
}

const at = (values, share) => [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))];

async function main(url, times = 3) {
  const browser = await openBrowser();
  try {
    for (let i = 0; i < times; i++) {
      const { all, asked, first, last, bytes } = await firstPicture(browser, url);
      console.log(`picture after ${Math.round(all)} ms: the page ${Math.round(asked)}, the server ${Math.round(first - asked)}, on its way ${Math.round(last - first)}, reading and drawing ${Math.round(all - last)}; ${(bytes / 1e6).toFixed(2)} MB`);
    }
    for (const width of [1400, 4000]) {
      const page = await browser.newPage({ viewport: { width, height: width === 4000 ? 2000 : 900 } });
      await show(page, url);
      const { drawing, apart } = await pan(page, 200), n = await page.evaluate(() => window.cprofPage.panes[0].tree.n);
      must(apart.length === 200, "it stood still");
      console.log(`panning ${n} nodes at ${width} pixels: ${(1000 / (apart.reduce((a, b) => a + b) / apart.length)).toFixed(1)} pictures a second, 19 of 20 within ${at(apart, 0.95).toFixed(1)} ms; drawing ${at(drawing, 0.5).toFixed(1)} ms, at most ${at(drawing, 1).toFixed(1)}`);
      await page.close();
    }
  } finally {
    await browser.close();
  }
}

await main(process.argv[2]);
