// Draws the figures in the reader's colours, and sorts tables by the column whose heading is pressed.
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const options = () => ({ actions: false, renderer: "svg", config: dark.matches ? figures.dark : figures.light });
  const draw = () => Object.entries(figures.specs).forEach(([id, spec]) => vegaEmbed("#" + id, spec, options()));
  draw();
  dark.addEventListener("change", draw);

  const value = (row, column) => {
    const text = row.cells[column].dataset.sort;
    const number = Number(text.replace("inf", "Infinity"));
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
