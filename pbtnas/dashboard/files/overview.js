// How far the run is, who works on it, and what is wrong: the numbers of `pbtnas status`.

import { bytes, element, fill, memberName, number, span, table } from "./text.js";

const FEW = 8; // options that are shown at once

const byId = (id) => document.getElementById(id);

const best = (top) =>
  top === null ? ["none yet", ""] : [number(top.score), `${memberName(top.member)} in generation ${top.generation}`];

export function drawTiles(status, disk) {
  const complete = status.generation === null ? 0
    : status.generation + (["finished", "cancelled"].includes(status.state) ? 1 : 0);
  const members = status.members;
  const all = members.done + members.in_work + members.put_back + members.pending;
  const live = status.workers.filter((worker) => worker.live).length;
  const gone = status.workers.filter((worker) => worker.left).length;
  const failures = Object.entries(status.failures);
  const [everScore, everWho] = best(status.best_ever);
  const [lastScore, lastWho] = best(status.best_last);
  const over = ["finished", "failed", "cancelled"].includes(status.state);
  const bar = element("progress", { max: 1, value: status.progress, "aria-label": "progress of the run" });
  const tiles = [
    tile("generations", "Generations complete", `${complete} of ${status.generations ?? "?"}`,
      `${Math.floor(100 * status.progress)} % of the run`, bar),
    tile("members", "Members of this generation", `${members.done} of ${all} done`,
      `${members.in_work} in work, ${members.put_back} put back, ${members.pending} pending`),
    tile("best-ever", "Best so far", everScore, everWho),
    tile("best-last", "Best of the last generation", lastScore, lastWho),
    tile("elapsed", "Time so far", span(status.elapsed_s),
      status.active_s !== null && Math.round(status.active_s) < Math.round(status.elapsed_s)
        ? `${span(status.active_s)} of it at work` : ""),
    over ? null : tile("left", "Time left", status.left_s === null ? "unknown" : `about ${span(status.left_s)}`,
      "if generations take as long as the last ones"),
    tile("workers-live", "Workers", `${live} live`,
      `${gone} gone, ${status.workers.length - live - gone} silent`),
    tile("failed", "Failures", failures.reduce((sum, [, count]) => sum + count, 0),
      failures.map(([kind, count]) => `${count} ${kind}`).join(", ")),
    disk && tile("disk", "Disk", disk.sentence ? "unknown" : bytes(disk.used),
      disk.sentence || `used by this run; ${bytes(disk.free)} free`),
    tile("search", "Search", `${status.algorithm}, seed ${status.seed ?? "?"}`, `task ${status.task}`),
  ];
  if (status.front) {
    const values = Object.entries(status.front.best).map(([name, value]) => `${name} ${number(value)}`);
    tiles.push(tile("front", "Best of each objective", values.join(", ") || "nobody yet",
      status.front.size === null ? "" : `${status.front.size} kept that no other dominates`));
  }
  const options = Object.entries(status.options);
  if (options.length) {
    const text = options.map(([name, option]) => `${name}=${option}`).join(", ");
    const open = document.querySelector("#tile-options-of-best details")?.open;
    tiles.push(element("div", { id: "tile-options-of-best", class: "wide" },
      element("dt", {}, "Options of the best member"),
      element("dd", { class: "more" }, options.length <= FEW ? text
        : element("details", { open }, element("summary", {}, `${options.length} variables`), text))));
  }
  if (status.fingerprint) {
    tiles.push(tile("fingerprint", "Fingerprint", "", status.fingerprint));
    tiles.at(-1).className = "wide";
  }
  fill(byId("tiles"), ...tiles);
}

function tile(id, title, main, more, extra = null) {
  return element("div", { id: `tile-${id}` },
    element("dt", {}, title),
    main === "" ? null : element("dd", { class: "main" }, main),
    more ? element("dd", { class: "more" }, more) : null,
    extra && element("dd", {}, extra));
}

export function drawTrouble(status, sentence) {
  const found = [sentence, status?.ended, ...(status?.trouble ?? []), ...(status?.problems ?? [])].filter(Boolean);
  byId("trouble").hidden = found.length === 0;
  fill(byId("trouble").querySelector("ul"), ...found.map((text) => element("li", {}, text)));
}

