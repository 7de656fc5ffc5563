// A probe: says who speaks as soon as the page shows it otherwise, and twice a second that it is still so, each with its
// time. A page that has no time to run shows what was: then it says so. `people` is that part of the selector pack.
(earshot, people) => {
  const PAUSE_MS = 100; // pages change all the time; so often is looked at most
  const BEAT_MS = 500;
  const LATE_MS = 400; // a timer that is so late, and whatever the page draws, is not to be believed
  let said = null;
  let timer = null;
  let due = 0;
  const is = (element, selector) => {
    try {
      return element.matches(selector) || element.querySelector(selector) !== null;
    } catch {
      return false;
    }
  };
  const all = (selector) => {
    try {
      return [...document.querySelectorAll(selector)];
    } catch {
      return [];
    }
  };
  const read = (tile, readings) => {
    for (const reading of readings) {
      const at = reading.lastIndexOf("@");
      const selector = at < 0 ? reading : reading.slice(0, at);
      const element = selector === "" ? tile : tile.querySelector(selector);
      const value = element && (at < 0 ? element.textContent : element.getAttribute(reading.slice(at + 1)));
      if (value && value.trim()) return value.replace(/\s+/g, " ").trim().slice(0, 256);
    }
    return "";
  };
  const speaking = () => {
    const tiles = [...new Set(people.tiles.flatMap((one) => all(one)))].slice(0, 1000);
    if (tiles.length === 0) return null; // a frame without people, or a page outside the meeting
    const ids = tiles
      .filter((tile) => people.speaking.some((one) => is(tile, one)) && !people.us.some((one) => is(tile, one)))
      .map((tile) => (people.id && tile.getAttribute(people.id)) || read(tile, people.names))
      .filter((id) => id);
    return [...new Set(ids)].sort().slice(0, 100);
  };
  const say = (beats) => {
    const ids = speaking();
    const now = JSON.stringify(ids);
    if (ids === null || (!beats && now === said)) return;
    said = now;
    earshot.signal("speakers", { ids, at: Date.now(), late: Date.now() > due + LATE_MS });
  };
  const later = () => {
    timer =
      timer ||
      setTimeout(() => {
        timer = null;
        say(false);
      }, PAUSE_MS);
  };
  new MutationObserver(later).observe(document, { subtree: true, childList: true, attributes: true });
  const beat = () => {
    say(true);
    due = Date.now() + BEAT_MS;
    setTimeout(beat, BEAT_MS);
  };
  due = Date.now();
  beat();
}
