// What all figures share: which trial is marked, which ones the reader has chosen, the card, and when to draw.

const page = { marked: null, chosen: null, figures: [], listeners: [] };
const isChosen = (trial) => page.chosen === null || page.chosen.has(trial.number);

/** Return a new element with a class, text and children. Text is never markup. */
function element(tag, className = "", text = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  made.append(...children);
  return made;
}

/** Mark a trial in every figure and in the table, or take the mark away if it has it already. */
function mark(trial) {
  page.marked = trial === null || trial === page.marked ? null : trial;
  draw();
}

/** Restrict figures and table to the trials of these numbers; null for all. */
function choose(numbers) {
  page.chosen = numbers;
  draw();
}

function draw() {
  for (const figure of page.figures) figure();
  for (const listener of page.listeners) listener();
  const all = page.chosen === null ? trials.length : page.chosen.size;
  document.getElementById("chosen").textContent =
    (page.chosen === null ? "" : `${all} of ${trials.length} trials are chosen by ranges. `) +
    (page.marked === null ? "" : `Trial ${page.marked.number} is marked.`);
  document.getElementById("reset").hidden = page.chosen === null && page.marked === null;
}

const card = document.getElementById("card");

/** Show a trial's values and curves beside the pointer; hide the card for null. */
function hover(trial, event) {
  card.hidden = trial === null || trial === undefined;
  if (card.hidden) return;
  if (card.dataset.trial !== String(trial.number)) {
    card.dataset.trial = trial.number;
    card.replaceChildren(...describe(trial));
  }
  const { clientX: x, clientY: y } = event;
  const right = x + 24 + card.offsetWidth > window.innerWidth;
  card.style.left = `${Math.max(4, right ? x - 16 - card.offsetWidth : x + 16)}px`;
  card.style.top = `${Math.max(4, Math.min(y + 12, window.innerHeight - card.offsetHeight - 8))}px`;
}

function describe(trial) {
  const rows = [
    [study.objective, shown(trial.value) || "never finite"],
    ...Object.entries(trial.metrics).filter(([, value]) => value !== null).map(([name, value]) => [name, shown(value)]),
    ...Object.entries(trial.params).map(([name, value]) => [name, shown(value)]),
    ["best epoch", `${shown(trial.bestEpoch)} of ${trial.epochs}`],
  ];
  const table = element("table", "", "", ...rows.map(([name, value]) =>
    element("tr", "", "", element("th", "", name), element("td", "", value))));
  const title = `trial ${trial.number}, ${trial.state}${trial.label ? `: ${trial.label}` : ""}`;
  return [element("strong", "", title), table, sparkline(trial)];
}

/** Return a small picture of a trial's training and validation loss. */
function sparkline(trial) {
  const [width, height] = [190, 56];
  const lines = ["train_loss", "val_loss"].map((metric) => curve(trial, metric));
  const points = lines.flat();
  const svg = d3.create("svg").attr("width", width).attr("height", height).attr("role", "img");
  svg.attr("aria-label", `training and validation loss of trial ${trial.number}`);
  if (points.length > 1) {
    const x = d3.scaleLinear(d3.extent(points, (one) => one.epoch), [2, width - 2]);
    const scale = scaleOf(points.map((one) => one.value));
    const y = (scale.type === "log" ? d3.scaleLog : d3.scaleLinear)(scale.domain, [height - 3, 3]).clamp(true);
    const line = d3.line((one) => x(one.epoch), (one) => y(one.value));
    lines.forEach((one, at) => svg.append("path").attr("d", line(one)).attr("class", at ? "val" : "train"));
  }
  return svg.node();
}

/**
 * Register a figure: `make(width)` returns an SVG element or fragment, and is called again when anything changes. In it,
 * `respond` makes a plot answer to the pointer.
 */
function figure(name, make) {
  const place = document.querySelector(`#figure-${CSS.escape(name)} .plot`);
  if (place === null) return;
  page.figures.push(() => place.replaceChildren(make(place.clientWidth)));
}

/** Let a plot whose marks have a pointer show the card of the trial next to it, and mark that trial at a click. */
function respond(plot, trialOf = (datum) => datum) {
  const current = () => (plot.value ? trialOf(plot.value) : null);
  plot.addEventListener("pointermove", (event) => hover(current(), event));
  plot.addEventListener("pointerleave", () => hover(null));
  plot.addEventListener("click", () => current() !== null && mark(current()));
  return plot;
}

function main() {
  drawFigures();
  drawParallel();
  drawTable();
  document.getElementById("reset").addEventListener("click", () => {
    page.marked = null;
    choose(null);
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && mark(null));
  let waiting = null;
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(draw, 120);
  });
  draw();
}
