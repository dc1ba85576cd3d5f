/* What keys, buttons and the pointer do, and the first drawing. */

const tree = $("rows");

function chosen_row() {
  return shown.rows[shown.place.get(shown.chosen)];
}

/* Choose a row, bring it into view, and say what is drawn with it. */
function choose(at, is_quiet) {
  const row = shown.rows[at];
  if (!row) return;
  shown.chosen = row.key;
  if (!is_quiet) {
    const box = tree.getBoundingClientRect(), head = document.querySelector(".head").offsetHeight, foot = $("curves").offsetHeight;
    const sticks = getComputedStyle($("curves")).position === "sticky";
    const top = box.top + shown.tops[at], bottom = box.top + shown.tops[at + 1];
    if (top < head) scrollBy(0, top - head - 4);
    else if (bottom > innerHeight - (sticks ? foot : 0)) scrollBy(0, bottom - innerHeight + (sticks ? foot : 0) + 4);
  }
  if (row.stage && FAILED.has(row.stage.state) && !$("failure").hidden) draw_failure(row.stage.index);
  told();
  changed();
}

function choose_stage(index, with_panel) {
  let at = shown.where.get(index);
  if (at !== undefined && !shown.rows[at].stage) {  // it is folded
    unfolded.add(shown.rows[at].key);
    arrange();
    at = shown.where.get(index);
    if (at !== undefined && !shown.rows[at].stage) {  // and its matrix within a level
      unfolded.add(shown.rows[at].key);
      arrange();
      at = shown.where.get(index);
    }
  }
  if (at !== undefined) choose(at);
  if (with_panel) open_panel(index);
}

/* The next row in a direction that is no thin line. */
function step(by, test = (row) => !row.is_thin) {
  let at = shown.place.get(shown.chosen) ?? (by > 0 ? -1 : shown.rows.length);
  for (at += by; at >= 0 && at < shown.rows.length; at += by) {
    if (test(shown.rows[at])) {
      choose(at);
      return true;
    }
  }
  return false;
}

function edge(by) {
  shown.chosen = null;
  step(by);
}

/* What the picture says in words just now. */
function told() {
  const parts = [], two = pair();
  if (shown.problem) parts.push(shown.problem);
  if (shown.test) parts.push(`${count(stages.filter(shown.test).length)} of ${plural(stages.length, "stage")}`);
  if (two) {
    const [one, other] = two.map((index) => stages[index]), common = together(one, other);
    parts.push(common.us ? `${one.name} and ${other.name} ran together for ${span(common.us)}` : `${one.name} and ${other.name} never ran at the same time`);
  } else if (shown.marks.length) {
    parts.push(`${stages[shown.marks[0]].name} is marked; choose another stage`);
  }
  say(parts.join(" \u00b7 "));
  draw_legend();
}

function ask(question) {
  shown.question = question;
  arrange();
  told();
  if (!$("table").hidden) draw_table();
}

function toggle(key, is_on) {
  document.querySelector(`.tools [data-key="${key}"]`).setAttribute("aria-pressed", is_on);
}

const only = {c: (stage) => Boolean(stage.on_path), w: (stage) => stage.phases.some((phase) => phase.kind === "wait" || phase.kind === "backoff") || stage.state === "slot"};
function filter(key) {
  shown.only = shown.only === only[key] ? null : only[key];
  shown.waits = shown.only === only.w;
  toggle("c", shown.only === only.c);
  toggle("w", shown.waits);
  ask(shown.question);
}

function open_fold(row) {
  if (!unfolded.delete(row.key)) unfolded.add(row.key);
  arrange();
}

/* The fold that is chosen, or that the chosen row belongs to; without one, all of them. */
function fold() {
  const at = shown.place.get(shown.chosen);
  for (let up = at ?? -1; up >= 0; up -= 1) {
    const row = shown.rows[up];
    if (!row.stage) {
      shown.chosen = row.key;
      open_fold(row);
      return;
    }
    if (!row.deep) break;
  }
  is_folding = !is_folding;
  unfolded.clear();
  toggle("f", is_folding);
  arrange();
}

function mark() {
  const row = chosen_row();
  if (!row || !row.stage) {
    shown.marks = [];
    say("Choose a stage first: click its row, or j and k");
    changed();
    return;
  }
  const index = row.stage.index;
  if (shown.marks.includes(index)) shown.marks = shown.marks.filter((one) => one !== index);
  else shown.marks = shown.marks.length === 1 ? [shown.marks[0], index] : [index];
  told();
  changed();
}

