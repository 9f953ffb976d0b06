/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.mjs - where a page begins that carries its own data.
 */
import { readProfile } from "./profile.mjs";
import { Page } from "./page.mjs";

window.cprofPage = new Page(readProfile(JSON.parse(document.getElementById("data").textContent)));
