/* The map as the page was given it, what follows from it, and the language of the find field. Nothing here draws. */

const map = JSON.parse($("facts").textContent);
const stages = map.stages, edges = map.edges;

stages.forEach((stage, index) => Object.assign(stage, {index, needs: [], dependents: [], findings: [], low: stage.name.toLowerCase()}));
edges.forEach(([need, node], at) => {
  stages[node].needs.push(at);
  stages[need].dependents.push(at);
});
map.findings.forEach((finding) => finding.stages.forEach((index) => stages[index].findings.push(finding)));

const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u2009");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

const NEEDLESS = new Set(["needless-order", "implied-need", "stage-order"]);
const KINDS = {
  critical: (stage) => Boolean(stage.critical),
  gate: (stage) => stage.kind === "gate",
  test: (stage) => Boolean(stage.is_test),
  outside: (stage) => Boolean(stage.outside),
  found: (stage) => stage.findings.length > 0,
  added: (stage) => stage.mark === "added",
  removed: (stage) => stage.mark === "removed",
};

/* The question as a test of stages (null: none was asked), and what of it was not understood. */
function understand(text) {
  const tests = [], problems = [];
  for (const word of text.toLowerCase().split(/\s+/).filter(Boolean)) {
    const [, minus, plain] = /^(-?)(.+)$/.exec(word), [, name, value] = /^(is|level|group):(.*)$/.exec(plain) || [];
    let test = (stage) => stage.low.includes(plain);
    if (name === "level") test = (stage) => stage.level === Number(value);
    else if (name === "group") test = (stage) => (stage.group || "").toLowerCase() === value;
    else if (name && Object.hasOwn(KINDS, value)) test = KINDS[value];
    else if (name) problems.push(`is: takes ${Object.keys(KINDS).join(", ")}`);
    tests.push(minus ? (stage) => !test(stage) : test);
  }
  return {test: tests.length ? (stage) => tests.every((test) => test(stage)) : null, problem: problems.join("; ")};
}

/* All before and after a stage, itself included; `steps` is how far away, before it negative. */
function around(start) {
  const steps = new Map([[start, 0]]);
  for (const [of, end, sign] of [["needs", 0, -1], ["dependents", 1, 1]]) {
    let now = [start];
    for (let step = 1; now.length; step += 1) {
      const next = [];
      for (const index of now) {
        for (const at of stages[index][of]) {
          const other = edges[at][end];
          if (!steps.has(other)) {
            steps.set(other, sign * step);
            next.push(other);
          }
        }
      }
      now = next;
    }
  }
  return steps;
}
