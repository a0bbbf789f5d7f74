// How little the drawing looks like a digit, and why.

import { make } from "../dom.js";
import { t } from "../language.js";
import { message, ready } from "./message.js";

const PARTS = ["uncertainty", "disagreement", "free_energy"];

export const noDigit = {
  name: "no_digit",
  make(root) {
    const place = make("div", {});
    root.append(place);
    return {
      show(answer) {
        if (!answer) message(place, "nothing-drawn");
        else if (!answer.no_digit) message(place, "needs-all");
        else place.replaceChildren(...gauge(answer.no_digit));
        ready(root);
      },
    };
  },
};

function gauge({ score, limit, probably, parts }) {
  const most = Math.max(1.5 * limit, score);
  const bar = make("div", { class: "gauge", role: "img", "aria-label": t("score", shown(score, limit)) });
  for (const [place, name] of PARTS.entries()) {
    const piece = make("span", { class: `part part-${place}` });
    piece.style.width = `${(100 * parts[name]) / most}%`;
    bar.append(piece);
  }
  const line = make("i", { class: "limit" });
  line.style.left = `${(100 * limit) / most}%`;
  bar.append(line);
  return [
    make("p", { class: probably ? "said-of warning" : "said-of" }, t(probably ? "is-none" : "is-one")),
    bar,
    make("p", { class: "hint" }, t("score", shown(score, limit))),
    make(
      "ul",
      { class: "parts" },
      ...PARTS.map((name, place) =>
        make("li", {}, make("span", { class: `key part-${place}` }), ` ${t(`part-${name}`, { value: parts[name].toFixed(1) })}`),
      ),
    ),
  ];
}

const shown = (score, limit) => ({ score: score.toFixed(1), limit: limit.toFixed(1) });
