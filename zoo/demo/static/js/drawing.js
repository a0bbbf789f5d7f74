// The canvas: drawing with mouse, pen, finger and keyboard, the width of the pen, and undo.

import { tell } from "./bus.js";
import { find } from "./dom.js";

const UNDO = 30; // strokes that can be taken back
const STEP = 10; // pixels that an arrow key moves the pen
const SMALL_STEP = 2;
const SMALL = 4; // a digit is small if its longer side is less than so many times as wide as the pen

const canvas = find("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
const cursor = find("cursor");
const size = canvas.width;

let empty = true;
let width = 20;
let widest = 0; // the widest pen of the drawing; 0 of a picture
let last = null;
const before = []; // the canvas before each of the last strokes
const key = { x: size / 2, y: size / 4, down: false };

export const isEmpty = () => empty;
export const isDrawing = () => last !== null;

export function wipe() {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, size, size);
  empty = true;
  widest = 0;
}

function keep() {
  before.push({ pixels: pen.getImageData(0, 0, size, size), empty, widest });
  if (before.length > UNDO) before.shift();
}

function clear() {
  if (!empty) keep();
  wipe();
  liftKeyboardPen();
  tell("cleared");
}

function undo() {
  const kept = before.pop();
  if (!kept) return;
  pen.putImageData(kept.pixels, 0, 0);
  ({ empty, widest } = kept);
  tell(empty ? "cleared" : "drawn");
}

/** Whether the drawing is small for its pen, so that its strokes run into each other. */
export function isSmall() {
  if (!widest) return false;
  const { data } = pen.getImageData(0, 0, size, size);
  const box = { left: size, right: 0, top: size, bottom: 0 };
  for (let index = 0; index < size * size; index++) {
    if (data[4 * index] < 128) continue;
    const [x, y] = [index % size, Math.floor(index / size)];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
  }
  return Math.max(box.right - box.left, box.bottom - box.top) < SMALL * widest;
}

/** Draw a line in pixels of the canvas. */
export function line(from, to) {
  pen.strokeStyle = "#fff";
  pen.lineWidth = width;
  widest = Math.max(widest, width);
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
  empty = false;
}

function stroke(from, to) {
  line(from, to);
  tell("drawn");
}

function begin(at) {
  tell("touched");
  keep();
  stroke(at, { x: at.x + 0.1, y: at.y });
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return { x: ((event.clientX - box.left) * size) / box.width, y: ((event.clientY - box.top) * size) / box.height };
}

function onPointerDown(event) {
  if (!event.isPrimary || event.button > 0) return; // a palm beside the pen, or another button
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  begin(last);
}

function onPointerMove(event) {
  if (!last || !event.isPrimary) return;
  const here = place(event);
  stroke(last, here);
  last = here;
}

function onKey(event) {
  const step = event.shiftKey ? SMALL_STEP : STEP;
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  if (event.key === " ") {
    key.down = !key.down;
    if (key.down) begin(key);
    tell(key.down ? "pen-down" : "pen-up");
  } else if (event.key in moves) {
    const [dx, dy] = moves[event.key];
    const to = { x: Math.min(size - 10, Math.max(10, key.x + dx)), y: Math.min(size - 10, Math.max(10, key.y + dy)) };
    if (key.down) stroke(key, to);
    Object.assign(key, to);
  } else if (event.key === "Backspace" || event.key === "Delete") clear();
  else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) undo();
  else return;
  event.preventDefault();
  showCursor();
}

/** Show where the pen of the keyboard is: a ring while it is up, a disc while it is down. */
function showCursor() {
  cursor.hidden = !canvas.matches(":focus-visible");
  cursor.style.left = `${(100 * key.x) / size}%`;
  cursor.style.top = `${(100 * key.y) / size}%`;
  cursor.style.width = `${(100 * width) / size}%`;
  cursor.classList.toggle("down", key.down);
}

function liftKeyboardPen() {
  key.down = false;
  showCursor();
}

/** Show 784 grey levels, as if they had been drawn. */
export function showLevels(levels) {
  keep();
  const small = document.createElement("canvas");
  small.width = small.height = 28;
  const context = small.getContext("2d");
  const pixels = context.createImageData(28, 28);
  levels.forEach((level, index) => pixels.data.set([level, level, level, 255], 4 * index));
  context.putImageData(pixels, 0, 0);
  wipe();
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, size, size);
  empty = false;
}

/** Show a picture as large as it fits. */
export function showPicture(picture) {
  keep();
  wipe();
  const scale = Math.min(size / picture.width, size / picture.height);
  const [wide, high] = [picture.width * scale, picture.height * scale];
  pen.drawImage(picture, (size - wide) / 2, (size - high) / 2, wide, high);
  empty = false;
}

export function asPng() {
  // Not toBlob, which browsers put off until they are idle.
  const decoded = atob(canvas.toDataURL("image/png").split(",")[1]);
  return new Blob([Uint8Array.from(decoded, (letter) => letter.charCodeAt(0))], { type: "image/png" });
}

export function setUpDrawing() {
  wipe();
  canvas.addEventListener("pointerdown", onPointerDown);
  canvas.addEventListener("pointermove", onPointerMove);
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      const wasDrawing = last !== null;
      last = null;
      if (wasDrawing) tell("stroke-ended");
    });
  }
  canvas.addEventListener("keydown", onKey);
  canvas.addEventListener("focus", showCursor);
  canvas.addEventListener("blur", liftKeyboardPen);
  find("clear").addEventListener("click", () => {
    tell("touched");
    clear();
  });
  find("undo").addEventListener("click", () => {
    tell("touched");
    undo();
  });
  find("width").addEventListener("input", (event) => {
    width = Number(event.target.value);
    showCursor();
  });
}
