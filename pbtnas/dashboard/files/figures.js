// The figures.  Their numbers are made by pbtnas/analysis; here they are only drawn.

import { breakable, element, fill, forPlotly, memberName, number } from "./text.js";

const MANY = 1500; // dots of a family tree, beyond which it is drawn as cells
const LEGEND = { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal" };
const CHOSEN = "#d3006a"; // stands out from every colour of a score
const CONFIG = { displayModeBar: false };

// A figure is as wide as its place, also when a panel opens beside it.
const widths = new ResizeObserver((changes) => {
  for (const { target } of changes) {
    const width = target.clientWidth;
    if (width && target.layout && target.layout.width !== width) window.Plotly.relayout(target, { width });
  }
});

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return { ink: of("ink"), soft: of("soft"), line: of("line"), faint: of("faint"), card: of("card"),
    accent: of("accent"), child: of("child"), donor: of("donor"), bad: of("bad") };
}

function layout(c, height, more = {}) {
  const { xaxis = {}, yaxis = {}, ...rest } = more;
  const axis = { gridcolor: c.line, linecolor: c.line, zeroline: false, tickcolor: c.line, automargin: true, fixedrange: true };
  return {
    height,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: c.soft, size: 12, family: "system-ui, sans-serif" },
    margin: { l: 50, r: 12, t: 8, b: 40 },
    showlegend: false,
    dragmode: false,
    hovermode: "closest",
    hoverlabel: { bgcolor: c.card, bordercolor: c.faint, font: { color: c.ink } },
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, ...yaxis },
    ...rest,
  };
}

const highestFigure = (place) => (place.clientWidth < 600 ? 560 : 860);

const axisTitle = (text) => ({ text: forPlotly(text), standoff: 6 });

function draw(place, traces, form) {
  place.style.height = `${form.height}px`;
  window.Plotly.react(place, traces, { ...form, width: place.clientWidth }, CONFIG);
  widths.observe(place);
}

function onPick(place, pick, whom) {
  place.removeAllListeners?.("plotly_click");
  place.on?.("plotly_click", (event) => {
    const found = whom(event.points[0]);
    if (found) pick(...found);
  });
}

// -- the population ----------------------------------------------------------------------------

export function drawHeat(place, seen, chosen, line, pick) {
  const c = colours();
  const { columns } = seen;
  const members = [...new Set(columns.flatMap((column) => column.members))].sort((a, b) => a - b);
  const row = new Map(members.map((member, i) => [member, i]));
  const empty = () => members.map(() => new Array(columns.length).fill(null));
  const scores = empty(), words = empty();
  const marks = { born: [[], []], failed: [[], []], diverged: [[], []], "in work": [[], []], waiting: [[], []], pinned: [[], []] };
  for (const column of columns) {
    column.members.forEach((member, i) => {
      const at = row.get(member), state = column.states[i], base = column.bases[i];
      scores[at][column.generation] = column.scores[i];
      const born = base === null ? "" : `<br>child of ${memberName(base)} and ${memberName(column.donors[i])}`;
      words[at][column.generation] = `${memberName(member)}, generation ${column.generation}<br>` +
        `${state === "ok" ? `score ${number(column.scores[i])}` : forPlotly(state)}${born}`;
      const put = (kind) => { marks[kind][0].push(column.generation); marks[kind][1].push(at); };
      if (base !== null) put("born");
      if (state in marks) put(state);
    });
  }
  for (const pin of seen.status?.pinned ?? []) {
    if (!row.has(pin.member)) continue;
    marks.pinned[0].push(pin.generation);
    marks.pinned[1].push(row.get(pin.member));
  }
  const height = Math.min(highestFigure(place), Math.max(220, members.length * (place.clientWidth < 600 ? 26 : 38))) + 50;
  const cell = Math.min((height - 50) / members.length, place.clientWidth / columns.length);
  const size = Math.max(2.5, Math.min(9, cell * 0.42));
  const marked = (kind, marker) => ({ type: "scatter", mode: "markers", x: marks[kind][0], y: marks[kind][1], hoverinfo: "skip", marker });
  const outline = { color: "rgba(0,0,0,0.75)", width: size > 4 ? 1 : 0.4 };
  const traces = [
    { type: "heatmap", z: scores, text: words, hoverinfo: "text", colorscale: "Viridis", zmin: seen.shade ?? undefined, zmax: highest(scores),
      zauto: false, xgap: cell > 9 ? 1 : 0, ygap: cell > 9 ? 1 : 0, hoverongaps: true,
      colorbar: { thickness: 10, outlinewidth: 0, len: 1, x: 1.01, xpad: 2, tickfont: { color: c.soft, size: 10 } } },
    marked("waiting", { symbol: "square-open", size: size * 1.3, color: c.faint }),
    marked("in work", { symbol: "square", size: size * 1.6, color: c.child }),
    marked("pinned", { symbol: "star", size: Math.max(9, size * 2), color: "#ffffff", line: { color: "rgba(0,0,0,0.75)", width: 1 } }),
    marked("born", { symbol: "circle", size, color: "#ffffff", line: outline }),
    marked("failed", { symbol: "x", size: size * 1.2, color: c.bad }),
    marked("diverged", { symbol: "triangle-down", size: size * 1.3, color: c.donor }),
  ];
  const shapes = [];
  if (line) {
    const ours = line.filter((step) => row.has(step.member));
    traces.push({ type: "scatter", mode: "lines", hoverinfo: "skip", x: ours.map((step) => step.generation),
      y: ours.map((step) => row.get(step.member)), line: { color: "#ffffff", width: 4.5 }, opacity: 0.9 });
    traces.push({ ...traces.at(-1), line: { color: CHOSEN, width: 2 } });
  }
  if (chosen && row.has(chosen.member)) {
    const y = row.get(chosen.member);
    shapes.push({ type: "rect", x0: chosen.generation - 0.5, x1: chosen.generation + 0.5, y0: y - 0.5, y1: y + 0.5,
      line: { color: CHOSEN, width: 2.5 } });
  }
  const step = Math.ceil((15 * members.length) / (height - 50));
  const shown = members.filter((_, i) => i % step === 0);
  draw(place, traces, layout(c, height, {
    shapes,
    xaxis: { title: axisTitle("generation"), ...whole(columns.length), range: [-0.5, columns.length - 0.5], showgrid: false },
    yaxis: { range: [members.length - 0.5, -0.5], tickvals: shown.map((member) => row.get(member)), ticktext: shown.map(memberName), showgrid: false },
  }));
  onPick(place, pick, (point) => [point.x, members[point.y]]);
}

