// A list of the members, whose choice all panels share.

import { listen, tell } from "../bus.js";
import { make } from "../dom.js";
import { t } from "../language.js";

let chosen = null;

export function memberChoice(members, onChange) {
  const first = members[0]; // one of the user's own, if there is any
  chosen ??= !first.own && members.some(({ name }) => name === "dropout") ? "dropout" : first.name;
  const select = make("select", {}, ...members.map(({ name }) => make("option", { value: name }, name)));
  select.value = chosen;
  select.addEventListener("change", () => {
    chosen = select.value;
    tell("member", chosen);
  });
  listen("member", (name) => {
    chosen = name;
    select.value = name;
    onChange();
  });
  return { label: make("label", {}, make("span", { data: { text: "member" } }, t("member")), select), value: () => select.value };
}
