// Messages between the parts of the page, so that none of them needs to know the others.

const target = new EventTarget();

export function tell(name, detail) {
  target.dispatchEvent(new CustomEvent(name, { detail }));
}

export function listen(name, handle) {
  target.addEventListener(name, (event) => handle(event.detail));
}
