/* Rows, drawn only where they are in view: bars, waits, tags; above them the critical path and what ran together. */

const shown = {rows: [], tops: new Float64Array(1), first: 0, last: -1, chosen: null, marks: [], question: "", test: null, only: null, waits: false};
const THIN = 2;  // px of a row that does not answer the question
const AHEAD = 16;  // rows drawn above and below what is in view
const FILLS = {failure: "fb", timeout: "fb", error: "er", running: "rn-b", cancellation: "ca", interrupted: "ca"};
const wait_text = form(longest("wait_us")), work_text = form(longest("work_us"));

function longest(key) {
  return stages.reduce((most, stage) => Math.max(most, stage[key]), 0);
}

/* Which rows there are has changed. */
function arrange() {
  const {question, only} = shown;
  const asked = understand(question);
  const tests = [asked.test, only].filter(Boolean);
  shown.test = tests.length ? (stage) => tests.every((test) => test(stage)) : null;
  shown.problem = asked.problem;
  shown.rows = arranged(shown.test);
  const tall = row_height(), lane = pixels("--lh");
  shown.tops = new Float64Array(shown.rows.length + 1);
  shown.rows.forEach((row, at) => {
    row.is_thin = Boolean(shown.test) && !row.is_hit;
    shown.tops[at + 1] = shown.tops[at] + (row.is_thin ? THIN : tall + lanes_of(row).length * lane);
  });
  shown.place = new Map(shown.rows.map((row, at) => [row.key, at]));
  shown.where = new Map();
  shown.rows.forEach((row, at) => row.members.forEach((stage) => {
    if (row.stage || !shown.where.has(stage.index)) shown.where.set(stage.index, at);
  }));
  if (!shown.place.has(shown.chosen)) shown.chosen = null;
  $("rows").style.height = `${shown.tops[shown.rows.length]}px`;
  shown.first = 0;
  shown.last = -1;
  drawn.clear();
  layers.rows.replaceChildren();
  changed();
}

function row_height() {
  return pixels("--rh");
}

function pixels(name) {
  return parseFloat(getComputedStyle(document.documentElement).getPropertyValue(name));
}

/* The steps of a row's stage, each a lane below its bar. */
function lanes_of(row) {
  return row.stage ? row.stage.steps : [];
}

