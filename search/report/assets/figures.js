// The figures of trials and curves, drawn by Observable Plot: https://observablehq.com/plot

const DENSE = 400; // from so many points on, their density is drawn too
const style = { background: "transparent", fontSize: "12px", overflow: "visible" };
const look = {
  complete: { fill: "var(--complete)", fillOpacity: 0.85, stroke: "none" },
  pruned: { fill: "none", stroke: "var(--pruned)", strokeOpacity: 0.9 },
};

/** Return the marks of trials as points, with the best, the marked one, and what the pointer is next to. */
function points(some, x, y) {
  const seen = some.filter((trial) => y(trial) !== null && y(trial) !== undefined && x(trial) !== undefined);
  const r = seen.length > DENSE ? 1.8 : 3.6;
  const of = (state) => seen.filter((trial) => trial.state === state);
  const faded = (state) => of(state).filter((trial) => !isChosen(trial));
  const plain = (state) => of(state).filter(isChosen);
  const marked = seen.filter((trial) => trial === page.marked);
  return [
    seen.length > DENSE ? Plot.density(seen, { x, y, stroke: "currentColor", strokeOpacity: 0.25, thresholds: 8, clip: true }) : null,
    ...["pruned", "complete"].flatMap((state) => [
      Plot.dot(faded(state), { x, y, r, ...look[state], opacity: 0.12 }),
      Plot.dot(plain(state), { x, y, r, ...look[state] }),
    ]),
    Plot.dot(seen.filter((trial) => trial === best), { x, y, r: 8, symbol: "star", fill: "var(--best)", stroke: "var(--page)" }),
    Plot.dot(marked, { x, y, r: 8, stroke: "var(--marked)", strokeWidth: 3 }),
    Plot.dot(seen, Plot.pointer({ x, y, r: 7, stroke: "currentColor", strokeWidth: 1.5, maxRadius: 30 })),
  ];
}

/** Return the mark of the strengths that cannot be told from the best, from the lower to the upper edge of a panel. */
function band(param) {
  const edges = { x1: ([low]) => low, x2: ([, high]) => high };
  return Plot.rect(param.band, { ...edges, fill: "var(--orange)", fillOpacity: 0.2, stroke: "var(--orange)", strokeOpacity: 0.35, clip: true, ariaDescription: "cannot be told from the best" });
}

function plot(width, options) {
  return Plot.plot({ width, height: 300, marginLeft: 62, marginTop: 28, marginBottom: 42, grid: true, style, ...options });
}

/** Return an axis of the objective for some trials, and a line on those that lie beyond it. */
function objectiveAxis(some) {
  const { outside, ...scale } = scaleOf(some.map((trial) => trial.value));
  const beyond = outside ? `${outside} ${outside === 1 ? "trial lies" : "trials lie"} beyond the axis, at its edge` : "";
  return { y: { ...scale, label: study.valueLabel }, beyond };
}

function noted(svg, note) {
  return note ? element("div", "", "", svg, element("div", "note", note)) : svg;
}

function history(width) {
  const { y, beyond } = objectiveAxis(finished);
  let least = null;
  const soFar = finished.filter((trial) => trial.state === "complete").map((trial) => {
    least = least === null || better(trial.value, least) ? trial.value : least;
    return { number: trial.number, value: least };
  });
  if (soFar.length) soFar.push({ number: trials[trials.length - 1].number, value: least });
  const never = trials.filter((trial) => trial.state === "pruned" && trial.value === null);
  const made = plot(width, {
    x: { label: "trial", ticks: 8, tickFormat: "d" },
    y,
    marks: [
      Plot.lineY(soFar, { x: "number", y: "value", curve: "step-after", stroke: "var(--best)", strokeWidth: 1.6 }),
      Plot.dot(never, { x: "number", y: y.domain[1], symbol: "times", stroke: "currentColor" }),
      ...points(finished, (trial) => trial.number, (trial) => trial.value),
    ],
  });
  return noted(respond(made), beyond);
}

