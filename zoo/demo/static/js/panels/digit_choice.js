// A list of the digits, with a first choice of another kind, for example the answer.

import { make } from "../dom.js";

export function digitChoice(labelName, firstName, onChange) {
  const first = make("option", { value: "", data: { text: firstName } });
  const digits = Array.from({ length: 10 }, (_, digit) => make("option", { value: String(digit) }, String(digit)));
  const select = make("select", {}, first, ...digits);
  select.addEventListener("change", onChange);
  return {
    label: make("label", {}, make("span", { data: { text: labelName } }), select),
    /** The parameter of a request, or none for the first choice. */
    parameter: () => (select.value ? { digit: select.value } : {}),
    reset: () => (select.value = ""),
  };
}
