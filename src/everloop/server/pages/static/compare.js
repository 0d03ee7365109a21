// Pictures of several runs at once: parallel coordinates, one value against another, the weight of parameters.
"use strict";
const parallel = document.getElementById("parallel");
const things = parallel?.dataset.things ?? "runs";

function scaleOf(values) {
  if (values.every((value) => value === null || typeof value === "number")) {
    const finite = values.filter((value) => value !== null);
    const [low, high] = [Math.min(...finite), Math.max(...finite)];
    const log = low > 0 && high / low > 100;
    const height = log ? Math.log10 : (value) => value;
    const marks = log ? decades(low, high) : steps(low, high, 4);
    return {
      place: (value) => (high === low ? 0.5 : (height(value) - height(low)) / (height(high) - height(low))),
      marks: marks.map((mark) => [mark, short(mark)]),
    };
  }
  const words = [...new Set(values.filter((value) => value !== null))].sort();
  return {
    place: (value) => (words.length > 1 ? words.indexOf(value) / (words.length - 1) : 0.5),
    marks: words.slice(0, 12).map((word) => [word, word.length > 14 ? `${word.slice(0, 13)}…` : word]),
  };
}

function lines(told) {
  const box = parallel.querySelector(".coordinates");
  box.replaceChildren();
  const names = Object.keys(told.columns);
  if (!names.length) { box.append(html("p", "empty", things === "runs" ? "They have the same parameters and metrics." : "Nothing differs between complete trials yet.")); return; }
  const [high, top, bottom, between] = [300, 34, 14, 120];
  const width = Math.max(box.clientWidth, names.length * between);
  const picture = svg("svg", { class: "plot wide", width, height: high, role: "img", "aria-label": `${told.names.length} ${things} over ${names.join(", ")}` });
  const last = told.columns[names.at(-1)];
  const shade = parallel.dataset.things === "trials" ? scaleOf(last) : null;
  const tone = (run) => (!shade ? colour(run) : last[run] === null ? "pale" : `hue${Math.round(shade.place(last[run]) * 6)}`);
  const axes = names.map((name, i) => ({ name, x: 60 + (i * (width - 120)) / Math.max(names.length - 1, 1), ...scaleOf(told.columns[name]), kept: null }));
  const y = (axis, value) => high - bottom - axis.place(value) * (high - top - bottom);
  const paths = told.names.map((name, run) => {
    let text = "", pen = "M";
    for (const axis of axes) {
      const value = told.columns[axis.name][run];
      if (value === null) { pen = "M"; continue; }
      text += `${pen}${axis.x.toFixed(1)} ${y(axis, value).toFixed(1)}`;
      pen = "L";
    }
    const path = svg("path", { class: `line thin ${tone(run)}`, d: text || "M0 0" });
    path.append(svg("title", {}, name));
    picture.append(path);
    return path;
  });
  const choose = () => {
    let kept = 0;
    paths.forEach((path, run) => {
      const out = axes.some((axis) => {
        const value = told.columns[axis.name][run];
        if (!axis.kept) return false;
        return value === null || y(axis, value) < axis.kept[0] || y(axis, value) > axis.kept[1];
      });
      path.classList.toggle("faded", out);
      kept += out ? 0 : 1;
    });
    document.getElementById("kept").textContent = axes.some((axis) => axis.kept) ? `${kept} of ${paths.length} ${things} are kept.` : "";
    parallel.toggleAttribute("data-held", axes.some((axis) => axis.kept));
  };
  for (const axis of axes) {
    picture.append(svg("line", { class: "axis", x1: axis.x, x2: axis.x, y1: top, y2: high - bottom }));
    picture.append(svg("text", { class: "name", x: axis.x, y: 16, "text-anchor": "middle" }, axis.name.length > 18 ? `…${axis.name.slice(-17)}` : axis.name));
    for (const [mark, text] of axis.marks) picture.append(svg("text", { class: "tick", x: axis.x + 5, y: y(axis, mark) + 4 }, text));
    const chosen = svg("rect", { class: "kept", x: axis.x - 9, width: 18, y: 0, height: 0 });
    const handle = svg("rect", { class: "handle", x: axis.x - 16, width: 32, y: top - 4, height: high - top - bottom + 8 });
    handle.append(svg("title", {}, axis.name));
    picture.append(chosen, handle);
    let from;
    const at = (event) => Math.min(Math.max(event.clientY - picture.getBoundingClientRect().top, top - 4), high - bottom + 4);
    const show = () => { chosen.setAttribute("y", axis.kept ? axis.kept[0] : 0); chosen.setAttribute("height", axis.kept ? axis.kept[1] - axis.kept[0] : 0); choose(); };
    handle.addEventListener("pointerdown", (event) => { from = at(event); handle.setPointerCapture(event.pointerId); });
    handle.addEventListener("pointermove", (event) => {
      if (from === undefined) return;
      axis.kept = [Math.min(from, at(event)), Math.max(from, at(event))];
      show();
    });
    handle.addEventListener("pointerup", (event) => {
      if (Math.abs(at(event) - from) < 4) axis.kept = null;
      from = undefined;
      show();
    });
  }
  box.replaceChildren(picture);
}

