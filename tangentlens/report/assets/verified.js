"use strict";
// Networks that were really trained: a family has the colour of its order, and a symbol where orders are shared.

const SYMBOLS = ["circle", "triangle", "square", "diamond", "star", "wye", "cross"];

/** What every family looks like: name → {colour, symbol}. */
function looksOf(answer) {
  const looks = new Map();
  const seen = new Map();
  for (const { family, order } of answer.families) {
    const place = seen.get(order) ?? 0;
    seen.set(order, place + 1);
    looks.set(family, { colour: colour(order), symbol: SYMBOLS[place % SYMBOLS.length] });
  }
  return looks;
}

/** Symbol and name of every family, once for all charts of an architecture. */
function familiesLegend(part, answer) {
  const shapes = { circle: d3.symbolCircle, triangle: d3.symbolTriangle, square: d3.symbolSquare,
    diamond: d3.symbolDiamond, star: d3.symbolStar, wye: d3.symbolWye, cross: d3.symbolCross };
  part.querySelector(".families").replaceChildren(...[...looksOf(answer)].map(([family, look]) => {
    const picture = d3.create("svg").attr("viewBox", "-7 -7 14 14");
    picture.append("path").attr("d", d3.symbol(shapes[look.symbol], 90)()).attr("fill", look.colour);
    const entry = element("span");
    entry.append(picture.node(), " ", element("bdi", {}, cut(family, 40)));
    return entry;
  }));
}

function verifiedTitle(row) {
  return `${cut(row.feature, 60)}\n${row.family}, class ${cut(row.class, 40)}` +
    (row.step === undefined ? "" : `\nstep ${figure(row.step)}`) +
    `\npredicted ${signed(row.predicted)}\ntrained ${signed(row.trained)} (${signed(row.low)} to ${signed(row.high)})`;
}

/** Trained label scores against predicted ones. */
function scatterChart(width, answer) {
  const looks = looksOf(answer);
  const rows = answer.scatter.filter((row) => row.predicted !== null && row.trained !== null);
  if (!rows.length) return null;
  const ends = d3.extent(rows.flatMap((row) => [row.predicted, row.trained]));
  const axis = { grid: true, tickFormat: tick, nice: true };
  return Plot.plot({
    ...IDENTITY, width, height: Math.min(width, 440), marginLeft: 52, marginBottom: 38,
    x: { ...axis, label: "predicted label score", ticks: Math.max(3, width / 90) }, y: { ...axis, label: "trained label score" },
    marks: [
      Plot.ruleX([0], { strokeOpacity: 0.3 }), Plot.ruleY([0], { strokeOpacity: 0.3 }),
      Plot.link([ends], { x1: "0", x2: "1", y1: "0", y2: "1", strokeDasharray: "4 3", strokeOpacity: 0.8 }),
      Plot.ruleX(rows, { x: "predicted", y1: "low", y2: "high", stroke: (row) => looks.get(row.family).colour, strokeOpacity: 0.35 }),
      ...[...looks].map(([family, look]) => Plot.dot(rows.filter((row) => row.family === family),
        { x: "predicted", y: "trained", fill: look.colour, symbol: look.symbol, r: 3, fillOpacity: 0.85 })),
      Plot.tip(rows, Plot.pointer({ x: "predicted", y: "trained", title: verifiedTitle })),
    ],
  });
}

/** Error against width, and the slope −1/2 that theory says. */
function errorsChart(width, answer) {
  const looks = looksOf(answer);
  const rows = answer.errors.filter((row) => looks.has(row.family) && row.low > 0);
  if (!rows.length) return null;
  const widths = [...new Set(rows.map((row) => row.width))].sort((a, b) => a - b);
  const first = rows.filter((row) => row.width === widths[0]);
  const start = Math.exp(d3.mean(first, (row) => Math.log(row.error)));
  const last = widths[widths.length - 1];
  const domain = [0.6 * d3.min([...rows.map((row) => row.error), start * Math.sqrt(widths[0] / last)]),
    1.15 * d3.max(rows, (row) => row.high)];
  const ticks = d3.range(-8, 9).flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power))
    .filter((value) => value >= domain[0] && value <= domain[1]);
  const guide = [{ x1: widths[0], y1: start, x2: last, y2: start * Math.sqrt(widths[0] / last) }];
  const title = (row) => `${row.family}\nwidth ${figure(row.width)}\nerror ${figure(row.error)} (${figure(row.low)} to ${figure(row.high)})`;
  return Plot.plot({
    ...IDENTITY, width, height: Math.min(width, 440), marginLeft: 52, marginRight: 78, marginBottom: 38, clip: true,
    x: { type: "log", label: "width", ticks: widths, tickFormat: tick, inset: 14 },
    y: { type: "log", label: "relative error", grid: true, tickFormat: tick, ticks, domain },
    marks: [
      Plot.link(guide, { x1: "x1", y1: "y1", x2: "x2", y2: "y2", strokeDasharray: "4 3", strokeWidth: 1.5 }),
      Plot.text(guide, { x: "x2", y: "y2", dx: 6, textAnchor: "start", text: () => "∝ width^−½", clip: false }),
      ...[...looks].flatMap(([family, look], i) => {
        const some = rows.filter((row) => row.family === family);
        const dx = 3 * (i - (looks.size - 1) / 2);  // bars side by side
        return [
          Plot.ruleX(some, { x: "width", y1: "low", y2: "high", stroke: look.colour, strokeOpacity: 0.5, dx }),
          Plot.line(some, { x: "width", y: "error", stroke: look.colour, strokeWidth: 1.8, dx }),
          Plot.dot(some, { x: "width", y: "error", fill: look.colour, symbol: look.symbol, r: 4, dx }),
        ];
      }),
      Plot.tip(rows, Plot.pointer({ x: "width", y: "error", title, clip: false })),
    ],
  });
}

