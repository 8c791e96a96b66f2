"use strict";
// A typed text, decided by every architecture while it is typed, and why.

const WAIT = 40;  // milliseconds after a key before anything is worked out
const SAID = 700;  // and before it is announced
const MOST_PARTS = 25;
const tried = { model: 0, output: null, tokens: [], ids: [], answers: [], shown: MOST_PARTS };

function startTrying() {
  const box = document.getElementById("typed");
  if (live === null || !box) return;
  document.getElementById("asking").hidden = false;
  document.querySelector(".decisions tbody").append(...live.architectures.map(decisionLine));
  const outputs = document.getElementById("output");
  outputs.append(...live.classes.map((name, k) => element("option", { value: k }, cut(name, 40))));
  outputs.addEventListener("change", () => { tried.output = Number(outputs.value); showWhy(); });
  document.querySelector("#why .more").addEventListener("click", () => { tried.shown = Infinity; showWhy(); });
  box.value = firstText();
  let waiting = 0;
  let saying = 0;
  const hear = () => { document.getElementById("heard").textContent = inWords(); };
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    clearTimeout(saying);
    waiting = setTimeout(() => tryText(box.value), WAIT);
    saying = setTimeout(hear, SAID);
  });
  tryText(box.value);
}

/** A training text to begin with: the first of 5 to 20 tokens, or the first. */
function firstText() {
  const text = Math.max(0, live.lengths.findIndex((length) => length >= 5 && length <= 20));
  return textWith(text, new Set()).join("").trim();
}

function tryText(text) {
  tried.tokens = tokensOf(text, live.rule);
  tried.ids = idsOf(tried.tokens);
  tried.answers = live.architectures.map((model) => decide(model, tried.ids));
  tried.output = null;
  tried.shown = MOST_PARTS;
  const unknown = tried.tokens.filter((_, i) => tried.ids[i] < 0);
  const remarks = [];
  if (!tried.tokens.length) remarks.push("No token: every output is 0.");
  if (unknown.length) remarks.push(`${unknown.length} unknown: ${[...new Set(unknown)].slice(0, 8).map((one) => cut(visible(one))).join(", ")}` +
    " (not in the training texts; an unknown token keeps its place and matches nothing).");
  live.architectures.forEach((model, i) => {
    if (tried.tokens.length && !tried.answers[i].features.length) remarks.push(`${model.name}: no window or known pattern, so its output is 0.`);
  });
  document.getElementById("remarks").textContent = remarks.join(" ");
  document.querySelectorAll(".decisions tbody tr").forEach(fillDecision);
  showWhy();
}

/** The class that an output (c) decides for: above 0 the last of two, otherwise the largest. */
function decidedClass(output) {
  if (output.length === 1) return output[0] > 0 ? 1 : 0;
  return output.reduce((best, value, k) => (value > output[best] ? k : best), 0);
}

function inWords() {
  return live.architectures.map((model, i) => `${model.name}: ${live.classes[decidedClass(tried.answers[i].output)]}`).join("; ");
}

function decisionLine(model, i) {
  const line = element("tr");
  const head = element("th", { scope: "row" });
  const button = element("button", { type: "button", "aria-pressed": "false" }, model.name);
  button.addEventListener("click", () => { tried.model = i; tried.output = null; tried.shown = MOST_PARTS; showWhy(); });
  head.append(button);
  line.append(head, element("td"), ...Array.from({ length: 5 }, () => element("td", { class: "n" })));
  return line;
}

function fillDecision(line, i) {
  const { output, features } = tried.answers[i];
  const label = decidedClass(output);
  const k = output.length > 1 ? label : 0;
  const sums = [0, 0, 0, 0];
  for (const feature of features) sums[Math.min(feature.family.steps.length, 3)] += feature.contribution[k];
  line.cells[1].replaceChildren(element("bdi", { class: "cut" }, output.some((value) => value) ? live.classes[label] : "undecided"));
  [output[k], ...sums].forEach((value, place) => { line.cells[place + 2].textContent = signed(value); });
}

function showWhy() {
  const model = live.architectures[tried.model];
  const { output, features } = tried.answers[tried.model];
  document.querySelectorAll(".decisions tbody button").forEach((button, i) => {
    button.setAttribute("aria-pressed", String(i === tried.model));
    button.closest("tr").classList.toggle("best", i === tried.model);
  });
  if (model.outputs > 1 && tried.output === null) tried.output = decidedClass(output);
  const k = model.outputs > 1 ? tried.output : 0;
  document.querySelector("#why .speaks").hidden = model.outputs === 1;
  document.getElementById("output").value = k;
  document.querySelector("#why .asked").textContent = model.name;
  const sorted = [...features].sort((a, b) => Math.abs(b.contribution[k]) - Math.abs(a.contribution[k]));
  showTokens(features, k);
  const ngrams = sorted.filter((one) => one.family.steps.length > 1 && one.contribution[k]).slice(0, 12);
  document.querySelector("#why .ngrams").replaceChildren(...ngrams.map((one) =>
    piece(nameOf(one.family, one.ids), one.contribution[k], Math.abs(ngrams[0].contribution[k]))));
  document.querySelector(".parts tbody").replaceChildren(...sorted.slice(0, tried.shown).map((one) => partLine(model, one, k)));
  document.querySelector(".parts .sum").textContent = signed(output[k]);
  const more = document.querySelector("#why .more");
  more.hidden = sorted.length <= tried.shown;
  more.textContent = `Show all ${figure(sorted.length)}`;
}

/** The typed tokens, each with what single-token features at its place add. */
function showTokens(features, k) {
  const sums = new Float64Array(tried.ids.length);
  for (const { family, places, contribution } of features) {
    if (family.steps.length === 1) for (const place of places) sums[place] += contribution[k] / places.length;
  }
  const largest = sums.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  document.querySelector("#why .tokens").replaceChildren(...tried.tokens.map((token, i) =>
    piece(cut(visible(token), 60), tried.ids[i] < 0 ? null : sums[i], largest)));
}

/** A token or n-gram, coloured by what it adds, which also stands beneath; null: unknown. */
function piece(name, value, largest) {
  const made = element("span", { class: `piece ${value > 0 ? "for" : value < 0 ? "against" : ""}`,
    style: `--depth: ${largest ? Math.round(55 * Math.abs(value ?? 0) / largest) : 0}%` });
  made.append(element("bdi", { class: "feature" }, name), element("small", {}, value === null ? "unknown" : signed(value)));
  return made;
}

function partLine(model, { number, family, ids, counts, scores, contribution }, k) {
  const line = element("tr");
  const name = nameOf(family, ids);
  const filled = [...counts.keys()].filter((g) => counts[g]);
  const kind = element("td");
  kind.append(element("span", { class: "dot", style: `background: ${colour(family.steps.length)}` }), ` ${family.name}`);
  const head = element("th", { scope: "row" });
  head.append(element("bdi", { class: "cut feature", title: name }, name));
  const button = element("button", { type: "button", "aria-label": `Training texts behind ${cut(name, 60)}` }, "Texts");
  button.addEventListener("click", () => showTexts(model, number, ids, counts, k, "part of this output"));
  const cell = element("td");
  cell.append(button);
  line.append(head, kind, ...[filled.map((g) => figure(counts[g])).join(", "),
    filled.map((g) => signed(scores[g * model.outputs + k])).join(", "), signed(contribution[k])]
    .map((text) => element("td", { class: "n" }, text)), cell);
  return line;
}

startTrying();