/** Return the horizontal axis of a hyperparameter and where a trial lies on it; choices are spread a little. */
function parameterAxis(param) {
  const { name, choices } = param;
  if (choices === null) {
    return {
      x: { label: name, type: param.log ? "log" : "linear", domain: [param.low, param.high], ticks: 5, tickFormat: tick },
      at: (trial) => trial.params[name],
    };
  }
  const spread = (trial) => (((trial.number * 0.618034) % 1) - 0.5) * 0.5;
  return {
    x: {
      label: name,
      domain: [-0.5, choices.length - 0.5],
      ticks: d3.range(choices.length),
      tickFormat: (at) => choices[at] ?? "",
    },
    at: (trial) => (name in trial.params ? choices.indexOf(String(trial.params[name])) + spread(trial) : undefined),
  };
}

/** Return panels side by side, as many as fit. */
function panels(width, some, make) {
  const columns = Math.max(1, Math.min(some.length, Math.floor(width / 300)));
  const each = Math.floor((width - 12 * (columns - 1)) / columns);
  return element("div", "panels", "", ...some.map((one) => make(one, each)));
}

function slices(width) {
  const { y, beyond } = objectiveAxis(finished);
  const made = panels(width, study.params, (param, each) => {
    const { x, at } = parameterAxis(param);
    const having = finished.filter((trial) => param.name in trial.params);
    return respond(plot(each, { height: 260, x, y, marks: [band(param), ...points(having, at, (trial) => trial.value)] }));
  });
  return noted(made, beyond);
}

function settings(width) {
  const { y: x, beyond } = objectiveAxis(finished);
  const labelled = finished.filter((trial) => trial.label);
  const labels = d3.groupSort(labelled, (some) => (study.minimize ? 1 : -1) * some[0].value, (trial) => trial.label);
  const longest = d3.max(labels, (label) => label.length) ?? 0;
  const y = (trial) => trial.label;
  const made = plot(width, {
    height: 60 + 24 * labels.length,
    marginLeft: Math.min(260, 14 + 7 * longest),
    x,
    y: { domain: labels, label: null, type: "point" },
    marks: [
      Plot.link(labelled, { x1: "low", x2: "high", y1: y, y2: y, stroke: "var(--pruned)" }),
      ...points(labelled, (trial) => trial.value, y),
    ],
  });
  return noted(respond(made), beyond);
}

/** Return all trials' curves of the objective, and beside them those of the marked or the best trial. */
function curvesOfTrials(width) {
  const one = page.marked ?? best;
  const columns = width > 640 ? 2 : 1;
  const each = Math.floor((width - 16 * (columns - 1)) / columns);
  return element("div", "panels", "", allCurves(each, one), curvesOfOne(each, one));
}

function allCurves(width, one) {
  const lines = trials.filter(isChosen).map((trial) => curve(trial, study.objective)).filter((line) => line.length);
  const all = lines.flat();
  const { outside: _, ...scale } = scaleOf(all.map((point) => point.value));
  const dense = lines.length > 60;
  const bands = dense ? d3.sort(d3.rollup(all, quantiles, (point) => point.epoch).values(), (band) => band.epoch) : [];
  const emphasised = [[best, "var(--best)"], [page.marked, "var(--marked)"]].filter(([trial]) => trial);
  return respond(plot(width, {
    caption: dense ? `All ${lines.length} trials: the middle 80%, the middle half, and the median` : `All ${lines.length} trials`,
    x: { label: "epoch", tickFormat: "d" },
    y: { ...scale, label: study.objective },
    marks: [
      dense ? Plot.areaY(bands, { x: "epoch", y1: "p10", y2: "p90", fill: "var(--complete)", fillOpacity: 0.15 }) : null,
      dense ? Plot.areaY(bands, { x: "epoch", y1: "p25", y2: "p75", fill: "var(--complete)", fillOpacity: 0.25 }) : null,
      dense ? Plot.lineY(bands, { x: "epoch", y: "p50", stroke: "var(--complete)" }) : null,
      dense ? null : Plot.line(all, { x: "epoch", y: "value", z: (point) => point.trial.number, stroke: "var(--complete)", strokeOpacity: 0.45, strokeWidth: 1 }),
      ...emphasised.map(([trial, stroke]) => Plot.line(curve(trial, study.objective), { x: "epoch", y: "value", stroke, strokeWidth: 2.4 })),
      Plot.dot(all, Plot.pointer({ x: "epoch", y: "value", r: 4, fill: "currentColor", maxRadius: 30 })),
    ],
  }), (point) => point.trial);
}

