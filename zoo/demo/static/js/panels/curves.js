// The curves of a training: the loss of each step, and the validation accuracy.

import { color, css } from "../colors.js";

const POINTS = 600; // of a curve; more steps than that are averaged
const MARGIN = { left: 40, right: 40, top: 12, bottom: 24 };

/**
 * @param losses of each step
 * @param accuracies pairs of a step and an accuracy
 */
export function drawCurves(canvas, losses, accuracies) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const ink = css(color("soft"));
  const steps = Math.max(losses.length, 50);
  const highest = Math.max(2.5, ...averaged(losses).map(([, value]) => Math.min(value, 10)));
  const x = (step) => MARGIN.left + (step / steps) * (width - MARGIN.left - MARGIN.right);
  const y = (share) => height - MARGIN.bottom - share * (height - MARGIN.top - MARGIN.bottom);
  context.clearRect(0, 0, width, height);
  context.font = "13px system-ui, sans-serif";
  context.fillStyle = context.strokeStyle = ink;
  context.lineWidth = 1;
  context.textBaseline = "middle";
  for (const share of [0, 0.5, 1]) {
    context.globalAlpha = 0.4;
    context.strokeRect(x(0), y(share), x(steps) - x(0), 0);
    context.globalAlpha = 1;
    context.textAlign = "right";
    context.fillText((share * highest).toFixed(1), x(0) - 6, y(share));
    context.textAlign = "left";
    context.fillText(share.toFixed(1), x(steps) + 6, y(share));
  }
  context.textBaseline = "bottom";
  context.textAlign = "center";
  context.fillText("0", x(0), height);
  context.fillText(steps.toLocaleString("en"), x(steps), height);
  const line = averaged(losses).map(([step, value]) => [x(step), y(Math.min(1, value / highest))]);
  curve(context, line, css(color("dissent")), 1.5);
  curve(context, accuracies.map(([step, value]) => [x(step), y(value)]), css(color("best")), 3);
}

/** Pairs of a step and the mean loss around it, at most `POINTS` of them. */
function averaged(losses) {
  const size = Math.ceil(losses.length / POINTS) || 1;
  const pairs = [];
  for (let start = 0; start < losses.length; start += size) {
    const part = losses.slice(start, start + size);
    pairs.push([start + part.length, part.reduce((sum, value) => sum + value, 0) / part.length]);
  }
  return pairs;
}

function curve(context, points, stroke, width) {
  context.strokeStyle = stroke;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.beginPath();
  points.forEach(([x, y], place) => (place ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}
