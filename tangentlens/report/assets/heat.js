"use strict";
// The strongest pairs as a heat map: contexts down, next tokens across; blue above zero, orange below.

function heatChart(width, answer) {
  const rows = answer.heat;
  if (!rows.length) return null;
  const [left, top] = ["feature", "target"].map((key) => [...new Set(rows.map((row) => row[key]))]);
  const largest = d3.max(rows, (row) => Math.abs(row.beyond)) || 1;
  const margin = width < 600 ? 84 : 130;
  const cell = Math.min(26, (width - margin - 4) / top.length);
  const high = Math.max(11, Math.min(20, cell));
  const fill = (row) => {
    const share = Math.round(100 * Math.sqrt(Math.abs(row.beyond) / largest));  // a root: weak pairs stay visible
    return `color-mix(in srgb, var(${row.beyond < 0 ? "--order-5" : "--order-1"}) ${share}%, var(--panel))`;
  };
  const title = (row) => `${row.feature} → ${row.target}\nbeyond unigram ${signed(row.beyond)}\n${figure(row.lift)} times chance`;
  return Plot.plot({
    ...IDENTITY, style: { fontSize: `${Math.min(11, cell)}px` }, width: margin + cell * top.length + 4, height: high * left.length + 92,
    marginLeft: margin, marginTop: 86, marginRight: 4, marginBottom: 6, padding: 0.06,
    x: { domain: top, axis: "top", label: null, tickRotate: -90, tickSize: 0, tickFormat: (text) => cut(text, 11) },
    y: { domain: left, label: null, tickSize: 0, tickFormat: (text) => cut(text, width < 600 ? 10 : 17) },
    marks: [
      Plot.cell(rows, { x: "target", y: "feature", fill }),
      Plot.tip(rows, Plot.pointer({ x: "target", y: "feature", title })),
    ],
  });
}
