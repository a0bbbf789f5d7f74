// The language of the page: English or Korean.

import { tell } from "./bus.js";
import { english } from "./texts/en.js";
import { korean, translations } from "./texts/ko.js";

const TEXTS = { en: english, ko: korean };
const KEPT = "zoo-language";

let language = preferred();

function preferred() {
  const kept = read();
  if (kept in TEXTS) return kept;
  return navigator.language.startsWith("ko") ? "ko" : "en";
}

function read() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // storage is off
  }
}

export function currentLanguage() {
  return language;
}

/** The text of a name, with {places} filled in. */
export function t(name, values = {}) {
  const text = TEXTS[language][name] ?? english[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, place) => values[place]);
}

/** A sentence of the server in the language of the page, or as it is where no translation is known. */
export function translated(sentence) {
  if (language === "en") return sentence;
  for (const [pattern, text] of translations) {
    const match = pattern.exec(sentence);
    if (match) return text.replace(/\$(\d)/g, (_, group) => match[group]);
  }
  return sentence;
}

/** Fill in the texts of all elements that name one. */
export function applyTexts(root = document) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
}

export function setLanguage(name) {
  language = name;
  try {
    localStorage.setItem(KEPT, name);
  } catch {
    // It is forgotten when the page is closed.
  }
  document.documentElement.lang = name;
  document.title = t("title");
  applyTexts();
  tell("language");
}
