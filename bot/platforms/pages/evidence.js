// What a page looks like in words: its own, without those of strangers. Marks the elements that show a name, for the
// picture to be blurred there. `hidden`: selectors of parts in which people are shown or write; `names`: of people.
({ hidden, names, most, mark }) => {
  const strange = `:is(${hidden.join(",")})`; // forgives what it does not understand
  const escaped = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).sort((one, other) => other.length - one.length);
  const named = escaped.length ? new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join("|")})(?![\\p{L}\\p{N}])`, "giu") : null;
  const bare = (text) => (named ? text.replace(named, "\u2592") : text).replace(/\s+/g, " ").trim().slice(0, 200);
  const KEYS = ["id", "class", "role", "aria-label", "data-tid", "data-testid", "type", "placeholder", "title", "alt"];
  const SHOWN = "h1,h2,h3,p,button,input,iframe,[role],[aria-label],[data-tid],[data-testid]";
  const rows = [];
  const look = (page, depth) => {
    for (const one of page.querySelectorAll("body *")) {
      if (one.tagName === "IFRAME" && depth < 2) {
        let inner = null;
        try {
          inner = one.contentDocument;
        } catch {} // a stranger's frame
        if (inner && inner.body) look(inner, depth + 1);
      }
      const own = [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join(" ");
      const texts = KEYS.map((key) => one.getAttribute(key) || "");
      if (named && [own, ...texts].some((text) => text.search(named) >= 0)) one.setAttribute(mark, "");
      if (rows.length >= most || !one.matches(SHOWN) || !one.checkVisibility() || one.closest(strange)) continue;
      const row = { tag: one.tagName.toLowerCase() };
      KEYS.forEach((key, at) => texts[at] && (row[key] = bare(texts[at])));
      if (own.trim()) row.text = bare(own);
      rows.push(row);
    }
  };
  look(document, 0);
  return { host: location.hostname, language: document.documentElement.lang, rows }; // the title is often the meeting's
}
