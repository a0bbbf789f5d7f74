// A sentence in the place of a panel's content, and the mark that its content is up to date.

import { make } from "../dom.js";
import { t, translated } from "../language.js";

export function message(place, text) {
  place.replaceChildren(make("p", { class: "hint", role: "status" }, translated(t(text))));
}

/** Count the answers that a panel has shown. */
export function ready(root) {
  root.dataset.shown = Number(root.dataset.shown ?? 0) + 1;
}
