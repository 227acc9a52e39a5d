// Where the entities stand: worked out off the page, which stays quick meanwhile.
//
// They begin community by community on a spiral, which is legible already; the forces then bring together what has to
// do with each other. Places are sent as often as somebody could see a difference.

importScripts("vendor/d3-dispatch-3.0.2.min.js", "vendor/d3-quadtree-3.0.2.min.js", "vendor/d3-timer-3.0.2.min.js", "vendor/d3-force-3.0.1.min.js");

const GOLDEN = Math.PI * (3 - Math.sqrt(5));
const ROOM = 15; // between neighbours at the beginning
const BETWEEN = 120; // milliseconds between two pictures
const TICKS = 160;

onmessage = ({ data: { groups, sources, targets, weights } }) => {
  const nodes = spiral(groups);
  const links = Array.from(sources, (source, index) => ({ source, target: targets[index], weight: weights[index] }));
  const force = d3.forceSimulation(nodes)
    .force("link", d3.forceLink(links).distance(22).strength((link) => (nodes[link.source.index].group === nodes[link.target.index].group ? 0.25 : 0.012) * Math.min(1, 0.3 + link.weight / 10)).iterations(1))
    .force("charge", d3.forceManyBody().strength(-22).theta(1.1).distanceMax(260))
    .force("together", together(nodes))
    .force("x", d3.forceX().strength(0.012)).force("y", d3.forceY().strength(0.012))
    .alpha(0.7).alphaDecay(1 - 0.001 ** (1 / TICKS)).stop();
  send(nodes, false);
  let sent = performance.now();
  for (let tick = 0; tick < TICKS; tick += 1) {
    force.tick();
    if (performance.now() - sent > BETWEEN) {
      send(nodes, false);
      sent = performance.now();
    }
  }
  send(nodes, true);
};

function spiral(groups) {
  const sizes = new Map();
  for (const group of groups) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const ordered = [...sizes].sort((one, other) => (one[0] < 0) - (other[0] < 0) || other[1] - one[1]);
  const centres = new Map();
  let area = 0;
  ordered.forEach(([group, size], index) => {
    const own = size * ROOM * ROOM * 2.4;
    const radius = index === 0 ? 0 : Math.sqrt((area + own / 2) / Math.PI) * 1.15;
    centres.set(group, { x: radius * Math.cos(index * GOLDEN), y: radius * Math.sin(index * GOLDEN), filled: 0 });
    area += own;
  });
  const loose = Math.sqrt(area / Math.PI) * 1.2; // those in no community stand around the others
  const alone = sizes.get(-1) ?? 0;
  let placed = 0;
  return Array.from(groups, (group) => {
    if (group < 0 && sizes.size > 1) {
      const angle = (placed / alone) * 2 * Math.PI;
      const ring = loose + (placed % 7) * ROOM;
      placed += 1;
      return { group, x: ring * Math.cos(angle), y: ring * Math.sin(angle) };
    }
    const centre = centres.get(group);
    const radius = ROOM * Math.sqrt(centre.filled + 0.3);
    const angle = centre.filled * GOLDEN;
    centre.filled += 1;
    return { group, x: centre.x + radius * Math.cos(angle), y: centre.y + radius * Math.sin(angle) };
  });
}

/** Draws each towards the middle of its community. */
function together(nodes) {
  return (alpha) => {
    const middles = new Map();
    for (const node of nodes) {
      if (node.group < 0) continue;
      const middle = middles.get(node.group) ?? { x: 0, y: 0, n: 0 };
      middle.x += node.x;
      middle.y += node.y;
      middle.n += 1;
      middles.set(node.group, middle);
    }
    for (const node of nodes) {
      if (node.group < 0) continue;
      const { x, y, n } = middles.get(node.group);
      node.vx += (x / n - node.x) * 0.09 * alpha;
      node.vy += (y / n - node.y) * 0.09 * alpha;
    }
  };
}

function send(nodes, done) {
  const places = new Float32Array(nodes.length * 2);
  nodes.forEach((node, index) => {
    places[2 * index] = node.x;
    places[2 * index + 1] = node.y;
  });
  postMessage({ places, done }, [places.buffer]);
}
