// SPDX-License-Identifier: Apache-2.0

// node main.mjs SERVERS: JSON of { name, url, compares, other } for each, of which the first one is used as well as looked at.

import { hasFailed, openBrowser } from "./browser.mjs";
import { checkPages } from "./pages.mjs";
import { checkUse } from "./use.mjs";

const servers = JSON.parse(process.argv[2]), browser = await openBrowser();
try {
  await checkUse(browser, servers[0]);
  for (const server of servers) await checkPages(browser, server);
} finally {
  await browser.close();
}
process.exitCode = hasFailed() ? 1 : 0;
