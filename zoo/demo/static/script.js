"use strict";

const canvas = document.getElementById("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
const seen = document.getElementById("seen");
const verdict = document.getElementById("verdict");
const notes = document.getElementById("notes");
const votes = document.getElementById("votes");
const steps = document.getElementById("steps");
const rows = new Map();

let empty = true;
let busy = false;
let wanted = null; // the next request, sent when the current one is done; only the newest is kept
let asked = 0;

function wipe() {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  empty = true;
}

function stroke(from, to) {
  pen.strokeStyle = "#fff";
  pen.lineWidth = 20;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
  empty = false;
  askAboutDrawing();
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - box.left) * canvas.width) / box.width,
    y: ((event.clientY - box.top) * canvas.height) / box.height,
  };
}

let last = null;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  stroke(last, { x: last.x + 0.1, y: last.y });
});
canvas.addEventListener("pointermove", (event) => {
  if (!last) return;
  const here = place(event);
  stroke(last, here);
  last = here;
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));

const key = { x: 140, y: 60, down: false };
canvas.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };
  if (event.key === " ") {
    key.down = !key.down;
    if (key.down) stroke(key, { x: key.x + 0.1, y: key.y });
    verdictIfSilent(key.down ? "Pen down." : "Pen up.");
  } else if (event.key in moves) {
    const [dx, dy] = moves[event.key];
    const to = { x: Math.min(270, Math.max(10, key.x + dx)), y: Math.min(270, Math.max(10, key.y + dy)) };
    if (key.down) stroke(key, to);
    Object.assign(key, to);
  } else return;
  event.preventDefault();
});

function verdictIfSilent(text) {
  if (empty) verdict.textContent = text;
}

function chosen() {
  return [...rows].filter(([, row]) => row.box.checked).map(([name]) => name);
}

function address(path, more = {}) {
  return path + "?" + new URLSearchParams({ members: chosen().join(","), ...more });
}

function askAboutDrawing() {
  ask(async () => {
    const picture = await new Promise((done) => canvas.toBlob(done, "image/png"));
    return fetch(address("api/classify"), { method: "POST", body: picture });
  });
}

async function ask(request) {
  if (!chosen().length) {
    complain("Choose a member.");
    return;
  }
  wanted = request;
  if (busy) return;
  setBusy(true);
  while (wanted) {
    const now = wanted;
    wanted = null;
    const number = ++asked;
    try {
      const response = await now();
      const told = await response.json();
      if (number !== asked) continue; // the page was cleared in the meantime
      if (response.ok) show(told);
      else complain(told.error);
      if (response.status !== 429 && response.status !== 503) continue;
      // Others are being answered: ask again, unless there is something newer or the page is cleared.
      await new Promise((done) => setTimeout(done, 500));
      if (number === asked) wanted ??= now;
    } catch {
      complain("The server does not answer: is `zoo demo` still running?");
    }
  }
  setBusy(false);
}

function setBusy(value) {
  busy = value;
  document.querySelector("main").setAttribute("aria-busy", String(value));
}

function complain(text) {
  notes.textContent = text;
}

function bars(element, probabilities, best) {
  element.replaceChildren(
    ...probabilities.map((value, digit) => {
      const bar = document.createElement("span");
      const fill = document.createElement("i");
      fill.style.height = `${Math.round(value * 70)}%`;
      bar.append(fill, String(digit));
      bar.className = digit === best ? "best" : "";
      return bar;
    }),
  );
  const told = probabilities.map((value, digit) => `${digit}: ${percent(value)}`).join(", ");
  element.setAttribute("aria-label", told);
  element.dataset.probabilities = JSON.stringify(probabilities);
}

function percent(value) {
  return `${Math.round(value * 100)} %`;
}