const highest = (rows) => rows.flat().reduce((most, value) => (value !== null && value > most ? value : most), -Infinity);

// Ticks at whole numbers, however few generations there are.
const whole = (count) => ({ tick0: 0, dtick: Math.max(1, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((step) => count / step <= 12) ?? Math.ceil(count / 12)) });

// -- the family tree ---------------------------------------------------------------------------

export function drawTree(place, columns, shade, line, pick) {
  const c = colours();
  const rows = columns.map((column) => new Map(column.order.map((slot, i) => [slot, i])));
  const population = Math.max(...columns.map((column) => column.order.length));
  const known = line ?? bestLine(columns);
  const stays = path(), children = path();
  const score = new Map();
  for (const column of columns) {
    const g = column.generation;
    column.members.forEach((member, i) => {
      score.set(`${g} ${member}`, column.scores[i]);
      if (!g || !rows[g - 1]) return;
      const base = column.bases[i];
      (base === null ? stays : children).add(g - 1, rows[g - 1].get(base ?? member), g, rows[g].get(member));
    });
  }
  const many = columns.length * population > MANY;
  const donated = path();
  const way = { x: [], y: [] };
  for (const step of known) {
    const g = step.generation;
    if (!rows[g]) continue;
    way.x.push(g);
    way.y.push(rows[g].get(step.member));
    if (step.donor !== null && g && step.donor !== known[g - 1]?.member) donated.add(g - 1, rows[g - 1].get(step.donor), g, rows[g].get(step.member));
  }
  const height = Math.min(highestFigure(place), Math.max(240, population * 22)) + 40;
  const trace = (at, name, look) => ({ type: "scatter", mode: "lines", x: at.x, y: at.y, name, hoverinfo: "skip", line: look });
  const words = (g, member) => `${memberName(member)}, generation ${g}<br>score ${number(score.get(`${g} ${member}`))}`;
  const scale = { colorscale: "Viridis", zmin: shade ?? undefined };
  const cells = { type: "heatmap", ...scale, hoverinfo: "text", showscale: false, zauto: false,
    zmax: highest(columns.map((column) => column.scores)),
    z: Array.from({ length: population }, (_, i) => columns.map((column, g) => score.get(`${g} ${column.order[i]}`) ?? null)),
    text: Array.from({ length: population }, (_, i) => columns.map((column, g) => (i in column.order ? words(g, column.order[i]) : ""))) };
  const everyone = columns.flatMap((column) => column.order.map((member) => [column.generation, member]));
  const size = Math.max(4, Math.min(12, 0.5 * Math.min(place.clientWidth / columns.length, (height - 40) / population)));
  const dots = () => ({ type: "scatter", mode: "markers", x: everyone.map(([g]) => g), y: everyone.map(([g, member]) => rows[g].get(member)),
    text: everyone.map(([g, member]) => words(g, member)), hoverinfo: "text", name: "",
    marker: { size, colorscale: "Viridis", cmin: shade ?? undefined, cmax: cells.zmax, cauto: false, line: { color: c.faint, width: 1 },
      color: everyone.map(([g, member]) => score.get(`${g} ${member}`)),
      symbol: everyone.map(([g, member]) => (score.get(`${g} ${member}`) === null ? "x" : "circle")) } });
  const traces = [
    ...(many ? [cells] : [trace(stays, "lives on", { color: c.faint, width: 1.4 })]),
    trace(children, "base of a child", { color: many ? "rgba(255,255,255,0.6)" : c.child, width: many ? 0.7 : 1.6 }),
    trace(donated, "donor to them", { color: c.donor, width: 2, dash: "dot" }),
    trace(way, "", { color: many ? "#ffffff" : c.ink, width: many ? 5 : 3.5 }),
    ...(many ? [trace(way, "", { color: CHOSEN, width: 2.5 })] : [dots()]),
  ];
  const last = columns.at(-1);
  const named = population <= 40;
  draw(place, traces, layout(c, height, {
    margin: { l: 12, r: named ? 40 : 12, t: 8, b: 40 },
    xaxis: { title: axisTitle("generation"), ...whole(columns.length), range: [-0.6, columns.length - 0.4], showgrid: false },
    yaxis: { range: [population - 0.4, -0.6], showticklabels: false, showgrid: false },
    annotations: named ? last.order.map((member, i) => ({ x: last.generation + 0.5, y: i, text: memberName(member), showarrow: false, xanchor: "left", font: { size: 10.5 } })) : [],
  }));
  onPick(place, pick, (point) => [point.x, columns[point.x].order[point.y]]);
}

