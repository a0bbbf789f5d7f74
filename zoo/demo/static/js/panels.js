// The panels below the answer, one at a time, as tabs.

import { listen, tell } from "./bus.js";
import { find, make } from "./dom.js";
import { applyTexts } from "./language.js";

const opened = new Map(); // the panels that have been shown, by name
let current = null;
let answer = null;
let context = null;

/**
 * A panel has a `name`, and `make(root, context)`, which returns functions: `show(answer)` when it is opened or there is
 * another answer (null for none), and optionally `hide()`.
 */
export function setUpPanels(panels, given) {
  context = given;
  const tabs = panels.map((panel) => {
    const tab = make("button", {
      type: "button",
      role: "tab",
      id: `tab-${panel.name}`,
      "aria-controls": `panel-${panel.name}`,
      data: { text: `tab-${panel.name}` },
    });
    tab.addEventListener("click", () => open(panel));
    const root = make("div", {
      role: "tabpanel",
      id: `panel-${panel.name}`,
      class: "panel",
      "aria-labelledby": `tab-${panel.name}`,
      tabIndex: 0,
      hidden: true,
    });
    root.append(make("p", { class: "sentence", data: { text: `about-${panel.name}` } }));
    find("panels").append(root);
    return tab;
  });
  find("tabs").append(...tabs);
  applyTexts(find("tabs"));
  find("tabs").addEventListener("keydown", (event) => moveBetween(tabs, event));
  listen("answer", (told) => {
    answer = told;
    if (current) opened.get(current.name).show(answer);
  });
  listen("language", () => current && opened.get(current.name).show(answer));
  listen("open-panel", (name) => {
    open(panels.find((panel) => panel.name === name));
    find("explore").scrollIntoView({ block: "nearest" });
    find(`tab-${name}`).focus();
  });
  open(panels[0]);
}

function moveBetween(tabs, event) {
  const place = tabs.indexOf(document.activeElement);
  const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (place < 0 || to === undefined) return;
  event.preventDefault();
  const tab = tabs[(to + tabs.length) % tabs.length];
  tab.focus();
  tab.click();
}

function open(panel) {
  if (current === panel) return;
  if (current) {
    opened.get(current.name).hide?.();
    find(`panel-${current.name}`).hidden = true;
  }
  current = panel;
  const root = find(`panel-${panel.name}`);
  root.hidden = false;
  for (const tab of find("tabs").children) {
    const isOpen = tab.id === `tab-${panel.name}`;
    tab.setAttribute("aria-selected", String(isOpen));
    tab.tabIndex = isOpen ? 0 : -1;
  }
  if (!opened.has(panel.name)) {
    opened.set(panel.name, panel.make(root, context));
    applyTexts(root);
  }
  opened.get(panel.name).show(answer);
  tell("panel-opened", panel.name);
}
