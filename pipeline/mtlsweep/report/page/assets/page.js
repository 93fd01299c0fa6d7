// Draws each figure when it comes near the screen, in the reader's colours, and sorts tables by the heading pressed.
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Set();

  const draw = (place) => {
    const config = structuredClone(dark.matches ? figures.dark : figures.light);
    config.background = "transparent";
    config.legend.columns = Math.max(2, Math.floor(place.clientWidth / 120));
    if (place.dataset.sharedLegend === "yes") config.legend.disable = true;
    drawn.add(place);
    return vegaEmbed(place, figures.specs[place.id], { actions: false, renderer: "svg", config });
  };
  const watcher = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => { watcher.unobserve(target); draw(target); });
  }, { rootMargin: "800px" });
  const places = [...document.querySelectorAll(".chart")];
  places.forEach((place) => watcher.observe(place));
  dark.addEventListener("change", () => drawn.forEach(draw));
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((part) => { part.open = true; });
    places.filter((place) => !drawn.has(place)).forEach(draw);
  });

  const value = (row, column) => {
    const text = row.cells[column].dataset.sort;
    const number = text === "inf" ? Infinity : Number(text);
    return text === "" || Number.isNaN(number) ? text : number;
  };
  document.querySelectorAll("table.sortable th button").forEach((button) => {
    button.addEventListener("click", () => {
      const heading = button.closest("th"), body = heading.closest("table").tBodies[0];
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      heading.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => {
        const x = value(a, heading.cellIndex), y = value(b, heading.cellIndex);
        return (x < y ? -1 : x > y ? 1 : 0) * (ascending ? 1 : -1);
      });
      body.append(...rows);
    });
  });
})();
