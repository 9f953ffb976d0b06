/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picture.mjs - trees on a canvas: places, drawing, and which frame is at a point.
 *
 * A pane is a tree with its widths, drawn downwards or upwards; a sandwich has two. The canvas is as large as what can be seen
 * and is drawn anew when that moves, so deep stacks cost nothing. Frames narrower than half a pixel are one grey line a row.
 */
import { FILLER } from "./tree.mjs";
import { shortenName } from "./format.mjs";

export const ROW = 18;

/* skip: rows of its roots that another pane shows already. */
export function makePane(tree, width, upwards = false, skip = 0) {
  const start = new Float64Array(tree.n), next = [0];
  let depth = 0;
  for (let i = 0; i < tree.n; i++) {
    const at = tree.depth[i];
    start[i] = next[at];
    next[at] += width[i];
    next[at + 1] = start[i];
    depth = Math.max(depth, at + 1);
  }
  let whole = 0;
  for (let i = 0; i < tree.n; i = tree.end[i]) whole += width[i];
  return { tree, width, start, whole, rows: Math.max(0, depth - skip), upwards, skip };
}

/* The row of a depth, from the pane's top. */
function rowOf(pane, depth) {
  return pane.upwards ? pane.rows - 1 - (depth - pane.skip) : depth - pane.skip;
}

export function depthAt(pane, row) {
  return pane.upwards ? pane.rows - 1 - row + pane.skip : row + pane.skip;
}

/* The node at a place of a depth, or -1. */
export function nodeAt(pane, place, depth) {
  const { tree, start, width } = pane;
  for (let i = 0; i < tree.n;) {
    if (place < start[i] || place >= start[i] + width[i]) i = tree.end[i];
    else if (tree.depth[i] === depth) return i;
    else i++;
  }
  return -1;
}

/* How deep what can be seen between two places goes: rows that would be empty are not scrolled to. */
export function visibleRows(pane, from, span, pixels) {
  const { tree, start, width } = pane, scale = span ? pixels / span : 0;
  let deepest = pane.skip;
  for (let i = 0; i < tree.n;) {
    if (start[i] >= from + span || start[i] + width[i] <= from || width[i] * scale < 0.5) {
      i = tree.end[i];
      continue;
    }
    deepest = Math.max(deepest, tree.depth[i] + 1);
    i++;
  }
  return Math.max(1, deepest - pane.skip);
}

/*
 * context; look: { from, span, pixels, top, height, left } of which `top` is the pane's first row in pixels of the canvas;
 * paint: { fill(pane, i), isHit(i), isCurrent(i), name(i), isMarked(i), text, hitText, filler, line, ring, letter } (letter: the
 * width of one in pixels).
 */
export function drawPane(context, pane, look, paint) {
  const { tree, start, width } = pane, scale = look.span ? look.pixels / look.span : 0;
  const dust = new Float64Array(pane.rows + 1).fill(-1);
  for (let i = 0; i < tree.n;) {
    const left = (start[i] - look.from) * scale, right = left + width[i] * scale, row = rowOf(pane, tree.depth[i]);
    if (right <= 0 || left >= look.pixels) {
      i = tree.end[i];
      continue;
    }
    const y = look.top + row * ROW, seen = row >= 0 && y > -ROW && y < look.height;
    if (right - left < 0.5) {
      if (seen && Math.floor(right) > dust[row]) {
        dust[row] = Math.floor(right);
        context.fillStyle = paint.filler;
        context.fillRect(dust[row], y, 1, ROW - 1);
      }
      i = tree.end[i];
      continue;
    }
    if (seen) drawFrame(context, pane, i, { x: Math.max(0, left), y, end: Math.min(look.pixels, right) }, paint);
    i++;
  }
}

function drawFrame(context, pane, i, box, paint) {
  const room = box.end - box.x, isHit = paint.isHit(pane, i);
  context.fillStyle = isHit ? paint.hit : pane.tree.frame[i] === FILLER ? paint.filler : paint.fill(pane, i);
  context.fillRect(box.x, box.y, Math.max(0.5, room - (room > 3 ? 1 : 0)), ROW - 1);
  if (paint.isCurrent(pane, i)) {
    context.strokeStyle = paint.ring;
    context.lineWidth = 2;
    context.strokeRect(box.x + 1, box.y + 1, Math.max(0, room - 3), ROW - 3);
  }
  const letters = Math.floor((room - 6) / paint.letter);
  if (letters < 2) return;
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, room - 2, ROW);
  context.clip();
  context.fillStyle = isHit ? paint.hitText : paint.text;
  context.fillText(shortenName(paint.name(pane, i), letters), box.x + 3, box.y + 13);
  context.restore();
}

/* The whole pane in a few rows of pixels, and what of it is seen. */
export function drawMinimap(context, pane, look, paint) {
  const { tree, start, width } = pane, scale = pane.whole ? look.pixels / pane.whole : 0;
  const step = Math.max(0.25, Math.min(4, look.height / Math.max(1, pane.rows)));
  for (let i = 0; i < tree.n;) {
    const wide = width[i] * scale, y = rowOf(pane, tree.depth[i]) * step;
    if (wide < 0.5) {
      i = tree.end[i];
      continue;
    }
    if (y >= 0 && y < look.height) {
      context.fillStyle = paint.isHit(pane, i) ? paint.hit : tree.frame[i] === FILLER ? paint.filler : paint.fill(pane, i);
      context.fillRect(start[i] * scale, y, wide, Math.max(1, step));
    }
    i++;
  }
  context.fillStyle = paint.shade;
  context.fillRect(0, 0, look.from * scale, look.height);
  context.fillRect((look.from + look.span) * scale, 0, look.pixels, look.height);
}
