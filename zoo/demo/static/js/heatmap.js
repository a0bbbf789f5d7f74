// A table of members and digits: how probable each member finds each digit.

import { listen, tell } from "./bus.js";
import { color, css, mix, readableOn } from "./colors.js";
import { find, make } from "./dom.js";
import { t } from "./language.js";

const body = find("members");
const rows = new Map();
let order = "lecture";
let told = null;

export function chosen() {
  return [...rows].filter(([, row]) => row.box.checked).map(([name]) => name);
}

export function setUpHeatmap(members) {
  for (const member of members) body.append(makeRow(member));
  for (const [id, value] of [["all", true], ["none", false]]) {
    find(id).addEventListener("click", () => {
      for (const row of rows.values()) row.box.checked = value;
      tell("chosen");
    });
  }
  find("sort").addEventListener("change", (event) => {
    order = event.target.value;
    sort();
  });
  listen("language", label);
  listen("answer", showMembers);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => showMembers(told));
  label();
}

function makeRow(member) {
  const box = make("input", { type: "checkbox", checked: true });
  box.addEventListener("change", () => tell("chosen"));
  const button = make("button", { type: "button", class: "name" }, ...withBreaks(member.name));
  button.addEventListener("click", () => tell("card", member));
  const cells = Array.from({ length: 10 }, () => make("td", { class: "cell" }));
  const time = make("td", { class: "ms" });
  const mark = make("span", { class: "mark" });
  const row = make(
    "tr",
    { data: { member: member.name }, class: member.own ? "own" : "" },
    make("td", {}, box),
    make("th", { scope: "row" }, button, mark),
    ...cells,
    time,
  );
  rows.set(member.name, { member, row, box, button, cells, time, mark });
  return row;
}

/** Allow a line break after each underscore and slash of a long name. */
function withBreaks(name) {
  return name.split(/(?<=[_/])/).flatMap((word) => [word, make("wbr")]);
}

function label() {
  for (const [name, { box, button, member }] of rows) {
    box.setAttribute("aria-label", t("ask-member", { name }));
    button.title = member.description;
  }
  showMembers(told);
}

function showMembers(answer) {
  told = answer;
  const shades = { paper: color("paper"), ink: color("ink"), best: color("best"), dissent: color("dissent") };
  for (const [name, row] of rows) showRow(row, told?.members[name], shades);
  for (const [digit, head] of [...document.querySelectorAll("#digits th.digit")].entries()) {
    head.classList.toggle("best", told?.answer === digit);
  }
  if (order === "dissent") sort();
}

function showRow({ row, cells, time, mark }, member, shades) {
  const dissents = Boolean(member) && member.answer !== told.answer;
  row.classList.toggle("dissents", dissents);
  mark.textContent = dissents ? t("says", { digit: member.answer }) : "";
  time.textContent = member ? member.milliseconds.toFixed(1) : "";
  if (member) {
    row.dataset.answer = member.answer;
    row.dataset.probabilities = JSON.stringify(member.probabilities);
  } else {
    delete row.dataset.answer;
    delete row.dataset.probabilities;
  }
  for (const [digit, cell] of cells.entries()) {
    const probability = member ? member.probabilities[digit] : 0;
    const isAnswer = member?.answer === digit;
    const shade = isAnswer ? shades[dissents ? "dissent" : "best"] : shades.ink;
    const ground = mix(shades.paper, shade, probability ** 0.7 * (isAnswer ? 1 : 0.7));
    cell.textContent = probability >= 0.005 ? Math.round(probability * 100) : "";
    cell.style.backgroundColor = css(ground);
    cell.style.color = readableOn(ground);
    cell.classList.toggle("chosen", isAnswer);
  }
}

function sort() {
  const accuracy = ({ member }) => member.test_errors ?? Infinity;
  const dissents = ({ member }) => (told?.members[member.name]?.answer ?? told?.answer) !== told?.answer;
  const sorted = [...rows.values()]; // in lecture order
  if (order === "accuracy") sorted.sort((a, b) => accuracy(a) - accuracy(b));
  if (order === "dissent") sorted.sort((a, b) => dissents(b) - dissents(a));
  const wanted = sorted.map(({ row }) => row);
  // Rows that are in order already stay in the document, so that they keep the focus.
  if (wanted.some((row, place) => body.children[place] !== row)) body.append(...wanted);
}
