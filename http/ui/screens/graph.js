// The graph as a picture, and beside it in words: its communities, one of them, or one entity.

import { get } from "../api.js";
import { announce, fill, h, icon, say } from "../dom.js";
import { brief, count, plural, title } from "../format.js";
import { colourOf, GraphCanvas } from "../graph_canvas.js";
import { toast } from "../dialogs.js";
import { LIBRARY_TYPES } from "../operations.js";
import { button, byAndBy, empty, failure, growing, uploadCommand } from "../parts.js";
import { note } from "../router.js";

const SIZES = [200, 1000, 5000];
const USUAL = 1000;
const LISTED = 200; // communities, before one asks for more
const MOST_RELATIONS = 200; // that the server tells of one entity
const RELATIONS = 60; // of an entity that are shown before one asks for more
const CALM = 2_000; // milliseconds between two looks
const ANYWAY = 10_000; // of a document that is deleted no task tells

export async function graph({ root, query, signal, on, keys }) {
  const limit = h("select", { class: "select", "aria-label": "How many entities", onchange: () => { remember(); look().catch(complain); } }, SIZES.map((n) => h("option", { value: n }, `${count(n)} entities`)));
  limit.value = SIZES.includes(Number(query.get("limit"))) ? query.get("limit") : String(USUAL);
  const search = h("input", { class: "input", type: "search", list: "entity-names", placeholder: "Find an entity", "aria-label": "Find an entity", autocomplete: "off", onchange: () => find(search.value) });
  const names = h("datalist", { id: "entity-names" });
  const state = h("p", { class: "state", role: "status" });
  const box = h("section", { class: "card canvas-box", "aria-label": "Picture of the graph" },
    h("div", { class: "over" }, search, names, limit),
    state,
    h("div", { class: "corner" },
      button("", "", () => canvas.zoom(1.4), { class: "button tiny", "aria-label": "Nearer" }),
      button("", "", () => canvas.zoom(1 / 1.4), { class: "button tiny", "aria-label": "Further away" }),
      button("Show all", "", () => canvas.fit(), { class: "button tiny" })));
  box.querySelectorAll(".corner button")[0].append("+");
  box.querySelectorAll(".corner button")[1].append("−");
  const panel = h("aside", { class: "card panel", "aria-label": "Communities", tabindex: 0 });
  const screen = h("div", { class: "graph-screen" }, box, panel);
  const head = h("div", { class: "head" }, h("div", { class: "titles" }, h("h1", { tabindex: -1 }, "Graph")), h("div", { class: "actions" }, h("a", { class: "button", href: "#/library" }, icon("library"), "Library")));
  fill(root, head, screen);

  const canvas = new GraphCanvas(box, signal);
  let worker = null;
  let nodes = [];
  let groups = new Map(); // a community's id: its number among those shown
  let communities = [];
  let total = 0;
  let drawn = ""; // what the picture is of
  let still = false; // it was looked again, and the picture is what it was
  let written = ""; // what the panel has been made of
  let place = placeIn(query); // what the panel is about, as the address keeps it
  let shown = place.entity ? () => showEntity(place.entity) : place.community ? () => showCommunity(Number(place.community)) : () => showList();
  const complain = (error) => signal.aborted || error.status === 0 || toast(error.message, "failed");
  const remember = () => {
    note(address(limit.value, place));
  };
  signal.addEventListener("abort", () => worker?.terminate());

  let asked = 0;
  let held = ""; // how much the library held when it was looked last
  const howMuch = async () => {
    const { document_count: documents, entity_count: entities, relationship_count: relations } = await get("api/stats", { signal });
    return [documents, entities, relations].join();
  };
  async function look() {
    const mine = ++asked;
    const [much, picture, list] = await Promise.all([
      howMuch(), // first: what changes meanwhile is looked at again
      get("api/graph/visualization", { query: { limit: limit.value }, signal }),
      get("api/graph/communities", { query: { limit: LISTED }, signal }),
    ]);
    if (mine !== asked) return;
    held = much;
    communities = list.communities;
    total = list.total;
    if (picture.nodes.length === 0) {
      fill(root, h("h1", { class: "unseen", tabindex: -1 }, "Graph"), h("section", { class: "card" }, nothingYet()));
      return;
    }
    if (!screen.isConnected) fill(root, head, screen); // there was nothing yet
    groups = numbered(picture.nodes, communities);
    const key = JSON.stringify([picture.nodes.map((node) => [node.id, node.community_id, node.mention_count]), picture.edges.length, [...groups.keys()]]);
    still = key === drawn;
    if (!still) draw(picture);
    drawn = key;
    caption(picture.stats);
    await shown();
    still = false;
  }

  /** Where to look, unless nothing but the panel is written anew. */
  function turnTo(words, place) {
    if (still) return;
    canvas.fit(place);
    panel.scrollTop = 0;
    announce(words);
  }

  function draw(picture) {
    const most = Math.max(1, ...picture.nodes.map((node) => node.mention_count));
    nodes = picture.nodes.map((node) => ({ ...node, group: node.community_id === null ? -1 : groups.get(node.community_id), size: 2.4 + 8 * Math.sqrt(node.mention_count / most) }));
    const index = new Map(nodes.map((node, at) => [node.id, at]));
    const edges = picture.edges.map((edge) => ({ source: index.get(edge.source), target: index.get(edge.target), weight: edge.weight })).filter((edge) => edge.source !== undefined && edge.target !== undefined);
    canvas.show(nodes, edges);
    fill(names, nodes.slice(0, 1000).map((node) => h("option", { value: node.label })));
    worker?.terminate();
    worker = new Worker(new URL("../graph_worker.js", import.meta.url));
    box.dataset.settled = "";
    worker.onmessage = ({ data }) => {
      canvas.move(data.places);
      if (data.done) box.dataset.settled = "yes";
    };
    worker.postMessage({
      groups: Int32Array.from(nodes, (node) => node.group),
      sources: Uint32Array.from(edges, (edge) => edge.source),
      targets: Uint32Array.from(edges, (edge) => edge.target),
      weights: Float32Array.from(edges, (edge) => edge.weight),
    });
  }

  function caption(stats) {
    const words = `${count(stats.node_count)} of ${plural(stats.total_entities, "entity", "entities")}, ${count(stats.edge_count)} of ${plural(stats.total_relationships, "relationship")}`;
    canvas.name(`Picture of the graph: ${words}, in ${plural(groups.size, "community", "communities")}`);
    say(state, words);
  }

  /** Put something in the panel, unless it is there already; who was in there by keyboard stays there. */
  function put(what, ...children) {
    const key = JSON.stringify(what);
    if (key === written) return;
    written = key;
    const inside = panel.contains(document.activeElement);
    fill(panel, ...children);
    if (inside) panel.focus({ preventScroll: true });
  }

  function showList() {
    shown = () => showList();
    place = {};
    remember();
    canvas.select(null);
    put([total, communities, [...groups]], h("header", {}, h("h2", {}, plural(total, "community", "communities"))),
      communities.length === 0 && h("div", { class: "inside" }, h("p", { class: "muted" }, "None has been detected yet. Detect them in the ", h("a", { href: "#/library" }, "library"), ".")),
      growing(h("ul", { class: "communities" }), communities, total, community, async (shown) => (await get("api/graph/communities", { query: { limit: LISTED, offset: shown }, signal })).communities));
  }

  const community = (one) => h("li", {},
    h("button", { type: "button", onclick: () => showCommunity(one.id) }, swatch(one.id), h("span", { class: "clip", title: nameOf(one) }, nameOf(one)), h("span", { class: "muted small figures" }, brief(one.entity_count))));

  const swatch = (id) => h("span", { class: "swatch", vars: { "--swatch": colourOf(groups.get(id) ?? -1) } });
  const nameOf = (one) => one.name || one.top_entities.slice(0, 3).join(", ") || `Community ${one.id}`;
  const back = () => button("All communities", "left", () => { showList(); canvas.fit(); }, { class: "button tiny bare" });

  /** `at`: the entity that it was found by, which is marked until the picture is another. */
  async function showCommunity(id, at = -1) {
    const mine = (shown = () => showCommunity(id));
    place = { community: id };
    remember();
    const number = groups.get(id) ?? null;
    canvas.select(number, at);
    let one;
    try {
      one = await get(`api/graph/communities/${id}`, { signal });
    } catch (error) {
      if (!signal.aborted && shown === mine) put([id, error.message], h("div", { class: "inside result-part" }, back(), failure(error)));
      return;
    }
    if (shown !== mine) return; // another was asked for meanwhile
    put([one, groups.get(id)], h("header", {}, back()),
      h("div", { class: "inside" },
        h("h2", { class: "line-name anywhere" }, swatch(id), " ", nameOf(one)),
        one.summary ? h("p", { class: "anywhere" }, one.summary) : h("p", { class: "muted" }, "It has no summary yet."),
        one.stale && h("p", { class: "notice is-pending" }, "Its members have changed much since the summary was written."),
        h("h3", {}, plural(one.entity_count, "member")),
        growing(h("div", { class: "members" }), one.entities, one.entity_count, member, further(id, "entities")),
        one.key_relationships.length > 0 && [h("h3", {}, "Strongest relationships"), h("ul", { class: "small relations" }, one.key_relationships.slice(0, 12).map((edge) => h("li", { class: "anywhere" }, edge.source, h("span", { class: "muted" }, ` ${words(edge.type)} `), edge.target)))],
        h("h3", {}, plural(one.document_count, "document")),
        growing(h("ul", { class: "small" }), one.documents, one.document_count, spoken, further(id, "documents"))));
    turnTo(nameOf(one), { group: number });
  }

  const member = (entity) => h("button", { type: "button", title: `${entity.type}, mentioned ${plural(entity.mention_count, "time")}`, onclick: () => showEntity(entity.name) }, entity.name);
  const spoken = (document) => h("li", { class: "clip" }, h("a", { href: `api/documents/${encodeURIComponent(document.id)}/content?download=true`, title: `Download ${document.filename}` }, document.filename));
  /** What the server has beyond the first of a community's members or documents. */
  const further = (id, kind) => async (shown) => (await get(`api/graph/communities/${id}/${kind}`, { query: { offset: shown }, signal }))[kind];

  async function showEntity(name) {
    const mine = (shown = () => showEntity(name));
    place = { entity: name };
    remember();
    const at = nodes.findIndex((node) => node.id === name || node.label === name);
    const its = at >= 0 ? nodes[at].community_id : null;
    canvas.select(at >= 0 && its !== null ? nodes[at].group : null, at);
    let one;
    try {
      one = await get(`api/graph/entity/${pathOf(name)}`, { signal });
    } catch (error) {
      if (!signal.aborted && shown === mine) put([name, error.message], h("div", { class: "inside result-part" }, back(), failure(error)));
      return;
    }
    if (shown !== mine) return; // another was asked for meanwhile
    put([one, its], h("header", {}, its === null ? back() : button("Its community", "left", () => showCommunity(its), { class: "button tiny bare" })),
      h("div", { class: "inside" },
        h("h2", { class: "anywhere" }, one.name),
        h("p", { class: "under" }, h("span", { class: "badge plain" }, one.type), h("span", {}, `mentioned ${plural(one.mention_count, "time")} in ${plural(one.document_count, "document")}`)),
        one.description && h("p", { class: "anywhere" }, one.description),
        h("h3", {}, one.relationships.length < MOST_RELATIONS ? plural(one.relationships.length, "relationship") : `The ${MOST_RELATIONS} strongest relationships`),
        byAndBy(h("ul", { class: "small relations" }), one.relationships, RELATIONS, relation)));
    turnTo(one.name, { node: at });
  }

  const relation = (edge) => h("li", { class: "anywhere" },
    h("span", { class: "muted" }, edge.direction === "incoming" ? "← " : "→ ", words(edge.type), " "),
    h("a", { href: address(limit.value, { entity: edge.target }), onclick: (event) => { if (elsewhere(event)) return; event.preventDefault(); showEntity(edge.target); } }, edge.target));

  function find(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return;
    const node = nodes.find((each) => each.label.toLowerCase() === wanted) ?? nodes.find((each) => each.label.toLowerCase().includes(wanted));
    showEntity(node ? node.id : text.trim());
  }

  canvas.addEventListener("pick", ({ detail: index }) => {
    if (index < 0) {
      showList();
      return;
    }
    const node = nodes[index];
    if (node.community_id === null) showEntity(node.id);
    else showCommunity(node.community_id, index);
  });
  let due = 0;
  function soon() {
    due ||= setTimeout(() => {
      due = 0;
      look().catch(complain);
    }, CALM);
  }
  async function compare() {
    if ((await howMuch()) !== held) soon();
  }
  const timer = setInterval(() => document.hidden || compare().catch(() => {}), ANYWAY);
  signal.addEventListener("abort", () => {
    clearTimeout(due);
    clearInterval(timer);
  });
  on("task", (task) => {
    if (task.status === "completed" && LIBRARY_TYPES.includes(task.task_type)) soon();
  });
  on("refresh", soon);
  keys({
    "/": ["Find an entity", () => search.focus()],
    "+": ["Nearer", () => canvas.zoom(1.4)],
    "-": ["Further away", () => canvas.zoom(1 / 1.4)],
    0: ["Show all", () => canvas.fit()],
    ArrowLeft: ["Move the picture", () => canvas.pan(60, 0), "arrows"],
    ArrowRight: ["", () => canvas.pan(-60, 0)],
    ArrowUp: ["", () => canvas.pan(0, 60)],
    ArrowDown: ["", () => canvas.pan(0, -60)],
    Escape: ["", () => showList()],
  });
  await look();
}

