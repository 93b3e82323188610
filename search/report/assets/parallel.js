// Parallel coordinates: a line for each complete trial; dragging along an axis chooses the trials in that range.

const ranges = new Map(); // the chosen range of each axis, in pixels

function drawParallel() {
  figure("parallel", (width) => {
    const [height, top, bottom, side] = [340, 34, 18, 46];
    const axes = [...study.params.map(parallelAxis), objectiveOfParallel()];
    const x = d3.scalePoint(axes.map((axis) => axis.name), [side, width - side]);
    for (const axis of axes) axis.scale.range([height - bottom, top]);
    const shownTrials = finished.filter((trial) => trial.state === "complete");
    const [worst, least] = shownTrials.length > DENSE ? [0.08, 0.6] : [0.25, 0.9];
    const ranked = d3.sort(shownTrials, (trial) => (study.minimize ? -1 : 1) * trial.value);
    const opacity = new Map(ranked.map((trial, rank) => [trial, worst + (least - worst) * rank / ranked.length]));
    const svg = d3.create("svg").attr("width", width).attr("height", height).attr("class", "parallel");
    const line = (trial) => {
      const known = axes.filter((axis) => axis.place(trial) !== undefined);
      return d3.line()(known.map((axis) => [x(axis.name), axis.scale(axis.place(trial))]));
    };
    const emphasis = (trial) => (trial === page.marked ? 3 : trial === best ? 2 : isChosen(trial) ? 1 : 0);
    svg.append("g").attr("fill", "none").selectAll("path")
      .data(d3.sort(shownTrials, emphasis))
      .join("path")
      .attr("d", line)
      .attr("data-trial", (trial) => trial.number)
      .attr("stroke", (trial) => ["var(--pruned)", "var(--complete)", "var(--best)", "var(--marked)"][emphasis(trial)])
      .attr("stroke-width", (trial) => [0.5, 1.2, 2.6, 3][emphasis(trial)])
      .attr("stroke-opacity", (trial) => [0.12, opacity.get(trial), 1, 1][emphasis(trial)])
      .on("pointermove", (event, trial) => hover(trial, event))
      .on("pointerleave", () => hover(null))
      .on("click", (_, trial) => mark(trial));
    const group = svg.append("g").selectAll("g").data(axes).join("g")
      .attr("class", "axis")
      .attr("transform", (axis) => `translate(${x(axis.name)},0)`);
    group.each(function (axis) {
      d3.select(this).call(axis.draw(d3.axisLeft(axis.scale)));
      const brush = d3.brushY().extent([[-12, top], [12, height - bottom]]).on("end", (event) => brushed(event, axis, axes));
      const place = d3.select(this).append("g").attr("class", "brush").attr("data-axis", axis.name).call(brush);
      if (ranges.has(axis.name)) place.call(brush.move, ranges.get(axis.name));
    });
    group.append("text").attr("y", top - 16).attr("text-anchor", "middle").attr("class", "name").text((axis) => axis.name);
    return svg.node();
  });
}

function brushed(event, axis, axes) {
  if (!event.sourceEvent) return; // the range was put back by a new drawing
  if (event.selection) ranges.set(axis.name, event.selection);
  else ranges.delete(axis.name);
  const within = (trial) => axes.every((one) => {
    const range = ranges.get(one.name);
    const place = one.place(trial);
    return !range || (place !== undefined && one.scale(place) >= range[0] && one.scale(place) <= range[1]);
  });
  choose(ranges.size ? new Set(finished.filter(within).map((trial) => trial.number)) : null);
}

function parallelAxis(param) {
  const place = (trial) => (param.choices && param.name in trial.params ? String(trial.params[param.name]) : trial.params[param.name]);
  if (param.choices) {
    return { name: param.name, place, scale: d3.scalePoint(param.choices, [0, 1]).padding(0.3), draw: (axis) => axis };
  }
  const scale = (param.log ? d3.scaleLog : d3.scaleLinear)([param.low, param.high], [0, 1]);
  return { name: param.name, place, scale, draw: (axis) => axis.ticks(5).tickFormat(tick) };
}

function objectiveOfParallel() {
  const { type, domain } = scaleOf(finished.filter((trial) => trial.state === "complete").map((trial) => trial.value));
  const scale = (type === "log" ? d3.scaleLog : d3.scaleLinear)(domain, [0, 1]).clamp(true);
  return { name: study.objective, place: (trial) => trial.value, scale, draw: (axis) => axis.ticks(5).tickFormat(tick) };
}
