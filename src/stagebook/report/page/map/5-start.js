/* What keys, buttons and the pointer do, and the first drawing. */

document.documentElement.classList.add("js");

function say(words) {
  $("said").textContent = words;
}

function press(key, is_on) {
  document.querySelector(`.tools [data-key="${key}"]`).setAttribute("aria-pressed", is_on);
}

function choose(at) {
  shown.chosen = at;
  canvas.setAttribute("aria-activedescendant", at >= 0 ? `n${at}` : "");
  mark();
  if (at >= 0) reveal(at);
  told();
}

function told() {
  const parts = [];
  if (shown.problem) parts.push(shown.problem);
  if (shown.test) parts.push(`${count(stages.filter(shown.test).length)} of ${plural(stages.length, "stage")}`);
  if (shown.path_of >= 0) {
    const left = shown.view.left_out ? `, ${count(shown.view.left_out)} further away left out` : "";
    parts.push(`Path of ${stages[shown.path_of].name}: ${plural(shown.view.nodes.length, "stage")}${left}. esc shows the whole map`);
  } else {
    const folded = stages.length - shown.view.nodes.length;
    if (folded > 0) parts.push(`${plural(stages.length, "stage")} folded to ${plural(shown.view.nodes.length, "node")}`);
  }
  say(parts.join(" \u00b7 "));
}

/* The map of all, folded or not. */
function open_map() {
  shown.path_of = -1;
  press("p", false);
  press("f", shown.is_folded);
  show(shown.is_folded || !map.open ? map.folded : map.open);
  first_sight(shown.view.nodes[shown.node_of.get(map.path[0])]);
  draw_legend();
  told();
}

function open_path(index) {
  if (!$("table").hidden) table();
  document.documentElement.classList.add("asked");  // a narrow window shows no other map
  shown.path_of = index;
  press("p", true);
  show(near(index));
  first_sight(shown.view.nodes[shown.view.start]);
  draw_legend();
  choose(shown.view.start);
}

function fold() {
  if (!map.open) {
    say(stages.length > map.folded.nodes.length ? "Too many stages to be drawn unfolded: find one and open its path" : "Nothing is folded");
    return;
  }
  shown.is_folded = !shown.is_folded;
  open_map();
}

function path() {
  if (shown.path_of >= 0) open_map();
  else if (shown.chosen < 0) say("Choose a stage first: click it, or Tab to the map and use the arrow keys");
  else if (shown.view.nodes[shown.chosen].stages.length > 1) open_node(shown.chosen);
  else open_path(shown.view.nodes[shown.chosen].stages[0]);
}

function table() {
  const is_table = $("table").hidden;
  $("table").hidden = !is_table;
  $("mapbox").hidden = is_table;
  document.documentElement.classList.toggle("table", is_table);
  press("t", is_table);
  if (is_table) draw_table();
  else if (shown.view) {
    tall();
    whole(true);
  }
}

function only_path() {
  shown.only = !shown.only;
  press("c", shown.only);
  mark();
  if (!$("table").hidden) draw_table();
}

function ask(question) {
  const {test, problem} = understand(question);
  Object.assign(shown, {question, test, problem});
  if (question && shown.path_of >= 0) open_map();
  mark();
  if (!$("table").hidden) draw_table();
  told();
}

/* Enter in the find field: the path of the first hit, then of the next. */
function open_hit() {
  const hits = shown.test ? stages.filter(shown.test) : [];
  if (!hits.length) return;
  const next = hits.find((stage) => stage.index > shown.path_of) || hits[0];
  open_path(next.index);
  canvas.focus({preventScroll: true});
}

let finding_at = -1;
function go_to_finding(number, from_map) {
  finding_at = map.findings.findIndex((one) => one.number === number);
  const one = map.findings[finding_at], card = $(`finding-${number}`);
  document.querySelectorAll(".fd.on").forEach((other) => other.classList.remove("on"));
  if (card) {
    card.classList.add("on");
    card.closest("details")?.setAttribute("open", "");
    if (from_map) card.focus();
  }
  if (shown.path_of >= 0 && !shown.node_of.has(one.stages[0])) open_map();
  if (!canvas.getClientRects().length) {  // a narrow window has a list instead
    document.querySelector(`.lv [data-node="${map.folded.nodes.findIndex((node) => node.stages.includes(one.stages[0]))}"]`)?.focus();
    return;
  }
  const at = shown.node_of.get(one.stages[one.stages.length > 1 && NEEDLESS.has(one.code) ? 1 : 0]);
  if (at !== undefined) choose(at);
  say(`${one.number}. ${one.heading}`);
}

function next_finding(by) {
  if (!map.findings.length) say("Nothing was found against this order");
  else go_to_finding(map.findings[(finding_at + by + map.findings.length) % map.findings.length].number, false);
}

/* Along needs to the left, along dependents to the right, to the next one of the column up and down. */
function move(key) {
  const {view, chosen} = shown;
  if (chosen < 0) {
    choose(shown.node_of.get(map.path[0]) ?? 0);
    return;
  }
  const node = view.nodes[chosen], near_to = (some) => some.sort((a, b) => Math.abs(view.nodes[a].y - node.y) - Math.abs(view.nodes[b].y - node.y))[0];
  let next;
  if (key === "ArrowLeft") next = near_to(view.links.filter((link) => link[1] === chosen).map((link) => link[0]));
  else if (key === "ArrowRight") next = near_to(view.links.filter((link) => link[0] === chosen).map((link) => link[1]));
  else {
    const side = key === "ArrowDown" ? 1 : -1;
    next = near_to(view.nodes.map((_, at) => at).filter((at) => Math.abs(view.nodes[at].x - node.x) < 1 && (view.nodes[at].y - node.y) * side > 0));
  }
  if (next !== undefined) choose(next);
}