// What operators have asked: what holds, the latest note, and all of it on request.  That the run is
// paused, or about to be cancelled, is told among the troubles.
export function drawControls(status) {
  const section = byId("controls"), all = status.controls;
  section.hidden = all.length === 0;
  const note = all.filter((control) => control.action === "note").slice(-1);
  const shown = [...all.filter((control) => control.holds && !["pause", "cancel"].includes(control.action)), ...note];
  const line = (control, more = "") => element("li", { value: control.number }, `${control.text} `,
    element("span", { class: "hint" }, control.by + more));
  fill(section.querySelector("ul"), ...shown.map((control) => line(control)));
  section.querySelector("summary").textContent = all.length === 1 ? "the one command so far" : `all ${all.length} commands so far`;
  fill(section.querySelector("ol"), ...all.map((control) => line(control, control.holds ? "; holds" : "")));
}

export function drawFailures(status, pick) {
  const section = byId("failures");
  section.hidden = status.failed_in_all === 0;
  section.querySelector("p").textContent = `Members recorded as failed: ${status.failed_in_all}`;
  fill(section.querySelector("ul"), ...status.failed.map((failed) => element("li", {},
    element("button", { type: "button", on: { click: () => pick(failed.generation, failed.member) } },
      `${memberName(failed.member)} in generation ${failed.generation}`),
    ` ${failed.kind}: ${failed.line}`)));
}

export function drawWorkers(rows, coordinator, recent) {
  const section = byId("workers");
  section.hidden = rows.length === 0 && coordinator === null;
  const all = coordinator ? [{ ...coordinator, host: "", device: "coordinator", attempts: "", failures: "" }, ...rows] : rows;
  const made = all.map((worker) => element("tr", { class: worker.live ? null : "gone" },
    element("td", { class: "name" }, worker.name),
    element("td", { class: "name" }, worker.device || "–"),
    element("td", { class: worker.waiting_for ? "bad" : null }, worker.doing || "?"),
    element("td", {}, worker.steps || ""),
    element("td", { class: "name" }, worker.live ? `${span(worker.changed_s)} ago`
      : `${worker.left ? "gone" : "silent"}, ${span(worker.changed_s)} ago`),
    element("td", {}, worker.attempts),
    element("td", { class: worker.failures ? "bad" : null }, worker.failures)));
  fill(section.querySelector("table"), ...table(
    ["name", "device", "doing", "steps", "last seen", "attempts", "failures"], made));
  section.querySelector(".hint").textContent =
    `Attempts and failures are those of the newest ${recent} generations. When somebody was last seen is a hint, by the times of files.`;
}

export function drawRuns(data, chosen, choose) {
  const several = data.runs.length > 1;
  byId("studies").hidden = !several;
  byId("choice").hidden = !several;
  const select = byId("run");
  if (select.options.length !== data.runs.length) {
    fill(select, ...data.runs.map((run, i) => element("option", { value: i }, run.label)));
  }
  select.value = String(chosen);
  if (!several) return;
  const rows = data.runs.map((run, i) => element("tr", { class: i === chosen ? "chosen" : null },
    element("td", {}, element("button", { type: "button", on: { click: () => choose(i) } }, run.label)),
    element("td", {}, run.state ?? (run.sentence ? "not to be read" : "?")),
    element("td", {}, run.generation === null ? "–" : `${run.generation + (["finished", "cancelled"].includes(run.state) ? 1 : 0)} of ${run.generations ?? "?"}`),
    element("td", {}, number(run.best)),
    element("td", { class: "bad" }, run.sentence)));
  fill(byId("runs"), ...table(["run", "state", "generations", "best so far", ""], rows));
  const facts = data.studies.map((study) => {
    const seen = study.status;
    if (!seen) return element("p", { class: "bad" }, study.sentence);
    const left = seen.left_s === null ? "" : `, about ${span(seen.left_s)} left`;
    const text = `Study ${study.name}: ${seen.finished.length} of ${seen.runs} runs finished, ` +
      `${seen.open.length} in work, ${seen.waiting.length} waiting; ${Math.floor(100 * seen.progress)} % of the network-epochs${seen.over ? "" : left}.`;
    return element("div", {}, element("p", {}, text),
      element("ul", { class: "bad" },
        ...Object.entries(seen.failed).map(([label, why]) => element("li", {}, `${label}: ${why}`)),
        ...seen.trouble.map((trouble) => element("li", {}, trouble))));
  });
  fill(byId("study-facts"), ...facts,
    data.comparison.sentence ? element("p", { class: "bad" }, data.comparison.sentence) : null);
}