const placeIn = (query) => (query.get("entity") ? { entity: query.get("entity") } : query.get("community") ? { community: query.get("community") } : {});

function address(limit, place) {
  const said = new URLSearchParams(place);
  if (limit !== String(USUAL)) said.set("limit", limit);
  return `#/graph${said.size ? `?${said}` : ""}`;
}

/** An entity's name within a path. Of nothing but dots it would lead elsewhere; white space before it makes no other name. */
const pathOf = (name) => encodeURIComponent(/^\.+$/.test(name) ? ` ${name}` : name);

/** Whether a click asks the browser for another tab or window. */
const elsewhere = (event) => event.ctrlKey || event.metaKey || event.shiftKey;

const words = (type) => title(type.toLowerCase()).toLowerCase();

/** The communities by size, so that the same ones keep their colours. */
function numbered(nodes, communities) {
  const known = communities.map((one) => one.id);
  const others = nodes.map((node) => node.community_id).filter((id) => id !== null && !known.includes(id));
  const shown = new Set(nodes.map((node) => node.community_id));
  return new Map([...new Set([...known, ...others])].filter((id) => shown.has(id)).map((id, index) => [id, index]));
}

function nothingYet() {
  return empty("graph", "There is no graph yet",
    h("p", {}, "It is taken from documents: upload some and process them in the ", h("a", { href: "#/library" }, "library"), ", or from a terminal:"),
    h("p", {}, h("code", {}, uploadCommand("--chain all"))));
}
