// The card of a member: what it is, its slide, its errors, and where to go on.

import { listen, tell } from "./bus.js";
import { find, make } from "./dom.js";
import { currentLanguage, t } from "./language.js";
import { descriptions, slides } from "./texts/members_ko.js";

const dialog = find("card");
let shown = null;

export function describe(member) {
  return (currentLanguage() === "ko" && descriptions[member.name]) || member.description;
}

function slideOf(member) {
  return (currentLanguage() === "ko" && slides[member.name]) || member.slide;
}

function facts(member) {
  const found = [];
  if (member.own) found.push([t("card-own"), t("card-own-value")]);
  if (member.slide) found.push([t("card-slide"), slideOf(member)]);
  if (member.test_errors !== null) found.push([t("card-errors"), t("card-errors-value", { errors: member.test_errors })]);
  if (member.runs) found.push([t("card-accuracy"), accuracy(member)]);
  if (member.lecture_accuracy !== null) found.push([t("card-lecture"), member.lecture_accuracy.toFixed(4)]);
  found.push([t("card-parameters"), member.parameters.toLocaleString("en")]);
  return found;
}

function accuracy({ accuracy_mean: mean, accuracy_sd: sd, runs }) {
  return `${mean.toFixed(4)}${sd === null ? "" : ` ± ${sd.toFixed(4)}`}, n = ${runs}`;
}

function render() {
  if (!shown) return;
  const member = shown;
  find("card-name").textContent = member.name;
  find("card-what").textContent = describe(member);
  find("card-facts").replaceChildren(
    ...facts(member).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
  find("card-papers").replaceChildren(...member.papers.map((paper) => make("li", { lang: "en" }, paper)));
  find("card-papers-title").hidden = !member.papers.length;
  find("card-commands").replaceChildren(...member.commands.map((line) => make("li", {}, make("code", {}, line))));
  find("card-panels").replaceChildren(
    ...["inside", "saliency", "fool"].map((panel) => {
      const button = make("button", { type: "button" }, t(`tab-${panel}`));
      button.addEventListener("click", () => {
        dialog.close();
        tell("member", member.name);
        tell("open-panel", panel);
      });
      return button;
    }),
  );
}

export function setUpCard() {
  listen("card", (member) => {
    shown = member;
    render();
    dialog.showModal();
  });
  listen("language", render);
  find("card-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside the card
  });
}