const path = () => ({ x: [], y: [], add(x0, y0, x1, y1) { this.x.push(x0, x1, null); this.y.push(y0, y1, null); } });

function bestLine(columns) {
  const last = columns.at(-1);
  const best = last.members.reduce((top, member, i) => (last.scores[i] !== null && (top === null || last.scores[i] > last.scores[top]) ? i : top), null);
  if (best === null) return [];
  const line = [];
  let slot = last.members[best];
  for (let g = columns.length - 1; g >= 0; g -= 1) {
    const at = columns[g].members.indexOf(slot);
    const base = columns[g].bases[at];
    line.unshift({ generation: g, member: slot, donor: columns[g].donors[at] });
    slot = base ?? slot;
  }
  return line;
}

// -- scores and diversity ----------------------------------------------------------------------

// A line of one point is invisible.
const mode = (points) => (points.length > 1 ? "lines" : "lines+markers");

function timeUnit(seconds) {
  return seconds > 2 * 86400 ? [86400, "days"] : seconds > 2 * 3600 ? [3600, "hours"] : seconds > 180 ? [60, "minutes"] : [1, "seconds"];
}

export function drawScores(place, columns, opened, byTime, line) {
  const c = colours();
  const spent = columns.map((column) => (byTime ? (column.ended === null || opened === null ? null : column.ended - opened) : column.work));
  const [unit, word] = byTime ? timeUnit(Math.max(...spent)) : [1, ""];
  const x = spent.map((value) => (value === null ? null : value / unit));
  const scored = columns.map((column, i) => [x[i], column.quartiles]).filter(([, found]) => found);
  const band = { type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  const traces = [
    { ...band, x: scored.map(([at]) => at), y: scored.map(([, found]) => found[2]) },
    { ...band, x: scored.map(([at]) => at), y: scored.map(([, found]) => found[0]), fill: "tonexty", fillcolor: fade(c.accent, 0.2), showlegend: true, name: "middle half" },
    { type: "scatter", mode: mode(scored), name: "median", x: scored.map(([at]) => at), y: scored.map(([, found]) => found[1]), line: { color: c.accent, width: 2 } },
    { type: "scatter", mode: mode(columns), name: "best", x, y: columns.map((column) => column.best), line: { color: c.ink, width: 2.4 } },
  ];
  if (line) {
    const known = line.filter((step) => step.generation in columns);
    traces.push({ type: "scatter", mode: "lines", name: `ancestors of ${memberName(line.at(-1).member)}`, x: known.map((step) => x[step.generation]),
      y: known.map((step) => step.score), line: { color: CHOSEN, width: 2, dash: "dash" } });
  }
  draw(place, traces, layout(c, 340, {
    showlegend: true,
    legend: LEGEND,
    margin: { l: 55, r: 12, t: 30, b: 42 },
    xaxis: { title: axisTitle(byTime ? `${word} since the first generation was opened` : "work (network-epochs of all members)"), rangemode: "tozero" },
    yaxis: { title: axisTitle("score") },
  }));
}

export function drawCurve(place, ancestors) {
  const c = colours();
  const births = ancestors.filter((step) => step.donor !== null && step.score !== null);
  draw(place, [
    { type: "scatter", mode: "lines+markers", x: ancestors.map((step) => step.epochs), y: ancestors.map((step) => step.score),
      text: ancestors.map((step) => `${memberName(step.member)}, generation ${step.generation}<br>score ${number(step.score)}`), hoverinfo: "text",
      line: { color: c.accent, width: 2 }, marker: { size: ancestors.length > 40 ? 3 : 5 }, name: "" },
    { type: "scatter", mode: "markers", x: births.map((step) => step.epochs), y: births.map((step) => step.score), hoverinfo: "skip",
      marker: { symbol: "circle-open", size: 10, color: c.donor, line: { width: 2 } }, name: "" },
  ], layout(c, 220, {
    xaxis: { title: axisTitle("epochs, ancestors included") },
    yaxis: { title: axisTitle("score") },
  }));
}

export function drawDiversity(place, columns) {
  const c = colours();
  const x = columns.map((column) => column.generation);
  draw(place, [
    { type: "scatter", mode: mode(columns), name: "mean entropy of a variable (% of its maximum)", x, y: columns.map((column) => 100 * column.entropy), line: { color: c.accent, width: 2 } },
    { type: "scatter", mode: mode(columns), name: "different architectures", x, y: columns.map((column) => column.distinct), yaxis: "y2", line: { color: c.donor, width: 2, dash: "dot" } },
  ], layout(c, 280, {
    showlegend: true,
    legend: LEGEND,
    margin: { l: 50, r: 50, t: 48, b: 42 },
    xaxis: { title: axisTitle("generation"), ...whole(columns.length) },
    yaxis: { title: axisTitle("entropy (%)"), range: [0, 104] },
    yaxis2: { title: axisTitle("architectures"), overlaying: "y", side: "right", tickmode: "auto", nticks: 6,
      range: [0, 1.04 * Math.max(...columns.map((column) => column.distinct))], showgrid: false, fixedrange: true, automargin: true, zeroline: false },
  }));
}

function fade(colour, share) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return `rgba(${r},${g},${b},${share})`;
}

