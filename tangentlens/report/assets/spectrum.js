"use strict";
// Wires the page of spectra.

const data = {
  architectures: payload.architectures.map((answer) => ({
    name: answer.name,
    spectrum: rowsOf(answer.spectrum),
    trends: answer.trends ? rowsOf(answer.trends) : [],
  })),
};
const CHARTS = { spectra: spectraChart, spectrum: spectrumChart, trends: trendsChart };

function answerOf(place) {
  return data.architectures[place.closest("[data-architecture]")?.dataset.architecture] ?? null;
}

startDrawing();
