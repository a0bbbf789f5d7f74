// The outputs of a member's layers for the drawing, live.

import { newAsker, post } from "../asking.js";
import { diverging } from "../colors.js";
import { make } from "../dom.js";
import { t } from "../language.js";
import { short } from "../numbers.js";
import { paint, signedBytes } from "../pixels.js";
import { memberChoice } from "./member_choice.js";
import { message, ready } from "./message.js";

const GAP = 1; // pixels between the maps of a convolution

export const inside = {
  name: "inside",
  make(root, { members }) {
    const choice = memberChoice(members, ask);
    const about = make("span", { class: "hint" });
    const layers = make("div", { class: "layers" });
    let seen = null;
    root.append(make("div", { class: "controls" }, choice.label, about), layers);
    const asker = newAsker({ onAnswer: showLayers, onError: (text) => message(layers, text) });

    function ask() {
      if (!seen || root.hidden) return;
      const parameters = { member: choice.value() };
      asker.ask(() => post("api/inside", parameters, seen));
    }

    function showLayers(told) {
      about.textContent = told.is_first_of ? t("first-of", { count: told.is_first_of }) : "";
      // Elements are kept, so that nothing flickers while one draws.
      while (layers.children.length > told.layers.length + 1) layers.lastChild.remove();
      told.layers.forEach((layer, place) => showLayer(figureAt(layers, place), layer));
      showOutput(figureAt(layers, told.layers.length), told.probabilities);
      ready(root);
    }

    return {
      show(answer) {
        seen = answer?.seen ?? null;
        if (seen) return ask();
        asker.cancel();
        about.textContent = "";
        message(layers, "nothing-drawn");
      },
      hide: () => asker.cancel(),
    };
  },
};

function figureAt(layers, place) {
  if (layers.firstElementChild?.tagName === "P") layers.replaceChildren();
  if (!layers.children[place]) {
    layers.append(make("figure", {}, make("canvas", { role: "img" }), make("figcaption")));
  }
  return layers.children[place];
}

function showLayer(figure, { name, shape, units, limit, values }) {
  const [canvas, caption] = figure.children;
  const numbers = signedBytes(values);
  const map = shape.length === 3 ? tiles(shape) : shape.length === 2 ? rowsOf(shape) : rectangle(shape[0]);
  const shown = Array(map.width * map.height).fill(null);
  for (let index = 0; index < numbers.length; index++) shown[map.place(index)] = diverging(numbers[index]);
  paint(canvas, map.width, map.height, (index) => shown[index]);
  canvas.style.aspectRatio = `${map.width} / ${map.height}`;
  const active = numbers.reduce((count, value) => count + (Math.abs(value) > 0.05), 0) / numbers.length;
  const words = { place: name.replace("layer ", ""), units, limit: short(limit), active: Math.round(100 * active) };
  if (shape.length > 1) Object.assign(words, { height: shape.at(-2), width: shape.at(-1) });
  const kind = name === "evidence" ? "evidence" : ["layer-units", "layer-rows", "layer-maps"][shape.length - 1];
  caption.textContent = t(kind, words);
  canvas.setAttribute("aria-label", caption.textContent);
}

function showOutput(figure, probabilities) {
  const [canvas, caption] = figure.children;
  const [width, height] = [10, 12];
  const best = probabilities.indexOf(Math.max(...probabilities));
  paint(canvas, width, height, (index) => {
    const digit = index % width;
    const row = height - Math.floor(index / width);
    if (row > Math.max(0.15, probabilities[digit] * height)) return [0, 0, 0];
    return digit === best ? [86, 180, 233] : [150, 150, 150];
  });
  canvas.style.aspectRatio = "1 / 1";
  caption.textContent = t("output", { digit: best, probability: probabilities[best].toFixed(3) });
  canvas.setAttribute("aria-label", caption.textContent);
}

/** Units in a rectangle that is about as wide as high. */
function rectangle(count) {
  const width = Math.ceil(Math.sqrt(count));
  return { width, height: Math.ceil(count / width), place: (index) => index };
}

/** The units of a recurrent layer, a row for each row of the image. */
function rowsOf([rows, units]) {
  return { width: units, height: rows, place: (index) => index };
}

/** The maps of a convolution, side by side. */
function tiles([maps, height, width]) {
  const columns = Math.ceil(Math.sqrt(maps));
  const total = columns * (width + GAP) - GAP;
  return {
    width: total,
    height: Math.ceil(maps / columns) * (height + GAP) - GAP,
    place(index) {
      const map = Math.floor(index / (height * width));
      const [row, column] = [Math.floor((index % (height * width)) / width), index % width];
      return (Math.floor(map / columns) * (height + GAP) + row) * total + (map % columns) * (width + GAP) + column;
    },
  };
}
