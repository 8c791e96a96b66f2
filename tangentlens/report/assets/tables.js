"use strict";
// A sortable, searchable table of one architecture. The page says what it holds: COLUMNS, SEARCHED, ROWS, fits.

const PAGE = 15;

/** Fills the table in `panel` and returns a function that shows a choice of class and kind. */
function featureTable(panel, answer) {
  const state = { choice: { label: null, kind: "" }, word: "", key: null, down: true, shown: PAGE };
  const search = panel.querySelector(".search");
  const more = panel.querySelector(".more");
  const draw = () => drawTable(panel, answer.top, state);
  headings(panel.querySelector("thead tr"), state, draw);
  search.addEventListener("input", () => {
    state.word = search.value;
    state.shown = PAGE;
    draw();
  });
  more.addEventListener("click", () => {
    state.shown = Infinity;
    draw();
  });
  return (choice) => {
    state.choice = choice;
    state.shown = PAGE;
    draw();
  };
}

function headings(line, state, draw) {
  for (const column of COLUMNS) {
    const cell = element("th", { scope: "col", "aria-sort": "none", ...(column.text ? {} : { class: "n" }) });
    if (column.button) {
      line.append(element("th", { scope: "col" }, column.title));
      continue;
    }
    const button = element("button", { type: "button", "data-key": column.key }, column.title);
    button.addEventListener("click", () => {
      state.down = state.key === column.key ? !state.down : !column.text;
      state.key = column.key;
      for (const other of line.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
      cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      draw();
    });
    cell.append(button);
    line.append(cell);
  }
}

function drawTable(panel, rows, state) {
  const word = state.word.toLowerCase();
  const found = rows.filter((row) => fits(row, state.choice) &&
    SEARCHED.some((key) => row[key].toLowerCase().includes(word)));
  const sorted = state.key === null ? found : ordered(found, state);
  panel.querySelector(".top tbody").replaceChildren(...sorted.slice(0, state.shown).map(lineOf));
  panel.querySelector(".matches").textContent = `${figure(found.length)} of ${figure(rows.length)} ${ROWS}`;
  const more = panel.querySelector(".more");
  more.hidden = sorted.length <= state.shown;
  more.textContent = `Show all ${figure(sorted.length)}`;
}

/** Sorted by the chosen column; missing values always last. */
function ordered(rows, state) {
  const column = COLUMNS.find((one) => one.key === state.key);
  const value = column.text ? (row) => textOf(column, row) : column.value;
  const sign = state.down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a) ?? null, value(b) ?? null];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (column.text ? x.localeCompare(y) : x - y);
  });
}

/** What a column of texts shows of a row. */
function textOf(column, row) {
  return (column.value ? column.value(row) : row[column.key]) ?? "";
}

function lineOf(row) {
  const line = element("tr");
  line.shown = row;
  for (const column of COLUMNS) {
    const cell = element(column.key === "feature" ? "th" : "td",
      column.key === "feature" ? { scope: "row" } : column.text || column.button ? {} : { class: "n" });
    if (column.key === "family") cell.append(element("span", { class: "dot", style: `background: ${colour(row.order)}` }), " ");
    if (column.button) cell.append(column.button(row));
    else if (column.text) {
      const text = textOf(column, row);
      cell.append(element("bdi", { class: `cut ${column.key}`, title: text }, text));
    }
    else cell.textContent = column.show(column.value(row));
    line.append(cell);
  }
  return line;
}
