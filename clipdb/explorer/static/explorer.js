// Pages work without this file: it adds keys, a legend that dims, parts that come later, and sliders.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const typing = (element) => element.matches("input, textarea, select");

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (key === "Enter" && (event.ctrlKey || event.metaKey) && target.matches("textarea")) target.form.requestSubmit();
  if (typing(target) || event.altKey || event.ctrlKey || event.metaKey) return;
  if (key === "/") {
    event.preventDefault();
    document.getElementById("find")?.focus();
  }
  const keyed = /^[a-z]$/i.test(key) && !event.repeat && document.querySelector(`[data-key=${key.toLowerCase()}]`);
  if (keyed) {
    event.preventDefault();
    keyed.matches("input") ? keyed.focus() : keyed.click();
  }
  if (key === "[" || key === "]") document.querySelector(`a[rel=${key === "[" ? "prev" : "next"}]`)?.click();
});

const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
for (const grid of all("[data-grid]")) {
  const rows = all("tbody tr", grid).map((row) => all("td", row).map((cell) => cell.querySelector("a")));
  const links = rows.flat().filter(Boolean);
  links.forEach((link, place) => (link.tabIndex = place ? -1 : 0)); // one stop for Tab, arrows move inside
  grid.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    const y = rows.findIndex((row) => row.includes(event.target));
    if (!step || y < 0) return;
    let [toY, toX] = [y + step[0], rows[y].indexOf(event.target) + step[1]];
    while (rows[toY]?.[toX] === null) [toY, toX] = [toY + step[0], toX + step[1]];
    const next = rows[toY]?.[toX];
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

for (const button of all("[data-dim]")) {
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    for (const other of all("[data-dim]")) other.setAttribute("aria-pressed", on && other === button);
    for (const cell of all("[data-property]"))
      cell.classList.toggle("dimmed", on && cell.dataset.property !== button.dataset.dim);
  });
}

for (const button of all("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  });
}

for (const part of all("[data-part]")) {
  part.setAttribute("aria-busy", "true");
  fetch(part.dataset.part, { headers: { "X-Part": "1" } })
    .then((answer) => (answer.ok ? answer.text() : Promise.reject()))
    .then((html) => (part.innerHTML = html), () => {}) // the link that is there stays
    .finally(() => part.removeAttribute("aria-busy"));
}

for (const slider of all("[data-fade]")) {
  slider.closest("p").hidden = false;
  slider.addEventListener("input", () => {
    for (const map of all(".map .over")) map.style.opacity = slider.value / 100;
  });
}

for (const filter of all("[data-filter]")) {
  filter.hidden = false;
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const item of all("[data-name]")) item.hidden = !item.dataset.name.includes(wanted);
  });
}