function quantiles(some) {
  const sorted = some.map((point) => point.value).sort(d3.ascending);
  const at = (share) => d3.quantileSorted(sorted, share);
  return { epoch: some[0].epoch, p10: at(0.1), p25: at(0.25), p50: at(0.5), p75: at(0.75), p90: at(0.9) };
}

function curvesOfOne(width, trial) {
  const kinds = [["train_loss", "training", "var(--complete)"], ["val_loss", "validation", "var(--best)"]];
  const lines = kinds.map(([metric, label, stroke]) => ({ label, stroke, points: curve(trial, metric) }));
  const all = lines.flatMap((line) => line.points);
  const { outside: _, ...scale } = scaleOf(all.map((point) => point.value));
  return respond(plot(width, {
    caption: `Trial ${trial.number}${trial === best ? ", the best" : ""}: training and validation loss`,
    x: { label: "epoch", tickFormat: "d" },
    y: { ...scale, label: study.lossLabel },
    color: { legend: true, domain: lines.map((line) => line.label), range: lines.map((line) => line.stroke) },
    marks: [
      ...lines.map((line) => Plot.line(line.points, { x: "epoch", y: "value", stroke: line.stroke, strokeWidth: 1.8 })),
      trial.bestEpoch ? Plot.ruleX([trial.bestEpoch], { stroke: "currentColor", strokeDasharray: "3 3" }) : null,
      Plot.dot(all, Plot.pointer({ x: "epoch", y: "value", r: 4, fill: "currentColor", maxRadius: 30 })),
    ],
  }), (point) => point.trial);
}

function front(width) {
  const others = study.objectives.slice(1);
  const objective = (trial) => trial.value;
  return panels(width, others, (name, each) => {
    const value = (trial) => trial.metrics[name];
    const onFront = d3.sort(trials.filter((trial) => study.front.includes(trial.number)), objective);
    const { outside: _, ...x } = scaleOf(finished.map(objective));
    return respond(plot(each, {
      height: 340,
      x: { ...x, label: study.valueLabel },
      y: { label: name, tickFormat: tick },
      marks: [
        others.length === 1 ? Plot.line(onFront, { x: objective, y: value, curve: "step-after", stroke: "var(--best)" }) : null,
        ...points(finished, objective, value),
        Plot.dot(onFront, { x: objective, y: value, r: 5, stroke: "var(--best)", strokeWidth: 2 }),
      ],
    }));
  });
}

function path(width) {
  const measured = [["sparsity", "share of weights with |w| < 1e-6"], ["norm", "Euclidean norm of all weights"]];
  const strong = study.params.filter((param) => param.stronger);
  return panels(width, strong.flatMap((param) => measured.map((one) => [param, ...one])), ([param, key, label], each) => {
    const { x, at } = parameterAxis(param);
    const having = finished.filter((trial) => param.name in trial.params);
    const values = having.map((trial) => trial[key]);
    const type = key === "norm" && d3.min(values) > 0 && d3.max(values) > 20 * d3.min(values) ? "log" : "linear";
    return respond(plot(each, { height: 230, x, y: { label, type, zero: key === "sparsity", tickFormat: tick }, marks: [band(param), ...points(having, at, (trial) => trial[key])] }));
  });
}

