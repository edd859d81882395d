// The filter of a report. Without it the page is whole, and the form stays hidden.
(() => {
  "use strict";
  const main = document.querySelector("main.normscope");
  const form = main.querySelector(".filter");
  const all = (selector, inside = main) => [...inside.querySelectorAll(selector)];

  // What a link points to may lie in parts that are closed.
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let part = target.parentElement; part; part = part.parentElement) {
      if (part.tagName === "DETAILS") part.open = true;
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  // What a mark says is its title too, given when it is asked for.
  main.addEventListener("pointerover", (event) => {
    const mark = event.target.closest(".map a.mark");
    if (mark && !mark.title) mark.title = mark.getAttribute("aria-label");
  });

  // On paper everything is open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((part) => { part.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((part) => { part.open = false; }));

  if (!form) return;
  const input = form.querySelector("input");
  const status = form.querySelector("[role=status]");
  let index = null;

  const read = () => {
    const layers = new Map();
    for (const mark of all(".map a.mark")) {
      const id = mark.hash.slice(1);
      layers.set(id, {
        mark: mark.parentElement,
        row: document.getElementById(id),
        text: mark.getAttribute("aria-label").toLowerCase(),
        shown: true,
      });
    }
    const findings = all(".findings .finding").map((element) => ({
      element,
      text: element.closest(".rule").querySelector("h3").textContent.toLowerCase()
        + " " + element.textContent.toLowerCase(),
      layers: element.dataset.at.split(" ").filter(Boolean).map((number) => layers.get("l" + number)),
    }));
    const details = all(".map details, .kinds details.list");
    return { layers: [...layers.values()], findings, details, open: details.map((one) => one.open) };
  };

  const show = (element, shown) => { element.hidden = !shown; };

  const apply = () => {
    index ??= read();
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (text) => words.every((word) => text.includes(word));
    let layers = 0;
    for (const layer of index.layers) {
      layer.shown = fits(layer.text);
      layers += layer.shown;
      show(layer.mark, layer.shown);
      if (layer.row) show(layer.row, layer.shown);
    }
    let findings = 0;
    for (const finding of index.findings) {
      const shown = fits(finding.text) || finding.layers.some((layer) => layer?.shown);
      findings += shown;
      show(finding.element, shown);
    }
    const filled = (part, selector) => show(part, part.querySelector(selector + ":not([hidden])"));
    all(".findings .rule").forEach((part) => filled(part, ".finding"));
    all(".kinds .kind").forEach((part) => filled(part, ".layers tbody tr"));
    all(".map .branch").reverse().forEach((part) => filled(part, ".marks li"));
    index.details.forEach((part, number) => {
      part.open = words.length ? layers <= 200 : index.open[number];
    });
    const counted = (number, all, word) => `${number} of ${all} ${word}${all === 1 ? "" : "s"}`;
    status.textContent = words.length
      ? `${counted(layers, index.layers.length, "layer")}, ${counted(findings, index.findings.length, "finding")}`
      : "";
  };

  let waiting = 0;
  input.addEventListener("input", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(apply);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  if (input.value) apply();
})();
