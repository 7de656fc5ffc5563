// A probe: says who speaks as soon as the page shows it otherwise. `people` is that part of the selector pack.
(earshot, people) => {
  const PAUSE_MS = 100; // pages change all the time; so often is looked at most
  let said = "";
  let timer = null;
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
  const look = () => {
    timer = null;
    const tiles = new Set(people.tiles.flatMap((one) => all(one)));
    if (tiles.size === 0 && said === "") return; // a frame without people
    const speaking = [...tiles]
      .slice(0, 1000)
      .filter((tile) => people.speaking.some((one) => is(tile, one)) && !people.us.some((one) => is(tile, one)))
      .map((tile) => (people.id && tile.getAttribute(people.id)) || read(tile, people.names))
      .filter((id) => id);
    const now = JSON.stringify([...new Set(speaking)].sort().slice(0, 100));
    if (now === said) return;
    said = now;
    earshot.signal("speakers", JSON.parse(now));
  };
  const later = () => {
    timer = timer || setTimeout(look, PAUSE_MS);
  };
  new MutationObserver(later).observe(document, { subtree: true, childList: true, attributes: true });
}
