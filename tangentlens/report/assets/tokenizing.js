"use strict";
// Cuts a typed text as Python did: the rules of tangentlens/data/cutting.py, "words", "whitespace", "characters" and "scikit-learn".

const SPACE = "\\t-\\r\\x85\\p{Z}";
const NO_SPACES = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}" +
  "\\p{Script=Myanmar}\\u30FC\\uFF70";
const ALNUM = `(?:(?![${NO_SPACES}])[\\p{L}\\p{M}\\p{N}])+`;
const INNER = "(?:['’](?=\\p{L})|(?<=\\p{N})[.,](?=\\p{N})|[\\u200C\\u200D]+)";
const TAG = `</?[A-Za-z][A-Za-z0-9]*(?:[${SPACE}][^<>]*)?/?>`;
const WORD = `${TAG}|${ALNUM}(?:${INNER}${ALNUM})*`;
const clusters = new Intl.Segmenter("en", { granularity: "grapheme" });

/** The tokens of a text, or null where the page cannot cut as Python does. */
function tokensOf(text, rule) {
  let whole = text.toWellFormed ? text.toWellFormed() : text;
  if (rule.tokenizer === "scikit-learn") return whole.toLowerCase().match(/[\p{L}\p{N}_]{2,}/gu) ?? [];
  if (rule.lowercase) whole = lower(whole);
  if (rule.tokenizer === "whitespace") return whole.match(new RegExp(`[^${SPACE}\\x1c-\\x1f]+`, "gu")) ?? [];
  const separator = (rule.lowercase ? lower(rule.separator) : rule.separator).replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  if (rule.tokenizer === "characters") return whole.match(new RegExp(`${separator}|.`, "gsu")) ?? [];
  return rule.tokenizer === "words" ? words(whole, separator) : null;
}

/** Character by character, as Rust has it: a final sigma stays an ordinary one. */
function lower(text) {
  return Array.from(text, (character) => character.toLowerCase()).join("");
}

/** Words and tags; of the rest every cluster (what a reader sees as one character) that does not begin with a space. */
function words(text, separator) {
  const word = new RegExp(`${separator}|${WORD}`, "uy");
  const space = new RegExp(`[${SPACE}]+`, "uy");
  const found = [];
  for (let place = 0; place < text.length;) {
    space.lastIndex = word.lastIndex = place;
    const blank = space.exec(text);
    const hit = blank ?? word.exec(text);
    const piece = hit ? hit[0] : clusters.segment(text.slice(place, place + 256))[Symbol.iterator]().next().value.segment;
    if (!blank) found.push(piece);
    place += piece.length;
  }
  return found;
}
