// A small network is trained live: its weights form, and its curves run.

import { newAsker, post } from "../asking.js";
import { diverging } from "../colors.js";
import { make } from "../dom.js";
import { t, translated } from "../language.js";
import { short } from "../numbers.js";
import { paint, signedBytes } from "../pixels.js";
import { drawCurves } from "./curves.js";
import { ready } from "./message.js";

const CHOICES = {
  network: ["softmax", "small"],
  weight_init: ["xavier_uniform", "he_normal", "normal", "zeros"],
  lr: ["0.0001", "0.001", "0.01", "0.1"],
  dropout: ["0", "0.3"],
};
const RATES = { slow: [1, 250], medium: [10, 100], fast: [50, 0] }; // steps in a request, milliseconds between two
const GAP = 1; // pixels between the weights of two units

export const train = {
  name: "train",
  make(root) {
    const selects = Object.fromEntries(Object.entries(CHOICES).map(([name, values]) => [name, choice(name, values)]));
    selects.lr.value = "0.001";
    const rate = choice("rate", Object.keys(RATES));
    rate.value = "medium";
    const go = make("button", { type: "button", class: "go" });
    const again = make("button", { type: "button", data: { text: "train-again" } });
    const said = make("p", { class: "said-of", role: "status", "aria-live": "off" });
    const weights = make("canvas", { role: "img", class: "weights" });
    const weightsCaption = make("figcaption");
    const curves = make("canvas", { role: "img", class: "curves", width: 640, height: 320 });
    const curvesCaption = make("figcaption", { data: { text: "curves" } });
    const reads = make("p", {});
    const command = make("code", {});
    const hint = make("p", { class: "hint" }, make("span", { data: { text: "train-command" } }), " ", command);
    root.append(
      make("div", { class: "controls" }, go, again, ...[...Object.entries(selects), ["rate", rate]].map(labelled)),
      said,
      make("div", { class: "train" }, make("figure", {}, weights, weightsCaption), make("figure", {}, curves, curvesCaption)),
      reads,
      hint,
    );
    let name = null; // of the training on the server
    let running = false;
    let timer = 0;
    let seen = null;
    let told = null;
    let losses = [];
    let accuracies = []; // [step, validation accuracy]

    const asker = newAsker({
      onAnswer(state) {
        told = state;
        name = state.name ?? name;
        losses.push(...(state.losses ?? []));
        accuracies.push([state.steps, state.validation_accuracy]);
        showState();
        if (running) timer = setTimeout(goOn, RATES[rate.value][1]);
      },
      onError(text) {
        setRunning(false);
        name = null;
        said.textContent = translated(t(text));
      },
    });
    const image = () => seen ?? new Uint8Array(784);

    function begin() {
      asker.cancel();
      clearTimeout(timer);
      name = null;
      losses = [];
      accuracies = [];
      const parameters = Object.fromEntries(Object.entries(selects).map(([key, select]) => [key, select.value]));
      asker.ask(() => post("api/train", parameters, image()));
    }

    function goOn() {
      if (name === null) return begin();
      const parameters = { name, steps: RATES[rate.value][0] };
      asker.ask(() => post("api/train/steps", parameters, image()));
    }

    function setRunning(value) {
      running = value;
      go.textContent = t(running ? "pause" : "train-go");
      clearTimeout(timer);
      if (running) goOn();
    }

    function showState() {
      const { steps, epoch, validation_accuracy: accuracy } = told;
      const loss = losses.slice(-20).reduce((sum, value, _, all) => sum + value / all.length, 0);
      const shown = { steps: steps.toLocaleString("en"), epoch, accuracy: accuracy.toFixed(3), loss: loss.toFixed(3) };
      said.textContent = t(losses.length ? "train-step" : "train-begin", shown);
      showWeights();
      drawCurves(curves, losses, accuracies);
      curves.setAttribute("aria-label", said.textContent);
      const best = told.probabilities.indexOf(Math.max(...told.probabilities));
      reads.textContent = seen ? t("train-reads", { digit: best, probability: told.probabilities[best].toFixed(3) }) : "";
      command.textContent = told.command;
      hint.hidden = told.steps === 0; // untrained weights have no command
      ready(root);
    }

    function showWeights() {
      const values = signedBytes(told.weights);
      const columns = told.units === 10 ? 5 : 8;
      const [width, height] = [columns * (28 + GAP) - GAP, Math.ceil(told.units / columns) * (28 + GAP) - GAP];
      paint(weights, width, height, (index) => {
        const [row, column] = [Math.floor(index / width), index % width];
        const [y, x] = [row % (28 + GAP), column % (28 + GAP)];
        if (y === 28 || x === 28) return null;
        const unit = Math.floor(row / (28 + GAP)) * columns + Math.floor(column / (28 + GAP));
        return unit < told.units ? diverging(values[unit * 784 + y * 28 + x]) : null;
      });
      weights.style.aspectRatio = `${width} / ${height}`;
      weightsCaption.textContent = t(told.units === 10 ? "weights-digits" : "weights-units", {
        units: told.units,
        limit: short(told.limit),
      });
      weights.setAttribute("aria-label", weightsCaption.textContent);
    }

    for (const select of Object.values(selects)) select.addEventListener("change", begin);
    selects.network.addEventListener("change", () => (selects.dropout.disabled = selects.network.value === "softmax"));
    selects.dropout.disabled = true;
    go.addEventListener("click", () => setRunning(!running));
    again.addEventListener("click", begin);

    return {
      show(answer) {
        seen = answer?.seen ?? null;
        go.textContent = t(running ? "pause" : "train-go");
        if (told) showState();
        else if (name === null) begin();
      },
      hide: () => setRunning(false),
    };
  },
};

function choice(name, values) {
  return make(
    "select",
    {},
    ...values.map((value) => {
      const hasText = ["network", "rate", "dropout"].includes(name);
      return make("option", { value, ...(hasText ? { data: { text: `${name}-${value}` } } : {}) }, value);
    }),
  );
}

const labelled = ([name, select]) => make("label", {}, make("span", { data: { text: `choose-${name}` } }), select);
