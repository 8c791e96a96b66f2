"use strict";
// What the audit page shows, as lists of rows, and which rows a choice of class and kind takes.

const data = {
  flags: rowsOf(payload.flags),
  classes: payload.classes,
  lengths: rowsOf(payload.lengths),
  architectures: payload.architectures.map((answer) => ({
    name: answer.name,
    bestTime: answer.best_time,
    spectrum: rowsOf(answer.spectrum),
    trends: rowsOf(answer.trends),
    top: rowsOf(answer.top).map((row) => ({ ...row, architecture: answer.name })),
    trajectories: rowsOf(answer.trajectories),
    curves: rowsOf(answer.curves),
  })),
  compared: (payload.compared ?? []).map((answer) => ({
    name: answer.name,
    bestTime: answer.best_time,
    learned: rowsOf(answer.learned),
    flipped: rowsOf(answer.flipped),
  })),
  verified: (payload.verified ?? []).map((answer) => ({
    families: answer.families,
    scatter: rowsOf(answer.scatter),
    paths: rowsOf(answer.paths),
    errors: rowsOf(answer.errors),
    own: rowsOf(answer.own),
  })),
};
const twoClasses = data.classes.length === 2;

function inClass(row) {
  return row.count && row.count_in_class !== null ? row.count_in_class / row.count : null;
}

/** Does a row belong to the chosen class (label, null: any) and kind ("": any, "single", "ngrams", "flagged")? */
function fits(row, choice) {
  const single = row.order === null || row.order < 2;
  return (choice.label === null || row.class === choice.label) &&
    (choice.kind === "" || (choice.kind === "flagged" ? flagOf(row) !== null : (choice.kind === "single") === single));
}

const flagKey = (row) => JSON.stringify([row.architecture, row.family, row.feature]);
const flagsByFeature = new Map([...data.flags].reverse().map((row) => [flagKey(row), row]));  // the worst of each remains

/** Why a feature is flagged as a possible shortcut; null if it is not. */
function flagOf(row) {
  return flagsByFeature.get(flagKey(row))?.reason ?? null;
}

/** The strongest rows of a class (null: of every class, `each` per class), classes in order, largest score first. */
function strongest(rows, label, each) {
  const labels = label === null ? data.classes : [label];
  const size = (row) => Math.abs(row.score ?? 0);
  return labels.flatMap((one) =>
    rows.filter((row) => row.class === one).sort((a, b) => size(b) - size(a)).slice(0, each));
}

const COLUMNS = [
  { key: "feature", title: "Feature", text: true },
  { key: "family", title: "Family", text: true },
  { key: "class", title: "Class", text: true },
  { key: "score", title: "Label score", show: signed, value: (row) => row.score },
  { key: "count", title: "Count", show: figure, value: (row) => row.count },
  { key: "count_in_class", title: "In its class", show: figure, value: (row) => row.count_in_class },
  { key: "share", title: "In its class, %", show: percent, value: inClass },
  { key: "flag", title: "Flag", text: true, value: flagOf },
  { key: "half_step", title: "Half time", show: figure, value: (row) => row.half_step },
  ...(live === null ? [] : [{ key: "texts", title: "Texts", button: textsButton }]),
];
const SEARCHED = ["feature", "family"];
const ROWS = "features";

/** Which output of a live architecture a row is about. */
function outputOf(place, row) {
  return place.model.outputs > 1 ? live.classes.indexOf(row.class) : 0;
}

/** A button that opens the training texts behind a row; none where the row is not live. */
function textsButton(row) {
  const place = featureAt(row.architecture, row.family, row.feature);
  if (place === null) return "";
  const button = element("button", { type: "button", "aria-label": `Training texts behind ${cut(row.feature, 60)}` }, "Texts");
  button.addEventListener("click", () => showLabelScore(place, outputOf(place, row)));
  return button;
}
