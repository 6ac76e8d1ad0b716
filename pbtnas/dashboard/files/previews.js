// The pictures that members made during the search: a generation at a time, and a member's line.

import { element, fill, memberName, number } from "./text.js";

const STEP_MS = 800; // of a film: a generation

const byId = (id) => document.getElementById(id);

const film = { generations: [], at: null, timer: null, draw: () => {} };

const source = (run, generation, member) => `data/run/${run}/${generation}/${member}/preview`;

// Pictures by generation, in the order of the generations, without those that have none.
const withPictures = (pictures) => [...pictures.keys()].filter((g) => pictures.get(g).length).sort((a, b) => a - b);

export function drawPreviews(seen, run, chosen, pick) {
  film.generations = withPictures(seen.pictures);
  byId("pictures").hidden = !film.generations.length;
  if (!film.generations.length) return stop();
  const slider = byId("pictures-of");
  slider.max = film.generations.length - 1;
  byId("play").disabled = film.generations.length < 2;
  film.draw = () => {
    // Who has not moved the slider sees the newest.
    const index = film.at === null ? -1 : film.generations.findIndex((g) => g >= film.at);
    const generation = film.generations.at(index);
    slider.value = film.generations.indexOf(generation);
    slider.setAttribute("aria-valuetext", `generation ${generation}`);
    byId("pictures-at").textContent = `${generation}, the newest is ${film.generations.at(-1)}`;
    grid(seen, run, generation, chosen, pick);
  };
  film.draw();
}

function grid(seen, run, generation, chosen, pick) {
  const place = byId("picture-grid");
  const column = seen.columns[generation];
  const members = seen.pictures.get(generation);
  const known = new Map([...place.children].map((child) => [child.dataset.member, child]));
  fill(place, ...members.map((member) => {
    const cell = known.get(String(member)) ?? empty(member);
    const [image, caption] = cell.children;
    const address = source(run, generation, member);
    // Until another picture has come, the one before it is shown.
    if (image.getAttribute("src") !== address) image.setAttribute("src", address);
    image.alt = `what ${memberName(member)} made in generation ${generation}`;
    const at = column?.members.indexOf(member) ?? -1;
    const score = at < 0 ? null : column.scores[at];
    const born = at >= 0 && column.bases[at] !== null;
    fill(caption, `${memberName(member)}${born ? " •" : ""}`, element("span", {}, number(score)));
    caption.title = born ? "born into this generation" : "";
    cell.className = chosen?.generation === generation && chosen.member === member ? "chosen" : "";
    cell.onclick = () => pick(generation, member);
    return cell;
  }));
}

function empty(member) {
  const cell = element("button", { type: "button", "data-member": member },
    element("img", { loading: "lazy" }), element("span", { class: "caption" }));
  cell.firstChild.addEventListener("error", () => { cell.firstChild.alt = "no longer kept"; });
  return cell;
}

// -- the slider --------------------------------------------------------------------------------

function stop() {
  clearInterval(film.timer);
  film.timer = null;
  byId("play").textContent = "play";
  byId("play").setAttribute("aria-pressed", "false");
}

function step() {
  const index = Number(byId("pictures-of").value) + 1;
  if (index >= film.generations.length) return stop();
  move(index);
  if (index === film.generations.length - 1) stop();
}

function move(index) {
  film.at = index >= film.generations.length - 1 ? null : film.generations[index];
  film.draw();
}

function play() {
  if (film.timer) return stop();
  if (Number(byId("pictures-of").value) === film.generations.length - 1) move(0);
  byId("play").textContent = "stop";
  byId("play").setAttribute("aria-pressed", "true");
  film.timer = setInterval(step, STEP_MS);
}

export function forgetPreviews() {
  stop();
  film.at = null;
}

export function listen() {
  byId("play").addEventListener("click", play);
  byId("pictures-of").addEventListener("input", (event) => {
    stop();
    move(Number(event.target.value));
  });
}

// -- one member --------------------------------------------------------------------------------

// What a member and its ancestors made, the oldest first.
export function lineOfPictures(pictures, run, ancestors, pick) {
  const made = ancestors.filter(({ generation, member }) => pictures.get(generation)?.includes(member));
  if (!made.length) return [];
  return [element("h3", {}, "What it and its ancestors made"),
    element("div", { id: "line-of-pictures" }, ...made.map(({ generation, member, score }) =>
      element("button", { type: "button", on: { click: () => pick(generation, member) } },
        element("img", { src: source(run, generation, member), loading: "lazy", alt: `what ${memberName(member)} made in generation ${generation}` }),
        element("span", { class: "caption" }, `g${generation} ${memberName(member)}`, element("span", {}, number(score))))))];
}
