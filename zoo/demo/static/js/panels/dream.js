// A Boltzmann machine goes on from the drawing, or a deep belief net towards a chosen digit, Gibbs step by Gibbs step.

import { newAsker, post } from "../asking.js";
import { make } from "../dom.js";
import { t } from "../language.js";
import { paintGrey, unsignedBytes } from "../pixels.js";
import { digitChoice } from "./digit_choice.js";
import { message, ready } from "./message.js";

const STEPS = 10; // in one request
const PACE = 120; // milliseconds for a step
const PACE_TOWARDS = 40; // the same towards a digit, which takes some hundred steps
const KEPT = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]; // steps that stay on show

export const dream = {
  name: "dream",
  make(root) {
    const digit = digitChoice("dream-of", "dream-free", restart);
    const go = make("button", { type: "button", class: "go" });
    const again = make("button", { type: "button", data: { text: "dream-again" } });
    const canvas = make("canvas", { role: "img", class: "stage" });
    const caption = make("p", { class: "said-of" });
    const film = make("div", { class: "thumbs film" });
    root.append(make("div", { class: "controls" }, digit.label, go, again), make("div", { class: "dream" }, canvas, make("div", {}, caption, film)));
    let seen = null;
    let state = null;
    let frames = [];
    let step = 0;
    let running = false;
    let isAsking = false; // the next question starts where the answer to this one ends
    let timer = 0;
    const asker = newAsker({
      onAnswer(told) {
        isAsking = false;
        frames.push(...told.frames.map((frame, place) => [unsignedBytes(frame), told.free_energies[place]]));
        state = unsignedBytes(told.state);
        if (running && !timer) tick();
      },
      onError(text) {
        isAsking = false;
        setRunning(false);
        message(caption, text);
      },
    });

    go.addEventListener("click", () => setRunning(!running));
    again.addEventListener("click", restart);

    function setRunning(value) {
      running = value;
      go.textContent = t(running ? "pause" : "dream-go");
      clearTimeout(timer);
      timer = 0;
      if (running) tick();
    }

    function restart() {
      asker.cancel();
      isAsking = false;
      setRunning(false);
      // Towards a digit, a chain can begin without a drawing.
      const isTowards = digit.parameter().digit !== undefined;
      state = seen ? Uint8Array.from(seen) : isTowards ? new Uint8Array(784) : null;
      frames = [];
      step = 0;
      film.replaceChildren();
      go.disabled = !state;
      again.disabled = !seen;
      if (state) {
        paintGrey(canvas, state);
        caption.textContent = t(seen ? "dream-start" : "dream-start-blank");
      } else {
        canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
        message(caption, "nothing-drawn");
      }
      canvas.setAttribute("aria-label", caption.textContent);
    }

    function tick() {
      timer = 0;
      if (frames.length < STEPS / 2 && !isAsking) {
        isAsking = true;
        const from = state;
        asker.ask(() => post("api/dream", { steps: STEPS, ...digit.parameter() }, from));
      }
      const next = frames.shift();
      if (!next) return; // it goes on when the server has answered
      const [levels, energy] = next;
      step++;
      paintGrey(canvas, levels);
      caption.textContent = t("dream-step", { step, energy: energy.toFixed(0).replace("-", "−") });
      canvas.setAttribute("aria-label", caption.textContent);
      if (KEPT.includes(step)) keep(levels);
      ready(root);
      timer = setTimeout(tick, digit.parameter().digit === undefined ? PACE : PACE_TOWARDS);
    }

    function keep(levels) {
      const small = make("canvas", { "aria-hidden": "true" });
      paintGrey(small, levels);
      film.append(make("figure", { class: "thumb" }, small, make("figcaption", {}, String(step))));
    }

    return {
      show(answer) {
        const levels = answer?.seen ?? null;
        go.textContent = t(running ? "pause" : "dream-go");
        if (levels === seen && levels) return; // only the language has changed
        seen = levels;
        restart();
      },
      hide: () => setRunning(false),
    };
  },
};
