/* The run as the page was given it, what follows from it, and how numbers are written.
   Nothing here draws. All times are microseconds on the run's own clock. */

const run = JSON.parse($("facts").textContent);
const stages = run.stages;
const FAILED = new Set(["failure", "error", "timeout"]);
const PASSED = new Set(["success", "flaky"]);
const WORK = new Set(["work", "failed", "stopped", "open"]);
const STATE_WORDS = {
  success: "passed", flaky: "passed, flaky", failure: "failed", error: "error", timeout: "timed out",
  cancellation: "cancelled", skip: "skipped", running: "running", interrupted: "no end on record",
  slot: "waiting", needs: "waiting for needs", gate: "waiting for a person", person: "waiting for a person",
};
const GLYPHS = {interrupted: "error", slot: "wait", needs: "wait", person: "gate"};
const NO_BREAK = "\u00a0", NONE = "\u2013", TIMES = "\u00d7";

run.path.forEach((index) => { stages[index].on_path = run.is_chain; });
stages.forEach((stage, index) => {
  stage.index = index;
  stage.needed_by = [];
  stage.phases = (stage.phases || []).map(([kind, from, to, place, said, waited, held]) =>
    ({kind, from, to, attempt: stage.attempts[place], said, waited: waited || "", held: held || []}));
  stage.works = stage.phases.filter((phase) => WORK.has(phase.kind));
  stage.waits = stage.phases.filter((phase) => phase.kind === "wait");
  stage.wait_us = total(stage.waits);
  stage.work_us = total(stage.works.filter((phase) => phase.kind !== "stopped"));
  stage.steps = (stage.steps || []).map((step) => ({...step, at: [...step.levels, 0].map((_, piece) => step.from + piece * step.grain), level: [...step.levels, 0], peak: 1}));
  stage.begin = stage.phases.length ? stage.phases[0].from : Infinity;
  stage.end = stage.phases.length ? stage.phases[stage.phases.length - 1].to : -1;
});
stages.forEach((stage) => stage.needs.forEach((need) => stages[need].needed_by.push(stage.index)));

function total(phases) {
  return phases.reduce((sum, phase) => sum + phase.to - phase.from, 0);
}

/* Two stages: from when to when their attempts ran at once, and for how long altogether. */
function together(one, other) {
  let us = 0, from = Infinity, to = -1;
  for (const a of one.works) {
    for (const b of other.works) {
      const first = Math.max(a.from, b.from), last = Math.min(a.to, b.to);
      if (first < last) {
        us += last - first;
        from = Math.min(from, first);
        to = Math.max(to, last);
      }
    }
  }
  return {us, from, to};
}

/* A level over time: `height` of each attempt while it ran, added up; null where it is not known. `gaps` is when some
   of it was not: what is drawn there would be too low. */
function levels(height) {
  const changes = new Map(), gaps = [];
  let known = 0, all = 0, known_us = 0, all_us = 0;
  for (const stage of stages) {
    for (const phase of stage.works) {
      if (phase.from === phase.to) continue;
      all += 1;
      all_us += phase.to - phase.from;
      const high = height(phase, stage);
      if (high === null || high === undefined) {
        gaps.push([phase.from, phase.to, 1]);
        continue;
      }
      known += 1;
      known_us += phase.to - phase.from;
      if (Array.isArray(high)) high.forEach((piece) => change(...piece));
      else change(phase.from, phase.to, high);
    }
  }
  function change(from, to, high) {
    changes.set(from, (changes.get(from) || 0) + high);
    changes.set(to, (changes.get(to) || 0) - high);
  }
  const at = [...changes.keys()].sort((a, b) => a - b), level = [];
  let now = 0, peak = 0;
  for (const us of at) {
    now = Math.max(0, now + changes.get(us));
    if (now < 1e-9) now = 0;
    level.push(now);
    peak = Math.max(peak, now);
  }
  return {at, level, peak, known, all, gaps, is_known: known_us * 2 >= all_us};
}

/* The highest of what ran: for shares, which do not add up. `[from, to, share]` for each attempt that has one. */
function shares(name) {
  const spans = [], gaps = [];
  let peak = 0, known_us = 0, all_us = 0;
  for (const stage of stages) {
    for (const phase of stage.works) {
      const share = phase.attempt.around && phase.attempt.around[name];
      all_us += phase.to - phase.from;
      if (typeof share === "number") known_us += phase.to - phase.from;
      else gaps.push([phase.from, phase.to, 1]);
      if (share) {
        spans.push([phase.from, phase.to, share]);
        peak = Math.max(peak, share);
      }
    }
  }
  return {spans, peak, gaps, is_known: known_us * 2 >= all_us};
}

const usage = (phase, key) => (phase.attempt.usage ? phase.attempt.usage[key] : null);
const rate = (phase, key, scale) => {
  const amount = usage(phase, key);
  return amount === null || amount === undefined ? null : amount * scale / (phase.to - phase.from);
};

