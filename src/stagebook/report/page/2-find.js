/* The language of the find field: words, and terms such as is:failed wait:>30s pool:db path:critical -is:skip. */

const KINDS = {
  failed: (stage) => FAILED.has(stage.state),
  passed: (stage) => PASSED.has(stage.state),
  success: (stage) => PASSED.has(stage.state),
  flaky: (stage) => stage.state === "flaky",
  failure: (stage) => stage.state === "failure",
  error: (stage) => stage.state === "error",
  timeout: (stage) => stage.state === "timeout",
  cancelled: (stage) => stage.state === "cancellation",
  skipped: (stage) => stage.state === "skip",
  running: (stage) => stage.state === "running",
  interrupted: (stage) => stage.state === "interrupted",
  waiting: (stage) => ["slot", "needs", "gate", "person"].includes(stage.state),
  retried: (stage) => stage.attempts.length > 1,
  tolerated: (stage) => Boolean(stage.tolerated),
};
const ALSO = {skip: "skipped", cancellation: "cancelled", pass: "passed", fail: "failed"};
const UNITS = {us: 1, ms: 1e3, s: 1e6, m: 6e7, h: 3.6e9, d: 8.64e10};

function number(text) {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : null;
}

function duration(text) {
  let us = 0, rest = text;
  while (rest) {
    const part = /^(\d+(?:\.\d+)?)(us|ms|s|m|h|d)/.exec(rest);
    if (!part) return null;
    us += Number(part[1]) * UNITS[part[2]];
    rest = rest.slice(part[0].length);
  }
  return text ? us : null;
}

/* `>30s`, `<=2`, `30s` (that or more); null where the amount cannot be read. */
function comparison(text, read, of) {
  const [, sign, amount] = /^(>=|<=|>|<|=)?(.*)$/.exec(text);
  const bound = read(amount);
  if (bound === null) return null;
  return {
    ">": (stage) => of(stage) > bound, "<": (stage) => of(stage) < bound, "<=": (stage) => of(stage) <= bound,
    "=": (stage) => of(stage) === bound,
  }[sign] || ((stage) => of(stage) >= bound);
}

/* Those that waited for it, and those that had it meanwhile. */
function of_resource(name) {
  const holders = new Set();
  for (const stage of stages) {
    for (const phase of stage.waits) if (phase.waited === name) phase.held.forEach((index) => holders.add(index));
  }
  return (stage) => holders.has(stage.index) || stage.waits.some((phase) => phase.waited === name);
}

const TERMS = {
  is: (value) => KINDS[ALSO[value] || value] || `is:${value} is none of ${Object.keys(KINDS).join(", ")}`,
  wait: (value) => comparison(value, duration, (stage) => stage.wait_us) || `wait: takes a duration, as in wait:>30s`,
  work: (value) => comparison(value, duration, (stage) => stage.work_us) || `work: takes a duration, as in work:>1m`,
  attempts: (value) => comparison(value, number, (stage) => stage.attempts.length) || `attempts: takes a number, as in attempts:>1`,
  level: (value) => comparison(value, number, (stage) => stage.level) || `level: takes a number, as in level:=3`,
  pool: (value) => of_resource(`pool:${value}`),
  lock: (value) => of_resource(`lock:${value}`),
  path: (value) => (value === "critical" ? (stage) => Boolean(stage.on_path) : `path: takes critical`),
};

function contains(word) {
  return (stage) => stage.name.toLowerCase().includes(word) || (stage.said || "").toLowerCase().includes(word) ||
    printed(stage).some((line) => line.toLowerCase().includes(word));
}

/* What of a stage's output is in this page. */
function printed(stage) {
  return stage.attempts.flatMap((attempt) => {
    const log = run.logs[`${stage.index}.${attempt.number}`];
    return log ? [...log.first, ...log.last].map((line) => line[1]) : [];
  });
}

/* The question as a test of stages (null: none was asked), and what of it was not understood. */
function understand(text) {
  const tests = [], problems = [];
  for (const [, minus, name, quoted, plain] of text.matchAll(/(-)?(?:([a-z]+):)?(?:"([^"]*)"?|(\S+))/g)) {
    const value = quoted ?? plain;
    const known = name && Object.hasOwn(TERMS, name);
    const test = known ? TERMS[name](value) : contains((name ? `${name}:` : "") + value.toLowerCase());
    if (typeof test === "string") problems.push(test);
    else tests.push(minus ? (stage) => !test(stage) : test);
  }
  return {test: tests.length ? (stage) => tests.every((test) => test(stage)) : null, problem: problems.join("; ")};
}
