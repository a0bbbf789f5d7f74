// Which pixels raise and lower a digit's probability.

import { newAsker, post } from "../asking.js";
import { listen } from "../bus.js";
import { make } from "../dom.js";
import { isDrawing } from "../drawing.js";
import { t } from "../language.js";
import { paintGrey, paintSigned, signedBytes } from "../pixels.js";
import { digitChoice } from "./digit_choice.js";
import { memberChoice } from "./member_choice.js";
import { message, ready } from "./message.js";

export const saliency = {
  name: "saliency",
  make(root, { members }) {
    const choice = memberChoice(members, ask);
    const digit = digitChoice("explain", "its-answer", ask);
    const said = make("p", { class: "said-of" });
    const pictures = make("div", { class: "pictures large" });
    let seen = null;
    root.append(make("div", { class: "controls" }, choice.label, digit.label), said, pictures);
    const asker = newAsker({ onAnswer: showMaps, onError: fail });

    listen("stroke-ended", ask);

    function ask() {
      if (!seen || root.hidden || isDrawing()) return; // it takes too long to be made while the pen moves
      const parameters = { member: choice.value(), ...digit.parameter() };
      const levels = seen;
      asker.ask(async () => {
        const response = await post("api/saliency", parameters, levels);
        return response.ok ? { ok: true, status: 200, json: async () => ({ ...(await response.json()), levels }) } : response;
      });
    }

    function fail(text) {
      said.textContent = "";
      message(pictures, text);
    }

    function showMaps({ answer, digit: explained, probabilities, gradient, ink, levels }) {
      const values = { name: choice.value(), answer, digit: explained, probability: probabilities[explained].toFixed(3) };
      said.textContent = t("explained", values);
      pictures.replaceChildren(
        figure(t("the-drawing"), (canvas) => paintGrey(canvas, levels)),
        figure(t("of-the-ink", values), (canvas) => paintSigned(canvas, 28, 28, signedBytes(ink))),
        figure(t("of-each-pixel", values), (canvas) => paintSigned(canvas, 28, 28, signedBytes(gradient), levels)),
      );
      ready(root);
    }

    return {
      show(answer) {
        seen = answer?.seen ?? null;
        if (seen) return ask();
        asker.cancel();
        fail("nothing-drawn");
      },
      hide: () => asker.cancel(),
    };
  },
};

export function figure(text, draw) {
  const canvas = make("canvas", { role: "img", "aria-label": text });
  draw(canvas);
  return make("figure", {}, canvas, make("figcaption", {}, text));
}
