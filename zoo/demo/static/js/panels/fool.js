// The smallest change that makes a member take the drawing for another digit.

import { newAsker, post } from "../asking.js";
import { make } from "../dom.js";
import { t } from "../language.js";
import { paintGrey, paintSigned, signedBytes, unsignedBytes } from "../pixels.js";
import { digitChoice } from "./digit_choice.js";
import { memberChoice } from "./member_choice.js";
import { message, ready } from "./message.js";
import { figure } from "./saliency.js";

export const fool = {
  name: "fool",
  make(root, { members }) {
    const choice = memberChoice(members, forget);
    const digit = digitChoice("turn-into", "nearest", forget);
    const go = make("button", { type: "button", class: "go", data: { text: "fool-it" } });
    const said = make("p", { class: "said-of" });
    const pictures = make("div", { class: "pictures large" });
    const distances = make("div", { class: "distances" });
    const others = make("p", {});
    let seen = null;
    root.append(make("div", { class: "controls" }, choice.label, digit.label, go), said, make("div", { class: "split" }, pictures, distances), others);
    const asker = newAsker({
      onAnswer: showChange,
      onError: (text) => clear(text),
      onBusy: (busy) => (go.disabled = busy || !seen),
    });
    go.addEventListener("click", () => {
      const parameters = { member: choice.value(), ...digit.parameter() };
      const levels = seen;
      asker.ask(() => post("api/fool", parameters, levels));
    });

    function clear(text) {
      said.textContent = others.textContent = "";
      distances.replaceChildren();
      if (text) message(pictures, text);
      else pictures.replaceChildren();
    }

    /** What is shown is about another drawing, member or digit. */
    function forget() {
      asker.cancel();
      go.disabled = !seen;
      clear(seen ? null : "nothing-drawn");
    }

    function showChange(told) {
      const name = choice.value();
      showDistances(told);
      if (told.digit === undefined) {
        said.textContent = t("not-fooled", { name });
        pictures.replaceChildren();
        others.textContent = "";
        return ready(root);
      }
      const limit = Math.round(100 * told.limit);
      said.textContent = t("fooled", { name, answer: told.answer, digit: told.digit, distance: told.distances[told.digit].toFixed(2) });
      pictures.replaceChildren(
        figure(t("was", { digit: told.answer }), (canvas) => paintGrey(canvas, seen)),
        figure(t("the-change", { limit }), (canvas) => paintSigned(canvas, 28, 28, signedBytes(told.change))),
        figure(t("is-now", { name, digit: told.digit }), (canvas) => paintGrey(canvas, unsignedBytes(told.changed))),
      );
      const fallen = Object.entries(told.answers).filter(([other, answer]) => answer === told.digit && other !== name);
      const rest = Object.keys(told.answers).length - 1;
      others.textContent = fallen.length
        ? t("falls-too", { count: fallen.length, all: rest, names: fallen.map(([other]) => other).join(", ") })
        : t("nobody-falls", { all: rest });
      others.hidden = rest === 0;
      ready(root);
    }

    function showDistances(told) {
      const most = Math.max(...told.distances.filter((value) => value !== null), 0.01);
      distances.replaceChildren(
        make("h3", {}, t("how-far")),
        ...told.distances.map((value, other) => {
          const bar = make("i", { class: other === told.digit ? "best" : "" });
          bar.style.width = `${(100 * (value ?? 0)) / most}%`;
          const words = other === told.answer ? t("is-the-answer") : value === null ? t("not-found") : value.toFixed(2);
          return make("div", { class: "distance" }, make("b", {}, String(other)), make("span", { class: "track" }, bar), words);
        }),
      );
    }

    return {
      show(answer) {
        const levels = answer?.seen ?? null;
        if (levels === seen && levels) return; // only the language has changed
        seen = levels;
        forget();
      },
      hide: () => asker.cancel(),
    };
  },
};
