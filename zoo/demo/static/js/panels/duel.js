// Two members on the test images: those that only one of them reads right.

import { newAsker } from "../asking.js";
import { make } from "../dom.js";
import { t } from "../language.js";
import { paintGrey, unsignedBytes } from "../pixels.js";
import { message, ready } from "./message.js";

const SHOWN = 30; // images of each kind

export const duel = {
  name: "duel",
  make(root, { members, askAboutTestImage }) {
    const names = members.map(({ name }) => name);
    const selects = ["first", "second"].map((side, place) => {
      const select = make("select", {}, ...names.map((name) => make("option", { value: name }, name)));
      const preferred = [members[0].own ? names[0] : "softmax", "residual_cnn"][place];
      select.value = names.includes(preferred) ? preferred : names[Math.min(place, names.length - 1)];
      select.addEventListener("change", begin);
      return [side, select];
    });
    const hard = make("button", { type: "button", disabled: true, data: { text: "hard-one" } });
    const progress = make("progress", { max: 1, value: 0, "aria-label": "" });
    const said = make("p", { class: "said-of" });
    const lists = Object.fromEntries(selects.map(([side]) => [side, make("div", { class: "thumbs" })]));
    const titles = Object.fromEntries(selects.map(([side]) => [side, make("h3")]));
    const pictures = new Map(); // the levels of each row, once they are here
    let told = null;
    let visible = false;
    let answered = true;

    root.append(
      make("div", { class: "controls" }, ...selects.map(([side, select]) => label(side, select)), hard),
      progress,
      said,
      ...selects.flatMap(([side]) => [titles[side], lists[side]]),
    );
    hard.addEventListener("click", () => {
      const rows = [...told.rows.first, ...told.rows.second];
      choose(rows[Math.floor(Math.random() * rows.length)][0]);
    });
    const asker = newAsker({ onAnswer: (state) => showState(state), onError: fail });
    const images = newAsker({ onAnswer: () => {}, onError: fail });

    function fail(text) {
      said.textContent = "";
      message(lists.first, text);
      lists.second.replaceChildren();
    }

    function begin() {
      asker.cancel();
      images.cancel();
      told = null;
      hard.disabled = true;
      for (const [side] of selects) {
        lists[side].replaceChildren();
        titles[side].textContent = "";
      }
      said.textContent = "";
      goOn();
    }

    function goOn() {
      const [first, second] = selects.map(([, select]) => select.value);
      if (first === second) return fail("two-members");
      const address = `api/duel?${new URLSearchParams({ first, second })}`;
      asker.ask(() => fetch(address));
    }

    /** Show a state, and go on if it is a new one. */
    function showState(state, isNew = true) {
      told = state;
      const [first, second] = selects.map(([, select]) => select.value);
      progress.value = state.tested / state.images;
      progress.setAttribute("aria-label", t("tested", state));
      const { both, neither } = state.counts;
      said.textContent = [
        t("tested", { tested: state.tested.toLocaleString("en"), images: state.images.toLocaleString("en") }),
        t("duel-counts", { both: both.toLocaleString("en"), neither: neither.toLocaleString("en") }),
        state.tested === state.images ? t(state.p_value < 0.05 ? "duel-real" : "duel-chance", { p: shownP(state.p_value) }) : "",
      ].join(" ");
      titles.first.textContent = t("only-right", { name: first, other: second, count: state.counts.first });
      titles.second.textContent = t("only-right", { name: second, other: first, count: state.counts.second });
      hard.disabled = !(state.rows.first.length + state.rows.second.length);
      fetchPictures();
      ready(root);
      if (isNew && state.tested < state.images && visible) setTimeout(() => visible && told === state && goOn(), 30);
    }

    function fetchPictures() {
      const rows = shownRows().filter(([row]) => !pictures.has(row)).map(([row]) => row);
      if (!rows.length) return showPictures();
      if (!answered) return;
      answered = false;
      images.ask(async () => {
        const response = await fetch(`api/images?rows=${rows.join(",")}`);
        answered = true;
        if (!response.ok) return response;
        const levels = await response.json();
        rows.forEach((row, place) => pictures.set(row, unsignedBytes(levels[place])));
        showPictures();
        return { ok: true, status: 200, json: async () => levels };
      });
    }

    function shownRows() {
      return told ? [...told.rows.first.slice(0, SHOWN), ...told.rows.second.slice(0, SHOWN)] : [];
    }

    function showPictures() {
      if (!told) return;
      for (const [side] of selects) {
        const wanted = told.rows[side].slice(0, SHOWN).filter(([row]) => pictures.has(row));
        for (const each of wanted.slice(lists[side].children.length)) lists[side].append(thumb(each));
      }
    }

    function thumb([row, right, first, second]) {
      const wrong = first === right ? second : first;
      const canvas = make("canvas", { "aria-hidden": "true" });
      paintGrey(canvas, pictures.get(row));
      const button = make("button", { type: "button", class: "thumb" }, canvas, make("span", { class: "wrong" }, String(wrong)));
      button.setAttribute("aria-label", t("thumb", { row, label: right, wrong }));
      button.addEventListener("click", () => choose(row));
      return button;
    }

    function choose(row) {
      if (pictures.has(row)) askAboutTestImage(row, pictures.get(row));
    }

    return {
      show() {
        if (visible) return told && showState(told, false);
        visible = true;
        if (told) goOn();
        else begin();
      },
      hide() {
        visible = false;
        asker.cancel();
      },
    };
  },
};

function label(side, select) {
  return make("label", {}, make("span", { data: { text: `duel-${side}` } }), select);
}

const shownP = (p) => (p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`);
