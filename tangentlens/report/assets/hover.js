"use strict";
// The trajectory of the feature whose row is under the pointer or has the focus.

const glimpse = element("figure", { class: "glimpse", "aria-hidden": "true", hidden: "" });
document.body.append(glimpse);

/** Shows how the label score of a row grew; its half time, which says as much in a word, stands in the table. */
function showGlimpse(line) {
  const row = line.shown;
  const points = data.architectures.find((one) => one.name === row?.architecture)?.trajectories.filter((one) =>
    one.family === row.family && one.feature === row.feature && one.class === row.class && one.time > 0 && one.score !== null);
  glimpse.hidden = !points?.length;
  if (glimpse.hidden) return;
  glimpse.replaceChildren(element("figcaption", {}, `${cut(row.feature, 30)}: label score over time`), Plot.plot({
    ...IDENTITY, width: 280, height: 150, marginLeft: 48, x: timeAxis(280), y: { label: null, ticks: 4, tickFormat: tick, grid: true },
    marks: [Plot.ruleY([0]), Plot.line(points, { x: "time", y: "score", stroke: colour(row.order), strokeWidth: 2 })],
  }));
}

function startGlimpses() {
  const hide = () => { glimpse.hidden = true; };
  for (const body of document.querySelectorAll(".top tbody")) {
    const show = (event) => { const line = event.target.closest("tr"); if (line) showGlimpse(line); };
    body.addEventListener("pointerover", show);
    body.addEventListener("focusin", show);
    body.addEventListener("pointerleave", hide);
    body.addEventListener("focusout", hide);
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.querySelectorAll(".behind").forEach((button) => {
    const row = data.flags[button.dataset.flag];
    const place = featureAt(row.architecture, row.family, row.feature);
    button.hidden = place === null;
    button.addEventListener("click", () => showLabelScore(place, outputOf(place, row)));
  });
}

startGlimpses();