/* Esc takes back one thing. */
function back() {
  if (close_panel()) return;
  if (!$("table").hidden && !map.is_large) table();
  else if (shown.question) {
    $("find").value = "";
    ask("");
  } else if (shown.only) only_path();
  else if (shown.path_of >= 0) {
    document.documentElement.classList.remove("asked");
    open_map();
  } else choose(-1);
}

const ACTIONS = {
  "/": () => { $("find").focus(); $("find").select(); }, f: fold, c: only_path, p: path, t: table, n: () => next_finding(1), N: () => next_finding(-1),
  "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1 / 0.7), 0: () => whole(), "?": open_help, Escape: back,
  ArrowLeft: () => pan(-0.2, 0), ArrowRight: () => pan(0.2, 0), ArrowUp: () => pan(0, -0.2), ArrowDown: () => pan(0, 0.2),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const goal_of = event.target, is_typing = goal_of.matches("input");
  if (is_typing) {
    if (event.key === "Enter") open_hit();
    if (event.key === "Escape") {
      back();
      goal_of.blur();
    }
    return;
  }
  if (goal_of === canvas && event.key.startsWith("Arrow")) {
    move(event.key);
    event.preventDefault();
    return;
  }
  if (goal_of === canvas && (event.key === "Enter" || event.key === " ")) {
    if (shown.chosen < 0) move(event.key);
    else open_node(shown.chosen);
    event.preventDefault();
    return;
  }
  if (event.key.startsWith("Arrow") && goal_of !== document.body) return;  // which scroll what has the focus
  if (event.key.startsWith("Arrow") && (event.key === "ArrowUp" || event.key === "ArrowDown")) return;  // which scroll the page
  if (!single_keys && /^[a-zA-Z0-9/+=?-]$/.test(event.key)) return;
  if (Object.hasOwn(ACTIONS, event.key)) {
    ACTIONS[event.key]();
    event.preventDefault();
  }
});

document.querySelectorAll(".tools [data-key]").forEach((one) => {
  one.setAttribute("aria-keyshortcuts", one.dataset.key);
  one.addEventListener("click", () => ACTIONS[one.dataset.key]());
});
document.querySelectorAll("[data-finding]").forEach((one) => one.addEventListener("click", () => {
  if (!$("table").hidden) table();
  go_to_finding(Number(one.dataset.finding), false);
  $("mapbox").scrollIntoView({block: "nearest"});
}));
document.querySelectorAll(".lv [data-node]").forEach((one) => one.addEventListener("click", () => {
  const node = map.folded.nodes[Number(one.dataset.node)];
  if (node.stages.length === 1) open_stage(node.stages[0]);
  else {
    open_map();
    open_node(Number(one.dataset.node));
  }
}));
document.querySelectorAll("[data-grow]").forEach((one) => { one.style.flexGrow = one.dataset.grow; });

/* In the strip of the path what has no room is left out; its title has it. */
function fit_names() {
  const texts = [...document.querySelectorAll(".strip-p b, .strip-p i")];
  texts.forEach((one) => { one.style.visibility = ""; });
  texts.map((one) => one.scrollWidth > one.clientWidth).forEach((is_cut, at) => { if (is_cut) texts[at].style.visibility = "hidden"; });
}
$("help-open").addEventListener("click", open_help);
$("find").addEventListener("input", (event) => ask(event.target.value));

/* The pointer: a click opens, a drag moves, the wheel zooms with ctrl and moves with shift. */
let drag = null, pointed = -1;
const node_under = (event) => Number(event.target.closest("[data-node]")?.dataset.node ?? -1);
canvas.addEventListener("pointerdown", (event) => {
  if (event.button === 0) drag = {x: event.clientX, y: event.clientY, moved: false, node: node_under(event), finding: event.target.closest("[data-finding]")?.dataset.finding};
});
canvas.addEventListener("pointermove", (event) => {
  if (drag && event.buttons && (drag.moved || Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4)) {
    if (!drag.moved) canvas.setPointerCapture(event.pointerId);
    drag.moved = true;
    $("tip").hidden = true;
    pan((drag.x - event.clientX) / canvas.clientWidth, (drag.y - event.clientY) / canvas.clientHeight, true);
    Object.assign(drag, {x: event.clientX, y: event.clientY});
  } else if (event.pointerType === "mouse") {
    const at = node_under(event);
    if (at !== pointed) mark(at);
    pointed = at;
    show_tip(at, event.clientX, event.clientY);
  }
});
canvas.addEventListener("pointerup", () => {
  const {moved, node, finding} = drag || {moved: true};
  drag = null;
  if (moved) return;
  if (finding) go_to_finding(Number(finding), true);
  else if (node >= 0) open_node(node);
  else choose(-1);
});
canvas.addEventListener("pointercancel", () => { drag = null; });
canvas.addEventListener("pointerleave", () => {
  $("tip").hidden = true;
  if (pointed >= 0) mark();
  pointed = -1;
});
canvas.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.shiftKey) return;
  event.preventDefault();
  if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, ...under(event), true);
  else pan((event.deltaY || event.deltaX) / 800, 0, true);
}, {passive: false});
addEventListener("resize", () => {
  fit_names();
  if (!shown.view) return;
  tall();
  look(goal, true);
});
fit_names();

document.querySelector('[data-key="n"]').hidden = !map.findings.length;
document.querySelector('[data-key="f"]').hidden = stages.length === map.folded.nodes.length;
if (stages.length) {
  open_map();
  if (map.is_large) table();
} else {
  $("mapbox").hidden = true;
  document.querySelector(".bar").hidden = true;
}
