/* What is told in words: the card of a failure, the panel of a stage, the table, all keys, the tip at the pointer. */

function log_of(stage, attempt) {
  return run.logs[`${stage.index}.${attempt.number}`];
}

const ALARM = /^E {2,}|\b(?:ERROR|FAILED|FATAL|Traceback|panic)\b|\b\w*(?:Error|Exception)\b:/;

function log_lines(log, most) {
  const found = el("pre", "log");
  found.tabIndex = 0;
  const put = ([number, text]) => {
    const line = el("span", ALARM.test(text) ? "f" : "", text);
    found.append(el("i", "", number ? count(number) : ""), line, "\n");
  };
  const last = most ? log.last.slice(-most) : log.last;
  log.first.forEach(put);
  if (log.first.length && log.last.length) {
    const [before, after] = [log.first[log.first.length - 1][0], log.last[0][0]];
    const left_out = after ? `${count(after - before - 1)} lines left out` : "lines left out";
    found.append(el("i", "", ""), el("span", "gapline", `\u2026 ${left_out} \u2026`), "\n");
  }
  last.forEach(put);
  return found;
}

/* `last 6 of 1 204 lines` */
function extent(log) {
  if (!log.first.length && !log.last.length) return "printed nothing";
  const lines = log.first.length + log.last.length, end = [...log.first, ...log.last].pop()[0];
  if (end && end <= lines) return plural(lines, "line");
  const which = log.first.length ? `${count(lines)}` : `last ${count(lines)}`;
  return end ? `${which} of ${count(end)} lines` : `${which} lines of ${size(log.size)}`;
}

function command(text) {
  const code = el("code", "", text), button = el("button", "btn", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy ${text}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(`Copied: ${text}`);
    } catch {
      getSelection().selectAllChildren(code);
      say("The command is selected: copy it.");
    }
  });
  return el("p", "cmd", code, button);
}

function commands(stage) {
  if (run.is_measured) return [];
  const {file = run.file && run.file !== "stagebook.yaml" ? ` ${run.file}` : "", look = "", run: where = ""} = run.from;
  const found = stage.attempts.some((attempt) => attempt.has_log) ? [command(`stagebook logs ${run.short} ${stage.word}${look}`)] : [];
  const far = (stage.said || "").startsWith("integrity:") ? "--until" : "--only";
  return [...found, command(`stagebook run${file} ${far} ${stage.word}${where}`)];
}

function link(index) {
  const stage = stages[index], found = el("button", "link", stage.name);
  found.type = "button";
  found.addEventListener("click", () => choose_stage(index, true));
  return found;
}

function draw_failure(index) {
  const stage = stages[index], card = $("failure"), attempt = stage.attempts[stage.attempts.length - 1];
  const log = attempt && log_of(stage, attempt);
  const facts = [attempt ? `attempt ${attempt.number}` : "", stage.said || "", stage.line && run.file ? `${run.file}:${stage.line}` : "", log ? extent(log) : ""];
  const open = el("button", "link", "Open stage");
  open.type = "button";
  open.addEventListener("click", () => choose_stage(index, true));
  const side = el("div", "sus");
  if (run.together && run.together.slice(0, 2).includes(index)) {
    const other = run.together[run.together[0] === index ? 1 : 0], us = together(stage, stages[other]).us;
    if (us) {
      side.append(el("p", "", el("b", "", `Perhaps a race: ${stages[other].name} ran at the same time for ${span(us)}`)));
      side.append(el("p", "d", `Both use ${run.together[2]}.`));
    }
  }
  stage.waits.forEach((phase) => side.append(el("p", "d", `${phase.said}, ${span(phase.to - phase.from)}`)));
  const others = run.failed.filter((one) => one !== index);
  if (others.length) {
    const also = el("p", "d chips", "Also failed: ");
    others.slice(0, 6).forEach((one) => {
      const button = el("button", "link", stages[one].name);
      button.type = "button";
      button.addEventListener("click", () => choose_stage(one, false));
      also.append(button);
    });
    if (others.length > 6) also.append(`and ${count(others.length - 6)} more`);
    side.append(also);
  }
  side.append(...commands(stage).slice(-1));
  const words = run.is_measured ? "measure does not keep what commands print" : attempt && attempt.has_log ? "what it printed is not in this page" : "it never had a process";
  const printed_part = log && (log.first.length || log.last.length) ? log_lines(log) : el("p", "log d", log ? "printed nothing" : words);
  if (printed_part.tagName === "PRE") printed_part.setAttribute("aria-label", `Output of ${stage.name}`);
  card.replaceChildren(
    el("div", "h", el("b", "", stage.name), el("span", "d", facts.filter(Boolean).join(" \u00b7 ")), el("span", "gap"), open),
    el("div", "c", printed_part, side),
  );
  card.hidden = false;
  printed_part.scrollTop = printed_part.scrollHeight;
}

