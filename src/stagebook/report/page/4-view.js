/* What part of the run is in view, its axis, the map of the whole above it and the curves below it. */

const view = {from: 0, to: run.total_us, width: 800};
const goal = {from: 0, to: run.total_us};  // where an easing view will come to rest
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const CLOSEST = Math.max(1000, Math.min(run.total_us, 20000));  // no view is shorter
const STEPS = [
  ...[1e3, 1e4, 1e5].flatMap((power) => [1, 2, 5].map((unit) => unit * power)),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * 1e6), ...[1, 2, 5, 10, 15, 30].map((n) => n * 6e7),
  ...[1, 2, 3, 6, 12].map((n) => n * 3.6e9), ...[1, 2, 5, 10, 20, 50, 100].map((n) => n * 8.64e10),
];

function x(us) {
  return (us - view.from) / (view.to - view.from) * view.width;
}

let motion = 0;
function look(from, to, jump) {
  const length = Math.min(run.total_us, Math.max(CLOSEST, to - from));
  const first = Math.max(0, Math.min(run.total_us - length, (from + to - length) / 2));
  Object.assign(goal, {from: first, to: first + length});
  cancelAnimationFrame(motion);
  if (jump || calm.matches) {
    Object.assign(view, goal);
    changed();
    return;
  }
  const begun = performance.now(), before = {...view};
  const step = (now) => {
    const part = Math.min(1, Math.max(0, (now - begun) / 150)), ease = 1 - (1 - part) ** 3;
    view.from = before.from + (goal.from - before.from) * ease;
    view.to = before.to + (goal.to - before.to) * ease;
    changed();
    if (part < 1) motion = requestAnimationFrame(step);
  };
  motion = requestAnimationFrame(step);
}

function zoom(factor, middle, jump) {
  const centre = middle ?? (goal.from + goal.to) / 2;
  const from = centre - (centre - goal.from) * factor;
  look(from, from + (goal.to - goal.from) * factor, jump);
}

function pan(part, jump) {
  const by = (goal.to - goal.from) * part;
  look(goal.from + by, goal.to + by, jump);
}

function tick_label(us) {
  if (us < 1e6) return `${Number((us / 1000).toFixed(3))} ms`;
  if (us < 6e7) return `${Number((us / 1e6).toFixed(3))} s`;
  const pairs = [[8.64e10, "d", 3.6e9, "h"], [3.6e9, "h", 6e7, "m"], [6e7, "m", 1e6, "s"]];
  const [large, one, small, other] = pairs.find(([bound]) => us >= bound);
  const rest = us % large / small;
  return `${Math.floor(us / large)} ${one}` + (rest ? ` ${String(Number(rest.toFixed(3))).padStart(2, "0")} ${other}` : "");
}

function ticks() {
  const length = view.to - view.from;
  const step = STEPS.find((one) => one / length * view.width >= 96) || length;
  const found = [];
  for (let us = Math.ceil(view.from / step) * step; us <= view.to; us += step) found.push(us);
  return found;
}

function draw_axis() {
  const spans = ticks().map((us) => {
    const label = el("span", "", us ? tick_label(us) : "0"), at = x(us);
    label.style.left = `${at}px`;
    label.style.transform = at < 12 ? "none" : at > view.width - 20 ? "translateX(-100%)" : "translateX(-50%)";
    return label;
  });
  $("axis").replaceChildren(...spans);
}

/* Steps as the outline of an area, at most one corner a pixel, which is the highest within it. */
function outline(curve, height, from, to, width, top) {
  const column = (us) => (us - from) / (to - from) * width;
  const high = new Float64Array(Math.ceil(width) + 1);
  const raise = (first, last, level) => {
    if (last < from || first > to || !level) return;
    const begin = Math.max(0, Math.floor(column(first))), end = Math.min(high.length - 1, Math.max(begin, Math.ceil(column(last)) - 1));
    for (let at = begin; at <= end; at += 1) if (high[at] < level) high[at] = level;
  };
  if (curve.spans) curve.spans.forEach(([first, last, share]) => raise(first, last, share));
  else curve.at.forEach((us, index) => raise(us, curve.at[index + 1] ?? us, curve.level[index]));
  let path = `M0 ${height}`, before = 0;
  high.forEach((level, at) => {
    if (level !== before) path += `H${at}V${(height - (height - top) * level / (curve.peak || 1)).toFixed(1)}`;
    before = level;
  });
  return `${path}H${width}V${height}Z`;
}

function failures_over_time() {
  return stages.flatMap((stage) => stage.works.filter((phase) => phase.kind !== "open" && FAILED.has(phase.attempt.outcome)));
}

