"use strict";
// The payload of a page, and how its numbers and texts are shown. Texts only ever become textContent.

const payload = JSON.parse(document.getElementById("payload").textContent);
const IDENTITY = { color: { type: "identity" } };

/** A table {column: [values], or {levels, codes} for texts} as a list of rows. */
function rowsOf(table) {
  const columns = Object.entries(table).map(([name, column]) =>
    [name, column.levels ? column.codes.map((code) => column.levels[code]) : column]);
  return Array.from({ length: columns[0][1].length }, (_, i) =>
    Object.fromEntries(columns.map(([name, values]) => [name, values[i]])));
}

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

/** At most `length` characters (never half an emoji), with an ellipsis. */
function cut(text, length = 22) {
  const characters = Array.from(text);
  return characters.length > length ? characters.slice(0, length - 1).join("") + "…" : text;
}

/** What an order is called, those of three tokens and more together. */
const KINDS = ["bias", "single tokens", "pairs", "longer patterns"];

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