/** One small chart per family, each with its own scale: predicted lines, trained dots and bands. */
function pathsChart(width, answer) {
  const looks = looksOf(answer);
  const groups = d3.groups(answer.paths.filter((row) => row.predicted !== null && looks.has(row.family)), (row) => row.family);
  if (!groups.length) return null;
  return multiples(width, groups, (each, family, rows) => pathPanel(each, family, rows, looks.get(family)));
}

function pathPanel(width, family, rows, look) {
  const key = (row) => `${row.class}\u0000${row.feature}`;
  const lines = d3.groups(rows, key).map(([, points]) => ({ points, end: points[points.length - 1].predicted }));
  const [low, high] = d3.extent(rows.flatMap((row) => [0, row.predicted, row.low, row.high]));
  const name = (row) => row.feature + (twoClasses ? "" : ` → ${row.class}`);
  const labels = spread(lines, 0.09 * (high - low || 1));
  const last = d3.max(rows, (row) => row.step);
  const marginRight = Math.min(width * 0.36, 18 + 7 * d3.max(lines, (line) => Array.from(name(line.points[0])).length));
  return Plot.plot({
    ...IDENTITY, width, height: 190, marginLeft: 48, marginRight, marginTop: 26, marginBottom: 34,
    x: { label: "step", ticks: Math.max(2, (width - 48 - marginRight) / 60), tickFormat: tick },
    y: { label: null, grid: true, ticks: 4, tickFormat: tick, domain: d3.extent([low, high, ...labels.map((l) => l.place)]) },
    marks: [
      Plot.ruleY([0], { strokeOpacity: 0.4 }),
      Plot.areaY(rows, { x: "step", y1: "low", y2: "high", z: key, fill: look.colour, fillOpacity: 0.2 }),
      Plot.line(rows, { x: "step", y: "predicted", z: key, stroke: look.colour, strokeWidth: 1.6 }),
      Plot.dot(rows, { x: "step", y: "trained", fill: look.colour, symbol: look.symbol, r: 2.8 }),
      Plot.text(labels, { x: last, y: "place", dx: 7, textAnchor: "start", text: (l) => cut(name(l.points[0]), (marginRight - 8) / 6.4) }),
      Plot.text([cut(family, 40)], { frameAnchor: "top-left", dy: -18, fontWeight: 600 }),
      Plot.tip(rows, Plot.pointer({ x: "step", y: "predicted", title: verifiedTitle })),
    ],
  });
}

/** The parts of one network's error over the steps. */
function splitChart(width, answer) {
  const kinds = [["total", "whole error", "var(--ink)", null], ["fluctuation", "fluctuation", "var(--order-1)", "6 3"],
    ["drift_error", "drift", "var(--order-5)", null], ["drift", "kernel moved", "var(--order-0)", "2 3"]];
  const points = answer.own.filter((row) => row.step > 0).flatMap((row) => kinds.filter(([name]) => row[name] !== null)
    .map(([name, label, shade]) => ({ step: row.step, value: row[name], name, label, shade })));
  if (!points.length) return null;
  const last = d3.max(points, (row) => row.step);
  const top = d3.max(points, (row) => row.value);
  const labels = spread(points.filter((row) => row.step === last).map((row) => ({ ...row, end: row.value })), 0.075 * (top || 1));
  return Plot.plot({
    ...IDENTITY, width, height: 250, marginRight: 88, marginLeft: 48, marginBottom: 38,
    x: { label: "step", ticks: Math.max(3, width / 110), tickFormat: tick },
    y: { label: "relative error", grid: true, ticks: 5, tickFormat: tick, domain: d3.extent([0, top, ...labels.map((l) => l.place)]) },
    marks: [
      Plot.ruleY([0]),
      ...kinds.map(([name, , shade, dash]) => Plot.line(points.filter((row) => row.name === name),
        { x: "step", y: "value", stroke: shade, strokeWidth: 2, strokeDasharray: dash })),
      Plot.text(labels, { x: "step", y: "place", dx: 6, textAnchor: "start", text: "label" }),
      Plot.dot(points, Plot.pointer({ x: "step", y: "value", fill: "shade", r: 4 })),
      Plot.tip(points, Plot.pointer({ x: "step", y: "value", title: (row) => `${row.label} ${figure(row.value)}\nstep ${figure(row.step)}` })),
    ],
  });
}
