// One member: what it is, where it comes from, how it was trained, and what went wrong.

import { drawCurve } from "./figures.js";
import { lineOfPictures } from "./previews.js";
import { breakable, element, fill, memberName, number, span, table } from "./text.js";

const panel = () => document.getElementById("member");

export function closeMember() {
  panel().hidden = true;
}

export function drawMember(found, run, seen, pick, close) {
  panel().hidden = false;
  if (found.sentence) {
    fill(panel(), element("h2", {}, "Member"), element("p", { class: "bad" }, found.sentence));
    return;
  }
  const curve = element("div", { class: "figure", id: "curve" });
  fill(panel(),
    element("h2", {}, `${memberName(found.member)} in generation ${found.generation} `,
      element("button", { type: "button", on: { click: close }, "aria-label": "close" }, "×")),
    facts(found, isPinned(seen.status, found.generation, found.member)),
    ...trouble(found),
    element("h3", {}, "Ancestors"), path(found.ancestors, pick),
    element("h3", {}, "Its curve, stitched through its ancestors"),
    element("p", { class: "hint" }, "A circle: a birth, at the first score of the child."),
    curve,
    ...lineOfPictures(seen.pictures, run, found.ancestors, pick),
    ...architecture(found, pick),
    ...pictures(found, run),
    ...attempts(found),
    ...log(found));
  drawCurve(curve, found.ancestors);
}

const isPinned = (status, generation, member) =>
  status?.pinned.some((pin) => pin.generation === generation && pin.member === member) ?? false;

function facts(found, pinned) {
  const rows = [["outcome", found.outcome || "no result yet"], ["score", number(found.score)]];
  if (pinned) rows.push(["checkpoint", "pinned"]);
  for (const [name, value] of Object.entries(found.metrics)) if (name !== "score") rows.push([name, number(value)]);
  if (found.evaluation) {
    for (const [name, value] of Object.entries(found.evaluation)) rows.push([`final evaluation: ${name}`, number(value)]);
  }
  if (found.born !== null) {
    const { born, base, donor, operator } = found;
    const from = donor === base ? `from ${memberName(base)}` : `base ${memberName(base)}, donor ${memberName(donor)}`;
    rows.push(["born", `into generation ${born}, ${from} (${operator})`]);
    const sections = Object.entries(found.origins.sections ?? {}).map(([section, counts]) =>
      `${section}: ${Object.entries(counts).map(([who, count]) => `${count} ${who}`).join(", ")}`);
    if (sections.length) rows.push(["tensors from", sections.join("; ")]);
  } else rows.push(["born", "in the first generation"]);
  const shown = ["worker", "device", "host", "train_s", "evaluate_s", "parameters"];
  for (const key of shown) {
    const value = found.about[key];
    if (value === undefined) continue;
    rows.push(key.endsWith("_s") ? [`${key === "train_s" ? "trained" : "evaluated"} in`, span(value)] : [key, String(value)]);
  }
  return element("dl", { class: "facts" },
    ...rows.flatMap(([title, text]) => [element("dt", {}, title), element("dd", {}, text)]));
}

function trouble(found) {
  const made = [];
  if (found.problems.length) {
    made.push(element("ul", { class: "bad" }, ...found.problems.map((text) => element("li", {}, text))));
  }
  if (found.traceback) {
    made.push(element("h3", { class: "bad" }, `Failed: ${found.failure || "?"}`),
      element("pre", { id: "traceback", tabindex: 0 }, found.traceback));
  }
  return made;
}

// Generations in which a slot simply lives on are one step of the path.
function path(ancestors, pick) {
  const steps = [];
  for (const ancestor of ancestors) {
    const last = steps.at(-1);
    if (last && ancestor.donor === null && last.member === ancestor.member) last.until = ancestor.generation;
    else steps.push({ ...ancestor, until: ancestor.generation });
  }
  return element("div", { class: "path", id: "ancestors" }, ...steps.flatMap((step, i) => {
    const when = step.until === step.generation ? `g${step.generation}` : `g${step.generation}–${step.until}`;
    const gift = step.donor !== null && step.donor !== steps[i - 1]?.member ? ` + ${memberName(step.donor)}` : "";
    const button = element("button", { type: "button", on: { click: () => pick(step.until, step.member) } },
      `${memberName(step.member)} ${when}${gift}`);
    return i ? ["→", button] : [button];
  }));
}

function architecture(found, pick) {
  if (!found.architecture.length) return [];
  const base = found.base === null ? "" : memberName(found.base);
  const donor = found.donor === null ? "" : memberName(found.donor);
  const words = { base: `base ${base}`, donor: `donor ${donor}`, fresh: "begun anew", moved: "moved a rung", created: "drawn" };
  const rows = found.architecture.map((part, i) => {
    const [generation, member] = found.roots[i] ?? [];
    const root = part.layer && generation !== undefined
      ? element("button", { type: "button", on: { click: () => pick(generation, member) } },
        `${memberName(member)} g${generation}`) : "";
    return element("tr", {}, element("td", {}, breakable(part.variable)), element("td", {}, part.option),
      element("td", { class: "name" }, words[part.origin] ?? part.origin), element("td", {}, root));
  });
  return [element("h3", {}, "Architecture"), element("div", { class: "scroll" },
    element("table", { id: "architecture" }, ...table(["variable", "option", "from", "begun in"], rows)))];
}

function pictures(found, run) {
  if (!found.pictures.length) return [];
  return [element("h3", {}, "Pictures of its final evaluation"), ...found.pictures.map((leaf) => {
    const source = `data/run/${run}/picture/${encodeURIComponent(leaf)}`;
    const shown = leaf.toLowerCase().endsWith(".mp4")
      ? element("video", { src: source, controls: true, loop: true, muted: true })
      : element("img", { src: source, alt: leaf, loading: "lazy" });
    return element("figure", {}, shown, element("figcaption", { class: "hint" }, leaf));
  })];
}

function attempts(found) {
  if (!found.attempts.length) return [];
  const rows = found.attempts.map((attempt) => element("tr", {}, element("td", {}, attempt.number),
    element("td", {}, attempt.worker),
    element("td", { class: ["result", "open", "released", "superseded"].includes(attempt.ended) ? null : "bad" },
      attempt.ended === "open" ? "in work" : attempt.ended)));
  const texts = found.attempts.filter((attempt) => attempt.text).map((attempt) =>
    element("details", {}, element("summary", {}, `last words of attempt ${attempt.number}`), element("pre", {}, attempt.text)));
  return [element("h3", {}, "Attempts"), element("div", { class: "scroll" },
    element("table", {}, ...table(["", "worker", "ended"], rows))), ...texts];
}

function log(found) {
  const { attempt, lines, before } = found.log;
  if (attempt === null) return [];
  const title = `Log of attempt ${attempt}${before ? ` (the last ${lines.length} of ${before + lines.length} lines)` : ""}`;
  return [element("h3", {}, title), element("pre", { id: "log", tabindex: 0 }, lines.join("\n"))];
}
