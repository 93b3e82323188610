// The intervals of a comparison, drawn by Observable Plot: the chosen trials, and their differences.

const result = JSON.parse(document.getElementById("data").textContent);
const style = { background: "transparent", fontSize: "12px", overflow: "visible" };

function intervals(rows, width, options) {
  const longest = d3.max(rows, (row) => row.name.length);
  return Plot.plot({
    width,
    height: 76 + 34 * rows.length,
    marginLeft: Math.min(width / 2, 20 + 7 * longest),
    marginTop: 28,
    grid: true,
    style,
    y: { domain: rows.map((row) => row.name), label: null, type: "point" },
    marks: [
      ...options.marks,
      Plot.link(rows, { x1: "low", x2: "high", y1: "name", y2: "name", stroke: options.stroke, strokeWidth: 2.4 }),
      Plot.dot(rows, { x: "value", y: "name", r: 5.5, stroke: options.stroke, fill: options.fill, strokeWidth: 2 }),
      Plot.tip(rows, Plot.pointerY({ x: "value", y: "name", title: "told" })),
    ],
    x: { label: options.label, nice: true, tickFormat: (value) => String(Number(value.toPrecision(4))) },
  });
}

function draw() {
  const place = document.getElementById("differences");
  const width = place.clientWidth;
  const colour = (row) => (row.significant ? "var(--best)" : "var(--complete)");
  place.replaceChildren(intervals(result.pairs, width, {
    label: result.pairLabel,
    stroke: colour,
    fill: (row) => (row.significant ? "var(--best)" : "var(--page)"),
    marks: [Plot.ruleX([0], { stroke: "currentColor", strokeDasharray: "4 3" })],
  }));
  document.getElementById("trials-figure").replaceChildren(intervals(result.trials, width, {
    label: result.label,
    stroke: () => "var(--complete)",
    fill: () => "var(--complete)",
    marks: [],
  }));
}

function main() {
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) draw();
    width = window.innerWidth;
  });
  draw();
}
