// The study, as the page's JSON holds it, with each trial as an object. `search/report/page_data.py` writes the JSON.

const study = JSON.parse(document.getElementById("data").textContent);
const names = study.params.map((param) => param.name);
const trials = study.trials.map((cells, place) => {
  const [number, state, value, params, bestEpoch, epochs, metrics, label, low, high, sparsity, norm] = cells;
  return {
    place, number, state, value, bestEpoch, epochs, label, low, high, sparsity, norm,
    params: Object.fromEntries(names.map((name, at) => [name, params[at]]).filter(([, one]) => one !== null)),
    metrics: Object.fromEntries(study.metrics.map((name, at) => [name, metrics[at]])),
  };
});
const numbered = new Map(trials.map((trial) => [trial.number, trial]));
const finished = trials.filter((trial) => trial.value !== null);
const best = numbered.get(study.best);
const better = (one, other) => (study.minimize ? one < other : one > other);

const curves = (() => {
  const bytes = Uint8Array.from(atob(study.curves.data), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
})();

/** Return a trial's curve of one metric: {trial, epoch, value} for each epoch that is kept and was reached. */
function curve(trial, metric) {
  const at = study.curves.metrics.indexOf(metric);
  const { epochs } = study.curves;
  const start = (trial.place * study.curves.metrics.length + at) * epochs.length;
  return epochs
    .map((epoch, step) => ({ trial, epoch, value: curves[start + step] }))
    .filter((point) => at >= 0 && Number.isFinite(point.value));
}

/** Return a number as a person reads it: four digits, and no exponent where that can be avoided. */
function shown(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value);
}

/** Return the label of a tick: powers of ten where a number would be long. */
function tick(value) {
  const size = Math.abs(value);
  return size && (size < 1e-3 || size >= 1e6) ? Number(value.toPrecision(3)).toExponential().replace("e+", "e") : shown(value);
}

/**
 * Return the scale of an axis for values: logarithmic where they span more than a factor of eight, and cut where a few
 * values at the worse end would flatten all others.
 */
function scaleOf(values) {
  const sorted = values.filter(Number.isFinite).sort(d3.ascending);
  if (!sorted.length) return { domain: [0, 1], outside: 0 };
  let [low, high] = [sorted[0], sorted[sorted.length - 1]];
  const [early, late] = [d3.quantileSorted(sorted, 0.1), d3.quantileSorted(sorted, 0.9)];
  const logarithmic = low > 0 && high / low > 8;
  const span = (from, to) => (logarithmic ? Math.log(to / from) : to - from);
  const past = (from, to, share) => (logarithmic ? to * (to / from) ** share : to + (to - from) * share);
  if (study.minimize && span(low, high) > 4 * span(low, late) && late > low) high = past(low, late, 0.5);
  if (!study.minimize && span(low, high) > 4 * span(early, high) && early < high && !logarithmic) {
    low = early - (high - early) * 0.5;
  }
  if (low === high) [low, high] = [low - Math.abs(low || 1) * 0.05, high + Math.abs(high || 1) * 0.05];
  const outside = sorted.filter((value) => value < low || value > high).length;
  const domain = logarithmic ? [low / (high / low) ** 0.04, high * (high / low) ** 0.04] : [past(high, low, 0.04), past(low, high, 0.04)];
  return { type: logarithmic ? "log" : "linear", domain, clamp: true, ticks: 5, tickFormat: tick, outside };
}