// -- options -----------------------------------------------------------------------------------

export function drawOptions(place, columns, variables) {
  const colour = colours().accent;
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  fill(place, ...variables.map((variable, v) => element("div", { class: "variable" },
    element("h3", {}, breakable(variable.name)),
    ...variable.options.map((option, o) => {
      const shares = columns.map((column) => column.options[v][o]);
      const strip = element("canvas", { width: shares.length, height: 1, role: "img", "aria-label": `${variable.name} ${option}` });
      const context = strip.getContext("2d");
      const image = context.createImageData(shares.length, 1);
      shares.forEach((share, i) => image.data.set([r, g, b, Math.round(255 * share)], 4 * i));
      context.putImageData(image, 0, 0);
      return element("div", { class: "option", title: `${variable.name} = ${option}` },
        element("span", {}, option), strip, element("span", {}, `${Math.round(100 * shares.at(-1))} %`));
    }))));
}

// -- runs side by side -------------------------------------------------------------------------

export function drawComparison(place, figures) {
  const c = colours();
  const drawn = figures.filter((figure) => figure.curves.length);
  while (place.children.length > drawn.length) place.lastChild.remove();
  while (place.children.length < drawn.length) place.append(element("div", { class: "figure" }));
  drawn.forEach((figure, i) => {
    const traces = figure.curves.flatMap((curve) => {
      const colour = curve.colour === "#000000" ? c.ink : curve.colour;
      const name = forPlotly(`${curve.name} (${curve.seeds} seed${curve.seeds > 1 ? "s" : ""})`);
      const edge = { type: "scatter", mode: "lines", x: curve.epochs, line: { width: 0 }, hoverinfo: "skip", showlegend: false };
      const band = curve.std === null ? [] : [
        { ...edge, y: curve.mean.map((mean, e) => mean + curve.std[e]) },
        { ...edge, y: curve.mean.map((mean, e) => mean - curve.std[e]), fill: "tonexty", fillcolor: curve.colour === "#000000" ? "rgba(128,128,128,0.2)" : fade(curve.colour, 0.18) }];
      return [...band, { type: "scatter", mode: mode(curve.epochs), name, x: curve.epochs, y: curve.mean, line: { color: colour, width: 2.2 } }];
    });
    draw(place.children[i], traces, layout(c, 340, {
      title: figure.title ? { text: forPlotly(figure.title), font: { size: 13, color: c.ink }, x: 0, xref: "paper" } : undefined,
      showlegend: true,
      legend: LEGEND,
      margin: { l: 55, r: 12, t: figure.title ? 60 : 34, b: 42 },
      xaxis: { title: axisTitle("work (network-epochs of all members)"), rangemode: "tozero" },
      yaxis: { title: axisTitle("best of the generation (mean ± std)") },
    }));
  });
}
