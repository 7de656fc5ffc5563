// One look at the page: which signs and controls of the pack are there, who is shown, and what they write. Changes nothing
// in it. `probe` is the platform's own reading of the page's programming interface, or null.
(pack, probe) => {
  const unusable = new Set();
  const plain = (text) =>
    (text || "").toLowerCase().replace(/[\u2018\u2019\u02bc\u00b4`]/g, "'").replace(/\u2026/g, "...").replace(/\s+/g, " ").trim();
  const query = (root, selector) => {
    try {
      return [...root.querySelectorAll(selector)];
    } catch {
      unusable.add(selector);
      return [];
    }
  };
  const is = (element, selector) => {
    try {
      return element.matches(selector) || element.querySelector(selector) !== null;
    } catch {
      unusable.add(selector);
      return false;
    }
  };
  const STYLES = { checkOpacity: true, checkVisibilityCSS: true };
  const isVisible = (element, styles = STYLES) => {
    if (!element.checkVisibility(styles)) return false;
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0;
  };

  // --- the page and the frames of its own origin

  const documents = [];
  const collect = (view, x, y, depth) => {
    let page;
    try {
      page = view.document;
    } catch {
      return; // a stranger's frame
    }
    if (!page || !page.body) return;
    documents.push({ page, view, x, y });
    if (depth === 2) return;
    for (const frame of page.querySelectorAll("iframe")) {
      if (documents.length >= 8) return;
      if (!isVisible(frame) || !frame.contentWindow) continue;
      const box = frame.getBoundingClientRect();
      collect(frame.contentWindow, x + box.left + frame.clientLeft, y + box.top + frame.clientTop, depth + 1);
    }
  };
  collect(window, 0, 0, 0);

  const strangers = pack.strangers.filter((selector) => {
    try {
      document.querySelector(selector);
      return true;
    } catch {
      unusable.add(selector);
      return false;
    }
  }).join(",");
  const isStrange = (element) => strangers !== "" && element.closest(strangers) !== null;

  // --- the page's own words

  const words = ({ page }) => {
    const parts = [];
    let left = 60000;
    const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, {
      acceptNode(node) {
        if (node.nodeType === Node.TEXT_NODE) return NodeFilter.FILTER_ACCEPT;
        if (/^(SCRIPT|STYLE|NOSCRIPT|TEMPLATE|TEXTAREA)$/.test(node.tagName)) return NodeFilter.FILTER_REJECT;
        if (strangers !== "" && node.matches(strangers)) return NodeFilter.FILTER_REJECT;
        if (node.checkVisibility({ checkOpacity: true })) return NodeFilter.FILTER_SKIP;
        return getComputedStyle(node).display === "contents" ? NodeFilter.FILTER_SKIP : NodeFilter.FILTER_REJECT;
      },
    });
    while (left > 0 && walker.nextNode()) {
      const node = walker.currentNode;
      if (!node.data.trim() || !node.parentElement.checkVisibility(STYLES)) continue;
      parts.push(node.data.slice(0, left));
      left -= node.data.length;
    }
    return plain(parts.join(" ").replace(/\s+/g, " ").replace(/ ([.,!?])/g, "$1"));
  };
  const said = documents.map(words);

  const signs = {};
  for (const [name, sign] of Object.entries(pack.signs)) {
    const bySelector = sign.selectors.find((selector) =>
      documents.some(({ page }) =>
        query(page, selector).some((element) => {
          // somebody's tile may prove that we are inside; what is written on it proves nothing else
          if (!isVisible(element) || (name !== "inside" && isStrange(element))) return false;
          const box = element.getBoundingClientRect();
          return box.width >= sign.minWidth && box.height >= sign.minHeight;
        }),
      ),
    );
    const how = bySelector || sign.texts.find((text) => said.some((page) => page.includes(text)));
    if (how) signs[name] = how;
  }

  // --- controls

  const BUTTONS = "button, [role=button], [role=menuitem], [role=radio], a[href], input[type=button], input[type=submit]";
  const label = (element) => plain(element.getAttribute("aria-label") || element.value || element.innerText);
  const matches = (element, labels) => {
    const name = label(element);
    return labels.find((one) => (one.endsWith("*") ? name.startsWith(one.slice(0, -1)) : name === one));
  };
  const isOff = (element) =>
    ["aria-checked", "aria-pressed"].some((key) => element.getAttribute(key) === "false") || element.checked === false;
  const spot = (element, { view, x, y }, how) => {
    let box = element.getBoundingClientRect();
    if (box.top < 0 || box.bottom > view.innerHeight || box.left < 0 || box.right > view.innerWidth) {
      element.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
      box = element.getBoundingClientRect();
    }
    const [left, top] = [box.left + box.width / 2, box.top + box.height / 2];
    const hit = element.ownerDocument.elementFromPoint(left, top);
    const isOver = hit !== null && (element.contains(hit) || hit.contains(element));
    const isEnabled = !element.disabled && element.getAttribute("aria-disabled") !== "true";
    const value = "value" in element ? String(element.value) : element.isContentEditable ? element.innerText : "";
    return { x: x + left, y: y + top, value: value.slice(0, 1024), free: isEnabled && isOver, how };
  };
  const controls = {};
  for (const [name, control] of Object.entries(pack.controls)) {
    const isSwitch = name === "camera" || name === "microphone";
    const usable = (element) =>
      // a switch may be a transparent checkbox over its picture
      isVisible(element, isSwitch ? { checkVisibilityCSS: true } : STYLES) &&
      !(isSwitch && isOff(element)) &&
      (name.startsWith("chat") || !isStrange(element));
    for (const where of documents) {
      for (const selector of control.selectors) {
        const element = controls[name] ? null : query(where.page, selector).find(usable);
        if (element) controls[name] = spot(element, where, selector);
      }
      if (controls[name] || control.labels.length === 0) continue;
      const element = query(where.page, BUTTONS).find((one) => matches(one, control.labels) && usable(one));
      if (element) controls[name] = spot(element, where, matches(element, control.labels));
    }
  }

  // --- people and what they write

  const read = (root, readings) => {
    for (const reading of readings) {
      const at = reading.lastIndexOf("@");
      const selector = at < 0 ? reading : reading.slice(0, at);
      const element = selector === "" ? root : query(root, selector)[0];
      const value = element && (at < 0 ? element.textContent : element.getAttribute(reading.slice(at + 1)));
      if (value && value.trim()) return value.replace(/\s+/g, " ").trim().slice(0, 4096);
    }
    return "";
  };
  const people = [];
  for (const { page } of documents) {
    const tiles = new Set(pack.people.tiles.flatMap((selector) => query(page, selector)));
    for (const tile of [...tiles].slice(0, 1000)) {
      const shown = plain(tile.getAttribute("aria-label") || tile.textContent);
      if (pack.people.phantoms.some((phantom) => shown.startsWith(phantom))) continue;
      const name = read(tile, pack.people.names);
      if (!name) continue;
      const us = pack.people.us.some((one) => is(tile, one));
      people.push({
        id: (pack.people.id && tile.getAttribute(pack.people.id)) || "",
        name,
        us,
        speaks: !us && pack.people.speaking.some((one) => is(tile, one)),
      });
    }
  }
  const counted = documents.map(({ page }) => read(page, pack.people.count)).find((text) => /\d/.test(text));
  const lines = ({ items, author, text }) =>
    documents.flatMap(({ page }) => {
      const selector = items.find((one) => query(page, one).length > 0);
      const all = selector ? query(page, selector).slice(-30) : [];
      return all.map((item) => ({ author: read(item, author), text: read(item, text) }));
    });

  let own = {};
  try {
    own = (probe && probe(window)) || {};
  } catch {
    // a page without the interface, or another version of it
  }
  return {
    host: location.hostname,
    signs,
    controls,
    people,
    count: counted ? Number(counted.match(/\d+/)[0]) : null,
    chat: lines(pack.chat),
    captions: lines(pack.captions),
    unusable: [...unusable],
    ...own,
    signs: { ...signs, ...(own.signs || {}) },
  };
}
