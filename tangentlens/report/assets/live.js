"use strict";
// Decides any text as the architectures do: counts patterns, s = γ Φᵀ a over the training texts, f = Σ Φ s; float64.

const live = payload.live?.architectures.length ? liveModel(payload.live) : null;

function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
}

/** Training texts with the places of every token; and the architectures, with a memory of what they were asked. */
function liveModel(packed) {
  const short = packed.wide ? new Uint32Array(bytes(packed.ids)) : new Uint16Array(bytes(packed.ids));
  const size = packed.vocabulary.length;
  const ids = Int32Array.from(short, (id) => (id === size ? -1 : id));
  const lengths = new Uint32Array(bytes(packed.lengths));
  const offsets = new Uint32Array(lengths.length + 1);
  const textOf = new Uint32Array(ids.length);
  lengths.forEach((length, text) => {
    offsets[text + 1] = offsets[text] + length;
    textOf.fill(text, offsets[text], offsets[text + 1]);
  });
  const model = { rule: packed.rule, classes: packed.classes, vocabulary: packed.vocabulary, ids, lengths, offsets, textOf,
    labels: new Uint32Array(bytes(packed.labels)), size: lengths.length, known: new Map(), found: new Map() };
  packed.vocabulary.forEach((token, id) => model.known.set(token, id));
  [model.starts, model.places] = placesOf(ids, size);
  model.architectures = packed.architectures.map((one) => ({ ...one, duals: new Float64Array(bytes(one.duals)),
    received: one.attention && { weight: new Float64Array(ids.length), ready: new Uint8Array(lengths.length) },
    scores: new Map() }));
  return model;
}

/** Where every token stands: `places` of token t from starts[t] to starts[t + 1]. */
function placesOf(ids, size) {
  const starts = new Uint32Array(size + 1);
  for (const id of ids) if (id >= 0) starts[id + 1] += 1;
  for (let id = 0; id < size; id++) starts[id + 1] += starts[id];
  const next = starts.slice();
  const places = new Uint32Array(starts[size]);
  ids.forEach((id, place) => { if (id >= 0) places[next[id]++] = place; });
  return [starts, places];
}

/** Places in the training texts at which a pattern (ids at steps from there) begins; looked for from its rarest token. */
function matches(ids, steps) {
  const key = `${steps}:${ids}`;
  if (!live.found.has(key)) {
    const count = (id) => live.starts[id + 1] - live.starts[id];
    const rarest = ids.reduce((least, id, i) => (count(id) < count(ids[least]) ? i : least), 0);
    const last = steps[steps.length - 1];
    const hits = [];
    for (let i = live.starts[ids[rarest]]; i < live.starts[ids[rarest] + 1]; i++) {
      const place = live.places[i] - steps[rarest];
      if (place < 0 || place + last >= live.ids.length || live.textOf[place] !== live.textOf[place + last]) continue;
      if (ids.every((id, j) => live.ids[place + steps[j]] === id)) hits.push(place);
    }
    live.found.set(key, hits);
  }
  return live.found.get(key);
}

/** The group that a pattern counts in, beginning at `place` of a text of `length` tokens; −1: it does not count. */
function groupAt(family, place, length) {
  if (family.rule === "ends") return place === length - family.steps.length ? 0 : -1;
  if (family.rule === "lag") return length - 1 - place >= family.first ? 0 : -1;
  if (family.rule === "at lag") return length - 1 - place === family.first ? 0 : -1;
  const start = place - family.first;
  if (family.padding !== "same") return start >= 0 && start + family.size <= length ? 0 : -1;
  const centre = start + ((family.size - 1) >> 1);
  if (centre < 0 || centre >= length) return -1;
  return Math.min(start + family.size, length) - Math.max(start, 0) - (family.size - family.groups.length + 1);
}

/** What the counts of a text of `length` tokens are multiplied by. */
function pooled(family, length) {
  if (family.pool === "none") return 1;
  const windows = family.pool === "tokens" || family.padding === "same" ? length : length - family.size + 1;
  return windows > 0 ? 1 / windows : 0;
}

/** How often windows of each group stand in a text of `length` tokens; (groups). */
function windowCounts(family, length) {
  const counts = new Float64Array(family.groups.length);
  if (family.padding !== "same") counts[0] = Math.max(0, length - family.size + 1);
  else {
    for (let start = -((family.size - 1) >> 1), i = 0; i < length; start++, i++) counts[groupAt(family, start, length)] += 1;
  }
  return counts;
}

/** A_j, the attention that every position of a text receives (theory, eq. 35); unknown tokens are all different. */
function attentionOf(attention, ids) {
  const types = ids.map((id, place) => (id < 0 ? -1 - place : id));
  return attention.position ? byPosition(attention, types) : byCounts(attention, types);
}

function byCounts(attention, types) {
  const counts = new Map();
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  const small = Math.exp(-attention.token);
  const share = (n) => n / (n + (types.length - n) * small);
  let total = 0;
  for (const n of counts.values()) total += small * share(n);
  return types.map((type) => total + (1 - small) * share(counts.get(type)));
}

