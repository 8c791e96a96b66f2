"use strict";
// What the page of a language model shows, and the columns of its table.

const data = {
  architectures: payload.architectures.map((answer) => ({
    name: answer.name, top: rowsOf(answer.targets), heat: answer.heat.feature.codes.length ? rowsOf(answer.heat) : [],
  })),
};
const COLUMNS = [
  { key: "feature", title: "Context", text: true },
  { key: "target", title: "Next token", text: true },
  { key: "score", title: "Label score", show: signed, value: (row) => row.score },
  { key: "beyond", title: "Beyond unigram", show: signed, value: (row) => row.beyond },
  { key: "lift", title: "Times chance", show: figure, value: (row) => row.lift },
  { key: "count", title: "Context, count", show: figure, value: (row) => row.count },
  { key: "target_count", title: "Next, count", show: figure, value: (row) => row.target_count },
  { key: "rank", title: "Rank by score", show: figure, value: (row) => row.rank },
  { key: "rank_beyond", title: "Rank beyond", show: figure, value: (row) => row.rank_beyond },
];
const SEARCHED = ["feature", "target"];
const ROWS = "pairs";

/** Every pair fits: there is no choice of class here. */
function fits() {
  return true;
}
