/* The map of a neighbourhood: its places, found here because only the reader knows which one. All other maps come with
   their places. */

const NEAR_MAX = 150;  // stages of a neighbourhood that are drawn
const GAP = 16, LINE = 14, CELL = 7.3;

function lines_of(name) {
  const found = [];
  for (let rest = name; rest && found.length < 2; rest = rest.slice(34)) found.push(rest.slice(0, 34));
  if (name.length > 68) found[1] = `${found[1].slice(0, 33)}\u2026`;
  return found;
}

/* What comes before and after a stage as a view; those furthest away are left out where they are too many. */
function near(start) {
  const steps = around(start);
  const kept = [...steps.keys()].sort((a, b) => Math.abs(steps.get(a)) - Math.abs(steps.get(b)) || a - b).slice(0, NEAR_MAX).sort((a, b) => a - b);
  const place = new Map(kept.map((index, at) => [index, at]));
  const nodes = kept.map((index) => {
    const stage = stages[index], lines = lines_of(stage.name);
    return {lines, name: stage.name, figure: stage.figure, stages: [index], kind: stage.kind, mark: stage.mark || "", critical: stage.critical, h: lines.length * LINE + 18, left: [], right: [], mid: 0};
  });
  const joined = edges.map((edge, at) => [...edge, at]).filter(([need, node]) => place.has(need) && place.has(node));
  joined.forEach(([need, node]) => {
    nodes[place.get(need)].right.push(nodes[place.get(node)]);
    nodes[place.get(node)].left.push(nodes[place.get(need)]);
  });
  const {bands, columns} = in_columns(nodes);
  settle(columns);
  const top = Math.min(...nodes.map((node) => node.mid - node.h / 2)), height = Math.max(...nodes.map((node) => node.mid + node.h / 2)) - top;
  nodes.forEach((node) => { node.y = Math.round(30 + node.mid - top - node.h / 2); });
  const style = style_of_edges();
  const links = joined.map(([need, node, , , at]) => [place.get(need), place.get(node), style(at), curve(nodes[place.get(need)], nodes[place.get(node)]), [at]]);
  const last = bands[bands.length - 1];
  return {nodes, links, bands, badges: [], width: last[0] + last[1] + 14, height: height + 44, start: place.get(start), left_out: steps.size - kept.length};
}

/* The style that the given maps have for an edge; within a fold they have none. */
function style_of_edges() {
  const known = new Map();
  for (const view of [map.folded, map.open]) {
    if (view) view.links.forEach(([, , style, , some]) => { if (some.length === 1) known.set(some[0], style); });
  }
  return (at) => known.get(at) || (stages[edges[at][0]].critical && stages[edges[at][1]].critical ? "critical" : "needs");
}

function in_columns(nodes) {
  const columns = new Map();
  nodes.forEach((node) => {
    const level = stages[node.stages[0]].level;
    if (!columns.has(level)) columns.set(level, []);
    columns.get(level).push(node);
  });
  const bands = [];
  let x = 14;
  for (const level of [...columns.keys()].sort((a, b) => a - b)) {
    const column = columns.get(level), width = Math.max(112, ...column.map((node) => Math.max(...node.lines.map((line) => line.length * CELL)) + 18));
    column.forEach((node) => Object.assign(node, {x, w: width}));
    bands.push([x, width, `level ${level}`]);
    x += width + 44;
  }
  return {bands, columns: [...columns.values()].sort((a, b) => a[0].x - b[0].x)};
}

/* Order within columns by the mean of neighbours, then heights as near to those as order and room allow. */
function settle(columns) {
  const mean = (side) => side.reduce((sum, other) => sum + other.mid, 0) / side.length;
  columns.forEach((column) => column.forEach((node, at) => { node.mid = at * (32 + GAP); }));
  for (let sweep = 0; sweep < 8; sweep += 1) {
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      const wish = new Map(column.map((node) => {
        const side = sweep > 5 ? [...node.left, ...node.right] : sweep % 2 ? node.right : node.left;
        return [node, side.length ? mean(side) : node.mid];
      }));
      if (sweep < 6) column.sort((a, b) => wish.get(a) - wish.get(b) || a.stages[0] - b.stages[0]);
      fit(column, wish);
    }
  }
}

/* Least squares under the order of a column (pool adjacent violators). */
function fit(column, wish) {
  const needed = [0], blocks = [];
  for (let at = 1; at < column.length; at += 1) needed.push(needed[at - 1] + (column[at - 1].h + column[at].h) / 2 + GAP);
  column.forEach((node, at) => {
    let block = {mean: wish.get(node) - needed[at], many: 1};
    while (blocks.length && blocks[blocks.length - 1].mean >= block.mean) {
      const before = blocks.pop(), many = before.many + block.many;
      block = {mean: (before.mean * before.many + block.mean * block.many) / many, many};
    }
    blocks.push(block);
  });
  let at = 0;
  for (const block of blocks) for (let of = 0; of < block.many; of += 1, at += 1) column[at].mid = block.mean + needed[at];
}

function curve(need, node) {
  const x = need.x + need.w, y = need.y + need.h / 2, to_x = node.x - 4, to_y = node.y + node.h / 2;
  const by = Math.max(20, Math.min(60, (to_x - x) * 0.5));
  return `M${x} ${y}C${x + by} ${y} ${to_x - by} ${to_y} ${to_x} ${to_y}`;
}
