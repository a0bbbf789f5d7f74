// What all asked members say together: the digit, how sure and how much agreed, and notes.

import { listen, tell } from "./bus.js";
import { find, make } from "./dom.js";
import { isPlaying } from "./example.js";
import { t, translated } from "./language.js";
import { percent } from "./numbers.js";

const answer = find("answer");
const verdict = find("verdict");
const notes = find("notes");
const votes = find("votes");

let shown = { kind: "empty", text: "draw-something" };

export function showAnswer(told) {
  shown = { kind: "answer", told };
  render();
}

/** Show that there is no answer, and why. */
export function showNothing(text = "draw-something", isError = false) {
  shown = { kind: isError ? "error" : "empty", text };
  render();
}

function render() {
  const { kind, told, text } = shown;
  document.body.dataset.state = kind;
  answer.textContent = kind === "answer" ? told.answer : "?";
  if (kind === "answer") {
    verdict.textContent = sentence(told);
    showNotes(notesOf(told));
    showVotes(told.probabilities, told.answer);
  } else {
    const words = kind === "error" ? translated(t(text)) : t(text);
    verdict.textContent = kind === "error" ? "" : words;
    showNotes(kind === "error" ? [words] : []);
    showVotes(Array(10).fill(0), null);
  }
}

function sentence(told) {
  const names = Object.keys(told.members);
  const values = {
    sure: percent(told.probabilities[told.answer]),
    agree: told.votes[told.answer],
    all: names.length,
    name: names[0],
    row: told.row,
    label: told.label,
  };
  const parts = [t(names.length === 1 ? "one-member" : "agreement", values)];
  if (told.label !== undefined) parts.push(t(told.label === told.answer ? "label-right" : "label-wrong", values));
  return parts.join(" ");
}

function notesOf(told) {
  if (isPlaying()) return []; // half a digit is small, and maybe none
  const doubt = told.no_digit?.probably ? [t("probably-no-digit")] : [];
  const small = told.isSmall ? [t("small-digit")] : [];
  return [...doubt, ...small, ...told.notes.map(translated)];
}

function showNotes(sentences) {
  notes.replaceChildren(...(sentences.length ? [make("span", {}, sentences.join(" "))] : []));
  notes.tabIndex = notes.scrollHeight > notes.clientHeight ? 0 : -1; // so that the arrow keys can scroll it
}

function showVotes(probabilities, best) {
  votes.replaceChildren(
    ...probabilities.map((value, digit) => {
      const fill = make("i");
      fill.style.height = `${Math.round(value * 75)}%`;
      return make("span", { class: digit === best ? "best" : "" }, fill, String(digit));
    }),
  );
  const told = probabilities.map((value, digit) => `${digit}: ${percent(value)}`).join(", ");
  votes.setAttribute("aria-label", best === null ? t("no-answer") : told);
}

export function setUpCommittee() {
  listen("language", render);
  for (const name of ["pen-down", "pen-up"]) listen(name, () => shown.kind === "empty" && showNothing(name));
  listen("cleared", () => {
    showNothing();
    tell("answer", null);
  });
  render();
}
