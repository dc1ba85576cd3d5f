/* What is told in words: the tip at the pointer, the panel of a stage or a fold, the table, the legend, all keys. */

const ROWS_MAX = 500;  // of the table
const LISTED_MAX = 200;  // in the panel
const LEGEND = [["critical", "critical path"], ["needs", "needs"], ["needless", "needless as far as the file says"], ["added", "added"], ["removed", "removed"], ["couple", "possible coupling"], ["guard", "missing guard"]];

const why = (at) => (edges[at][2] ? ` \u2013 ${edges[at][2]}` : "");

function tip_lines(node) {
  if (node.stages.length > 1) {
    const some = node.stages.slice(0, 6).map((index) => stages[index].name);
    return [`${plural(node.stages.length, "stage")}: ${some.join(", ")}${node.stages.length > 6 ? " \u2026" : ""}`];
  }
  const stage = stages[node.stages[0]], lines = [stage.told.join(" \u00b7 ")];
  stage.needs.slice(0, 6).forEach((at) => lines.push(`needs ${stages[edges[at][0]].name}${why(at)}`));
  if (stage.needs.length > 6) lines.push(`and ${count(stage.needs.length - 6)} more needs`);
  if (!stage.needs.length) lines.push("needs nothing");
  if (stage.dependents.length) lines.push(`needed by ${plural(stage.dependents.length, "stage")}`);
  stage.findings.slice(0, 4).forEach((one) => lines.push(`${one.number}. ${one.heading}`));
  return lines.filter(Boolean);
}

