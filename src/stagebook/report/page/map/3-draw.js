/* The drawing: a view (nodes, links, bands, badges with their places) as SVG, and what part of it is in sight. */

const canvas = $("map"), calm = matchMedia("(prefers-reduced-motion: reduce)");
const shown = {view: null, nodes: [], links: [], node_of: new Map(), chosen: -1, question: "", test: null, only: false, path_of: -1, is_folded: true};
const sight = {x: 0, y: 0, w: 100, h: 100};  // the part of the view that is in sight, in its own pixels
const HEADS = ["", "critical", "needless", "added", "removed", "couple"];
const CLOSEST = 2.5, READABLE = 0.85;  // screen pixels of one pixel of the view

function heads() {
  const defs = svg("defs", {});
  for (const head of HEADS) {
    const marker = svg("marker", {id: `h-${head}`, viewBox: "0 0 8 8", refX: 5, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse"});
    marker.append(svg("path", {class: `h-${head}`, d: "M0 .5 7 4 0 7.5z"}));
    defs.append(marker);
  }
  return defs;
}

function text(x, y, said, name) {
  const found = svg("text", {x, y, ...(name ? {class: name} : {})});
  found.textContent = said;
  return found;
}

/* Show a view, all of it anew. */
function show(view) {
  Object.assign(shown, {view, chosen: -1, node_of: new Map()});
  view.nodes.forEach((node, at) => node.stages.forEach((stage) => shown.node_of.set(stage, at)));
  const all = document.createDocumentFragment();
  all.append(heads());
  view.bands.forEach(([x, width, label], at) => {
    if (at % 2) all.append(svg("rect", {class: "sunken", x: x - 12, y: 0, width: width + 24, height: view.height}));
    all.append(text(x, 18, label, "lab"));
  });
  shown.links = view.links.map(draw_link);
  shown.links.map((link, at) => [view.links[at][2] === "needs" ? 0 : 1, link]).sort((a, b) => a[0] - b[0]).forEach(([, link]) => all.append(link));
  view.badges.forEach(([number, code, , , paths]) => paths.forEach((d) => {
    const kind = code === "missing-guard" ? "guard" : "couple";
    const line = svg("path", {class: `e ${kind}`, d, "data-finding": number});
    if (kind === "couple") ["start", "end"].forEach((end) => line.setAttribute(`marker-${end}`, "url(#h-couple)"));
    all.append(line);
  }));
  shown.nodes = view.nodes.map(draw_node);
  all.append(...shown.nodes, ...view.badges.filter((badge) => badge[5]).map(draw_badge));
  canvas.replaceChildren(all);
  tall();
  mark();
}

function draw_link([need, node, style, d]) {
  const head = style === "needs" ? "" : style;
  return svg("path", {class: `e ${head}`, d, "marker-end": `url(#h-${head})`});
}

const MARKS = {added: "  + new", removed: "  \u2212 removed", changed: "  changed"};
function draw_node(node, at) {
  const found = svg("g", {id: `n${at}`, role: "img", class: ["n", node.critical && "crit", node.kind === "gate" && "gate", node.mark].filter(Boolean).join(" "), "data-node": at});
  const box = (by) => svg("rect", {x: node.x + by, y: node.y - by, width: node.w, height: node.h, rx: 5});
  found.append(...(node.stages.length > 1 ? [box(4)] : []), box(0));
  node.lines.forEach((line, row) => found.append(text(node.x + 9, node.y + 14 + 14 * row, line, "nm")));
  found.append(text(node.x + 9, node.y + node.h - 6, node.figure + (MARKS[node.mark] || ""), "fig"));
  found.setAttribute("aria-label", spoken(node));
  return found;
}

function spoken(node) {
  if (node.stages.length > 1) return `${node.name}, ${plural(node.stages.length, "stage")} folded`;
  const stage = stages[node.stages[0]];
  return [stage.name, ...stage.told, `level ${stage.level}`, `needs ${stage.needs.length ? stage.needs.slice(0, 5).map((at) => stages[edges[at][0]].name).join(", ") : "nothing"}`, ...stage.findings.map((one) => one.heading)].join(", ");
}

function draw_badge([number, code, x, y, , label]) {
  const found = svg("g", {class: `bd ${NEEDLESS.has(code) ? "needless" : ""}`, "data-finding": number});
  found.append(svg("circle", {cx: x, cy: y, r: label.length > 2 ? 12 : 9}), text(x, y + 4, label));
  return found;
}

/* Nodes that the question, the critical path or the choice leaves out are dimmed; links of what is pointed at stand out. */
function mark(pointed = -1) {
  const {view} = shown, is_on = view.nodes.map(() => true);
  const test = shown.path_of < 0 ? shown.test : null;
  if (test) view.nodes.forEach((node, at) => { is_on[at] = node.stages.some((index) => test(stages[index])); });
  if (shown.only) view.nodes.forEach((node, at) => { is_on[at] = is_on[at] && node.critical; });
  const focus = pointed >= 0 ? pointed : shown.chosen, is_plain = !test && !shown.only;
  if (is_plain && pointed < 0 && shown.chosen >= 0 && shown.path_of < 0) {
    const linked = linked_to(shown.chosen);
    view.nodes.forEach((node, at) => { is_on[at] = linked.has(at); });
  }
  shown.nodes.forEach((node, at) => {
    node.classList.toggle("off", !is_on[at]);
    node.classList.toggle("hit", Boolean(test) && is_on[at]);
    node.classList.toggle("on", at === shown.chosen);
  });
  shown.links.forEach((link, at) => {
    const [need, node, style] = view.links[at];
    link.classList.toggle("lit", need === focus || node === focus);
    link.classList.toggle("off", !(is_on[need] && is_on[node]) || (shown.only && style === "needs"));
  });
}

/* All nodes of the view before and after one of them. */
function linked_to(start) {
  const found = new Set([start]);
  for (const [from, to] of [[0, 1], [1, 0]]) {
    const ends = new Map();
    shown.view.links.forEach((link) => ends.set(link[from], [...(ends.get(link[from]) || []), link[to]]));
    const rest = [start], seen = new Set(rest);
    while (rest.length) for (const next of ends.get(rest.pop()) || []) if (!seen.has(next)) { seen.add(next); found.add(next); rest.push(next); }
  }
  return found;
}

/* Sight --------------------------------------------------------------------------------------------------------- */

/* The height of the place for the map: what its width asks for, and never more than the window leaves. */
function tall() {
  const width = canvas.clientWidth || 800, {view} = shown;
  const scale = Math.min(1, width / view.width), most = Math.max(260, innerHeight - 250);
  canvas.style.height = `${Math.round(Math.min(most, Math.max(160, view.height * Math.max(scale, READABLE))))}px`;
}

function apply() {
  canvas.setAttribute("viewBox", [sight.x, sight.y, sight.w, sight.h].map((number) => Math.round(number * 100) / 100).join(" "));
}

let motion = 0;
const goal = {...sight};
function look(next, jump) {
  const width = canvas.clientWidth || 800, height = canvas.clientHeight || 400, {view} = shown;
  const w = Math.min(Math.max(next.w, width / CLOSEST), Math.max(view.width, view.height * width / height, width) * 1.1), h = w * height / width;
  const inside = (at, size, all) => (size >= all ? (all - size) / 2 : Math.max(-size / 4, Math.min(all - size * 3 / 4, at)));
  const centre_x = next.x + next.w / 2, centre_y = next.y + next.h / 2;
  Object.assign(goal, {x: inside(centre_x - w / 2, w, view.width), y: inside(centre_y - h / 2, h, view.height), w, h});
  if (w >= view.width) goal.x = Math.min(0, (view.width - w) / 2);
  cancelAnimationFrame(motion);
  if (jump || calm.matches) {
    Object.assign(sight, goal);
    apply();
    return;
  }
  const begun = performance.now(), before = {...sight};
  const step = (now) => {
    const part = Math.min(1, Math.max(0, (now - begun) / 150)), ease = 1 - (1 - part) ** 3;
    for (const key of ["x", "y", "w", "h"]) sight[key] = before[key] + (goal[key] - before[key]) * ease;
    apply();
    if (part < 1) motion = requestAnimationFrame(step);
  };
  motion = requestAnimationFrame(step);
}

function zoom(factor, at_x = goal.x + goal.w / 2, at_y = goal.y + goal.h / 2, jump = false) {
  look({x: at_x - (at_x - goal.x) * factor, y: at_y - (at_y - goal.y) * factor, w: goal.w * factor, h: goal.h * factor}, jump);
}

function pan(x, y, jump) {
  look({...goal, x: goal.x + goal.w * x, y: goal.y + goal.h * y}, jump);
}

function whole(jump) {
  const {view} = shown, ratio = (canvas.clientWidth || 800) / (canvas.clientHeight || 400);
  const w = Math.max(view.width, view.height * ratio, canvas.clientWidth);
  look({x: (view.width - w) / 2, y: (view.height - w / ratio) / 2, w, h: w / ratio}, jump);
}

/* All of it if it can be read so, else from its left as large as can be read, with a node in the middle. */
function first_sight(node) {
  const {view} = shown, width = canvas.clientWidth || 800, height = canvas.clientHeight || 400;
  const scale = Math.min(1, width / view.width, height / view.height);
  if (scale >= READABLE) {
    whole(true);
    return;
  }
  const w = width, h = height;
  const down = h >= view.height ? (view.height - h) / 2 : Math.max(0, Math.min(view.height - h, (node ? node.y + node.h / 2 : 0) - h / 2));
  const at = {x: node ? Math.max(0, node.x - w / 2) : 0, y: down};
  look({...at, w, h}, true);
}

/* Bring a node into sight, and no further than needed. */
function reveal(at) {
  const node = shown.view.nodes[at], room = 30;
  let {x, y} = goal;
  if (node.x - room < x) x = node.x - room;
  if (node.x + node.w + room > x + goal.w) x = node.x + node.w + room - goal.w;
  if (node.y - room < y) y = node.y - room;
  if (node.y + node.h + room > y + goal.h) y = node.y + node.h + room - goal.h;
  if (x !== goal.x || y !== goal.y) look({...goal, x, y});
}

/* A point of the window in the view. */
function under(event) {
  const place = canvas.getBoundingClientRect();
  return [sight.x + (event.clientX - place.left) / place.width * sight.w, sight.y + (event.clientY - place.top) / place.height * sight.h];
}
