"use strict";
// Names of features, and the training texts behind one of them, in a dialog. Texts are shown as their tokens.

const CONTROLS = { 0: "NUL", 9: "TAB", 10: "LF", 13: "CR", 27: "ESC", 127: "DEL" };
const LISTED = 40;
const dialog = document.getElementById("texts");
const shownTokens = live === null ? new Map() : tokensByLook();

/** A text with every control and invisible character written out, as wording.visible does. */
function visible(text) {
  return Array.from(text).map((character, i, all) => {
    const code = character.codePointAt(0);
    if (code in CONTROLS) return `⟨${CONTROLS[code]}⟩`;
    if ("\u200c\u200d".includes(character) && i > 0 && all[i - 1].codePointAt(0) > 127) return character;
    return /[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Co}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(character)
      ? `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩` : character;
  }).join("");
}

/** The id of every token by how it looks; null where two look the same. */
function tokensByLook() {
  const found = new Map();
  live.vocabulary.forEach((token, id) => found.set(visible(token), found.has(visible(token)) ? null : id));
  return found;
}

/** What a feature is called, as features/family.py has it. */
function nameOf(family, ids) {
  if (!family.steps.length) return "<bias>";
  const tokens = ids.map((id) => visible(live.vocabulary[id].replace(/[ _@<\\]/g, "\\$&")));
  if (family.style === "offset") return `${tokens[0]}@${family.first}`;
  if (family.style === "lag") return `${tokens[0]}@lag${family.first}`;
  const parts = Array(family.named).fill("_");
  family.steps.forEach((step, i) => { parts[family.first + step] = tokens[i]; });
  return parts.join(" ");
}

/** The ids that a name stands for in a family; null if it is none of its names. */
function idsNamed(family, name) {
  if (!family.steps.length) return name === "<bias>" ? [] : null;
  const ending = { offset: `@${family.first}`, lag: `@lag${family.first}` }[family.style] ?? "";
  if (!name.endsWith(ending)) return null;
  const parts = name.slice(0, name.length - ending.length).match(/(?:\\.|[^ \\])+/gsu) ?? [];
  const named = ending === "" ? family.steps.map((step) => parts[family.first + step]) : parts;
  const ids = named.map((part) => shownTokens.get((part ?? "").replace(/\\(.)/gsu, "$1")) ?? null);
  return ids.length === family.steps.length && !ids.includes(null) && nameOf(family, ids) === name ? ids : null;
}

/** Where a row of a table stands among the live families: {model, number, ids, group}; null if nowhere. */
function featureAt(architecture, familyName, name) {
  const model = live?.architectures.find((one) => one.name === architecture);
  for (const [number, family] of (model?.families ?? []).entries()) {
    const group = family.groups.findIndex((one) => family.name + one === familyName);
    const ids = group < 0 ? null : idsNamed(family, name);
    if (ids !== null) return { model, number, ids, group };
  }
  return null;
}

/** The label score of a table's row, told apart by training texts. */
function showLabelScore(place, k) {
  const counts = place.model.families[place.number].groups.map((_, g) => Number(g === place.group));
  showTexts(place.model, place.number, place.ids, counts, k, "label score");
}

/** Opens the dialog on the texts that hold a feature; counts: by group, of what is told apart; k: which output. */
function showTexts(model, number, ids, counts, k, what) {
  const family = model.families[number];
  const rows = behind(model, number, ids, counts).map(({ text, part }) => ({ text, part: part[k] }))
    .sort((a, b) => Math.abs(b.part) - Math.abs(a.part));
  const total = rows.reduce((sum, row) => sum + row.part, 0);
  const title = dialog.querySelector("h2");
  title.replaceChildren("Training texts behind ", element("bdi", { class: "feature" }, cut(nameOf(family, ids), 60)));
  dialog.querySelector(".about").textContent = `${model.name}, ${family.name}: ${figure(rows.length)} training texts hold it` +
    live.classes.map((name, label) => `${label ? ", " : " ("}${figure(rows.filter((row) => live.labels[row.text] === label).length)} of class ${cut(name)}`).join("") +
    `). Together they make its ${what} of ${signed(total)}${model.outputs > 1 ? ` for ${cut(live.classes[k])}` : ""}.`;
  const body = dialog.querySelector("tbody");
  const list = (most) => body.replaceChildren(...rows.slice(0, most).map((row) => textLine(row, family, ids)));
  const more = dialog.querySelector(".more");
  list(LISTED);
  more.hidden = rows.length <= LISTED;
  more.textContent = `Show all ${figure(rows.length)}`;
  more.onclick = () => { list(Infinity); more.hidden = true; };
  if (!dialog.open) dialog.showModal();
  title.focus();
}

function textLine({ text, part }, family, ids) {
  const line = element("tr");
  const whole = element("td", { class: "wrap", dir: "auto" });
  whole.append(...textWith(text, marked(text, family, ids)));
  line.append(element("td", {}, live.classes[live.labels[text]]), element("td", { class: "n" }, signed(part)), whole);
  return line;
}

/** The places, within a text, that a pattern takes where it counts. */
function marked(text, family, ids) {
  const found = new Set();
  if (!family.steps.length) return found;
  const begin = live.offsets[text];
  for (const place of matches(ids, family.steps)) {
    if (live.textOf[place] === text && groupAt(family, place - begin, live.lengths[text]) >= 0) {
      for (const step of family.steps) found.add(place - begin + step);
    }
  }
  return found;
}

function textWith(text, places) {
  const gap = live.rule?.tokenizer === "characters" ? "" : " ";
  const tokens = Array.from(live.ids.subarray(live.offsets[text], live.offsets[text + 1]));
  return tokens.flatMap((id, place) => {
    const token = id < 0 ? "□" : visible(live.vocabulary[id]);
    return [places.has(place) ? element("mark", {}, token) : token, gap];
  });
}

dialog?.querySelector(".close").addEventListener("click", () => dialog.close());