function show_tip(at, x, y) {
  const tip = $("tip"), node = shown.view.nodes[at];
  tip.hidden = !node;
  if (!node) return;
  tip.replaceChildren(el("b", "", node.name), ...tip_lines(node).map((line) => el("p", "d", line)));
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(innerWidth - box.width - 4, x + 14))}px`;
  tip.style.top = `${Math.max(4, y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18)}px`;
}

function link(index) {
  const found = el("button", "link", stages[index].name);
  found.type = "button";
  found.addEventListener("click", () => { open_stage(index); });
  return found;
}

function button(words, act, key) {
  const found = el("button", "btn", words, ...(key ? [" ", el("kbd", "", key)] : []));
  found.type = "button";
  found.addEventListener("click", act);
  return found;
}

let before_panel = null;
function fill_panel(title, ...content) {
  const panel = $("panel"), head = el("header", "", el("h2", "", title), button("Close", close_panel, "esc"));
  head.firstChild.id = "panel-title";
  head.firstChild.tabIndex = -1;
  panel.replaceChildren(head, ...content);
  if (panel.hidden) before_panel = document.activeElement;
  panel.hidden = false;
  $("tip").hidden = true;
  head.firstChild.focus({preventScroll: true});
}

function close_panel() {
  if ($("panel").hidden) return false;
  $("panel").hidden = true;
  if (before_panel && before_panel.isConnected) before_panel.focus({preventScroll: true});
  return true;
}

function listed(title, some, item) {
  if (!some.length) return [];
  const list = el("ul", "", ...some.slice(0, LISTED_MAX).map((one) => el("li", "", ...item(one))));
  if (some.length > LISTED_MAX) list.append(el("li", "d", `and ${count(some.length - LISTED_MAX)} more`));
  return [el("h3", "", `${title} (${count(some.length)})`), list];
}

function open_stage(index) {
  const stage = stages[index], at = shown.node_of.get(index);
  if (at !== undefined) choose(at);
  const place = [`level ${stage.level}`, stage.group && `group ${stage.group}`, stage.line && `line ${stage.line}`].filter(Boolean);
  fill_panel(stage.name,
    el("p", "", stage.told.join(" \u00b7 ")), el("p", "d", place.join(" \u00b7 ")),
    el("div", "row-b", button("Only its path", () => { close_panel(); open_path(index); }, "p")),
    ...listed("Findings", stage.findings, (one) => [finding_link(one)]),
    ...listed("Needs", stage.needs, (edge) => [link(edges[edge][0]), el("span", "why", why(edge) + (edges[edge][3] ? `, line ${edges[edge][3]}` : ""))]),
    ...listed("Needed by", stage.dependents, (edge) => [link(edges[edge][1]), el("span", "why", why(edge))]));
}

function open_node(at) {
  const node = shown.view.nodes[at];
  if (node.stages.length === 1) open_stage(node.stages[0]);
  else {
    choose(at);
    fill_panel(node.name, ...listed("Stages", node.stages, (index) => [link(index), el("span", "why", stages[index].figure ? `  ${stages[index].figure}` : "")]));
  }
}

function finding_link(one) {
  const found = el("button", "link", `${one.number}. ${one.heading}`);
  found.type = "button";
  found.addEventListener("click", () => { close_panel(); go_to_finding(one.number, true); });
  return found;
}

function draw_table() {
  const some = stages.filter((stage) => (!shown.test || shown.test(stage)) && (!shown.only || stage.critical)).sort((a, b) => a.level - b.level || a.index - b.index);
  const table = el("table", ""), head = el("tr", ""), body = el("tbody", "");
  for (const title of ["level", "stage", "figures", "needs"]) {
    const cell = el("th", "", title);
    cell.scope = "col";
    head.append(cell);
  }
  for (const stage of some.slice(0, ROWS_MAX)) {
    const needs = stage.needs.slice(0, 8).map((at) => stages[edges[at][0]].name).join(", ") + (stage.needs.length > 8 ? ` and ${count(stage.needs.length - 8)} more` : "");
    body.append(el("tr", stage.critical ? "crit" : "", el("td", "", String(stage.level)), el("td", "", link(stage.index)), el("td", "", stage.told.join(" \u00b7 ")), el("td", "", needs || "\u2013")));
  }
  const said = some.length > ROWS_MAX ? `The first ${count(ROWS_MAX)} of ${plural(some.length, "stage")}; the find field narrows them down.` : plural(some.length, "stage");
  table.append(el("caption", "", said), el("thead", "", head), body);
  $("table").replaceChildren(table);
}

/* Only what occurs. */
function draw_legend() {
  const kinds = new Set(shown.view.links.map((one) => one[2]));
  shown.view.badges.forEach(([, code, , , paths]) => { if (paths.length) kinds.add(code === "missing-guard" ? "guard" : "couple"); });
  $("legend").replaceChildren(...LEGEND.filter(([kind]) => kinds.has(kind)).map(([kind, words]) => {
    const line = svg("svg", {width: 26, height: 8, "aria-hidden": "true"});
    line.append(svg("path", {class: `e ${kind}`, d: "M0 4h26"}));
    return el("span", "", line, words);
  }));
}

const KEYS = [["/", "find; Enter opens the path of the first hit"], ["arrows", "on the map: along needs, and up and down; else move"], ["Enter", "open the chosen stage"], ["esc", "back"], ["p", "only what comes before and after the chosen stage"], ["c", "critical path only"], ["f", "fold or unfold"], ["n N", "next, previous finding"], ["+ - 0", "zoom, whole map; also the wheel with ctrl, and a drag"], ["t", "the same as a table"], ["?", "all keys"]];
let single_keys = true;
function open_help() {
  const list = el("dl", ""), toggle = el("input", "");
  KEYS.forEach(([key, words]) => list.append(el("dt", "", el("kbd", "", key)), el("dd", "", words)));
  toggle.type = "checkbox";
  toggle.checked = single_keys;
  toggle.addEventListener("change", () => { single_keys = toggle.checked; });
  const title = el("h2", "", "All keys");
  title.id = "help-title";
  $("help").replaceChildren(title, list, el("label", "", toggle, "Keys of one letter"), button("Close", () => $("help").close(), "esc"));
  $("help").showModal();
}
