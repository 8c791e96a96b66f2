"use strict";
// Wires the audit page: tabs and the choice of class.

const CHARTS = { lengths: lengthsChart, spectra: spectraChart, curves: curvesChart, spectrum: spectrumChart,
  trends: trendsChart, learned: learnedChart, flipped: flippedChart, scatter: scatterChart, errors: errorsChart, paths: pathsChart, split: splitChart,
  bars: (width, answer) => barsChart(width, answer, choice()),
  scores: (width, answer) => scoresChart(width, answer, choice()) };
const tabs = [...document.querySelectorAll('[role="tab"]')];
const panels = [...document.querySelectorAll(".panel")];
const tables = panels.map((panel, i) => featureTable(panel, data.architectures[i]));
const chooser = document.getElementById("class");
const kind = document.getElementById("kind");
const choice = () => ({ label: chooser.value === "" ? null : data.classes[chooser.value - 1], kind: kind.value });

/** The architecture that a chart is about; null for charts of all of them. */
function answerOf(place) {
  const part = place.closest(".panel, .verified")?.dataset;
  return part?.verified ? data.verified[part.verified] : part ? data.architectures[part.architecture] : null;
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

function start() {
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => openTab(i, false));
    tab.addEventListener("keydown", (event) => moveTab(event, i));
  });
  chooser.addEventListener("change", choose);
  kind.addEventListener("change", choose);
  document.documentElement.classList.add("scripted");
  document.querySelectorAll(".verified").forEach((part) => familiesLegend(part, data.verified[part.dataset.verified]));
  openTab(0, false);
  chooser.value = data.classes.length > 8 ? "1" : "";
  choose();
  addEventListener("beforeprint", () => panels.forEach((panel) => { panel.hidden = false; }));
  addEventListener("afterprint", () => openTab(tabs.findIndex((tab) => tab.tabIndex === 0), false));
  startDrawing();
}

start();