function scatter(told) {
  const choice = document.getElementById("scatter");
  const area = choice.nextElementSibling;
  const names = Object.keys(told.columns);
  if (!names.length) { choice.closest("section").hidden = true; return; }
  const { x, y, colour: third } = choice.elements;
  for (const [select, preset] of [[x, names[0]], [y, names.at(-1)], [third, ""]]) {
    if (select === third) select.append(new Option("by run", ""));
    for (const name of names) select.append(new Option(name, name, false, name === preset));
  }
  const draw = () => {
    const [across, up] = [told.columns[x.value], told.columns[y.value]];
    const [ax, ay] = [scaleOf(across), scaleOf(up)];
    const shade = third.value ? scaleOf(told.columns[third.value]) : null;
    const [width, high, left, top, bottom] = [area.clientWidth, 260, 62, 10, 26];
    const px = (value) => left + 8 + ax.place(value) * (width - left - 24);
    const py = (value) => high - bottom - 6 - ay.place(value) * (high - bottom - top - 12);
    const picture = svg("svg", { class: "plot", width: "100%", height: high, role: "img", "aria-label": `${y.value} over ${x.value}` });
    for (const [mark, text] of ay.marks) {
      picture.append(svg("line", { class: "grid", x1: left, x2: width - 8, y1: py(mark), y2: py(mark) }));
      picture.append(svg("text", { class: "tick", x: left - 7, y: py(mark) + 4, "text-anchor": "end" }, text));
    }
    for (const [mark, text] of ax.marks) picture.append(svg("text", { class: "tick", x: px(mark), y: high - 6, "text-anchor": px(mark) > width - 40 ? "end" : "middle" }, text));
    told.names.forEach((name, run) => {
      if (across[run] === null || up[run] === null) return;
      const value = shade ? told.columns[third.value][run] : null;
      const kind = !shade ? colour(run) : value === null ? "" : `heat h${Math.round(shade.place(value) * 6)}`;
      const dot = svg("circle", { class: `dot ${kind}`, cx: px(across[run]), cy: py(up[run]), r: 5 });
      dot.append(svg("title", {}, `${name}: ${x.value} ${across[run]}, ${y.value} ${up[run]}${shade ? `, ${third.value} ${value}` : ""}`));
      picture.append(dot);
    });
    area.replaceChildren(picture);
  };
  choice.addEventListener("input", draw);
  addEventListener("resize", draw);
  draw();
}

function importance() {
  const choice = document.getElementById("importance");
  if (!choice) return;
  const place = document.getElementById("weights");
  const work = async () => {
    place.replaceChildren(html("p", "empty", "Working it out …"));
    const asked = new URL(choice.dataset.from, location.href);
    for (const [name, value] of new FormData(choice)) asked.searchParams.set(name, value);
    const answer = await fetch(asked);
    const told = await answer.json();
    if (!answer.ok) { place.replaceChildren(html("p", "empty", `${told.error.message} ${told.error.hint}`)); return; }
    const rows = told.parameters.slice(0, 15).map((each) => {
      const row = html("div", "bar");
      const name = html("span", "name", each.parameter);
      name.title = each.parameter;
      const track = svg("svg", { class: "track", height: 10, "aria-hidden": "true" });
      track.append(svg("rect", { class: "track", width: "100%", height: 10, rx: 3 }), svg("rect", { class: "fill", width: `${100 * each.share}%`, height: 10, rx: 3 }));
      const sign = each.correlation === null ? "" : each.correlation > 0.05 ? " ↑" : each.correlation < -0.05 ? " ↓" : "";
      row.append(name, track, html("span", "value", `${(100 * each.share).toFixed(0)} %${sign}`));
      return row;
    });
    const known = told.explained === null ? "" : ` Together they explain ${(100 * told.explained).toFixed(0)} % of how it varies in runs not seen.`;
    place.replaceChildren(...rows, html("p", "soft small", `${told.runs} ${things}, ${told.method}.${known}`));
  };
  choice.addEventListener("submit", (event) => { event.preventDefault(); work(); });
  if ("atOnce" in choice.dataset) work();
}

function show() {
  const told = JSON.parse(parallel.dataset.values);
  lines(told);
  if (document.getElementById("scatter")) scatter(told);
}

if (parallel) {
  show();
  importance();
  parallel.addEventListener("renewed", show);
}
