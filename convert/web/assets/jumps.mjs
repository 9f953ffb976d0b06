/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jumps.mjs - where instructions jump to, and how jumps lie beside a function's lines without crossing each other.
 *
 * The text is objdump's, of x86 (AT&T or Intel) and aarch64. A target that is known stands behind the other operands and before the name in <>: "bnd jmp 1139 <main+0x9>",
 * "tbz w0, #3, 1234 <f>". What is read from a register or from memory is not known.
 */
const JUMP = /^\s*(?:(?:bnd|notrack|data16|[c-g]s|rep[a-z]*|rex[.a-z]*)\s+)*(?:j[a-z]+|loop[a-z]*|xbegin|bc?\.[a-z]+|b|cbn?z|tbn?z)(?:,p[nt])?\s+(?:[^<>*[(]*,\s*)?(?:0x)?([0-9a-f]{1,16})\s*(?:(?:<|\/\/).*)?$/;

/* As the address in its text; null where it does not jump, or where to is not known. */
export function jumpTarget(text) {
  const found = JUMP.exec(text);
  return found ? found[1] : null;
}

/* Jumps within the function: pairs of rows, each in a lane of its own beside those it crosses. */
export function jumpLanes(lines) {
  const rowOf = new Map(lines.map(([address], i) => [address, i])), jumps = [], lanes = [];
  lines.forEach(([, , , text], from) => {
    const target = jumpTarget(text), to = target === null ? undefined : rowOf.get(target.replace(/^0+/, ""));
    if (to !== undefined && to !== from) jumps.push({ from, to, low: Math.min(from, to), high: Math.max(from, to), lane: 0 });
  });
  jumps.sort((a, b) => a.high - a.low - (b.high - b.low) || a.low - b.low);
  for (const jump of jumps) {
    while ((lanes[jump.lane] || []).some((other) => other.low <= jump.high && jump.low <= other.high)) jump.lane++;
    (lanes[jump.lane] ||= []).push(jump);
  }
  return jumps;
}
