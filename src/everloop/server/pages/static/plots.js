// Charts of metrics: the server draws a first sketch and has thinned out the points; here they are smoothed, zoomed and read off.
"use strict";
const HEIGHT = 210, TOP = 10, BOTTOM = 24, LEFT = 54, RIGHT = 8;
const EVERY = 3000, MOST_CHARTS = 800, LONGEST_QUERY = 6000;
const AXES = ["step", "time", "relative"];

// What the page is set to; it stays in the address, so that a link shows the same.
const asked = new URLSearchParams(location.search);
const chosen = {
  axis: AXES.includes(asked.get("axis")) ? asked.get("axis") : "step",
  log: asked.get("log") === "1",
  smooth: Math.min(Math.max(Number(asked.get("smooth")) || 0, 0), 0.99),
  metrics: asked.get("metrics") ?? "",
};

function svg(tag, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

function html(tag, kind = "", text = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}

const colour = (number) => `s${number % 8}${number >= 8 ? ` dash${Math.floor(number / 8) % 3}` : ""}`;

function figure(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return Math.abs(value) >= 10000 ? value.toLocaleString("en") : String(value);
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(3) : String(Number(value.toPrecision(4)));
}

function short(value) {
  for (const [least, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= least * 10 || (Math.abs(value) >= least && unit !== "k")) return `${Number((value / least).toPrecision(3))}${unit}`;
  }
  return Math.abs(value) < 1e-3 && value !== 0 ? value.toExponential(0) : String(Number(value.toPrecision(4)));
}

function steps(low, high, parts) {
  const rough = (high - low || Math.abs(high) || 1) / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

function decades(low, high) {
  const found = [];
  const skip = Math.max(1, Math.ceil((Math.log10(high) - Math.log10(low)) / 5));
  for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power += skip) found.push(10 ** power);
  return found.length > 1 ? found : steps(low, high, 4).filter((each) => each > 0);
}

function moments(low, high, width) {
  const units = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 604800, 2592000, 31536000];
  const unit = units.find((each) => (high - low) / each <= width / 110) ?? 31536000;
  const found = [];
  for (let at = Math.ceil(low / unit) * unit; at <= high; at += unit) found.push(at);
  return found;
}

function moment(seconds, span) {
  const text = new Date(seconds * 1000).toISOString();
  if (span > 4 * 86400) return text.slice(5, 10);
  return span > 3600 ? text.slice(11, 16) : text.slice(11, 19);
}

