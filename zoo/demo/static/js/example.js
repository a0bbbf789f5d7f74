// An empty page draws a digit by itself, until someone touches it.

import { listen, tell } from "./bus.js";
import { find } from "./dom.js";
import { isEmpty, line, wipe } from "./drawing.js";

const IDLE = 30_000; // milliseconds until an empty page draws again
const SPEED = 190; // pixels of the canvas a second
const SIZE = 280;

const curve = (x, y, wide, high, from, to) =>
  Array.from({ length: 25 }, (_, step) => {
    const angle = ((from + ((to - from) * step) / 24) * Math.PI) / 180;
    return [x + wide * Math.cos(angle), y + high * Math.sin(angle)];
  });

const DIGITS = [
  [[...curve(0.48, 0.32, 0.2, 0.17, -150, 80), ...curve(0.48, 0.67, 0.22, 0.18, -80, 150)]], // 3
  [[...curve(0.5, 0.34, 0.21, 0.17, -170, 35), [0.3, 0.82], [0.72, 0.82]]], // 2
  [[[0.32, 0.2], [0.7, 0.2], [0.46, 0.84]]], // 7
  [[[0.4, 0.2], [0.3, 0.58], [0.72, 0.58]], [[0.62, 0.3], [0.6, 0.84]]], // 4
];

let playing = false;
let frame = 0;
let timer = 0;
let next = 0;

export const isPlaying = () => playing;

function lengthOf(from, to) {
  return Math.hypot(to.x - from.x, to.y - from.y);
}

function piecesOf(digit) {
  return digit.flatMap((stroke) => {
    const points = stroke.map(([x, y]) => ({ x: x * SIZE, y: y * SIZE }));
    return points.slice(1).map((to, index) => [points[index], to]);
  });
}

function play() {
  if (!isEmpty() || document.hidden) return wait();
  setPlaying(true);
  const pieces = piecesOf(DIGITS[next++ % DIGITS.length]);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    for (const piece of pieces) line(...piece);
    tell("drawn");
    return;
  }
  let begun = null;
  let done = 0; // pieces that are drawn completely
  let before = 0; // their length
  const draw = (now) => {
    if (!playing) return;
    begun ??= now;
    const reached = ((now - begun) * SPEED) / 1000;
    while (done < pieces.length && before + lengthOf(...pieces[done]) <= reached) {
      line(...pieces[done]);
      before += lengthOf(...pieces[done++]);
    }
    if (done < pieces.length) {
      const [from, to] = pieces[done];
      const share = (reached - before) / lengthOf(from, to);
      line(from, { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share });
      frame = requestAnimationFrame(draw);
    }
    // The first dots are no digit yet.
    if (reached > SPEED || done === pieces.length) tell("drawn");
  };
  frame = requestAnimationFrame(draw);
}

function setPlaying(value) {
  playing = value;
  document.body.classList.toggle("example", value);
  // A screen reader is not told of an answer that nobody asked for.
  find("verdict").setAttribute("aria-live", value ? "off" : "polite");
}

function wait() {
  clearTimeout(timer);
  timer = setTimeout(play, IDLE);
}

/** End the example and give the empty canvas to the person who touched the page. */
function stop() {
  cancelAnimationFrame(frame);
  wait();
  if (!playing) return;
  setPlaying(false);
  wipe();
  tell("cleared");
}

export function setUpExample() {
  listen("touched", stop);
  find("canvas").addEventListener("focus", () => find("canvas").matches(":focus-visible") && stop());
  timer = setTimeout(play, 400);
}