const mini = {frame: null, width: 0};
function draw_mini() {
  const box = $("mini"), width = box.clientWidth, height = 24;
  if (width !== mini.width || !mini.frame) {
    mini.width = width;
    const picture = svg("svg", {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `stages at once over the whole run, ${at_once.peak} most; failures marked above`});
    picture.append(svg("path", {class: "once", d: outline(at_once, height, 0, run.total_us, width, 5)}));
    let marks = "";
    for (const phase of failures_over_time()) {
      const first = phase.from / run.total_us * width, wide = Math.max(2, (phase.to - phase.from) / run.total_us * width);
      marks += `M${first.toFixed(1)} 0h${wide.toFixed(1)}v3h-${wide.toFixed(1)}z`;
    }
    if (marks) picture.append(svg("path", {class: "bad-m", d: marks}));
    mini.frame = el("span", "vp");
    box.replaceChildren(picture, mini.frame);
  }
  mini.frame.style.left = `${view.from / run.total_us * width}px`;
  mini.frame.style.width = `${(view.to - view.from) / run.total_us * width}px`;
}

/* Drag to zoom to what was dragged over; a click moves what is in view there. */
function mini_by_pointer(box) {
  let start = null;
  const us = (event) => {
    const place = box.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - place.left) / place.width)) * run.total_us;
  };
  box.addEventListener("pointerdown", (event) => {
    start = us(event);
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const now = us(event);
    mini.frame.classList.add("drag");
    mini.frame.style.left = `${Math.min(start, now) / run.total_us * 100}%`;
    mini.frame.style.width = `${Math.abs(now - start) / run.total_us * 100}%`;
  });
  const done = (event) => {
    if (start === null) return;
    const now = us(event), length = Math.abs(now - start);
    mini.frame.classList.remove("drag");
    if (event.type === "pointercancel") changed();
    else if (length > run.total_us / 200) look(Math.min(start, now), Math.max(start, now));
    else look(now - (view.to - view.from) / 2, now + (view.to - view.from) / 2);
    start = null;
  };
  box.addEventListener("pointerup", done);
  box.addEventListener("pointercancel", done);
}

function draw_curves() {
  const box = $("curves"), height = 28;
  if (!box.childElementCount) {
    for (const curve of CURVES) {
      curve.path = svg("path", {class: "ar"});
      curve.svg = svg("svg", {preserveAspectRatio: "none", "aria-hidden": "true"});
      curve.gap = svg("path", {class: "gap"});
      curve.svg.append(curve.gap, curve.path);
      curve.plot = el("span", "ch", curve.svg);
      const label = el("span", "l", el("b", "", curve.name), " ", el("span", "d", curve.unit));
      box.append(el("div", "cur", label, curve.plot, el("span", "r", `${curve.text(curve.peak)} peak`)));
    }
  }
  for (const curve of CURVES) {
    const [tall, top] = [curve.plot.clientHeight || height, 4];
    curve.svg.setAttribute("viewBox", `0 0 ${view.width} ${tall}`);
    curve.path.setAttribute("d", outline(curve, tall, view.from, view.to, view.width, top));
    curve.gap.setAttribute("d", outline({spans: curve.gaps || [], peak: 1}, tall, view.from, view.to, view.width, 0));
    curve.plot.replaceChildren(...lines_over(), curve.svg, ...bands());
  }
}

/* How the curves come about. */
function how_measured() {
  const measured = CURVES.filter((curve) => curve.known !== undefined && curve.name !== "At once");
  if (!measured.length) return at_once.all ? "What attempts used is not on record, so there is no curve of it." : "";
  const partly = measured.filter((curve) => curve.known < curve.all).map((curve) => `${curve.name} of ${count(curve.known)}`);
  const left_out = MEASURES.filter((curve) => !curve.is_known).map((curve) => curve.name.toLowerCase());
  return "Curves: the record holds one figure an attempt. CPU and disk are its mean over that time, memory is the sum of peaks, the most that it can have been." +
    (partly.length ? ` Known: ${partly.join(", ")} of ${plural(at_once.all, "attempt")}; on a grey ground something ran of which it is not.` : "") +
    (left_out.length ? ` Not measured for most of the time, so without a curve: ${left_out.join(", ")}.` : "");
}

function placed(name, left, width) {
  const found = el("span", name);
  found.style.left = `${left}px`;
  if (width !== undefined) found.style.width = `${width}px`;
  return found;
}

function lines_over() {
  return ticks().filter((us) => us > 0).map((us) => placed("gl", x(us)));
}
