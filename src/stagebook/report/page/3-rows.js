/* Which rows there are: stages in the order in which they began, matrices and levels folded, the rest below.
   A row is {key, stage} or a fold {key, name, note, members, state}; `deep` is one that belongs to the fold above. */

const CELLS_SHOWN = 3;  // a matrix with more cells is one row
const ROWS_MAX = 60;  // beyond this, levels that passed fold
const TOGETHER = 200;  // what lies within this part of a run began together
const OPEN_STATES = new Set(["running", "interrupted", "slot", "gate", "person"]);
const unfolded = new Set();
let is_folding = true;

/* By when they began; what began together stays in the order of the file. */
const in_order = (() => {
  const grain = Math.max(1, run.total_us / TOGETHER), found = [];
  let group = [];
  for (const stage of stages.filter((one) => one.phases.length).sort((a, b) => a.begin - b.begin || a.index - b.index)) {
    if (group.length && stage.begin - group[0].begin > grain) {
      found.push(...group.sort((a, b) => a.index - b.index));
      group = [];
    }
    group.push(stage);
  }
  return found.concat(group.sort((a, b) => a.index - b.index));
})();

function row_of(stage, deep) {
  return {key: `s${stage.index}`, stage, members: [stage], deep: Boolean(deep)};
}

/* A fold's state is the worst in it, then what goes on, then what most are. */
function state_among(members) {
  const find = (test) => members.find(test)?.state;
  return find((one) => FAILED.has(one.state)) || find((one) => OPEN_STATES.has(one.state)) ||
    find((one) => one.state === "cancellation") || find((one) => one.state === "flaky") || members[0].state;
}

function note_of(members) {
  const failed = members.filter((one) => FAILED.has(one.state)).length;
  const over = members.filter((one) => !OPEN_STATES.has(one.state)).length;
  if (failed) return `${count(failed)} of ${count(members.length)} failed`;
  if (over < members.length) return `${count(over)} of ${count(members.length)}`;
  const passed = members.filter((one) => PASSED.has(one.state)).length;
  return passed === members.length ? `${count(passed)} passed` : `${count(passed)} of ${count(members.length)} passed`;
}

/* `test x48`; what failed, runs or is critical stays below it as a row of its own. */
function with_matrices_folded(found) {
  const cells = new Map();
  for (const stage of found) {
    if (stage.matrix) cells.set(stage.matrix, [...(cells.get(stage.matrix) || []), stage]);
  }
  const rows = [], seen = new Set();
  for (const stage of found) {
    const members = cells.get(stage.matrix);
    if (!stage.matrix || members.length <= CELLS_SHOWN) {
      rows.push(row_of(stage));
    } else if (!seen.has(stage.matrix)) {
      seen.add(stage.matrix);
      const key = `m${stage.matrix}`;
      rows.push({key, name: `${stage.matrix} ${TIMES}${count(members.length)}`, note: note_of(members), members, state: state_among(members)});
      const shown = unfolded.has(key) ? members : members.filter((one) => FAILED.has(one.state) || OPEN_STATES.has(one.state));
      rows.push(...shown.map((one) => row_of(one, true)));
    }
  }
  return rows;
}

/* Too many rows: what passed and holds no critical stage becomes one row for each run of levels in between. */
function with_levels_folded(rows) {
  const level = (row) => row.members[0].level;
  const is_quiet = (row) => !row.deep && row.members.every((one) => PASSED.has(one.state) && !one.on_path) && !unfolded.has(row.key);
  const found = [];
  let hidden = [];
  const flush = () => {
    const members = hidden.flatMap((row) => row.members);
    if (hidden.length < 2) {
      found.push(...hidden);
    } else {
      const first = level(hidden[0]), last = level(hidden[hidden.length - 1]);
      const key = `l${members[0].index}`;
      const name = first === last ? `level ${first}` : `level ${first} to ${last}`;
      found.push({key, name: `${name} ${TIMES}${count(members.length)}`, note: note_of(members), members, state: state_among(members)});
      if (unfolded.has(key)) found.push(...members.map((one) => row_of(one, true)));
    }
    hidden = [];
  };
  for (const row of rows.map((row, at) => [level(row), at, row]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((one) => one[2])) {
    if (is_quiet(row)) {
      hidden.push(row);
    } else {
      flush();
      found.push(row);
    }
  }
  flush();
  return found;
}

/* Those that never ran, or wait, one row for all that share what kept them. */
function asides() {
  const groups = new Map();
  for (const stage of stages) {
    if (stage.phases.length || stage.aside === undefined) continue;
    const key = `a${stage.state} ${stage.aside}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(stage);
  }
  const rows = [];
  for (const [key, members] of groups) {
    if (members.length === 1) {
      rows.push(row_of(members[0]));
      continue;
    }
    const names = members.slice(0, 12).map((one) => one.name).join(", ") + (members.length > 12 ? ` and ${count(members.length - 12)} more` : "");
    const word = members[0].state === "skip" ? "skipped" : STATE_WORDS[members[0].state].split(" ")[0];
    rows.push({key, name: `${count(members.length)} ${word}`, note: members[0].aside, names, members, state: members[0].state, is_aside: true});
    if (unfolded.has(key) || !is_folding) rows.push(...members.map((one) => row_of(one, true)));
  }
  return rows;
}

/* All rows; with a question those of a fold that answer it stand below the fold. */
function arranged(test) {
  let rows = is_folding ? with_matrices_folded(in_order) : in_order.map((stage) => row_of(stage));
  if (is_folding && rows.length > ROWS_MAX) rows = with_levels_folded(rows);
  rows = rows.concat(asides());
  if (!test) return rows;
  const shown = new Set(rows.filter((row) => row.stage).map((row) => row.stage.index));
  return rows.flatMap((row) => {
    if (row.stage) return [{...row, is_hit: test(row.stage)}];
    const hits = row.members.filter(test);
    const below = hits.filter((one) => !shown.has(one.index)).map((one) => ({...row_of(one, true), is_hit: true}));
    return [{...row, is_hit: hits.length > 0}, ...below];
  });
}
