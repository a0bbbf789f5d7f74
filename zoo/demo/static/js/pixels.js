// Pictures of a few pixels on a canvas.

import { diverging } from "./colors.js";

/** Draw colors row by row; `colorOf` maps the index of a pixel to [red, green, blue] or to null. */
export function paint(canvas, width, height, colorOf) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let index = 0; index < width * height; index++) {
    const levels = colorOf(index);
    if (levels) pixels.data.set([...levels, 255], 4 * index);
  }
  context.putImageData(pixels, 0, 0);
}

/** Draw 784 grey levels in 0 to 255. */
export function paintGrey(canvas, levels) {
  paint(canvas, 28, 28, (index) => [levels[index], levels[index], levels[index]]);
}

/** Draw values in [-1, 1], blue above 0 and orange below, over a dim picture of the same size. */
export function paintSigned(canvas, width, height, values, under = null) {
  paint(canvas, width, height, (index) => {
    const levels = diverging(values[index]);
    return under ? levels.map((level) => Math.min(255, level + under[index] * 0.25)) : levels;
  });
}

/** Numbers that the server sent as base64 of signed bytes, as values in [-1, 1]. */
export function signedBytes(text) {
  return Float32Array.from(unsignedBytes(text), (byte) => (byte > 127 ? byte - 256 : byte) / 127);
}

export function unsignedBytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