function pruning(width) {
  const seen = trials.filter((trial) => trial.epochs);
  const bars = (state, stroke) =>
    Plot.ruleY(seen.filter((trial) => trial.state === state), {
      x1: 0, x2: "epochs", y: "number", stroke, strokeWidth: Math.max(0.6, Math.min(8, 180 / seen.length)),
      strokeOpacity: (trial) => (isChosen(trial) ? 1 : 0.15),
    });
  return respond(plot(width, {
    x: { label: "epochs trained", tickFormat: "d" },
    y: { label: "trial", reverse: true, tickFormat: "d" },
    color: { legend: true, domain: ["complete", "pruned"], range: ["var(--complete)", "var(--orange)"] },
    marks: [
      bars("complete", "var(--complete)"),
      bars("pruned", "var(--orange)"),
      Plot.ruleX(study.rungs, { stroke: "currentColor", strokeDasharray: "3 3", strokeOpacity: 0.6 }),
      page.marked ? Plot.ruleY([page.marked], { x1: 0, x2: "epochs", y: "number", stroke: "var(--marked)", strokeWidth: 4 }) : null,
      Plot.dot(seen, Plot.pointerY({ x: "epochs", y: "number", r: 4, fill: "currentColor" })),
    ],
  }));
}

function importance(width) {
  const bars = study.importance.flatMap(({ name, all, better: half }) => [
    { name, among: "all trials", share: all },
    ...(half === null ? [] : [{ name, among: "the better half", share: half }]),
  ]);
  return plot(width, {
    height: 80 + 44 * study.importance.length,
    marginLeft: 130,
    x: { label: "share of the explained variance of the objective", domain: [0, 1.06], ticks: d3.range(0, 1.1, 0.2) },
    y: { axis: null },
    fy: { axis: null, domain: study.importance.map((one) => one.name) },
    color: { legend: true, domain: ["all trials", "the better half"], range: ["var(--complete)", "var(--orange)"] },
    facet: { data: bars, y: "name" },
    marks: [
      Plot.barX(bars, { x: "share", y: "among", fill: "among" }),
      Plot.text(bars, { x: "share", y: "among", text: (bar) => bar.share.toFixed(2), dx: 4, textAnchor: "start" }),
      Plot.axisFy({ anchor: "left", label: null }),
    ],
  });
}

/** Return curves between two rates, one for each class: receiver operating characteristic, precision and recall. */
function ranked(width) {
  const kinds = [
    ["roc", "false positive rate", "true positive rate", "Receiver operating characteristic"],
    ["pr", "recall", "precision", "Precision and recall"],
  ];
  return panels(width, kinds, ([key, x, y, caption], each) => {
    const rows = study.test.ranked.flatMap((one) => one[key].map(([across, up]) => ({ name: one.name, across, up })));
    return plot(each, {
      caption,
      height: 320,
      x: { label: x, domain: [0, 1] },
      y: { label: y, domain: [0, 1] },
      color: { legend: study.test.ranked.length > 1, type: "categorical" },
      marks: [
        key === "roc" ? Plot.line([[0, 0], [1, 1]], { stroke: "currentColor", strokeOpacity: 0.4, strokeDasharray: "3 3" }) : null,
        Plot.line(rows, { x: "across", y: "up", stroke: "name", strokeWidth: 1.8 }),
        Plot.tip(rows, Plot.pointer({ x: "across", y: "up", title: (row) => `${row.name}\n${x} ${shown(row.across)}\n${y} ${shown(row.up)}` })),
      ],
    });
  });
}

function drawFigures() {
  const makers = { history, slices, settings, curves: curvesOfTrials, front, path, pruning, importance, ranked };
  for (const [name, make] of Object.entries(makers)) figure(name, make);
}
