// The table of all trials: a click on a heading sorts, text and ranges filter, a click on a row marks its trial.

const SHOWN = 100; // rows at first

function drawTable() {
  const place = document.getElementById("table");
  if (place === null) return;
  const columns = tableColumns();
  const table = { by: columns.findIndex((column) => column.name === study.objective), up: study.minimize, words: "", most: SHOWN };
  const search = element("input");
  Object.assign(search, { type: "search", placeholder: "filter, as in: complete adam", ariaLabel: "Filter the trials" });
  search.addEventListener("input", () => {
    table.words = search.value;
    fill();
  });
  const count = element("span", "note");
  const head = element("tr");
  const body = element("tbody");
  const more = element("button", "", "show all");
  more.addEventListener("click", () => {
    table.most = Infinity;
    fill();
  });
  columns.forEach((column, at) => {
    const heading = element("th", column.number ? "number" : "", "", element("button", "heading", column.name));
    heading.firstChild.addEventListener("click", () => {
      table.up = table.by === at ? !table.up : column.up;
      table.by = at;
      fill();
    });
    head.append(heading);
  });
  const wide = element("div", "wide", "", element("table", "", "", element("thead", "", "", head), body));
  place.replaceChildren(element("p", "", "", search, " ", count), wide, more);

  function fill() {
    const column = columns[table.by];
    const known = (trial) => column.of(trial) !== null && column.of(trial) !== undefined && column.of(trial) !== "";
    const order = table.up ? d3.ascending : d3.descending;
    // A pruned trial is compared with those that trained as long, so a value sorts it below all complete ones.
    const length = (trial) => (column.measured && trial.state !== "complete" ? -trial.epochs : -Infinity);
    const seen = trials.filter((trial) => isChosen(trial) && matches(trial, table.words));
    seen.sort((one, other) => known(other) - known(one) || length(one) - length(other) || order(column.of(one), column.of(other)) || one.number - other.number);
    [...head.children].forEach((heading, at) =>
      heading.setAttribute("aria-sort", at === table.by ? (table.up ? "ascending" : "descending") : "none"));
    body.replaceChildren(...seen.slice(0, table.most).map((trial) => {
      const row = element("tr", trial === page.marked ? "marked" : trial === best ? "best" : "", "",
        ...columns.map((one) => element("td", one.number ? "number" : "", shown(one.of(trial)))));
      row.dataset.trial = trial.number;
      row.addEventListener("click", () => mark(trial));
      row.addEventListener("pointermove", (event) => hover(trial, event));
      row.addEventListener("pointerleave", () => hover(null));
      return row;
    }));
    count.textContent = `${Math.min(table.most, seen.length)} of ${seen.length} trials`;
    more.hidden = seen.length <= table.most;
  }

  page.listeners.push(fill);
}

function tableColumns() {
  const column = (name, of, number = true, up = true, measured = false) => ({ name, of, number, up, measured });
  return [
    column("trial", (trial) => trial.number),
    ...(trials.some((trial) => trial.label) ? [column("setting", (trial) => trial.label, false)] : []),
    column(study.objective, (trial) => trial.value, true, study.minimize, true),
    ...study.metrics.map((name) => column(name, (trial) => trial.metrics[name], true, true, true)),
    ...study.params.map((param) => column(param.name, (trial) => trial.params[param.name], param.choices === null)),
    column("best epoch", (trial) => trial.bestEpoch),
    column("epochs", (trial) => trial.epochs),
    column("state", (trial) => trial.state, false),
  ];
}

/** Return whether each word is the beginning of a trial's state, setting, number or choice. */
function matches(trial, words) {
  const said = [trial.state, trial.label, String(trial.number), ...Object.values(trial.params).map(shown)];
  return words.toLowerCase().split(/\s+/).filter(Boolean).every((word) =>
    said.some((one) => one.toLowerCase().includes(word)));
}
