// Colors of cells and pixels. Each has one meaning: blue is for the answer, orange is against it.

/** A color of the stylesheet, as [red, green, blue]. */
export function color(name) {
  const value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return [1, 3, 5].map((start) => parseInt(value.slice(start, start + 2), 16));
}

export function mix(from, to, share) {
  return from.map((level, index) => Math.round(level + (to[index] - level) * share));
}

export const css = (levels) => `rgb(${levels.join(" ")})`;

/** Black or white, whichever is easier to read on a color. */
export function readableOn(levels) {
  const [red, green, blue] = levels.map((level) => {
    const value = level / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}

/** From a value in [-1, 1] to a color: black at 0, blue above, orange below. */
export function diverging(value) {
  const strength = Math.min(1, Math.abs(value)) ** 0.8;
  return mix([0, 0, 0], value > 0 ? [86, 180, 233] : [240, 140, 40], strength);
}
