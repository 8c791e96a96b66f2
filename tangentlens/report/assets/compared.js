"use strict";
// What sets architectures apart: what is learned first, and the tokens whose sign the bias turns.

/** A dot per kind of feature on the line of every architecture: at which part of its best time it is half learned. */
function learnedChart(width) {
  const rows = data.compared.flatMap((answer) => answer.learned.map((row) => (
    { ...row, name: answer.name, part: row.half_step / answer.bestTime }))).filter((row) => row.part > 0 && row.part <= 1);
  if (!rows.length) return null;
  const names = data.compared.map((answer) => answer.name);
  const longest = d3.max(names, (name) => Array.from(name).length);
  const marginLeft = Math.min(16 + 7 * longest, 200, width * 0.4);
  const first = d3.min(rows, (row) => row.part);
  const share = { label: "part of the best time", grid: true, tickFormat: (part) => `${tick(100 * part)} %` };
  const x = first < 0.05 ? { ...share, type: "log", domain: [0.8 * first, 1], ticks: d3.range(-9, 1).map((power) => 10 ** power).filter((part) => part >= 0.8 * first) }
    : { ...share, domain: [0, 1], ticks: 5 };
  const title = (row) => `${cut(row.name, 40)}\n${KINDS[row.order]}: half learned at ${percent(row.part)} of the best time` +
    `\n(time ${figure(row.half_step)}, ${figure(row.features)} label scores)`;
  return Plot.plot({
    ...IDENTITY, width, height: 66 + 34 * names.length, marginLeft, marginRight: 20, marginBottom: 38, x,
    y: { label: null, domain: names, tickFormat: shorten(marginLeft), tickSize: 0 },
    marks: [
      Plot.ruleY(names, { y: (name) => name, strokeOpacity: 0.2 }),
      Plot.dot(rows, { x: "part", y: "name", fill: (row) => colour(row.order), symbol: (row) => SYMBOLS[row.order], r: 6,
        stroke: "var(--panel)", strokeWidth: 1 }),
      Plot.tip(rows, Plot.pointer({ x: "part", y: "name", title })),
    ],
  });
}

/** One small chart for each architecture with a bias: own effect and response of the tokens that it turns. */
function flippedChart(width) {
  const groups = data.compared.filter((answer) => answer.flipped.length).map((answer) => [answer.name, answer.flipped]);
  return groups.length ? multiples(width, groups, flippedPanel) : null;
}

function flippedPanel(width, architecture, rows) {
  const key = (row) => `${row.class}\u0000${row.feature}`;
  const names = new Map(rows.map((row) => [key(row), row.feature + (twoClasses ? "" : ` → ${row.class}`)]));
  const longest = d3.max([...names.values()], (name) => Array.from(name).length);
  const marginLeft = Math.min(150, width * 0.4, 16 + 7.2 * longest);
  const title = (row) => `${cut(row.feature, 60)}\nin ${figure(row.texts)} texts, class ${cut(row.class, 40)}` +
    `\nown effect ${signed(row.own)}\nresponse ${signed(row.response)}`;
  return Plot.plot({
    ...IDENTITY, width, height: 66 + 19 * names.size, marginLeft, marginRight: 14, marginTop: 26, marginBottom: 34,
    x: { label: "output", grid: true, tickFormat: tick, ticks: Math.max(3, (width - marginLeft) / 70), nice: true },
    y: { label: null, domain: rows.map(key), tickSize: 0, tickFormat: (id) => cut(names.get(id) ?? "", marginLeft / 7.2) },
    marks: [
      Plot.ruleX([0]),
      Plot.link(rows, { x1: "own", x2: "response", y1: key, y2: key, strokeOpacity: 0.5 }),
      Plot.dot(rows, { x: "own", y: key, stroke: "var(--order-1)", fill: "var(--panel)", strokeWidth: 1.6, r: 4 }),
      Plot.dot(rows, { x: "response", y: key, fill: "var(--order-5)", r: 4 }),
      Plot.text([cut(architecture, 40)], { frameAnchor: "top-left", dy: -18, fontWeight: 600 }),
      Plot.tip(rows, Plot.pointerY({ x: "own", y: key, title })),
    ],
  });
}
