"use strict";
// Bars and areas: each function takes a width (and an architecture, and the choice of class and kind) and returns an SVG.

/** Small multiples: the length histogram of every class. */
function lengthsChart(width) {
  const columns = Math.max(1, Math.min(data.classes.length, Math.floor(width / (data.classes.length > 6 ? 170 : 230))));
  const place = new Map(data.classes.map((name, i) => [name, [i % columns, Math.floor(i / columns)]]));
  const fx = (row) => place.get(row.class)?.[0];
  const fy = (row) => place.get(row.class)?.[1];
  const titles = data.classes.map((name) => ({ class: name }));
  const deep = Math.ceil(data.classes.length / columns);
  return Plot.plot({
    width, height: Math.max(190, 56 + 95 * deep), marginLeft: 46, marginTop: 28, marginBottom: 38,
    x: { label: "tokens in a text", nice: true }, y: { label: "texts", grid: true, ticks: 4, nice: true },
    fx: { axis: null, padding: 0.12 }, fy: { axis: null, padding: 0.18 },
    marks: [
      Plot.rectY(data.lengths, { x1: "low", x2: "high", y: "texts", fx, fy, fill: "var(--order-1)", inset: 0.5,
        title: (row) => `${row.class}\n${figure(row.low)} to ${figure(row.high)} tokens: ${figure(row.texts)} texts`,
        tip: true }),
      Plot.ruleY([0]),
      Plot.text(titles, { fx, fy, frameAnchor: "top-right", lineAnchor: "bottom", dy: -2, text: (row) => cut(row.class), fontWeight: 600 }),
    ],
  });
}

/** The strongest features as bars to the left and right of zero. */
function barsChart(width, answer, choice) {
  const { label } = choice;
  const many = data.classes.length;
  const each = label === null ? Math.max(3, Math.floor(28 / many)) : 20;
  const rows = strongest(answer.top.filter((row) => fits(row, choice) && row.score !== null), label, each);
  if (!rows.length) return null;
  if (twoClasses) rows.sort((a, b) => b.score - a.score);
  rows.forEach((row, i) => { row.id = i; });
  const faceted = label === null && many > 2;
  const longest = d3.max(rows, (row) => Array.from(row.feature).length) ?? 0;
  const marginLeft = Math.min(170, width * 0.36, 18 + 7.5 * longest);
  const key = (row) => `${row.class}\u0000${row.id}`;
  const names = new Map(rows.map((row) => [key(row), row.feature]));
  const band = faceted ? rows.map((row) => ({ ...row, first: rows.find((r) => r.class === row.class) === row })) : rows;
  const domain = faceted ? d3.groups(rows, (row) => row.class).flatMap(([name, some]) => [name, ...some.map(key)]).slice(1)
    : rows.map(key);
  return Plot.plot({
    ...IDENTITY, width, height: 62 + 19 * domain.length, marginLeft, marginBottom: 38,
    marginRight: faceted ? 96 : 24,
    x: { label: "label score", grid: true, tickFormat: tick, nice: true, ticks: Math.max(3, width / 110) },
    y: { label: null, domain, tickSize: 0, tickFormat: (id) => cut(names.get(id) ?? "", marginLeft / 7.5) },
    marks: [
      Plot.barX(band, { x: "score", y: key, fill: (row) => colour(row.order), title: featureTitle, tip: true }),
      Plot.ruleX([0]),
      Plot.text(band.filter((row) => faceted && row.first), { y: key, frameAnchor: "right", dx: 92,
        textAnchor: "end", text: (row) => cut(row.class, 12), fontWeight: 600 }),
    ],
  });
}

function featureTitle(row) {
  return `${cut(row.feature, 60)}\n${row.family}, towards ${row.class}\nscore ${signed(row.score)}` +
    (row.count === undefined ? "" : `\n${figure(row.count)} times, ${percent(inClass(row))} in class` +
      `\nhalf time ${figure(row.half_step)}`);
}