function table() {
  const is_table = $("table").hidden, has_focus = document.activeElement === tree || $("table").contains(document.activeElement);
  $("table").hidden = !is_table;
  $("timeline").hidden = $("legend").hidden = is_table;
  toggle("t", is_table);
  if (is_table) draw_table();
  else arrange();
  if (has_focus) (is_table ? $("table") : tree).focus({preventScroll: true});
}

function enter(at_log) {
  const row = chosen_row();
  if (!row) step(1);
  else if (!row.stage) open_fold(row);
  else open_panel(row.stage.index, at_log);
}

function next_failure(by) {
  const is_failure = (row) => row.stage && FAILED.has(row.stage.state) && !row.is_thin;
  if (step(by, is_failure)) return;
  const before = shown.chosen;
  shown.chosen = null;  // from the other end
  if (!step(by, is_failure)) {
    shown.chosen = before;
    say("No stage failed.");
  }
}

function middle() {
  const row = chosen_row();
  const centre = row && row.stage && row.stage.works.length ? (row.stage.begin + row.stage.end) / 2 : null;
  return centre !== null && centre >= view.from && centre <= view.to ? centre : undefined;
}

/* Esc takes back one thing: the panel, the question, the marks, the choice. */
function back() {
  if (close_panel()) return;
  if (!$("table").hidden) table();
  else if (shown.question || shown.only) {
    $("find").value = "";
    shown.only = null;
    shown.waits = false;
    toggle("c", false);
    toggle("w", false);
    ask("");
  } else if (shown.marks.length) {
    shown.marks = [];
    told();
    changed();
  } else {
    shown.chosen = null;
    changed();
  }
}

const ACTIONS = {
  "/": () => { $("find").focus(); $("find").select(); }, j: () => step(1), k: () => step(-1), Enter: () => enter(false), l: () => enter(true),
  n: () => next_failure(1), N: () => next_failure(-1), o: mark, c: () => filter("c"), w: () => filter("w"), f: fold,
  "+": () => zoom(0.5, middle()), "=": () => zoom(0.5, middle()), "-": () => zoom(2, middle()), 0: () => look(0, run.total_us),
  ArrowLeft: () => pan(-0.25), ArrowRight: () => pan(0.25), t: table, "?": open_help, Escape: back,
};
const IN_TREE = {ArrowDown: () => step(1), ArrowUp: () => step(-1), Home: () => edge(1), End: () => edge(-1), " ": () => enter(false)};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const goal = event.target, is_typing = goal.matches("input");
  if (is_typing) {
    if (event.key === "Escape" && goal.value === "") goal.blur();
    if (event.key === "Enter") {
      tree.focus({preventScroll: true});
      shown.chosen = null;
      step(1);
      event.preventDefault();
    }
    if (event.key !== "Escape") return;
    goal.blur();
  }
  if (goal === tree && IN_TREE[event.key]) {
    IN_TREE[event.key]();
    event.preventDefault();
    return;
  }
  if (event.key === "Enter" && goal !== tree && goal !== document.body) return;  // buttons are pressed by it
  if (event.key.startsWith("Arrow") && goal.closest(".log, #panel, #table")) return;  // which scroll by it
  if (!single_keys && /^[a-zA-Z0-9/+=?-]$/.test(event.key)) return;
  if (Object.hasOwn(ACTIONS, event.key)) {
    ACTIONS[event.key]();
    event.preventDefault();
  }
});

document.querySelectorAll(".tools [data-key]").forEach((button) => {
  button.setAttribute("aria-keyshortcuts", button.dataset.key);
  button.addEventListener("click", () => ACTIONS[button.dataset.key]());
});
$("help-open").addEventListener("click", open_help);
$("find").addEventListener("input", (event) => ask(event.target.value));

