// Starts the page, and asks the networks about what is on the canvas.

import { newAsker } from "./asking.js";
import { listen, tell } from "./bus.js";
import { setUpCard } from "./card.js";
import { setUpCommittee, showAnswer, showNothing } from "./committee.js";
import { find } from "./dom.js";
import { asPng, isDrawing, isEmpty, isSmall, setUpDrawing, showLevels, showPicture, wipe } from "./drawing.js";
import { setUpExample } from "./example.js";
import { chosen, setUpHeatmap } from "./heatmap.js";
import { currentLanguage, setLanguage } from "./language.js";
import { setUpPanels } from "./panels.js";
import { dream } from "./panels/dream.js";
import { duel } from "./panels/duel.js";
import { fool } from "./panels/fool.js";
import { inside } from "./panels/inside.js";
import { noDigit } from "./panels/no_digit.js";
import { saliency } from "./panels/saliency.js";
import { steps } from "./panels/steps.js";
import { train } from "./panels/train.js";
import { paintGrey } from "./pixels.js";

const seen = find("seen");
let doubt = null; // the error about a stroke that has only begun; shown if it ends so
let withSteps = false; // whether someone looks at the steps from the picture to what the networks see
let source = null; // asks about what is on the canvas; null when there is nothing

const asker = newAsker({
  onAnswer(told) {
    doubt = null;
    told.isSmall = isSmall();
    showAnswer(told);
    paintGrey(seen, told.seen);
    tell("answer", told);
  },
  onError(text) {
    doubt = isDrawing() ? text : null;
    if (isDrawing()) showNothing();
    else showNothing(text, true);
    seen.getContext("2d").clearRect(0, 0, 28, 28);
    tell("answer", null);
  },
  onBusy: (busy) => find("main").setAttribute("aria-busy", String(busy)),
  hasMore: isDrawing,
});

function address(path, more = {}) {
  return `${path}?${new URLSearchParams({ members: chosen().join(","), ...more })}`;
}

/** Ask about what is on the canvas, now and when other members are chosen. */
function askAbout(request) {
  source = request;
  ask();
}

function ask() {
  if (!source) return;
  if (chosen().length) asker.ask(source);
  else {
    asker.cancel();
    showNothing("none-asked", true);
    tell("answer", null);
  }
}

const stepsIfSeen = () => (withSteps ? { steps: 1 } : {});

function askAboutDrawing() {
  return fetch(address("api/classify", stepsIfSeen()), { method: "POST", body: asPng() });
}

async function askAboutRandomImage() {
  const response = await fetch(address("api/random"));
  if (response.ok) {
    const told = await response.clone().json();
    showLevels(told.seen);
    source = () => fetch(address("api/test_image", { row: told.row }));
  }
  return response;
}

/** Ask about a test image, for a panel. */
function askAboutTestImage(row, levels) {
  tell("touched");
  showLevels(levels);
  askAbout(() => fetch(address("api/test_image", { row })));
}

async function upload(event) {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  tell("touched");
  wipe();
  try {
    showPicture(await createImageBitmap(file));
  } catch {
    // The server's response describes the error.
  }
  askAbout(() => fetch(address("api/classify", stepsIfSeen()), { method: "POST", body: file }));
}

async function start() {
  setUpDrawing();
  setUpCommittee();
  setUpCard();
  setLanguage(currentLanguage());
  find("language").addEventListener("click", () => setLanguage(currentLanguage() === "en" ? "ko" : "en"));
  let members;
  try {
    members = await (await fetch("api/members")).json();
  } catch {
    showNothing("silent-server", true);
    return;
  }
  setUpHeatmap(members);
  setUpPanels([inside, saliency, fool, duel, dream, train, noDigit, steps], { members, askAboutTestImage });
  listen("panel-opened", (name) => {
    withSteps = name === "steps";
    if (withSteps) ask();
  });
  listen("drawn", () => askAbout(askAboutDrawing));
  listen("stroke-ended", () => {
    asker.hurry();
    if (doubt) showNothing(doubt, true);
  });
  listen("chosen", () => (isEmpty() && !source ? undefined : ask()));
  listen("cleared", () => {
    source = doubt = null;
    asker.cancel();
    seen.getContext("2d").clearRect(0, 0, 28, 28);
    tell("answer", null);
  });
  find("random").addEventListener("click", () => {
    tell("touched");
    askAbout(askAboutRandomImage);
  });
  find("upload").addEventListener("change", upload);
  setUpExample();
  document.body.dataset.ready = "true";
}

start();