let return_to = null;
function open_panel(index, at_log) {
  const stage = stages[index], panel = $("panel");
  if (panel.hidden) return_to = document.activeElement;
  const title = el("h2", "", stage.name);
  title.id = "panel-title";
  title.tabIndex = -1;
  const close = el("button", "btn", "Close");
  close.type = "button";
  close.addEventListener("click", close_panel);
  const head = el("header", "", glyph(stage.state), title, close);
  const about = [STATE_WORDS[stage.state], stage.said, stage.on_path ? "on the critical path" : "", stage.tolerated ? "tolerated" : "",
    stage.line && run.file ? `${run.file}:${stage.line}` : "", `level ${stage.level}`];
  panel.replaceChildren(head, el("p", "d", about.filter(Boolean).join(" \u00b7 ")));
  if (stage.cause) panel.append(el("h3", "", "Why"), el("p", "", stage.cause));
  if (stage.aside && !stage.cause && stage.aside !== stage.said) panel.append(el("p", "", stage.aside));
  if (stage.phases.length) panel.append(el("h3", "", "What it did"), course(stage));
  if (stage.steps.length) panel.append(el("h3", "", "Steps"), ...stage.steps.map((step) => el("p", "", step.name, " ", el("span", "d", step.said))));
  const used = stage.attempts.filter((attempt) => attempt.usage || attempt.around);
  if (used.length) panel.append(el("h3", "", "What it used"), el("div", "wide", usage_table(used)));
  for (const [title, indices] of [["Needs", stage.needs], ["Needed by", stage.needed_by]]) {
    if (!indices.length) continue;
    const chips = el("p", "chips", ...indices.slice(0, 40).flatMap((one) => [el("span", "", glyph(stages[one].state, STATE_WORDS[stages[one].state]), " ", link(one))]));
    if (indices.length > 40) chips.append(`and ${count(indices.length - 40)} more`);
    panel.append(el("h3", "", title), chips);
  }
  let log_title = null;
  for (const attempt of [...stage.attempts].reverse()) {
    const log = log_of(stage, attempt);
    if (!log) continue;
    const heading = el("h3", "", `Output of attempt ${attempt.number}`, " ", el("span", "d", extent(log)));
    heading.tabIndex = -1;
    log_title ??= heading;
    panel.append(heading);
    if (log.first.length || log.last.length) {
      const lines = log_lines(log);
      lines.setAttribute("aria-label", `Output of ${stage.name}, attempt ${attempt.number}`);
      panel.append(lines);
    }
  }
  if (!log_title && stage.attempts.length && !run.is_measured) {
    log_title = el("p", "d", "What it printed is not in this page.");
    log_title.tabIndex = -1;
    panel.append(log_title);
  }
  panel.append(...commands(stage));
  panel.hidden = false;
  panel.scrollTop = 0;
  const goal = at_log && log_title ? log_title : title;
  goal.focus();
  if (at_log && log_title) log_title.scrollIntoView();
}

function close_panel() {
  if ($("panel").hidden) return false;
  $("panel").hidden = true;
  (return_to && return_to.isConnected && return_to !== document.body ? return_to : $("rows")).focus({preventScroll: true});
  return true;
}

/* Waits and attempts in order of time. */
function course(stage) {
  const rows = stage.phases.map((phase) => {
    const held = phase.held.flatMap((index, at) => [at ? ", " : " ", link(index)]);
    const words = el("td", "", phase.said, ...(held.length ? [el("span", "d", " \u00b7 see"), ...held] : []));
    return el("tr", "", el("td", "r", phase.from ? span(phase.from) : "0"), el("td", "r", span(phase.to - phase.from)), words);
  });
  return el("table", "", el("thead", "", el("tr", "", th("at", "r"), th("for", "r"), th("what"))), el("tbody", "", ...rows));
}

function th(text, name) {
  const found = el("th", name || "", text);
  found.scope = "col";
  return found;
}

function usage_table(attempts) {
  const counted_by = ({usage: used}) => (!used?.method ? NONE : used.max_rss_method && used.max_rss_method !== used.method ? `${used.method}, memory ${used.max_rss_method}` : used.method);
  const seconds = (value) => (value === null || value === undefined ? NONE : span(value * 1e6));
  const known = [
    ["CPU", (one) => seconds(one.usage?.cpu_s)], ["user", (one) => seconds(one.usage?.cpu_user_s)], ["system", (one) => seconds(one.usage?.cpu_system_s)],
    ["memory peak", (one) => size(one.usage?.max_rss_bytes)], ["read", (one) => size(one.usage?.read_bytes)], ["written", (one) => size(one.usage?.write_bytes)],
    ["counted by", counted_by], ["around", (one) => one.around?.text || NONE],
  ];
  const head = el("tr", "", th("attempt"), ...attempts.map((one) => th(String(one.number), "r")));
  const body = known.map(([name, text]) => {
    const first = th(name);
    first.scope = "row";
    return el("tr", "", first, ...attempts.map((one) => el("td", "r", text(one))));
  });
  return el("table", "", el("thead", "", head), el("tbody", "", ...body));
}

