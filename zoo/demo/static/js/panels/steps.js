// From the drawing to the 28 by 28 pixels that the networks see.

import { make } from "../dom.js";
import { t, translated } from "../language.js";
import { paintGrey } from "../pixels.js";

export const steps = {
  name: "steps",
  make(root) {
    const list = make("div", { class: "pictures" });
    root.append(list);
    return {
      show(answer) {
        const told = answer?.steps ?? [];
        list.replaceChildren(...told.map(({ name, image }) => figure(name, image)));
        if (!answer) list.append(make("p", { class: "hint" }, t("nothing-drawn")));
        else if (!told.length) list.append(seen(answer.seen));
      },
    };
  },
};

function figure(name, image) {
  return make("figure", {}, make("img", { src: image, alt: "" }), make("figcaption", {}, translated(name)));
}

/** Of a test image, which is in MNIST's format already. */
function seen(levels) {
  const canvas = make("canvas", { "aria-hidden": "true" });
  paintGrey(canvas, levels);
  return make("figure", {}, canvas, make("figcaption", {}, t("as-it-is")));
}