function show(told) {
  const names = Object.keys(told.members);
  const agreeing = told.votes[told.answer];
  verdict.innerHTML = "";
  const strong = document.createElement("strong");
  strong.textContent = told.answer;
  strong.id = "answer";
  verdict.append(strong, `  with ${percent(told.probabilities[told.answer])}; ${agreeing} of ${names.length} agree`);
  if (told.label !== undefined) verdict.append(`. Test image ${told.row}, labelled ${told.label}`);
  const doubt = told.no_digit?.probably ? ["Probably no digit: fewer than 1 digit in 100 looks so strange to the networks."] : [];
  notes.textContent = [...doubt, ...told.notes].join(" ");
  showSteps(told.steps);
  bars(votes, told.probabilities, told.answer);
  for (const [name, row] of rows) {
    const member = told.members[name];
    row.answer.textContent = member ? member.answer : "";
    row.answer.className = member && member.answer !== told.answer ? "answer other" : "answer";
    row.ms.textContent = member ? member.milliseconds.toFixed(1) : "";
    if (member) bars(row.bars, member.probabilities, member.answer);
    else row.bars.replaceChildren();
  }
  const look = seen.getContext("2d");
  const pixels = look.createImageData(28, 28);
  told.seen.forEach((level, index) => pixels.data.set([level, level, level, 255], 4 * index));
  look.putImageData(pixels, 0, 0);
  seen.setAttribute("aria-label", "The digit in 28 by 28 pixels, white on black");
}

function showSteps(told) {
  steps.replaceChildren(
    ...told.map(({ name, image }) => {
      const figure = document.createElement("figure");
      const picture = document.createElement("img");
      picture.src = image;
      picture.alt = "";
      const caption = document.createElement("figcaption");
      caption.textContent = name;
      figure.append(picture, caption);
      return figure;
    }),
  );
}

function clearAnswers(text) {
  showSteps([]);
  verdict.textContent = text;
  notes.textContent = "";
  votes.replaceChildren();
  for (const row of rows.values()) {
    row.answer.textContent = row.ms.textContent = "";
    row.bars.replaceChildren();
  }
  seen.getContext("2d").clearRect(0, 0, 28, 28);
  seen.setAttribute("aria-label", "Nothing yet");
}

document.getElementById("clear").addEventListener("click", () => {
  wipe();
  wanted = null;
  asked++;
  clearAnswers("Draw something.");
});

document.getElementById("random").addEventListener("click", () => {
  wipe();
  ask(async () => {
    const response = await fetch(address("api/random"));
    if (response.ok) {
      const told = await response.clone().json();
      enlarge(told.seen);
    }
    return response;
  });
});

function enlarge(levels) {
  const small = document.createElement("canvas");
  small.width = small.height = 28;
  const context = small.getContext("2d");
  const pixels = context.createImageData(28, 28);
  levels.forEach((level, index) => pixels.data.set([level, level, level, 255], 4 * index));
  context.putImageData(pixels, 0, 0);
  wipe();
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  empty = false;
}

document.getElementById("upload").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  wipe();
  try {
    const picture = await createImageBitmap(file);
    const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    pen.drawImage(picture, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  } catch {
    // The server's response describes the error.
  }
  ask(() => fetch(address("api/classify", { steps: 1 }), { method: "POST", body: file }));
});

async function start() {
  wipe();
  const members = await (await fetch("api/members")).json();
  const body = document.getElementById("members");
  for (const { name, description, test_errors: errors } of members) {
    const row = body.insertRow();
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.setAttribute("aria-label", `ask ${name}`);
    box.addEventListener("change", () => empty || askAboutDrawing());
    row.insertCell().append(box);
    const title = document.createElement("th");
    title.scope = "row";
    // Allow a line break after each underscore of a long name.
    for (const [place, word] of name.split("_").entries()) {
      title.append(...(place ? ["_", document.createElement("wbr")] : []), word);
    }
    title.title = description;
    row.append(title);
    const small = document.createElement("small");
    small.textContent = errors === null ? "" : `${(errors / 100).toFixed(2)} % errors`;
    title.append(document.createElement("br"), small);
    const answer = row.insertCell();
    answer.className = "answer";
    const probabilities = document.createElement("div");
    probabilities.className = "bars small";
    probabilities.setAttribute("role", "img");
    row.insertCell().append(probabilities);
    const ms = row.insertCell();
    ms.className = "ms";
    row.dataset.member = name;
    rows.set(name, { box, answer, bars: probabilities, ms });
  }
  document.body.dataset.ready = "true";
}
start();
