"use strict";

// A finger on a figure scrolls the page.
const touch = matchMedia("(pointer: coarse)").matches;

// A figure is drawn when it comes near the window, so that a page of many opens at once.
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      const { data, layout } = JSON.parse(target.nextElementSibling.textContent);
      if (touch) layout.dragmode = false;
      const displayModeBar = touch ? false : "hover";
      Plotly.newPlot(target, data, layout, { responsive: true, displaylogo: false, displayModeBar });
    }
  },
  { rootMargin: "400px" },
);
for (const plot of document.querySelectorAll(".plot")) near.observe(plot);

// A table's rows that hold all the words of its filter, in a run's configuration too.
for (const filter of document.querySelectorAll("input[type=search]")) {
  const rows = [...filter.nextElementSibling.querySelectorAll("tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    rows.forEach((row, i) => (row.hidden = !words.every((word) => texts[i].includes(word))));
  });
}
