// Questions to the server: one at a time, and of those that wait only the newest.

const PAUSE = 500; // milliseconds before a busy server is asked again
const SILENT = 3; // so many refusals in a row are not shown
const BREATH = 100; // milliseconds between an answer and the next question while there are many

/**
 * @param onAnswer called with the decoded answer
 * @param onError called with the name of a text or the server's sentence
 * @param onBusy called with true and false
 * @param hasMore whether a newer question is to be expected soon, so that the one that waits may wait a little longer:
 *   the last one then seldom has to wait for the answer to another
 */
export function newAsker({ onAnswer, onError, onBusy = () => {}, hasMore = () => false }) {
  let wanted = null;
  let hurry = () => {};
  let busy = false;
  let asked = 0;

  async function work() {
    busy = true;
    onBusy(true);
    let refusals = 0;
    let isFirst = true;
    while (wanted) {
      if (!isFirst && hasMore()) {
        await new Promise((done) => {
          hurry = done;
          setTimeout(done, BREATH);
        });
        if (!wanted) break;
      }
      isFirst = false;
      const now = wanted;
      wanted = null;
      const number = ++asked;
      try {
        const response = await now();
        const told = await response.json();
        if (number !== asked) continue; // it was cancelled in the meantime
        const isRefused = response.status === 429 || response.status === 503;
        refusals = isRefused ? refusals + 1 : 0;
        if (response.ok) onAnswer(told);
        else if (!isRefused || refusals > SILENT) onError(told.error);
        if (!isRefused) continue;
        await new Promise((done) => setTimeout(done, PAUSE));
        if (number === asked) wanted ??= now;
      } catch {
        if (number === asked) onError("silent-server");
      }
    }
    busy = false;
    onBusy(false);
  }

  return {
    ask(request) {
      wanted = request;
      if (!busy) work();
    },
    /** Ask what waits now. */
    hurry: () => hurry(),
    cancel() {
      wanted = null;
      asked++;
      hurry();
    },
  };
}

/** Post 784 grey levels to an address of the server. */
export function post(path, parameters, levels) {
  const address = `${path}?${new URLSearchParams(parameters)}`;
  return fetch(address, { method: "POST", body: new Uint8Array(levels) });
}