function byPosition(attention, types) {
  const near = types.map((_, distance) => attention.position * Math.exp(-distance / attention.scale));
  const received = types.map(() => 0);
  for (let i = 0; i < types.length; i++) {
    const weights = types.map((type, j) => Math.exp(attention.token * ((type === types[i]) - 1) +
      near[Math.abs(i - j)] - attention.position));
    const sum = weights.reduce((one, other) => one + other, 0);
    weights.forEach((weight, j) => { received[j] += weight / sum; });
  }
  return received;
}

/** The attention of training texts, worked out when it is first needed. */
function receivedAt(model, place) {
  const text = live.textOf[place];
  const received = model.received;
  if (!received.ready[text]) {
    const ids = Array.from(live.ids.subarray(live.offsets[text], live.offsets[text + 1]));
    received.weight.set(attentionOf(model.attention, ids), live.offsets[text]);
    received.ready[text] = 1;
  }
  return received.weight[place];
}

/** Φ of one pattern in the training texts, as calls of visit(text, group, count). */
function eachCount(model, family, ids, visit) {
  if (!family.steps.length) {
    live.lengths.forEach((length, text) => {
      const weight = pooled(family, length);
      windowCounts(family, length).forEach((count, group) => { if (count) visit(text, group, weight * count); });
    });
    return;
  }
  for (const place of matches(ids, family.steps)) {
    const text = live.textOf[place];
    const length = live.lengths[text];
    const group = groupAt(family, place - live.offsets[text], length);
    if (group >= 0) visit(text, group, pooled(family, length) * (model.received ? receivedAt(model, place) : 1));
  }
}

/** Label scores s = C Φᵀ a of one pattern, by group and output: (groups × c). */
function labelScores(model, number, ids) {
  const key = `${number}:${ids}`;
  if (!model.scores.has(key)) {
    const family = model.families[number];
    const c = model.outputs;
    const pushed = new Float64Array(family.groups.length * c);
    eachCount(model, family, ids, (text, group, count) => {
      for (let k = 0; k < c; k++) pushed[group * c + k] += count * model.duals[text * c + k];
    });
    model.scores.set(key, mixed(family, pushed, c));
  }
  return model.scores.get(key);
}

function mixed(family, pushed, c) {
  const scores = new Float64Array(pushed.length);
  family.coefficients.forEach((row, g) => row.forEach((coefficient, h) => {
    for (let k = 0; k < c; k++) scores[g * c + k] += coefficient * pushed[h * c + k];
  }));
  return scores;
}

/** The features of a text: family, ids, the places of its occurrences, and its counts by group. */
function featuresOf(model, ids) {
  const attention = model.attention ? attentionOf(model.attention, ids) : null;
  const found = new Map();
  model.families.forEach((family, number) => {
    const weight = pooled(family, ids.length);
    if (!family.steps.length) {
      const counts = windowCounts(family, ids.length).map((count) => count * weight);
      if (counts.some((count) => count)) found.set(`${number}:`, { number, family, ids: [], places: [], counts });
      return;
    }
    for (let place = 0; place + family.steps[family.steps.length - 1] < ids.length; place++) {
      const pattern = family.steps.map((step) => ids[place + step]);
      const group = pattern.some((id) => id < 0) ? -1 : groupAt(family, place, ids.length);
      if (group < 0) continue;
      const key = `${number}:${pattern}`;
      if (!found.has(key)) {
        found.set(key, { number, family, ids: pattern, places: [], counts: new Float64Array(family.groups.length) });
      }
      const feature = found.get(key);
      feature.places.push(place);
      feature.counts[group] += weight * (attention ? attention[place] : 1);
    }
  });
  return [...found.values()];
}

/** A decision (c) as the sum of its features, with each feature's contribution (c). */
function decide(model, ids) {
  const c = model.outputs;
  const output = new Float64Array(c);
  const features = featuresOf(model, ids).map((feature) => {
    const scores = labelScores(model, feature.number, feature.ids);
    const contribution = new Float64Array(c);
    feature.counts.forEach((count, g) => { for (let k = 0; k < c; k++) contribution[k] += count * scores[g * c + k]; });
    for (let k = 0; k < c; k++) output[k] += contribution[k];
    return { ...feature, scores, contribution };
  });
  return { output, features };
}

/** What every training text adds through one feature of a typed text with these counts: [{text, parts (c)}]. */
function behind(model, number, ids, counts) {
  const family = model.families[number];
  const c = model.outputs;
  const parts = new Map();
  eachCount(model, family, ids, (text, h, count) => {
    if (!parts.has(text)) parts.set(text, new Float64Array(c));
    let through = 0;
    counts.forEach((own, g) => { through += own * family.coefficients[g][h]; });
    for (let k = 0; k < c; k++) parts.get(text)[k] += through * count * model.duals[text * c + k];
  });
  return [...parts].map(([text, part]) => ({ text, part }));
}

function idsOf(tokens) {
  return tokens.map((token) => live.known.get(token) ?? -1);
}
