"use strict";
// Wires the page: tabs, the choice of class, the theme, and when charts are drawn.

const CHARTS = { lengths: lengthsChart, spectra: spectraChart, bars: barsChart, scores: scoresChart,
  curves: curvesChart, spectrum: spectrumChart, scatter: scatterChart, errors: errorsChart, paths: pathsChart,
  split: splitChart };
const tabs = [...document.querySelectorAll('[role="tab"]')];
const panels = [...document.querySelectorAll(".panel")];
const tables = panels.map((panel, i) => featureTable(panel, data.architectures[i]));
const chooser = document.getElementById("class");
const kind = document.getElementById("kind");
const choice = () => ({ label: chooser.value === "" ? null : data.classes[chooser.value - 1], kind: kind.value });
const theme = document.getElementById("theme");

/** Draws one chart, as wide as its place; hidden places wait until they are shown. */
function drawChart(place) {
  const width = Math.floor(place.clientWidth);
  if (!width) return;
  const part = place.closest(".panel, .verified")?.dataset;
  const answer = part?.verified ? data.verified[part.verified] : part ? data.architectures[part.architecture] : null;
  const chart = CHARTS[place.dataset.chart](width, answer, choice());
  place.replaceChildren(chart ?? element("p", { class: "empty" }, "Nothing to draw."));
  for (const svg of place.querySelectorAll("svg")) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", place.dataset.alt);
  }
}

function drawCharts() {
  document.querySelectorAll(".chart").forEach(drawChart);
}

function openTab(index, focus) {
  tabs.forEach((tab, i) => {
    tab.setAttribute("aria-selected", String(i === index));
    tab.tabIndex = i === index ? 0 : -1;
    panels[i].hidden = i !== index;
  });
  if (focus) tabs[index].focus();
  panels[index].querySelectorAll(".chart").forEach(drawChart);
}

/** Shows the chosen class and kind in the open panel. */
function choose() {
  const { label } = choice();
  const words = twoClasses
    ? `right of zero towards ${cut(data.classes[1])}, left towards ${cut(data.classes[0])}`
    : label === null ? "each towards the class named at the right" : `towards ${cut(label)}`;
  document.querySelectorAll(".direction").forEach((place) => { place.textContent = words; });
  tables.forEach((show) => show(choice()));
  document.querySelectorAll(".panel:not([hidden]) .chart").forEach(drawChart);
}

function moveTab(event, index) {
  const steps = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 };
  if (!(event.key in steps)) return;
  event.preventDefault();
  openTab((steps[event.key] + tabs.length) % tabs.length, true);
}

function showTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  theme.textContent = dark ? "Light theme" : "Dark theme";
}

function start() {
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => openTab(i, false));
    tab.addEventListener("keydown", (event) => moveTab(event, i));
  });
  chooser.addEventListener("change", choose);
  kind.addEventListener("change", choose);
  theme.hidden = false;
  showTheme(matchMedia("(prefers-color-scheme: dark)").matches);
  theme.addEventListener("click", () => showTheme(document.documentElement.dataset.theme !== "dark"));
  document.documentElement.classList.add("scripted");
  document.querySelectorAll(".verified").forEach((part) => familiesLegend(part, data.verified[part.dataset.verified]));
  openTab(0, false);
  chooser.value = data.classes.length > 8 ? "1" : "";
  choose();
  drawCharts();
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(drawCharts);
  });
  addEventListener("beforeprint", () => {
    panels.forEach((panel) => { panel.hidden = false; });
    drawCharts();
  });
  addEventListener("afterprint", () => openTab(tabs.findIndex((tab) => tab.tabIndex === 0), false));
}

start();
