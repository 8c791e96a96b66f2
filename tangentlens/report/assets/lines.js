"use strict";
// Lines over training time (logarithmic; time zero cannot be shown and is left out).

/** Label scores over time, a line per feature; the names stand at the line ends, moved apart where they would overlap. */
function scoresChart(width, answer, choice) {
  const { label } = choice;
  const lines = linesOf(answer.trajectories.filter((row) => fits(row, choice)), label,
    label === null ? Math.max(1, Math.floor(16 / data.classes.length)) : 12);
  const points = lines.flatMap((line) => line.points);
  if (!points.length) return null;
  const height = width < 500 ? 420 : 594;
  const name = (line) => line.feature + (label === null && !twoClasses ? ` → ${line.class}` : "");
  const marginRight = Math.min(190, width * 0.32, 20 + 7.2 * d3.max(lines, (line) => Array.from(name(line)).length));
  const extent = d3.extent([0, ...points.map((row) => row.score)]);
  const last = d3.max(points, (row) => row.time);
  const side = last * (last / d3.min(points, (row) => row.time)) ** 0.04;
  const labels = spread(lines, (12.5 / (height - 60)) * (extent[1] - extent[0] || 1));
  return Plot.plot({
    ...IDENTITY, width, height, marginRight, marginLeft: 52, marginBottom: 38, x: timeAxis(width),
    y: { label: "label score", grid: true, tickFormat: tick, ticks: 8, domain: d3.extent([...extent, ...labels.map((l) => l.place)]) },
    marks: [
      Plot.ruleY([0]),
      bestRule(answer),
      Plot.line(points, { x: "time", y: "score", z: "key", stroke: (row) => colour(row.order), strokeWidth: 1.8 }),
      Plot.link(labels, { x1: last, x2: side, y1: "end", y2: "place", strokeOpacity: 0.35 }),
      Plot.text(labels, { x: side, y: "place", dx: 3, textAnchor: "start", text: (l) => cut(name(l), (marginRight - 12) / 6.8) }),
      Plot.dot(points, Plot.pointer({ x: "time", y: "score", fill: (row) => colour(row.order), r: 4 })),
      Plot.tip(points, Plot.pointer({ x: "time", y: "score",
        title: (row) => `${featureTitle(row)}\ntime ${figure(row.time)}` })),
    ],
  });
}

/** One line per feature: its points in order of time, for the features with the largest final scores. */
function linesOf(rows, label, each) {
  const usable = rows.filter((row) => row.time > 0 && row.score !== null);
  const groups = d3.groups(usable, (row) => `${row.class}\u0000${row.family}\u0000${row.feature}`);
  const lines = groups.map(([key, points]) => {
    const sorted = d3.sort(points, (row) => row.time).map((row) => ({ ...row, key }));
    const end = sorted[sorted.length - 1];
    return { feature: end.feature, class: end.class, score: end.score, end: end.score, points: sorted };
  });
  return strongest(lines, label, each);
}

/** Places for the labels, at least `gap` apart, close to the line ends. */
function spread(lines, gap) {
  const placed = d3.sort(lines, (line) => line.end).map((line) => ({ ...line, place: line.end }));
  for (let round = 0; round < 60; round++) {
    for (let i = 1; i < placed.length; i++) {
      const lack = gap - (placed[i].place - placed[i - 1].place);
      if (lack > 0) {
        placed[i].place += lack / 2;
        placed[i - 1].place -= lack / 2;
      }
    }
  }
  return placed;
}

/** Loss above, accuracy below; training solid, validation in another colour and dashed. */
function curvesChart(width, answer) {
  const kinds = [["train_loss", "loss", "training"], ["validation_loss", "loss", "validation"],
    ["train_accuracy", "accuracy", "training"], ["validation_accuracy", "accuracy", "validation"]];
  const points = answer.curves.filter((row) => row.time > 0).flatMap((row) =>
    kinds.filter(([name]) => row[name] !== null)
      .map(([name, panel, part]) => ({ time: row.time, value: row[name], panel, part })));
  if (!points.length) return null;
  const holder = element("div");
  for (const panel of ["loss", "accuracy"]) {
    const some = points.filter((row) => row.panel === panel);
    if (some.length) holder.append(curvePanel(width, answer, panel, some));
  }
  return holder;
}

function curvePanel(width, answer, panel, points) {
  const show = panel === "loss" ? figure : percent;
  const ends = d3.groups(points, (row) => row.part).map(([, rows]) => d3.greatest(rows, (row) => row.time));
  const shade = (row) => (row.part === "training" ? "var(--order-1)" : "var(--order-5)");
  const apart = ends.length === 2 && ends[0].value >= ends[1].value ? [-6, 6] : [6, -6];
  return Plot.plot({
    ...IDENTITY, width, height: 210, marginRight: 72, marginLeft: 52, marginBottom: 38, x: timeAxis(width),
    y: { label: panel, grid: true, ticks: 4, tickFormat: panel === "loss" ? tick : (v) => `${+(100 * v).toFixed(1)} %` },
    marks: [
      bestRule(answer),
      ...ends.map((end) => Plot.line(points.filter((row) => row.part === end.part),
        { x: "time", y: "value", stroke: shade(end), strokeWidth: 2, strokeDasharray: end.part === "training" ? null : "6 3" })),
      ...ends.map((end, i) => Plot.text([end], { x: "time", y: "value", dx: 6, dy: apart[i], textAnchor: "start", text: "part" })),
      Plot.dot(points, Plot.pointerX({ x: "time", y: "value", fill: shade, r: 4 })),
      Plot.tip(points, Plot.pointerX({ x: "time", y: "value",
        title: (row) => `${row.part} ${panel} ${show(row.value)}\ntime ${figure(row.time)}` })),
    ],
  });
}

function timeAxis(width) {
  return { type: "log", label: "training time", tickFormat: tick, ticks: Math.max(2, Math.floor(width / 130)) };
}

function bestRule(answer) {
  const times = answer.bestTime > 0 ? [answer.bestTime] : [];
  return Plot.ruleX(times, { strokeDasharray: "2 3", strokeOpacity: 0.7 });
}
