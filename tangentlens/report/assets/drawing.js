"use strict";
// When charts are drawn, and in which theme. A page says what there is to draw: CHARTS by name, answerOf(place).

const theme = document.getElementById("theme");

/** Draws one chart, as wide as its place; hidden places wait until they are shown. */
function drawChart(place) {
  const width = Math.floor(place.clientWidth);
  if (!width) return;
  const chart = CHARTS[place.dataset.chart](width, answerOf(place));
  place.replaceChildren(chart ?? element("p", { class: "empty" }, "Nothing to draw."));
  for (const svg of place.querySelectorAll("svg")) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", place.dataset.alt);
  }
}

function drawCharts() {
  document.querySelectorAll(".chart").forEach(drawChart);
}

/** Small charts side by side, as many as fit and none wider than `most`: one for each [name, rows]. */
function multiples(width, groups, draw, most = Infinity) {
  const holder = element("div", { class: "multiples" });
  const columns = Math.max(1, Math.min(groups.length, Math.floor(width / 290)));
  const each = Math.min(most, Math.floor((width - 14 * (columns - 1)) / columns));
  for (const [name, rows] of groups) holder.append(draw(each, name, rows));
  return holder;
}

function showTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  theme.textContent = dark ? "Light theme" : "Dark theme";
}

/** Draws everything now, and again for another width and for printing; wires the button of the theme. */
function startDrawing() {
  theme.hidden = false;
  showTheme(matchMedia("(prefers-color-scheme: dark)").matches);
  theme.addEventListener("click", () => showTheme(document.documentElement.dataset.theme !== "dark"));
  drawCharts();
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(drawCharts);
  });
  addEventListener("beforeprint", drawCharts);
}