/* The row that a height above the rows' beginning falls into. */
function row_at(y) {
  let low = 0, high = shown.rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (shown.tops[middle] <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

let pending = 0;
function changed() {
  if (!pending) {
    pending = requestAnimationFrame(() => {
      pending = 0;
      draw();
    });
  }
}

function draw() {
  const plot = $("axis").clientWidth;
  if (!plot) return;  // the table stands in its place
  view.width = plot;
  draw_axis();
  draw_mini();
  draw_rows();
  draw_curves();
}

function in_view() {
  const box = $("rows").getBoundingClientRect();
  return [row_at(Math.max(0, -box.top)), row_at(Math.max(0, Math.min(box.height, innerHeight - box.top)))];
}

/* Scrolling draws only when rows come into view that are not drawn. */
function scrolled() {
  const [first, last] = in_view();
  if ((first < shown.first || last > shown.last) && view.width) draw_rows();
}

const layers = {below: el("div", "plot"), rows: el("div", ""), above: el("div", "plot")};
layers.rows.setAttribute("role", "none");
$("rows").append(layers.below, layers.rows, layers.above);
const drawn = new Map();  // place of a row to its element, its chart, and what the chart was drawn for

function draw_rows() {
  const [top, bottom] = in_view();
  shown.first = Math.max(0, top - AHEAD);
  shown.last = Math.min(shown.rows.length - 1, bottom + AHEAD);
  for (const [at, one] of drawn) {
    if (at < shown.first || at > shown.last) {
      one.node.remove();
      drawn.delete(at);
    }
  }
  for (let at = shown.first; at <= shown.last; at += 1) draw_row(shown.rows[at], at);
  layers.below.replaceChildren(...lines_over(), ...bands());
  layers.above.replaceChildren(...chain(), ...lap());
  const chosen = shown.place.get(shown.chosen);
  if (drawn.has(chosen)) $("rows").setAttribute("aria-activedescendant", `r${chosen}`);
  else $("rows").removeAttribute("aria-activedescendant");
}

function draw_row(row, at) {
  let one = drawn.get(at);
  if (!one) {
    one = row.is_thin ? thin_row() : new_row(row, at);
    one.node.style.top = `${shown.tops[at]}px`;
    drawn.set(at, one);
    layers.rows.append(one.node);
  }
  if (row.is_thin) return;
  one.node.classList.toggle("mark", Boolean(row.stage) && shown.marks.includes(row.stage.index));
  const is_chosen = row.key === shown.chosen;
  const drawn_for = `${view.from} ${view.to} ${view.width} ${shown.waits} ${is_chosen}`;
  if (one.drawn_for === drawn_for) return;
  one.drawn_for = drawn_for;
  one.node.classList.toggle("cur-row", is_chosen);
  one.node.setAttribute("aria-selected", is_chosen);
  one.chart.replaceChildren();
  if (row.stage) draw_stage(row.stage, one.chart);
  else draw_fold(row, one.chart);
  one.lanes.forEach(({step, path, picture}) => {
    picture.setAttribute("viewBox", `0 0 ${view.width} 12`);
    path.setAttribute("d", outline(step, 12, view.from, view.to, view.width, 1));
  });
}

function thin_row() {
  const node = el("div", "row thin", el("i"));
  node.setAttribute("aria-hidden", "true");
  return {node};
}

/* All of a row but its chart, which is drawn anew whenever the view changes. */
function new_row(row, at) {
  const state = row.stage ? row.stage.state : row.state;
  const name = el("span", "nm", glyph(state));
  if (!row.stage) name.append(el("i", "", is_open(row) ? "\u25be" : "\u25b8"));
  name.append(el("span", "", row.stage ? row.stage.name : row.name));
  if (state === "skip" || state === "needs") name.classList.add("d");
  const chart = el("span", "ch"), node = el("div", "row", name, chart, figures(row));
  const lanes = lanes_of(row).map((step) => {
    const path = svg("path", {class: "lane-a"}), picture = svg("svg", {preserveAspectRatio: "none"});
    picture.append(path);
    node.append(el("div", "lane", el("span", "nm d", el("span", "", step.name)), el("span", "ch", picture), el("span", "r d", step.said)));
    return {step, path, picture};
  });
  node.classList.toggle("deep", Boolean(row.deep));
  node.classList.toggle("cr", row.members.some((stage) => stage.on_path));
  node.classList.toggle("on", Boolean(row.stage) && FAILED.has(state));
  node.id = `r${at}`;
  for (const [key, value] of Object.entries({
    role: "treeitem", "aria-level": row.deep ? 2 : 1, "aria-posinset": at + 1, "aria-setsize": shown.rows.length, "aria-label": spoken(row),
  })) node.setAttribute(key, value);
  if (!row.stage) node.setAttribute("aria-expanded", is_open(row));
  for (const part of node.children) part.setAttribute("aria-hidden", "true");
  return {node, chart, lanes, drawn_for: ""};
}

function figures(row) {
  const never = row.is_aside || (row.stage && !row.stage.phases.length), sum = (key) => row.members.reduce((us, one) => us + one[key], 0);
  if (never) return el("span", "rr", el("span", "d", NONE), el("span", "d", NONE));
  const [wait, work] = row.stage ? [wait_text, work_text] : [fold_text, fold_text];
  return el("span", "rr", el("span", "d", wait(sum("wait_us"))), el("span", "", work(sum("work_us"))));
}

const fold_text = (us) => (us > 0 ? span(us) : NONE);

function is_open(row) {
  return unfolded.has(row.key) || (row.is_aside && !is_folding);
}

/* A row in one sentence. */
function spoken(row) {
  if (!row.stage) return [row.name, row.note, row.names].filter(Boolean).join(", ");
  const stage = row.stage, parts = [stage.name, STATE_WORDS[stage.state]];
  if (stage.said) parts.push(stage.said);
  if (stage.work_us) parts.push(`work ${span(stage.work_us)}`);
  stage.waits.forEach((phase) => parts.push(`${phase.said} for ${span(phase.to - phase.from)}`));
  stage.steps.forEach((step) => parts.push(`${step.name}: ${step.said}`));
  if (stage.on_path) parts.push("on the critical path");
  if (stage.aside) parts.push(stage.aside);
  return parts.join(", ");
}

/* A piece of a bar, cut to what is in view; nothing where it lies outside. */
function piece(chart, name, from, to, least) {
  let left = x(from), right = x(to);
  if (right < 0 || left > view.width) return null;
  left = Math.max(-6, left);
  right = Math.min(view.width + 6, right);
  const found = el("i", name);
  found.style.left = `${left.toFixed(1)}px`;
  found.style.width = `${Math.max(least, right - left).toFixed(1)}px`;
  chart.append(found);
  return found;
}

function draw_stage(stage, chart) {
  const is_asked = shown.waits || shown.chosen === `s${stage.index}`;
  if (is_asked && stage.needs.length && stage.begin > 0 && stage.begin < Infinity) piece(chart, "dw", 0, stage.begin, 2);
  for (const phase of stage.phases) {
    if (phase.kind === "wait" || phase.kind === "backoff") piece(chart, "wt hat", phase.from, phase.to, 2);
    else if (phase.kind === "failed") piece(chart, "bar-i x", phase.from, phase.to, 3);
    else if (phase.kind === "stopped") piece(chart, "bar-i ca", phase.from, phase.to, 3);
    else if (phase.kind === "gate") piece(chart, "ga-l", phase.from, phase.to, 6);
    else if (phase.kind === "open") piece(chart, "bar-i rn-b", phase.from, phase.to, 2);
    else piece(chart, `bar-i ${FILLS[stage.state] || "s"}`, phase.from, phase.to, 2);
  }
  const last = stage.works[stage.works.length - 1];
  const is_longer = last && last.kind === "open" && stage.expected_us > last.to - last.from;
  if (is_longer) piece(chart, "est", last.to, last.from + stage.expected_us, 2);
  if (last && stage.state === "timeout") piece(chart, "wall", last.to, last.to, 3);
  if (stage.on_path && stage.works.length) piece(chart, "cl", stage.works[0].from, stage.end, 2);
  if (stage.end >= 0 && x(stage.end) < 0) {
    chart.append(at_left(el("span", "tag", "\u2039"), 2));  // it lies before what is in view
  } else if (stage.begin < Infinity && x(stage.begin) > view.width) {
    chart.append(at_left(el("span", "tag", "\u203a"), view.width - 8));
  } else if (stage.phases.length) {
    const has_room = tag(chart, remarks(stage), stage.begin, is_longer ? last.from + stage.expected_us : stage.end);
    if (!has_room && stage.phases[0].kind === "gate") beside(chart, stage.phases[0].said, "tag over");  // over the line, which is thin
  } else if (stage.state === "skip" && stage.root !== undefined && stages[stage.root].end >= 0) {
    piece(chart, "skp", stages[stage.root].end, run.total_us, 2);
    if (!tag(chart, [stage.aside], stages[stage.root].end, run.total_us)) beside(chart, stage.aside, "tag over");
  } else {
    beside(chart, stage.aside || "");
  }
}

/* What a bar cannot say: tries that failed, how it ended if not well, what it waited for; the weightiest first. */
function remarks(stage) {
  const parts = [], tries = stage.works.filter((phase) => phase.kind === "failed"), last = stage.attempts[stage.attempts.length - 1];
  if (FAILED.has(stage.state)) parts.push(stage.said + (tries.length ? ` at attempt ${last.number}` : ""));
  else if (tries.length) parts.push(`attempt ${tries[tries.length - 1].attempt.number} ${tries[tries.length - 1].attempt.said}` + (stage.state === "flaky" ? ", then passed" : ""));
  if (stage.state === "cancellation") parts.push(stage.said || (last && last.said) || "cancelled");
  else if (stage.state === "interrupted") parts.push("no end on record");
  else if (stage.aside) parts.push(stage.aside);
  const seen = run.total_us / 200;
  for (const said of new Set(stage.waits.filter((phase) => phase.to - phase.from > seen).map((phase) => phase.said))) parts.push(said);
  return parts;
}

/* Beside the bar: as much as there is room for after its end, else before its beginning; else nothing, as panel and tip
   tell it. Whether there was room. */
function tag(chart, parts, begin, end) {
  const first = Math.max(0, x(begin)), last = Math.min(view.width, x(end));
  for (let number = parts.length; number > 0; number -= 1) {
    const text = parts.slice(0, number).join(", "), wide = text.length * 5.7 + 12;
    if (last + wide < view.width && last > 0) {
      chart.append(at_left(el("span", "tag", text), last + 6));
      return true;
    }
    if (first - wide > 0 && first < view.width) {
      const found = el("span", "tag left", text);
      found.style.right = `${view.width - first + 6}px`;
      chart.append(found);
      return true;
    }
  }
  return false;
}

function at_left(found, px) {
  found.style.left = `${px}px`;
  return found;
}

function beside(chart, text, name = "tag") {
  const found = el("span", name, text);
  found.style.right = "8px";
  if (text.length * 5.7 > view.width) found.style.left = "0";
  chart.append(found);
}

/* A strip of cells, one a stage, over the time of all; failing cells are taller. What it comes to stands beside the name
   where it has no room beside the strip. */
function draw_fold(row, chart) {
  if (row.is_aside) {
    beside(chart, row.names.length * 5.7 + row.note.length * 5.7 < view.width ? row.names + (row.note.startsWith("\u2190") ? " " : ": ") + row.note : row.note);
    return;
  }
  const begin = row.members.reduce((least, one) => Math.min(least, one.begin), Infinity);
  const end = row.members.reduce((most, one) => Math.max(most, one.end), 0);
  const left = x(begin), wide = Math.max(12, x(end) - left);
  if (left < view.width && left + wide > 0) {
    const cells = Math.min(row.members.length, Math.max(1, Math.floor(wide / 3)));
    const each = wide / cells, gap = each >= 4 ? 1 : each >= 2 ? 0.5 : 0;
    const paths = {};
    for (let cell = 0; cell < cells; cell += 1) {
      const from = left + cell * each;
      if (from + each < 0 || from > view.width) continue;
      const some = row.members.slice(Math.floor(cell * row.members.length / cells), Math.max(1, Math.floor((cell + 1) * row.members.length / cells)));
      const state = state_among(some), [y, tall] = FAILED.has(state) ? [1, 18] : [5, 11];
      const name = FILLS[state] || "s";
      paths[name] = (paths[name] || "") + `M${from.toFixed(1)} ${y}h${(each - gap).toFixed(2)}v${tall}h-${(each - gap).toFixed(2)}z`;
    }
    const strip = svg("svg", {class: "strip-c"});
    for (const [name, d] of Object.entries(paths)) strip.append(svg("path", {class: name, d}));
    chart.append(strip);
  }
  if (row.members.some((one) => one.on_path)) {
    for (const one of row.members) if (one.on_path) piece(chart, "cl", one.works[0].from, one.end, 2);
  }
  const name = chart.previousElementSibling, has_room = tag(chart, [row.note], begin, Math.max(end, begin + 12 * (view.to - view.from) / view.width));
  name.querySelector(".note")?.remove();
  if (!has_room) name.append(el("span", "note", row.note));
}

/* The interval of what is chosen, and now. */
function bands() {
  const row = shown.rows[shown.place.get(shown.chosen)], found = [];
  const spans = row && row.stage ? row.stage.works : [];
  if (spans.length) {
    const left = Math.max(0, x(spans[0].from)), right = Math.min(view.width, x(spans[spans.length - 1].to));
    if (right > 0 && left < view.width) found.push(placed("band", left, Math.max(1, right - left)));
  }
  if (run.as_of_us !== null && x(run.total_us) <= view.width + 1) found.push(placed("now", Math.min(view.width - 1, x(run.total_us))));
  return found;
}

/* Ink from the end of each critical stage to the row of the next. */
function chain() {
  if (!run.is_chain) return [];
  const found = [], tall = row_height(), [low, high] = [shown.tops[shown.first], shown.tops[shown.last + 1]];
  for (let at = 1; at < run.path.length; at += 1) {
    const [above, below] = [run.path[at - 1], run.path[at]].map((index) => shown.where.get(index));
    const left = x(stages[run.path[at - 1]].end);
    if (above === undefined || below === undefined || above === below || shown.rows[above].is_thin || shown.rows[below].is_thin || left < 0 || left > view.width) continue;
    const [first, last] = [above, below].sort((a, b) => a - b);
    const [top, bottom] = [shown.tops[first] + tall - 5, shown.tops[last] + tall - 5];
    if (bottom < low || top > high) continue;
    const line = placed("cp", left - 1);
    line.style.top = `${Math.max(low, top)}px`;
    line.style.height = `${Math.min(high, bottom) - Math.max(low, top)}px`;
    found.push(line);
  }
  return found;
}

/* The two stages whose common time is asked for: both marked, or one marked and one chosen. */
function pair() {
  const [one, other] = shown.marks;
  if (other !== undefined) return [one, other];
  const chosen = shown.rows[shown.place.get(shown.chosen)];
  return one !== undefined && chosen && chosen.stage && chosen.stage.index !== one ? [one, chosen.stage.index] : null;
}

function lap() {
  const two = pair();
  if (!two) return [];
  const common = together(stages[two[0]], stages[two[1]]);
  const [first, last] = two.map((index) => shown.where.get(index)).sort((a, b) => a - b);
  if (!common.us || first === undefined || last === undefined || x(common.to) < 0 || x(common.from) > view.width) return [];
  const left = Math.max(-4, x(common.from)), right = Math.min(view.width + 4, x(common.to));
  const box = placed("lap", left, Math.max(3, right - left));
  box.style.top = `${shown.tops[first] + 1}px`;
  box.style.height = `${shown.tops[last + 1] - shown.tops[first] - 2}px`;
  const label = placed("lapt", Math.max(2, Math.min(view.width - 130, (left + right) / 2 - 55)));
  label.append(`${span(common.us)} together`);
  label.style.top = `${last > first + 1 ? shown.tops[last] - 18 : shown.tops[first] > 16 ? shown.tops[first] - 15 : shown.tops[last + 1]}px`;
  return [box, label];
}

/* Only what occurs, in one line. */
function draw_legend() {
  const has = (test) => stages.some(test), kind = (name) => has((stage) => stage.phases.some((phase) => phase.kind === name));
  const entries = [
    ["s", "work", has((stage) => PASSED.has(stage.state))],
    ["fb", "failure", has((stage) => FAILED.has(stage.state) && stage.state !== "error" && stage.works.length)],
    ["er", "error", has((stage) => stage.state === "error" && stage.works.length)],
    ["rn-b", "running", kind("open")], ["k-est", "expected", has((stage) => stage.expected_us)],
    ["hat", "wait for capacity, or to try again", kind("wait") || kind("backoff")],
    ["k-dw", "wait for needs", shown.waits], ["x", "failed attempt", kind("failed")], ["ca", "stopped", kind("stopped")],
    ["k-skp", "skipped", has((stage) => stage.state === "skip")],
    ["k-ga", "a person is asked", kind("gate")], ["k-la", "how many workers of a step are busy", has((stage) => stage.steps.length)],
    ["k-cl", "critical path", run.is_chain && run.path.length], ["k-lap", "overlap", pair() !== null],
  ];
  $("legend").replaceChildren(...entries.filter((one) => one[2]).map(([name, text]) => el("span", "", el("i", name), text)));
}
