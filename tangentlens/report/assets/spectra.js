"use strict";
// Feature spectra: of all architectures, of one, and how one moves with each option.

const PARTS = [["bias", "bias"], ["token", "single tokens"], ["pair", "pairs"], ["longer", "three tokens or more"]];

/** One stacked bar per architecture: the shares of its feature families. Long names stand above their bars. */
function spectraChart(width) {
  const names = data.architectures.map((answer) => answer.name);
  const rows = data.architectures.flatMap((answer) => answer.spectrum.map((row) => ({ ...row, name: answer.name })));
  const left = Math.min(150, width * 0.3);
  const above = d3.max(names, (name) => Array.from(name).length) > left / 7;
  const marginLeft = above ? 8 : left;
  return Plot.plot({
    ...IDENTITY, width, height: above ? 44 + 44 * names.length : 66 + 38 * names.length, marginLeft, marginBottom: 38,
    marginTop: above ? 6 : undefined,
    x: { label: "share of the spectrum (%)", percent: true, domain: [0, 100], grid: true },
    y: { label: null, domain: names, axis: above ? null : "left", tickFormat: shorten(marginLeft), padding: above ? 0 : 0.1 },
    marks: [
      Plot.barX(rows, Plot.stackX({ x: "share", y: "name", order: "order", fill: (row) => colour(row.order),
        insetRight: 1, insetTop: above ? 18 : 0, insetBottom: above ? 4 : 0, title: spectrumTitle, tip: true })),
      Plot.text(above ? names : [], { x: 0, y: (name) => name, dy: -13, textAnchor: "start", text: (name) => cut(name, width / 7) }),
    ],
  });
}

function spectrumTitle(row) {
  return `${row.name ? row.name + "\n" : ""}${row.family}\nshare ${percent(row.share)}, γ = ${figure(row.coefficient)}`;
}

/** One bar per family of one architecture. */
function spectrumChart(width, answer) {
  const marginLeft = Math.min(150, width * 0.35);
  return Plot.plot({
    ...IDENTITY, width, height: 58 + 22 * answer.spectrum.length, marginLeft, marginBottom: 38,
    x: { label: "share (%)", percent: true, grid: true },
    y: { label: null, domain: answer.spectrum.map((row) => row.family), tickFormat: shorten(marginLeft) },
    marks: [
      Plot.barX(answer.spectrum, { x: "share", y: "family", fill: (row) => colour(row.order),
        title: spectrumTitle, tip: true }),
      Plot.ruleX([0]),
    ],
  });
}

/** One small chart per option: stacked bars of the shares at each of its values, the architecture's own one framed. */
function trendsChart(width, answer) {
  const groups = d3.groups(answer.trends, (row) => row.option);
  return groups.length ? multiples(width, groups, trendPanel, 420) : null;
}

function trendPanel(width, option, rows) {
  const bars = rows.flatMap((row) => PARTS.map(([part], order) => ({ value: row.value, share: row[part], order })));
  const title = (row) => `${cut(option, 40)} = ${figure(row.value)}${row.own ? ", as it is" : ""}\n` +
    PARTS.map(([part, words]) => `${words} ${percent(row[part])}`).join("\n");
  return Plot.plot({
    ...IDENTITY, width, height: 190, marginLeft: 40, marginRight: 8, marginTop: 28, marginBottom: 26,
    x: { type: "band", domain: rows.map((row) => row.value), label: null, tickFormat: tick, tickSize: 0, padding: 0.12 },
    y: { label: null, percent: true, domain: [0, 100], ticks: 4, grid: true, tickFormat: (share) => `${share} %` },
    marks: [
      Plot.barY(bars, Plot.stackY({ x: "value", y: "share", order: "order", fill: (row) => colour(row.order), insetTop: 1 })),
      Plot.barY(rows.filter((row) => row.own), { x: "value", y1: 0, y2: 1, fill: "none", stroke: "var(--ink)", strokeWidth: 2, inset: -1 }),
      Plot.text([cut(option, 40)], { frameAnchor: "top-left", dx: -36, dy: -20, fontWeight: 600 }),
      Plot.tip(rows, Plot.pointerX({ x: "value", y: () => 1, title, anchor: "top" })),
    ],
  });
}

/** Axis labels cut to what fits into a margin. */
function shorten(margin) {
  return (name) => cut(name, Math.max(6, Math.floor(margin / 7)));
}
