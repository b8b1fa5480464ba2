/* page.js: draws the report. The data is the JSON object that report.c wrote; every part of it may be missing. Texts from the run are
   only ever set as text, never as markup. Plots are SVG, drawn again when the width, the axis or the theme changes. */
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const run = data.run, metrics = data.metrics, steps = metrics.steps, evaluations = metrics.evaluations;
const isObject = value => value !== null && typeof value === "object" && !Array.isArray(value);
const object = value => isObject(value) ? value : {};
const summary = object(run.summary), result = object(run.result), machine = object(run.machine), make = object(run.make);

/* ---- elements and numbers ---- */

function el(tag, attributes, ...children) {
  const svg = ["svg", "path", "line", "text", "circle", "g", "rect", "clipPath"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

const isNumber = x => typeof x === "number" && isFinite(x);
const last = list => { for (let i = (list || []).length - 1; i >= 0; i--) if (isNumber(list[i])) return list[i]; };
const first = (...values) => values.find(isNumber);
const trim = (x, digits) => String(Number(x.toPrecision(digits)));

function plain(x) {
  if (!isNumber(x)) return "–";
  const a = Math.abs(x);
  if (a !== 0 && (a < 1e-4 || a >= 1e12)) return x.toExponential(2).replace("e+", "e").replace(/\.?0+e/, "e");
  return a >= 1000 ? Math.round(x).toLocaleString("en") : trim(x, 4);
}
function scaled(x, base, units) {
  if (!isNumber(x)) return "–";
  let i = 0, a = x;
  while (Math.abs(a) >= base * .9995 && i < units.length - 1) { a /= base; i++; }
  return trim(a, 3) + units[i];
}
const count = x => scaled(x, 1000, ["", "k", "M", "B", "T", "e15", "e18", "e21"]);
const bytes = x => scaled(x, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
const flops = x => scaled(x, 1000, [" FLOP", " kFLOP", " MFLOP", " GFLOP", " TFLOP", " PFLOP", " EFLOP", " ZFLOP"]);
const percent = x => isNumber(x) ? trim(100 * x, 3) + " %" : "–";
function duration(s) {
  if (!isNumber(s)) return "–";
  if (s < 0) return "-" + duration(-s);
  if (s < 60) return trim(s, s < 10 ? 2 : 3) + " s";
  s = Math.round(s);
  const two = n => String(n).padStart(2, "0");
  if (s < 3600) return Math.floor(s / 60) + "m " + two(s % 60) + "s";
  if (s < 172800) return Math.floor(s / 3600) + "h " + two(Math.floor(s / 60) % 60) + "m";
  return trim(s / 86400, 3) + " days";
}
function energy(joules) {
  return joules >= 3.6e6 ? trim(joules / 3.6e6, 3) + " kWh" : joules >= 3600 ? trim(joules / 3600, 3) + " Wh" : trim(joules, 3) + " J";
}

/* ---- axes ---- */

const AXES = {
  step: { name: "Steps", show: count, exact: x => "step " + x.toLocaleString("en") },
  tokens: { name: "Tokens", show: count, exact: x => count(x) + " tokens" },
  seconds: { name: "Time", show: shortTime, exact: duration },
  flops: { name: "FLOPs", show: count, exact: flops },
};
function shortTime(s) {
  return s === 0 ? "0" : s < 60 ? trim(s, 3) + "s" : s < 3600 ? trim(s / 60, 3) + "m" : s < 172800 ? trim(s / 3600, 3) + "h" : trim(s / 86400, 3) + "d";
}
const TIMES = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

function ticks(low, high, wanted, kind) {
  const raw = (high - low) / Math.max(1, wanted);
  let unit = raw > 0 ? Math.pow(10, Math.floor(Math.log10(raw))) : 1;
  unit *= [1, 2, 5, 10].find(f => f * unit >= raw * .999) || 10;
  if (kind === "bytes" && raw > 1) unit = Math.pow(2, Math.ceil(Math.log2(raw)));
  if (kind === "seconds" && raw > 1 && raw <= 86400) unit = TIMES.find(t => t >= raw) || unit;
  if (kind === "step" || kind === "tokens") unit = Math.max(1, unit);
  const list = [];
  for (let t = Math.ceil(low / unit - 1e-9) * unit; t <= high + unit * 1e-9 && list.length < 50; t += unit) list.push(Number(t.toPrecision(12)));
  return list;
}
function logTicks(low, high) {
  const list = [], all = high / low < 30 ? [1, 1.5, 2, 3, 4, 5, 7] : [1, 2, 5];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
    for (const f of all) { const t = f * Math.pow(10, e); if (t >= low * .999 && t <= high * 1.001) list.push(Number(t.toPrecision(6))); }
  return list;
}

let axis = "step";
const charts = [];
const redraw = () => charts.forEach(attempt);
/* A value nobody thought of may cost its own part of the page, not the page. */
function attempt(make) {
  try { return make(); } catch (problem) { console.error(problem); return null; }
}

/* ---- plots ----
   series: {name, color, points: () => [{at: {step, tokens, seconds, flops}, y}], marks, thick}; band: {points with low, high}. */

function position(i) { return { step: steps.step[i], tokens: steps.tokens[i], seconds: steps.seconds[i], flops: steps.flops[i] }; }
function column(values) {
  const points = [];
  (values || []).forEach((y, i) => { if (isNumber(y) && isNumber(steps.step[i])) points.push({ at: position(i), y }); });
  return points;
}

function chart(options) {
  const body = el("div");
  const legend = el("div", { class: "legend" });
  const card = el("div", { class: "card" + (options.wide ? " wide" : "") }, el("div", { class: "top" }, el("h2", {}, options.title), options.extra || legend), body);
  if (options.extra) card.append(legend);
  const view = { log: false, late: false };
  const draw = () => plot(body, legend, options, view);
  const toggle = (key, label, title) => el("button", { "aria-pressed": "false", title, onclick: event => {
    view[key] = !view[key];
    event.currentTarget.setAttribute("aria-pressed", view[key]);
    draw();
  } }, label);
  if (options.canLog) card.firstChild.append(el("span", { class: "buttons" }, toggle("late", "fit the end", "scale to the values after the first fifth"), toggle("log", "log", "logarithmic scale")));
  options.draw = draw;
  charts.push(draw);
  return card;
}

function plot(body, legend, options, view) {
  const log = view.log;
  const series = options.series.map(s => ({ ...s, points: s.points.filter(p => isNumber(p.at[axis]) && (!log || p.y > 0)) })).filter(s => s.points.length);
  legend.replaceChildren(...(series.length > 1 || options.band ? series.map(s => el("span", {}, el("i", { style: `background:var(${s.color})` }), s.name)) : []));
  if (!series.length) {
    body.replaceChildren(el("div", { class: "empty" }, options.empty || "Nothing recorded yet."));
    return;
  }
  const width = Math.max(240, body.clientWidth || 600), height = options.wide ? 320 : 210;
  const left = 54, right = 12, top = 10, bottom = 24;
  const scale = range(series, options, view);
  const x = v => left + (v - scale.x0) / (scale.x1 - scale.x0) * (width - left - right);
  const f = log ? Math.log : v => v;
  const y = v => height - bottom - (f(v) - f(scale.y0)) / (f(scale.y1) - f(scale.y0)) * (height - top - bottom);
  const inside = "inside" + charts.indexOf(options.draw);
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": options.title + " against " + AXES[axis].name.toLowerCase() });
  grid(svg, scale, options, log, { x, y, width, height, left, right, bottom });
  const lines = el("g", { "clip-path": `url(#${inside})` });
  svg.append(el("clipPath", { id: inside }, el("rect", { x: left - 4, y: 2, width: width - left - right + 8, height: height - bottom + 2 })), lines);
  const bandPoints = (options.band || []).filter(p => isNumber(p.at[axis]) && (!log || p.low > 0));
  if (bandPoints.length > 1) {
    const edge = (points, value) => points.map(p => x(p.at[axis]).toFixed(1) + " " + y(p[value]).toFixed(1)).join("L");
    lines.append(el("path", { d: "M" + edge(bandPoints, "high") + "L" + edge(bandPoints.slice().reverse(), "low") + "Z", fill: "var(--band)" }));
  }
  for (const s of series) drawSeries(lines, s, p => x(p.at[axis]), p => y(p.y), p => y(p.base || 0));
  hover(svg, series, options, x, y, { width, height, top, bottom, left });
  body.replaceChildren(svg);
}

function range(series, options, view) {
  const log = view.log;
  let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
  for (const s of series) for (const p of s.points) {
    x0 = Math.min(x0, p.at[axis]); x1 = Math.max(x1, p.at[axis]);
  }
  const from = view.late ? x0 + .2 * (x1 - x0) : x0;
  for (const s of series) for (const p of s.points) if (p.at[axis] >= from) { y0 = Math.min(y0, p.y); y1 = Math.max(y1, p.y); }
  if (options.zero && !log) y0 = Math.min(0, y0);
  if (x1 === x0) { x0 -= .5; x1 += .5; }
  if (x0 > 0 && x0 < .1 * x1) x0 = 0;
  const pad = y1 === y0 ? Math.abs(y1) * .1 || 1 : (y1 - y0) * .06;
  if (log) { y0 /= 1.05; y1 *= 1.05; }
  else { y1 += pad; y0 = options.zero && y0 === 0 ? 0 : y0 - pad; }
  return { x0, x1, y0, y1 };
}

function grid(svg, scale, options, log, box) {
  const show = options.show || plain;
  for (const t of log ? logTicks(scale.y0, scale.y1) : ticks(scale.y0, scale.y1, 5, options.show === bytes ? "bytes" : "")) {
    svg.append(el("line", { class: "gridline", x1: box.left, x2: box.width - box.right, y1: box.y(t), y2: box.y(t) }));
    svg.append(el("text", { x: box.left - 7, y: box.y(t) + 4, "text-anchor": "end" }, show(t)));
  }
  for (const t of ticks(scale.x0, scale.x1, Math.floor(box.width / 110), axis))
    svg.append(el("text", { x: box.x(t), y: box.height - 6, "text-anchor": box.x(t) > box.width - 30 ? "end" : "middle" }, AXES[axis].show(t)));
  svg.append(el("line", { class: "axis", x1: box.left, x2: box.width - box.right, y1: box.height - box.bottom, y2: box.height - box.bottom }));
  if (axis === "step") metrics.phases.slice(1).forEach(phase => {
    if (phase.step < scale.x0 || phase.step > scale.x1) return;
    const at = box.x(phase.step);
    svg.append(el("line", { class: "phase", x1: at, x2: at, y1: 4, y2: box.height - box.bottom }), el("text", { x: at + 4, y: 14 }, String(phase.name)));
  });
}

function drawSeries(svg, s, x, y, base) {
  const path = s.points.map(p => x(p).toFixed(1) + " " + y(p).toFixed(1)).join("L");
  if (s.area) {
    const back = s.points.slice().reverse().map(p => x(p).toFixed(1) + " " + base(p).toFixed(1)).join("L");
    svg.append(el("path", { d: "M" + path + "L" + back + "Z", fill: `var(${s.color})`, "fill-opacity": .55 }));
  }
  if (s.points.length > 1) svg.append(el("path", { d: "M" + path, fill: "none", stroke: `var(${s.color})`, "stroke-width": s.thick ? 2.2 : 1.4, "stroke-linejoin": "round", "stroke-opacity": s.faint ? .45 : 1 }));
  if (s.points.length === 1 || s.marks && s.points.length < 80)
    for (const p of s.points) svg.append(el("circle", { cx: x(p), cy: y(p), r: 3, fill: `var(${s.color})` }));
}

/* The point of a rising list that is nearest to a place. */
function nearest(points, place) {
  let low = 0, high = points.length - 1;
  while (low < high) { const middle = (low + high) >> 1; if (points[middle].at[axis] < place) low = middle + 1; else high = middle; }
  const before = points[low - 1];
  return before && place - before.at[axis] < points[low].at[axis] - place ? before : points[low];
}

function hover(svg, series, options, x, y, box) {
  const tip = document.getElementById("tip"), marks = el("g", {});
  svg.append(marks);
  const longest = series.reduce((a, s) => s.points.length > a.points.length ? s : a);
  svg.addEventListener("pointermove", event => {
    const rect = svg.getBoundingClientRect(), px = (event.clientX - rect.left) * box.width / rect.width;
    const inverse = (px - x(0)) / (x(1) - x(0));
    const place = nearest(longest.points, inverse), at = place.at[axis];
    marks.replaceChildren(el("line", { class: "cross", x1: x(at), x2: x(at), y1: box.top, y2: box.height - box.bottom }));
    const rows = [el("div", {}, el("b", {}, AXES[axis].exact(at)), el("span", {}, axis === "step" ? duration(place.at.seconds) : "step " + plain(place.at.step)))];
    for (const s of series) {
      const p = nearest(s.points, at);
      const value = (s.value || (q => q.y))(p), away = Math.abs(x(p.at[axis]) - x(at)) > 2;
      marks.append(el("circle", { cx: x(p.at[axis]), cy: Math.max(box.top, Math.min(box.height - box.bottom, y(p.y))), r: 3.5, fill: `var(${s.color})` }));
      rows.push(el("div", {}, el("span", {}, el("i", { style: `background:var(${s.color})` }), s.name + (away ? " (step " + plain(p.at.step) + ")" : "")), el("b", {}, (options.show || plain)(value))));
    }
    tip.replaceChildren(...rows);
    tip.hidden = false;
    const w = tip.offsetWidth, h = tip.offsetHeight;
    tip.style.left = Math.max(4, event.clientX + 16 + w > innerWidth ? event.clientX - 16 - w : event.clientX + 16) + "px";
    tip.style.top = Math.max(4, Math.min(innerHeight - h - 4, event.clientY - h / 2)) + "px";
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; marks.replaceChildren(); });
}

/* ---- what is plotted ---- */

const COLORS = ["--s0", "--s1", "--s2", "--s3", "--s4", "--s5", "--s6", "--s7"];
const heldOutValue = v => isNumber(v) ? v : v && isNumber(v.loss) ? v.loss : NaN;
const evaluationAt = e => ({ step: e.step, tokens: e.tokens, seconds: e.seconds, flops: e.flops });

function lossChart() {
  const band = [];
  (steps.loss_low || []).forEach((low, i) => { if (isNumber(low) && isNumber(steps.loss_high[i])) band.push({ at: position(i), low, high: steps.loss_high[i] }); });
  const smooth = column(steps.loss_smooth), raw = column(steps.loss);
  const series = [];
  if (smooth.length) series.push({ name: "train, smoothed", color: "--s0", points: smooth, thick: true });
  if (raw.length && (!smooth.length || metrics.lines <= raw.length)) series.unshift({ name: "train", color: "--s0", points: raw, faint: smooth.length > 0 });
  const domains = [...new Set(evaluations.flatMap(e => Object.keys(object(e.held_out))))];
  domains.slice(0, 24).forEach((name, i) => series.push({
    name: domains.length === 1 && /held.?out/i.test(name) ? "held-out" : "held-out: " + name, color: COLORS[1 + i % 7], thick: true, marks: true,
    points: evaluations.filter(e => isNumber(heldOutValue(object(e.held_out)[name]))).map(e => ({ at: evaluationAt(e), y: heldOutValue(e.held_out[name]) })),
  }));
  if (domains.length !== 1) series.push({
    name: domains.length ? "held-out: mean" : "held-out", color: domains.length ? "--s7" : "--s1", thick: true, marks: true,
    points: evaluations.filter(e => isNumber(e.held_out_loss)).map(e => ({ at: evaluationAt(e), y: e.held_out_loss })),
  });
  return chart({ title: "Loss (nats per token)", wide: true, canLog: true, series, band: band.length < metrics.lines ? band : null, empty: "No step was logged yet." });
}

function memoryChart() {
  const kinds = Object.keys(steps.memory || {}).filter(kind => (steps.memory[kind] || []).some(v => v > 0));
  const sums = [];
  const series = kinds.map((kind, k) => ({
    name: kind, color: COLORS[k % 8], area: true, value: p => p.own,
    points: column(steps.memory[kind]).map((p, i) => { const base = sums[i] || 0; sums[i] = base + p.y; return { at: p.at, own: p.y, base, y: sums[i] }; }),
  }));
  return chart({ title: "Memory by kind", series: series.reverse(), show: bytes, zero: true });
}

/* ---- cost ---- */

function costCard() {
  const hours = first(result.seconds, summary.seconds, last(steps.seconds)) / 3600;
  const rows = [
    ["Time, all of the job", result.seconds, duration], ["Training time", first(summary.seconds, last(steps.seconds)), duration],
    ["Arithmetic", first(summary.flops, last(steps.flops)), flops],
    ["CPU time", first(result.cpu_seconds, summary.cpu_seconds), duration], ["Energy", first(result.joules, summary.joules) || undefined, energy],
  ].filter(row => isNumber(row[1])).map(row => el("tr", {}, el("th", {}, row[0]), el("td", { class: "number" }, row[2](row[1]))));
  const money = el("td", { class: "number" });
  const price = el("input", { type: "number", min: "0", step: "any", style: "width:6.5rem", "aria-label": "price of an hour of this machine", oninput: tell });
  function tell() { money.textContent = price.value && isNumber(hours) ? trim(Number(price.value) * hours, 3) : "–"; }
  price.value = first(result.price_per_hour, make.price_per_hour, summary.price_per_hour) || "";
  tell();
  if (isNumber(hours)) rows.push(el("tr", {}, el("th", {}, "Money, at ", price, " an hour"), money));
  if (!rows.length) rows.push(el("tr", {}, el("td", { class: "empty" }, "Nothing recorded yet.")));
  return el("div", { class: "card" }, el("div", { class: "top" }, el("h2", {}, run.summary || run.result ? "Cost" : "Cost so far")), el("table", {}, el("tbody", {}, rows)));
}

/* ---- tables of whatever a file holds ---- */

const words = key => key.replace(/_/g, " ").replace(/^./, c => c.toUpperCase());
function shown(key, value) {
  if (value === null) return "–";
  if (typeof value !== "number") return String(value);
  if (/seconds$/.test(key) && !/per_second/.test(key)) return duration(value);
  if (/flops_per_second$|gemm_flops/.test(key)) return flops(value) + "/s";
  if (/flops$/.test(key)) return flops(value);
  if (/bits_per_byte/.test(key)) return trim(value, 4);
  if (/(^|_)(bytes|memory)(_|$)/.test(key)) return bytes(value);
  return plain(value);
}
/* Plain values as a table, objects and lists of objects as blocks of their own beside it. `unit`: the name of the object around. */
function blocksOf(object, title, unit) {
  const rows = [], blocks = [];
  for (const [key, value] of Object.entries(object)) {
    const name = /bytes|memory/.test(unit || "") ? unit : key;
    if (isObject(value)) blocks.push(...blocksOf(value, words(key), key));
    else if (Array.isArray(value) && value.length && value.every(isObject)) blocks.push(el("div", { class: "block long" }, el("h3", {}, words(key)), listTable(value)));
    else rows.push(el("tr", {}, el("th", {}, words(key)), el("td", {}, Array.isArray(value) ? value.map(v => shown(name, v)).join(", ") : shown(name, value))));
  }
  if (rows.length) blocks.unshift(el("div", { class: "block" }, title ? el("h3", {}, title) : null, el("table", {}, el("tbody", {}, rows))));
  return blocks;
}
/* Entries that count nothing are left out. */
function listTable(list) {
  const keys = [...new Set(list.flatMap(Object.keys))];
  const full = list.filter(item => { const numbers = Object.values(item).filter(isNumber); return !numbers.length || numbers.some(v => v !== 0); });
  if (!full.length) return el("p", { class: "soft" }, "none");
  return el("table", {}, el("tbody", {}, el("tr", {}, keys.map(k => el("th", {}, words(k)))), full.map(item => el("tr", {}, keys.map(k => el("td", {}, item[k] === undefined ? "" : shown(k, item[k])))))));
}
function objectCard(title, object) {
  if (!isObject(object) || !Object.keys(object).length) return null;
  const blocks = blocksOf(object, null, "");
  return el("div", { class: "card" + (blocks.length > 2 ? " wide" : "") }, el("div", { class: "top" }, el("h2", {}, title)), blocks.length > 1 ? el("div", { class: "blocks" }, blocks) : blocks);
}

/* ---- samples ---- */

function samplesCard() {
  const samples = data.samples.filter(s => typeof s.text === "string" && isNumber(s.step));
  if (Array.isArray(result.samples)) result.samples.forEach(text => { if (typeof text === "string") samples.push({ step: Infinity, text }); });
  if (!samples.length) return null;
  const places = [...new Set(samples.map(s => s.step))].sort((a, b) => a - b);
  const label = el("span", {}), texts = el("div");
  const slider = el("input", { type: "range", min: 0, max: places.length - 1, step: 1, value: places.length - 1, "aria-label": "step of the samples", oninput: show });
  function show() {
    const step = places[slider.value];
    const loss = evaluations.filter(e => isNumber(e.held_out_loss) && e.step <= step).pop();
    label.textContent = (step === Infinity ? "the finished model" : "step " + plain(step)) + (loss ? ", held-out loss " + plain(loss.held_out_loss) : "");
    texts.replaceChildren(...samples.filter(s => s.step === step).map(s => el("div", { class: "sample" }, s.prompt ? el("b", {}, String(s.prompt)) : null, s.prompt ? s.text : s.text.trimStart())));
  }
  slider.value = places.length - 1;
  show();
  return el("div", { class: "card" },
    el("div", { class: "top" }, el("h2", {}, "Samples"), el("div", { class: "slider" }, places.length > 1 ? slider : null, label)), texts);
}

function recipeCard() {
  if (!run.recipe) return null;
  return el("div", { class: "card" }, el("div", { class: "top" }, el("h2", {}, "Recipe")), make.reason ? el("p", { class: "reason" }, String(make.reason)) : null, el("pre", {}, String(run.recipe)));
}

/* ---- the page ---- */

function tiles() {
  const heldOut = result.held_out || {}, evaluation = evaluations.filter(e => isNumber(e.held_out_loss)).pop() || {};
  const loss = first(heldOut.loss, summary.held_out_loss, evaluation.held_out_loss);
  const memory = Object.values(steps.memory || {}).reduce((sum, list) => sum + (Math.max(0, ...(list || []).filter(isNumber))), 0);
  const parameters = first(result.parameters, summary.parameters, machine.parameters);
  const list = [
    ["held-out loss", loss, plain], ["held-out perplexity", first(heldOut.perplexity, isNumber(loss) ? Math.exp(loss) : undefined), plain],
    ["bits per byte", first(heldOut.bits_per_byte), x => trim(x, 4)], ["training loss", first(summary.loss, last(steps.loss_smooth), last(steps.loss)), plain],
    ["parameters", parameters, count], ["steps", first(summary.step, summary.steps, last(steps.step)), count], ["tokens", first(summary.tokens, last(steps.tokens)), count],
    ["training time", first(summary.seconds, last(steps.seconds)), duration], ["tokens per second", first(summary.tokens_per_second, last(steps.tokens_per_second)), count],
    ["of the machine's peak", last(steps.peak_share), percent], ["memory at most", first(summary.resident_peak_bytes, memory || undefined), bytes],
  ];
  return el("div", { class: "tiles" }, list.filter(t => isNumber(t[1])).map(t => el("div", { class: "tile" }, el("b", {}, t[2](t[1])), el("span", {}, t[0]))));
}

function axisBar() {
  const available = Object.keys(AXES).filter(name => (steps[name] || []).some(isNumber));
  if (available.length < 2) return null;
  const buttons = available.map(name => el("button", { "aria-pressed": String(name === axis), onclick: event => {
    axis = name;
    buttons.forEach(b => b.setAttribute("aria-pressed", b === event.currentTarget));
    redraw();
  } }, AXES[name].name));
  return el("div", { class: "bar" }, "Against", el("span", { class: "group" }, buttons));
}

function themeButton() {
  const root = document.documentElement;
  return el("button", { title: "light or dark", onclick: () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  } }, "◐");
}

function subtitle() {
  const written = new Date(run.written * 1000);
  return [make.budget ? "budget " + make.budget : null, machine.processor || machine.cpu || null, "written " + written.toLocaleString()].filter(Boolean).join(" · ");
}

function build() {
  document.title = run.title + " – training report";
  const simple = (title, key, more) => chart({ title, series: [{ name: title.toLowerCase(), color: "--s0", points: column(steps[key]) }], ...more });
  const page = document.getElementById("page");
  const finished = run.summary !== null;
  const part = (tag, attributes, ...makers) => page.append(el(tag, attributes, makers.map(attempt)));
  page.append(el("header", {}, el("h1", {}, run.title),
    el("span", { class: "status " + (finished ? "done" : "going") }, finished ? "finished" + (summary.stopped_by ? ": " + summary.stopped_by : "") : "not finished"),
    el("p", {}, attempt(subtitle)), themeButton()));
  page.append(attempt(tiles) || "", attempt(axisBar) || "");
  part("div", { class: "grid" }, lossChart,
    () => simple("Learning rate", "lr", { zero: true }), () => simple("Tokens per second", "tokens_per_second", { zero: true, show: count }),
    () => simple("Norm of the gradient", "grad_norm", { canLog: true }), memoryChart,
    () => (steps.peak_share || []).some(isNumber) ? simple("Share of the machine's peak", "peak_share", { zero: true, show: percent }) : null,
    costCard);
  part("section", {}, samplesCard);
  part("section", { class: "grid" }, () => objectCard("Machine", run.machine), () => objectCard("Final figures", run.summary), () => objectCard("Data", run.data));
  part("section", {}, recipeCard);
  page.append(el("footer", {}, "Written by frugal " + run.version + (metrics.skipped ? "; " + metrics.skipped + " unreadable lines of metrics.jsonl were left out" : "") + "."));
  redraw();
  let width = page.clientWidth;
  new ResizeObserver(() => { if (page.clientWidth !== width) { width = page.clientWidth; redraw(); } }).observe(page);
}

build();