function spoken(x) {
  if (chosen.axis === "step") return `step ${figure(x)}`;
  if (chosen.axis === "time") return `${new Date(x * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  return x < 60 ? `${x.toFixed(1)} s` : x < 3600 ? `${(x / 60).toFixed(1)} min` : `${(x / 3600).toFixed(2)} h`;
}

// Charts that are wanted at the same time are asked for together.
let waiting = [];
function ask(ids, key, view) {
  return new Promise((give, fail) => {
    if (!waiting.length) setTimeout(fetchAll, 15);
    waiting.push({ ids, key, view, give, fail });
  });
}

function fetchAll() {
  const groups = new Map();
  for (const each of waiting) {
    const query = new URLSearchParams({ ...each.view, axis: chosen.axis });
    for (const id of each.ids) query.append("ids", id);
    const name = query.toString();
    const bundles = groups.get(name) ?? groups.set(name, [[]]).get(name);
    const last = bundles.at(-1);
    const length = last.reduce((sum, one) => sum + encodeURIComponent(one.key).length + 6, name.length);
    if (last.length && ((last.length + 1) * each.ids.length > MOST_CHARTS || length > LONGEST_QUERY)) bundles.push([each]);
    else last.push(each);
  }
  waiting = [];
  for (const [query, bundles] of groups) for (const bundle of bundles) answer(query, bundle);
}

async function answer(query, bundle) {
  try {
    const keys = bundle.map((each) => `&keys=${encodeURIComponent(each.key)}`).join("");
    const told = await fetch(`/api/v1/runs/charts?${query}${keys}`);
    if (!told.ok) throw new Error((await told.json()).error?.message ?? told.statusText);
    const charts = await told.json();
    for (const each of bundle) each.give(charts.filter((chart) => chart.key === each.key));
  } catch (error) {
    for (const each of bundle) each.fail(error);
  }
}

class Plot {
  constructor(box) {
    this.box = box;
    this.key = box.dataset.key;
    this.runs = JSON.parse(box.dataset.runs);
    this.lines = [];
    this.view = null;
    this.cursor = null;
    this.seen = false;
    box.plot = this;
  }

  get live() {
    return this.box.dataset.follows ? document.getElementById(this.box.dataset.follows)?.dataset.status === "running" : false;
  }

  build() {
    if (this.area) return;
    const frame = html("figure", "chart");
    const caption = html("figcaption");
    this.back = html("button", "quiet", "Whole");
    this.back.type = "button";
    this.back.hidden = true;
    this.back.addEventListener("click", () => this.zoom(null));
    this.note = html("span", "legend");
    const name = html("span", "break", this.key);
    caption.append(name, this.note);
    this.note.append(this.back);
    this.area = html("div", "plotarea");
    this.area.tabIndex = 0;
    this.area.setAttribute("role", "group");
    this.area.setAttribute("aria-label", `${this.key}: arrows read values off, + and - zoom, Escape shows the whole`);
    this.told = html("div", "readout");
    this.told.setAttribute("aria-live", "polite");
    this.told.hidden = true;
    frame.append(caption, this.area);
    this.box.replaceChildren(frame);
    this.listen();
  }

  listen() {
    const at = (event) => this.across(event.clientX - this.area.getBoundingClientRect().left);
    this.area.addEventListener("pointermove", (event) => {
      if (!this.scale) return;
      this.cursor = at(event);
      this.mark();
    });
    this.area.addEventListener("pointerleave", () => { if (this.drag === undefined) { this.cursor = null; this.mark(); } });
    this.area.addEventListener("pointerdown", (event) => {
      if (!this.scale || event.button || event.pointerType === "touch") return;
      this.drag = at(event);
      this.area.setPointerCapture(event.pointerId);
    });
    this.area.addEventListener("pointerup", (event) => {
      const [start, end] = [this.drag, this.scale ? at(event) : 0];
      this.drag = undefined;
      if (start === undefined) return;
      const { low, high } = this.scale;
      if (Math.abs(end - start) > (high - low) / 60) this.zoom([Math.min(start, end), Math.max(start, end)]);
      else this.mark();
    });
    this.area.addEventListener("pointercancel", () => { this.drag = undefined; this.mark(); });
    this.area.addEventListener("dblclick", () => this.zoom(null));
    this.area.addEventListener("keydown", (event) => this.press(event));
    this.area.addEventListener("blur", () => { this.cursor = null; this.mark(); });
  }

  press(event) {
    if (!this.scale) return;
    const { low, high } = this.scale;
    const here = this.cursor ?? (low + high) / 2;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      this.cursor = Math.min(Math.max(here + ((high - low) / 50) * (event.key === "ArrowLeft" ? -1 : 1), low), high);
      this.mark();
    } else if (event.key === "+" || event.key === "-") {
      const reach = ((high - low) / 2) * (event.key === "+" ? 0.5 : 2);
      this.zoom([here - reach, here + reach]);
    } else if (event.key === "Escape") this.zoom(null);
    else return;
    event.preventDefault();
  }

  zoom(view) {
    if (view && chosen.axis === "step") view = [Math.floor(view[0]), Math.ceil(view[1])];
    this.view = view;
    this.cursor = null;
    this.load();
  }

  async load() {
    const view = { points: Math.max(100, Math.round((this.box.clientWidth - LEFT - RIGHT) / 100) * 100) };
    if (this.view) [view.low, view.high] = this.view;
    const axis = chosen.axis;
    try {
      const charts = await ask(this.runs.map((run) => run.id), this.key, view);
      if (axis !== chosen.axis) return;
      this.lines = charts.map((chart) => this.line(chart)).filter((line) => line.x.length);
      const points = charts.reduce((sum, chart) => sum + chart.points, 0);
      if (!this.view && points <= this.runs.length && this.box.dataset.sketched === undefined && !this.live) {
        this.box.hidden = true;
        return;
      }
      this.points = points;
      this.build();
      this.draw();
    } catch (error) {
      this.build();
      if (!this.lines.length) this.area.replaceChildren(html("p", "empty", String(error.message)));
    }
  }

  line(chart) {
    const number = this.runs.findIndex((run) => run.id === chart.run);
    const { started, name } = this.runs[number];
    const x = chart.axis === "step" ? chart.step : chart.at.map((at) => at / 1e6 - (chart.axis === "relative" ? started : 0));
    return { number, name, x, low: chart.minimum, high: chart.maximum, last: chart.last, count: chart.count };
  }

  draw() {
    const width = this.area.clientWidth || 400;
    const usable = (value) => value !== null && value !== undefined && (!chosen.log || value > 0);
    let [bottom, top, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const line of this.lines) {
      line.smooth = smoothed(line.last);
      line.x.forEach((x, i) => {
        low = Math.min(low, x);
        high = Math.max(high, x);
        for (const value of [line.low[i], line.high[i], line.smooth[i]]) {
          if (usable(value)) { bottom = Math.min(bottom, value); top = Math.max(top, value); }
        }
      });
    }
    this.area.replaceChildren();
    this.back.hidden = !this.view;
    if (!(bottom <= top)) {
      this.area.append(html("p", "empty", this.view ? "Nothing was measured here." : "Nothing to draw yet."), this.told);
      this.scale = this.view ? { low: this.view[0], high: this.view[1], width } : null;
      return;
    }
    if (this.view) [low, high] = this.view;
    const marks = chosen.log ? decades(bottom, top) : steps(bottom, top, 4);
    const spare = chosen.log ? 0 : (top - bottom || Math.abs(top) || 1) * 0.04;
    const height = chosen.log ? (v) => Math.log10(v) : (v) => v;
    const [floor, roof] = chosen.log && bottom === top ? [bottom / 2, top * 2] : [bottom - spare, top + spare];
    const span = height(roof) - height(floor) || 1;
    this.scale = { low, high, width };
    const px = (x) => LEFT + ((x - low) / (high - low || 1)) * (width - LEFT - RIGHT);
    const py = (value) => HEIGHT - BOTTOM - ((height(value) - height(floor)) / span) * (HEIGHT - BOTTOM - TOP);
    Object.assign(this, { px, py, usable });
    const picture = svg("svg", { class: "plot", width: "100%", height: HEIGHT, role: "img", "aria-label": this.told_of(bottom, top) });
    for (const mark of marks) {
      picture.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: py(mark), y2: py(mark) }));
      picture.append(svg("text", { class: "tick", x: LEFT - 7, y: py(mark) + 4, "text-anchor": "end" }, short(mark)));
    }
    const across = chosen.axis === "time" ? moments(low, high, width) : steps(low, high, Math.max(2, Math.floor(width / 120)));
    for (const mark of across) {
      const text = chosen.axis === "time" ? moment(mark, high - low) : chosen.axis === "step" ? short(mark) : spoken(mark).replace(".0 ", " ");
      const anchor = px(mark) > width - 30 ? "end" : px(mark) < LEFT + 12 ? "start" : "middle";
      picture.append(svg("text", { class: "tick", x: px(mark), y: HEIGHT - 6, "text-anchor": anchor }, text));
    }
    for (const line of this.lines) this.trace(picture, line);
    this.marker = svg("g", { class: "cursor" });
    picture.append(this.marker);
    this.area.append(picture, this.told);
    this.mark();
  }

  trace(picture, line) {
    const many = this.lines.length > 6;
    const path = (values) => {
      let text = "", pen = "M";
      line.x.forEach((x, i) => {
        if (!this.usable(values[i])) pen = "M";
        else { text += `${pen}${this.px(x).toFixed(1)} ${this.py(values[i]).toFixed(1)}`; pen = "L"; }
      });
      return text;
    };
    const spread = line.count.some((count, i) => count > 1 && line.low[i] !== line.high[i]);
    if (spread && !many) {
      const there = line.x.map((_, i) => i).filter((i) => this.usable(line.low[i]) && this.usable(line.high[i]));
      const up = there.map((i) => `${this.px(line.x[i]).toFixed(1)} ${this.py(line.high[i]).toFixed(1)}`);
      const down = there.reverse().map((i) => `${this.px(line.x[i]).toFixed(1)} ${this.py(line.low[i]).toFixed(1)}`);
      if (up.length > 1) picture.append(svg("path", { class: `band ${colour(line.number)}`, d: `M${up.join("L")}L${down.join("L")}Z` }));
    }
    if (chosen.smooth > 0 && !many) picture.append(svg("path", { class: `line pale ${colour(line.number)}`, d: path(line.last) }));
    picture.append(svg("path", { class: `line thin ${colour(line.number)}`, d: path(line.smooth) }));
    if (line.x.length < 3) {
      line.x.forEach((x, i) => {
        if (this.usable(line.last[i])) picture.append(svg("circle", { class: `dot ${colour(line.number)}`, cx: this.px(x), cy: this.py(line.last[i]), r: 3 }));
      });
    }
  }

  across(left) {
    const { low, high, width } = this.scale;
    return low + Math.min(Math.max((left - LEFT) / (width - LEFT - RIGHT), 0), 1) * (high - low);
  }

  mark() {
    if (!this.marker) return;
    this.marker.replaceChildren();
    this.told.hidden = this.cursor === null;
    if (this.cursor === null || !this.lines.length) return;
    const rows = this.lines.map((line) => ({ line, i: nearest(line.x, this.cursor) })).filter(({ line, i }) => this.usable(line.smooth[i]));
    const there = rows.length ? rows[0].line.x[rows[0].i] : this.cursor;
    const at = this.px(this.drag === undefined && rows.length === 1 ? there : this.cursor);
    if (this.drag !== undefined) {
      const [from, to] = [this.px(this.drag), this.px(this.cursor)].sort((one, other) => one - other);
      this.marker.append(svg("rect", { x: from, y: TOP, width: to - from, height: HEIGHT - TOP - BOTTOM }));
    }
    this.marker.append(svg("line", { x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
    rows.sort((one, other) => other.line.smooth[other.i] - one.line.smooth[one.i]);
    this.told.replaceChildren(html("strong", "", spoken(rows.length === 1 ? there : this.cursor)));
    for (const { line, i } of rows.slice(0, 10)) {
      this.marker.append(svg("circle", { class: `dot ${colour(line.number)}`, cx: this.px(line.x[i]), cy: this.py(line.smooth[i]), r: 3.5 }));
      const text = this.runs.length > 1 ? `${line.name}: ` : "";
      const row = html("span", `key ${colour(line.number)}`, `${text}${figure(line.last[i])}`);
      if (chosen.smooth > 0) row.append(` (smoothed ${figure(line.smooth[i])})`);
      if (line.count[i] > 1) row.append(html("span", "soft", ` ${figure(line.low[i])} … ${figure(line.high[i])} in ${figure(line.count[i])} points`));
      this.told.append(row);
    }
    if (rows.length > 10) this.told.append(html("span", "soft", `and ${rows.length - 10} more`));
    this.told.classList.toggle("left", at > this.scale.width / 2);
    this.told.style.setProperty(at > this.scale.width / 2 ? "right" : "left", `${at > this.scale.width / 2 ? this.scale.width - at + 12 : at + 12}px`);
    this.told.style.setProperty(at > this.scale.width / 2 ? "left" : "right", "auto");
  }

  told_of(bottom, top) {
    const last = this.lines[0].last.findLast((value) => value !== null);
    return `${this.key}: from ${figure(bottom)} to ${figure(top)}, ${figure(last)} at the end, ${figure(this.points)} points`;
  }
}

// Exponential, corrected for its beginning: the first points are not pulled towards zero.
function smoothed(values) {
  const weight = chosen.smooth;
  if (!weight) return values;
  let sum = 0, share = 1;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    share *= weight;
    return sum / (1 - share);
  });
}

function nearest(sorted, wanted) {
  let [low, high] = [0, sorted.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < wanted) low = middle;
    else high = middle;
  }
  return Math.abs(sorted[low] - wanted) <= Math.abs(sorted[high] - wanted) ? low : high;
}

const plots = [...document.querySelectorAll("[data-plot]")].map((box) => new Plot(box));
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const plot = entry.target.plot;
    plot.inView = entry.isIntersecting;
    if (entry.isIntersecting && !plot.seen) { plot.seen = true; plot.load(); }
  }
}, { rootMargin: "200px" });
for (const plot of plots) watcher.observe(plot.box);

function keep() {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of [["axis", chosen.axis === "step" ? "" : chosen.axis], ["log", chosen.log ? "1" : ""], ["smooth", chosen.smooth || ""], ["metrics", chosen.metrics]]) {
    if (value === "") query.delete(name);
    else query.set(name, value);
  }
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
}

function filter() {
  const words = chosen.metrics.toLowerCase();
  for (const plot of plots) plot.box.classList.toggle("out", !plot.key.toLowerCase().includes(words));
}

const form = document.querySelector("form[data-plots]");
if (form) {
  const { axis, log, smooth, metrics } = form.elements;
  const said = form.querySelector("output");
  [axis.value, log.checked, smooth.value] = [chosen.axis, chosen.log, chosen.smooth];
  if (metrics) metrics.value = chosen.metrics;
  said.textContent = chosen.smooth.toFixed(2);
  filter();
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    const turned = axis.value !== chosen.axis;
    Object.assign(chosen, { axis: axis.value, log: log.checked, smooth: Number(smooth.value), metrics: metrics?.value ?? "" });
    said.textContent = chosen.smooth.toFixed(2);
    filter();
    keep();
    for (const plot of plots) {
      if (!plot.seen) continue;
      if (turned) { plot.view = null; plot.load(); }
      else if (plot.area) plot.draw();
    }
  });
}

let drawnAt = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === drawnAt) return;
  drawnAt = innerWidth;
  for (const plot of plots) if (plot.area) plot.draw();
});

setInterval(() => {
  if (document.visibilityState !== "visible") return;
  for (const plot of plots) {
    const finished = plot.wasLive && !plot.live;
    plot.wasLive = plot.live;
    if ((plot.live || finished) && plot.seen && plot.inView && plot.drag === undefined) plot.load();
  }
}, EVERY);