/* The calls of a stage that works through items, by the pieces in which they are known. */
function calls(stage) {
  return stage.steps.flatMap((step) => step.levels.map((level, piece) =>
    [step.from + piece * step.grain, step.from + (piece + 1) * step.grain, level * step.workers]));
}

const at_once = levels((phase, stage) => (!stage.steps.length ? 1 : phase === stage.works[0] ? calls(stage) : []));
const MEASURES = [
  {name: "At once", unit: stages.some((stage) => stage.steps.length) ? "stages, calls" : "stages", ...at_once, text: (n) => count(Math.round(n))},
  {name: "CPU", unit: "cores, means", ...levels((phase) => rate(phase, "cpu_s", 1e6)), text: (n) => (n < 9.95 ? n.toFixed(n < 0.1 ? 2 : 1) : count(Math.round(n)))},
  {name: "Memory", unit: "sum of peaks", ...levels((phase) => usage(phase, "max_rss_bytes")), text: size},
  {name: "Disk write", unit: "means", ...levels((phase) => rate(phase, "write_bytes", 1e6)), text: (n) => size(n) + "/s"},
];
const CURVES = MEASURES.filter((curve, index) => curve.is_known && curve.peak >= [0.5, 0.005, 1, 1 << 20][index]);
for (const [key, name] of [["cpu_some", "CPU"], ["memory_some", "memory"], ["io_some", "disk"]]) {
  const found = shares(key);
  if (found.is_known && found.peak > 0.05) {
    CURVES.push({name: "Pressure", unit: `${name}, highest`, ...found, text: (n) => `${Math.round(n * 100)} %`});
  }
}

/* A line in which no number is parted from its unit. */
function whole(line) {
  return line.replace(/(\d) (?=(?:ms|s|m|h|d|%|[KMGT]?i?B)(?![\w]))/g, `$1${NO_BREAK}`);
}

/* Two units at most: 640 ms, 9.4 s, 38 s, 6 m 01 s, 1 h 04 m, 2 d 3 h. */
function span(us) {
  if (us < 999500) return `${Math.round(us / 1000)}${NO_BREAK}ms`;
  if (us < 9950000) return `${Number((us / 1e6).toFixed(1))}${NO_BREAK}s`;
  return coarse(Math.round(us / 1e6));
}

function coarse(seconds) {
  const two = (n) => String(n).padStart(2, "0");
  if (seconds < 60) return `${seconds}${NO_BREAK}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${NO_BREAK}m${NO_BREAK}${two(seconds % 60)}${NO_BREAK}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}${NO_BREAK}h${NO_BREAK}${two(minutes % 60)}${NO_BREAK}m`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)}${NO_BREAK}d${NO_BREAK}${hours % 24}${NO_BREAK}h`;
}

/* How one column is written, chosen by its longest entry, so that its entries can be compared. */
function form(longest) {
  if (longest < 999500) return (us) => (us > 0 ? (us >= 1000 ? `${Math.floor(us / 1000)}${NO_BREAK}ms` : `<1${NO_BREAK}ms`) : NONE);
  if (longest < 9950000) return (us) => (us > 0 ? (us >= 50000 ? `${(us / 1e6).toFixed(1)}${NO_BREAK}s` : `<0.1${NO_BREAK}s`) : NONE);
  return (us) => (us > 0 ? (us >= 500000 ? coarse(Math.round(us / 1e6)) : `<1${NO_BREAK}s`) : NONE);
}

function size(bytes) {
  if (bytes === null || bytes === undefined) return NONE;
  if (bytes < 1024) return `${Math.round(bytes)}${NO_BREAK}B`;
  let unit = 0;
  for (bytes /= 1024; bytes >= 1023.5 && unit < 3; bytes /= 1024) unit += 1;
  return `${bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)}${NO_BREAK}${["KiB", "MiB", "GiB", "TiB"][unit]}`;
}

/* A count with a narrow space between thousands. */
function count(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/* A moment by the reader's clock; its title says it in UTC. */
function moment(us, with_day) {
  const date = new Date(us / 1000), two = (n) => String(n).padStart(2, "0");
  const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const day = `${date.getDate()} ${months[date.getMonth()]} ${date.getFullYear()} `;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  const found = el("time", "", (with_day ? day : "") + time + (with_day ? "" : `:${two(date.getSeconds())}`));
  found.dateTime = found.title = date.toISOString();
  return found;
}

/* A mark of a state. */
function glyph(state, label) {
  const found = svg("svg", {class: "i", ...(label ? {role: "img", "aria-label": label} : {"aria-hidden": "true"})});
  found.append(svg("use", {href: `#g-${GLYPHS[state] || state}`}));
  return found;
}
