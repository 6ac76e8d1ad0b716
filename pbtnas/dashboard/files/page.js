// Asks for what is new, now and then, and draws it.

import { drawComparison, drawDiversity, drawHeat, drawOptions, drawScores, drawTree } from "./figures.js";
import { closeMember, drawMember } from "./member.js";
import { drawControls, drawFailures, drawRuns, drawTiles, drawTrouble, drawWorkers } from "./overview.js";
import { drawPreviews, forgetPreviews, listen } from "./previews.js";
import { get } from "./text.js";

const PAUSE_MS = 2000, OVER_MS = 10000, RUNS_MS = 5000, DISK_MS = 60000;
const byId = (id) => document.getElementById(id);

const none = () => ({ run: "", look: 0, columns: [], variables: [], status: null, shade: null, opened: null, pictures: new Map() });

const page = { number: 0, chosen: null, details: null, byTime: false, disk: null, runs: null, seen: none(), turn: 0 };

function fromAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  page.number = Number(words.get("run") ?? 0);
  page.chosen = words.has("member") ? { generation: Number(words.get("generation")), member: Number(words.get("member")) } : null;
}

function toAddress() {
  const words = new URLSearchParams({ run: page.number });
  if (page.chosen) {
    words.set("generation", page.chosen.generation);
    words.set("member", page.chosen.member);
  }
  history.replaceState(null, "", `#${words}`);
}

function say(text, lost = false) {
  byId("connection").textContent = text;
  byId("connection").className = lost ? "lost" : "";
}

function take(reply) {
  const fresh = reply.run !== page.seen.run;
  if (fresh) page.seen = none();
  const seen = page.seen;
  const pins = seen.status?.pinned.length;
  seen.run = reply.run;
  if (reply.columns) {
    for (const column of reply.columns) seen.columns[column.generation] = column;
    seen.columns.length = reply.count;
    Object.assign(seen, { look: reply.look, status: reply.status, shade: reply.shade, opened: reply.opened });
    if (reply.variables) seen.variables = reply.variables;
    for (const [generation, members] of Object.entries(reply.pictures)) seen.pictures.set(Number(generation), members);
  }
  return fresh || (reply.columns ?? []).length > 0 || Object.keys(reply.pictures ?? {}).length > 0 ||
    pins !== seen.status?.pinned.length;
}

async function follow(turn) {
  let over = false;
  try {
    if (!document.hidden) {
      const reply = await get(`data/run/${page.number}?run=${page.seen.run}&since=${page.seen.look}`);
      if (turn !== page.turn) return;
      const changed = take(reply);
      const { status } = page.seen;
      over = status !== null && ["finished", "failed", "cancelled"].includes(status.state);
      drawTrouble(status, reply.sentence);
      if (status) drawNumbers(reply);
      if (changed) drawFigures();
      // Of the newest generations there may be more to tell by now.
      if (changed && page.chosen?.generation >= page.seen.columns.length - 2) await openChosen();
      say(over ? "" : "live");
    }
  } catch (error) {
    say(`no answer (${error.message})`, true);
    console.warn(error);
  }
  if (turn === page.turn) setTimeout(() => follow(turn), over ? OVER_MS : PAUSE_MS);
}

function drawNumbers(reply) {
  const { status } = page.seen;
  const label = page.runs?.runs[page.number]?.label ?? status.run;
  byId("title").textContent = label;
  document.title = `${label} – pbtnas`;
  byId("state").hidden = false;
  const state = status.paused ? "paused" : status.state;
  byId("state").textContent = state === "failed" ? "ended without a usable member" : state;
  byId("state").className = `badge ${state}`;
  drawControls(status);
  drawTiles(status, page.disk);
  drawWorkers(reply.workers, status.coordinator, reply.recent);
  drawFailures(status, pick);
}

function drawFigures() {
  const { seen, details } = page;
  const drawn = seen.columns.length > 0;
  byId("population").hidden = !drawn;
  const evolved = seen.columns.filter((column) => column.order);
  for (const id of ["scores", "tree"]) byId(id).hidden = !evolved.length;
  const withOptions = evolved.filter((column) => column.options);
  for (const id of ["options", "diversity"]) byId(id).hidden = !withOptions.length;
  if (!drawn) return;
  const line = details?.ancestors ?? null;
  drawHeat(byId("heat"), seen, page.chosen, line, pick);
  drawPreviews(seen, page.number, page.chosen, pick);
  if (evolved.length) {
    drawScores(byId("score-figure"), evolved, seen.opened, page.byTime, line);
    drawTree(byId("tree-figure"), evolved, seen.shade, line, pick);
  }
  if (withOptions.length) {
    drawDiversity(byId("diversity-figure"), withOptions);
    drawOptions(byId("option-strips"), withOptions, seen.variables);
  }
}

async function pick(generation, member) {
  page.chosen = { generation, member };
  toAddress();
  await openChosen();
}

function close() {
  page.chosen = page.details = null;
  toAddress();
  closeMember();
  drawFigures();
}

async function openChosen() {
  const { chosen, number } = page;
  if (!chosen) return;
  try {
    const found = await get(`data/run/${number}/${chosen.generation}/${chosen.member}`);
    if (chosen !== page.chosen) return;
    page.details = found.sentence ? null : found;
    drawMember(found, number, page.seen, pick, close);
  } catch (error) {
    if (chosen !== page.chosen) return;
    page.details = null;
    drawMember({ sentence: `Nothing is known of this member (${error.message}).` }, number, page.seen, pick, close);
  }
  drawFigures();
}

function choose(number) {
  page.number = number;
  page.chosen = page.details = page.disk = null;
  toAddress();
  begin();
}

function begin() {
  page.turn += 1;
  page.seen = none();
  closeMember();
  forgetPreviews();
  follow(page.turn).then(openChosen);
  lookAtDisk(page.turn);
}

async function lookAtDisk(turn) {
  try {
    const disk = await get(`data/run/${page.number}/disk`);
    if (turn !== page.turn) return;
    page.disk = disk;
    if (page.seen.status) drawTiles(page.seen.status, disk);
  } catch (error) {
    console.warn(error); // the other requests say that there is no answer
  }
  if (turn === page.turn) setTimeout(() => lookAtDisk(turn), DISK_MS);
}

async function followRuns() {
  try {
    if (!document.hidden || !page.runs) {
      page.runs = await get("data/runs");
      drawRuns(page.runs, page.number, choose);
      drawComparison(byId("comparison"), page.runs.comparison.figures);
    }
  } catch (error) {
    console.warn(error);
  }
  setTimeout(followRuns, RUNS_MS);
}

function byTime(chosen) {
  page.byTime = chosen;
  byId("by-time").setAttribute("aria-pressed", chosen);
  byId("by-work").setAttribute("aria-pressed", !chosen);
  drawFigures();
}

listen();
byId("by-time").addEventListener("click", () => byTime(true));
byId("by-work").addEventListener("click", () => byTime(false));
byId("run").addEventListener("change", (event) => choose(Number(event.target.value)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawFigures();
  if (page.details) drawMember(page.details, page.number, page.seen, pick, close);
  if (page.runs) drawComparison(byId("comparison"), page.runs.comparison.figures);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  page.turn += 1;
  follow(page.turn);
  lookAtDisk(page.turn);
});
addEventListener("hashchange", () => {
  fromAddress();
  begin();
});

fromAddress();
await followRuns();
begin();