/* The pointer: a click chooses, on a name it opens; a drag moves what is in view; the wheel zooms with ctrl, moves with shift. */
let drag = null;
const row_under = (event) => {
  const y = event.clientY - tree.getBoundingClientRect().top;
  return y >= 0 && y < shown.tops[shown.rows.length] ? row_at(y) : -1;
};
const is_on_name = (event) => Boolean(event.target.closest(".nm")) || event.clientX < tree.getBoundingClientRect().left + tree.querySelector(".plot").offsetLeft;
tree.addEventListener("pointerdown", (event) => {
  if (event.button === 0) drag = {from: event.clientX, at: event.clientX, moved: false, on_name: is_on_name(event)};
});
tree.addEventListener("pointermove", (event) => {
  if (drag && (drag.moved || Math.abs(event.clientX - drag.from) > 4) && event.buttons) {
    if (!drag.moved) tree.setPointerCapture(event.pointerId);
    drag.moved = true;
    $("tip").hidden = true;
    pan((drag.at - event.clientX) / view.width, true);
    drag.at = event.clientX;
  } else if (event.pointerType === "mouse") {
    show_tip(shown.rows[row_under(event)], event);
  }
});
tree.addEventListener("pointerup", (event) => {
  const {moved, on_name} = drag || {moved: true};
  drag = null;
  const at = row_under(event), row = shown.rows[at];
  if (moved || !row || row.is_thin) return;
  choose(at, true);
  if (!row.stage && on_name) open_fold(row);
  else if (row.stage && (on_name || event.pointerType === "touch")) open_panel(row.stage.index);
});
tree.addEventListener("pointercancel", () => { drag = null; });
tree.addEventListener("pointerleave", () => { $("tip").hidden = true; });
tree.addEventListener("dblclick", (event) => {
  const row = shown.rows[row_under(event)];
  if (row && row.stage) open_panel(row.stage.index);
});
$("timeline").addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.shiftKey) return;
  event.preventDefault();
  const place = $("axis").getBoundingClientRect();
  const at = view.from + Math.max(0, Math.min(1, (event.clientX - place.left) / place.width)) * (view.to - view.from);
  if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.25 : 0.8, at, true);
  else pan((event.deltaY || event.deltaX) / 800, true);
}, {passive: false});
addEventListener("scroll", scrolled, {passive: true});
let width_before = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width_before) arrange();  // rows are as tall as the width asks
  else changed();
  width_before = innerWidth;
});
mini_by_pointer($("mini"));

function begin() {
  const longest_name = stages.reduce((most, stage) => Math.max(most, stage.name.length), 8);
  if (innerWidth > 720) document.documentElement.style.setProperty("--nw", `${Math.round(Math.max(180, Math.min(300, longest_name * 7.1 + 48)))}px`);
  $("pipeline").textContent = run.pipeline;
  const mark_of_run = document.querySelector("#verdict-glyph");
  mark_of_run.setAttribute("aria-label", STATE_WORDS[run.state] || run.state);
  mark_of_run.firstElementChild.setAttribute("href", `#g-${GLYPHS[run.state] || run.state}`);
  const id = el("span", "m", run.short);
  id.title = run.run;
  $("about").replaceChildren("Run ", id, ` \u00b7 ${run.about.join(" \u00b7 ")} \u00b7 `, moment(run.started_us, true));
  if (run.stood_still_us) $("about").append(` \u00b7 and stood still for ${span(run.stood_still_us)} between two engines, which the axis leaves out`);
  $("totals").replaceChildren(...run.totals.map(([name, figure, more]) => el("div", "", el("dt", "", name), el("dd", "", el("b", "", figure), more ? ` ${more}` : ""))));
  $("mini-label").textContent = stages.length === 1 ? "1 stage" : `all ${count(stages.length)} stages`;
  $("lines").replaceChildren(...[...run.lines, how_measured()].filter(Boolean).map((line) => el("li", "", whole(line))), ...run.warnings.map((line) => el("li", "warn", el("b", "", "warning"), `: ${line}`)));
  if (run.as_of_us !== null) {
    $("as-of").replaceChildren("Drawn ", el("b", "", "as of "), moment(run.as_of_us, false), ": the run was going on, and this page does not follow it. ", el("code", "", `stagebook timeline ${run.short} --format html`), " draws it anew.");
    $("as-of").hidden = false;
  }
  if (run.together && together(stages[run.together[0]], stages[run.together[1]]).us) shown.marks = run.together.slice(0, 2);
  if (run.failed.length) draw_failure(run.failed[0]);
  arrange();
  const first = run.failed.length ? shown.where.get(run.failed[0]) : undefined;
  if (first !== undefined && shown.rows[first].stage) shown.chosen = shown.rows[first].key;
  told();
  draw();
}

begin();
