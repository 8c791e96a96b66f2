"use strict";
// The payload of the page, and how its numbers and texts are shown. Texts only ever become textContent.

const payload = JSON.parse(document.getElementById("payload").textContent);

/** A table {column: [values], or {levels, codes} for texts} as a list of rows. */
function rowsOf(table) {
  const columns = Object.entries(table).map(([name, column]) =>
    [name, column.levels ? column.codes.map((code) => column.levels[code]) : column]);
  return Array.from({ length: columns[0][1].length }, (_, i) =>
    Object.fromEntries(columns.map(([name, values]) => [name, values[i]])));
}

const data = {
  classes: payload.classes,
  lengths: rowsOf(payload.lengths),
  architectures: payload.architectures.map((answer) => ({
    name: answer.name,
    bestTime: answer.best_time,
    spectrum: rowsOf(answer.spectrum),
    top: rowsOf(answer.top),
    trajectories: rowsOf(answer.trajectories),
    curves: rowsOf(answer.curves),
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

/** Three significant digits with thousands separators; whole counts in full. */
function figure(value) {
  if (value === null || value === undefined) return "—";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e9) return value.toExponential(2);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return value.toLocaleString("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
}

/** The shortest number for an axis. */
function tick(value) {
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? String(+size.toPrecision(3)) : (+size.toPrecision(3)).toLocaleString("en");
  return (value < 0 ? "−" : "") + text;
}

function signed(value) {
  if (value === null || value === undefined) return "—";
  const size = Math.abs(value);
  const digits = { minimumSignificantDigits: 3, maximumSignificantDigits: 3 };
  const text = Number.isInteger(value) && value !== 0 && size < 1e9 ? size.toLocaleString("en", digits) : figure(size);
  return (value > 0 ? "+" : value < 0 ? "−" : "") + text;
}

function percent(value) {
  if (value === null || value === undefined) return "—";
  return value > 0 && value < 0.0005 ? "<0.1 %" : (100 * value).toFixed(1) + " %";
}

function inClass(row) {
  return row.count && row.count_in_class !== null ? row.count_in_class / row.count : null;
}

/** At most `length` characters (never half an emoji), with an ellipsis. */
function cut(text, length = 22) {
  const characters = Array.from(text);
  return characters.length > length ? characters.slice(0, length - 1).join("") + "…" : text;
}

/** The colour of an order: 0 bias, 1 token, … 5 and more; the same everywhere on the page. */
function colour(order) {
  return `var(--order-${order === null || order === undefined ? "none" : Math.min(order, 5)})`;
}

/** An element with attributes and text: the only way this page makes elements. */
function element(tag, attributes = {}, text = null) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

/** Does a row belong to the chosen class (label, null: any) and kind ("": any, "single", "ngrams")? */
function fits(row, choice) {
  const single = row.order === null || row.order < 2;
  return (choice.label === null || row.class === choice.label) &&
    (choice.kind === "" || (choice.kind === "single") === single);
}

/** The strongest rows of a class (null: of every class, `each` per class), classes in order, largest score first. */
function strongest(rows, label, each) {
  const labels = label === null ? data.classes : [label];
  const size = (row) => Math.abs(row.score ?? 0);
  return labels.flatMap((one) =>
    rows.filter((row) => row.class === one).sort((a, b) => size(b) - size(a)).slice(0, each));
}