const TABLE_PART = 500;
function draw_table(most = TABLE_PART) {
  const found = stages.filter((stage) => !shown.test || shown.test(stage));
  const sum = (stage, key) => {
    const known = stage.attempts.map((one) => one.usage?.[key]).filter((one) => one !== null && one !== undefined);
    return known.length ? known : null;
  };
  const rows = found.slice(0, most).map((stage) => {
    const cpu = sum(stage, "cpu_s"), peak = sum(stage, "max_rss_bytes"), written = sum(stage, "write_bytes");
    const waited = [...new Set(stage.waits.map((phase) => phase.said))].join(", ");
    return el("tr", "",
      el("td", "", link(stage.index)), el("td", "", glyph(stage.state), " ", STATE_WORDS[stage.state]),
      el("td", "", [stage.said || stage.aside, waited].filter(Boolean).join("; ") || NONE), el("td", "", stage.on_path ? "critical" : ""),
      el("td", "r", stage.phases.length ? (stage.begin ? span(stage.begin) : "0") : NONE),
      el("td", "r", wait_text(stage.wait_us)), el("td", "r", work_text(stage.work_us)), el("td", "r", String(stage.attempts.length)),
      el("td", "r", cpu ? span(cpu.reduce((a, b) => a + b) * 1e6) : NONE), el("td", "r", peak ? size(Math.max(...peak)) : NONE),
      el("td", "r", written ? size(written.reduce((a, b) => a + b)) : NONE));
  });
  const caption = el("caption", "", `${plural(found.length, "stage")} of ${count(stages.length)}, in the order of the file`);
  const head = el("tr", "", th("stage"), th("outcome"), th("reason, waits"), th("path"), ...["ready at", "wait", "work", "attempts", "CPU", "memory", "written"].map((text) => th(text, "r")));
  $("table").replaceChildren(el("table", "", caption, el("thead", "", head), el("tbody", "", ...rows)));
  if (found.length > most) {
    const more = el("button", "btn", `${count(Math.min(TABLE_PART, found.length - most))} more`);
    more.type = "button";
    more.addEventListener("click", () => draw_table(most + TABLE_PART));
    $("table").append(more);
  }
}

const KEYS = [
  ["/", "find: words, is:failed, wait:>30s, work:>1m, pool:db, lock:x, path:critical, level:=2, attempts:>1; - before a term turns it round"],
  ["j k \u2193 \u2191", "next and previous row"], ["enter", "open a stage, or a fold"], ["esc", "back"], ["l", "output of the stage"],
  ["n N", "next and previous failure"], ["o", "mark a stage; with a second one, how long they ran together"], ["c", "critical path only"],
  ["w", "stages that waited, with waits for needs"], ["f", "fold or unfold"], ["+ - 0", "zoom in, out, whole run"], ["\u2190 \u2192", "earlier, later"],
  ["t", "the same as a table"], ["?", "all keys"],
];
let single_keys = true;
function open_help() {
  const title = el("h2", "", "Keys");
  title.id = "help-title";
  const box = el("input");
  box.type = "checkbox";
  box.checked = single_keys;
  box.addEventListener("change", () => { single_keys = box.checked; });
  const close = el("button", "btn", "Close");
  close.type = "button";
  close.addEventListener("click", () => $("help").close());
  $("help").replaceChildren(title, el("dl", "", ...KEYS.flatMap(([key, text]) => [el("dt", "", ...key.split(" ").flatMap((one) => [el("kbd", "", one), " "])), el("dd", "", text)])),
    el("label", "", box, "Keys that are one letter act"), close);
  $("help").showModal();
}

function show_tip(row, event) {
  const tip = $("tip");
  if (!row || row.is_thin) {
    tip.hidden = true;
    return;
  }
  const lines = row.stage ? [
    ...row.stage.phases.slice(0, 8).map((phase) => `${phase.said}, ${span(phase.to - phase.from)}`),
    ...(row.stage.phases.length > 8 ? [`and ${row.stage.phases.length - 8} more`] : []),
    ...row.stage.steps.map((step) => `${step.name}: ${step.said}`),
    ...(row.stage.cause ? [row.stage.cause] : row.stage.aside ? [row.stage.aside] : []),
  ] : [row.note, row.names || `${row.members.slice(0, 6).map((one) => one.name).join(", ")}${row.members.length > 6 ? " \u2026" : ""}`];
  tip.replaceChildren(el("b", "", row.stage ? row.stage.name : row.name), ...lines.map((line) => el("p", "d", line)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(innerWidth - box.width - 4, event.clientX + 14))}px`;
  tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18}px`;
}

function say(text) {
  $("said").textContent = text;
}
