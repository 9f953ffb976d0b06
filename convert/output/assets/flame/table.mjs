/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.mjs - functions with their numbers, beside the picture; the same data for those who do not see it.
 *
 * Rows are objects { frame, name, flat, cum } or, in a comparison, with flat and cum as changes and `was` and `is` of cum.
 */
export const MOST_ROWS = 500;

/* The largest first; by name the other way. Equal rows keep the order of their names. */
export function sortRows(rows, by) {
  const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  if (by === "name") return [...rows].sort(byName);
  return [...rows].sort((a, b) => Math.abs(b[by]) - Math.abs(a[by]) || byName(a, b));
}

/* Puts rows into a table's body. cells(row): texts; isChosen(row): marked; choose(row): a click or Enter on it. */
export function fillTable(body, rows, cells, isChosen, choose) {
  body.replaceChildren(...rows.slice(0, MOST_ROWS).map((row) => {
    const line = document.createElement("tr"), texts = cells(row);
    line.tabIndex = 0;
    if (isChosen(row)) line.setAttribute("aria-selected", "true");
    texts.forEach((text, i) => {
      const cell = document.createElement("td");
      if (i === texts.length - 1) cell.className = "name";
      cell.textContent = text;
      line.append(cell);
    });
    line.title = texts[texts.length - 1];
    line.onclick = () => choose(row);
    line.onkeydown = (event) => { if (event.key === "Enter") choose(row); };
    return line;
  }));
}
