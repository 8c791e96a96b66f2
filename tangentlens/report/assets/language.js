"use strict";
// Wires the page of a language model.

const CHARTS = { heat: heatChart };

function answerOf(place) {
  return data.architectures[place.closest("[data-architecture]").dataset.architecture];
}

document.querySelectorAll(".pairs").forEach((panel) => featureTable(panel, answerOf(panel))({}));
startDrawing();
