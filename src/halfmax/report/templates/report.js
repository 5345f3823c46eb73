"use strict";
// Save a figure as it stands in the page: nothing leaves the file.
(() => {
  const offer = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const text = (svg) => new XMLSerializer().serializeToString(svg);
  const png = (svg, name) => {
    const { width, height } = svg.viewBox.baseVal;
    const scale = 3;
    const copy = svg.cloneNode(true);
    copy.setAttribute("width", width * scale);
    copy.setAttribute("height", height * scale);
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = width * scale;
      canvas.height = height * scale;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => offer(blob, name));
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text(copy));
  };
  for (const figure of document.querySelectorAll("figure")) {
    const svg = figure.querySelector("svg");
    const name = figure.dataset.name;
    figure.querySelector(".save").hidden = false;
    figure.addEventListener("click", (event) => {
      const kind = event.target.dataset && event.target.dataset.save;
      if (kind === "svg") offer(new Blob([text(svg)], { type: "image/svg+xml" }), name + ".svg");
      if (kind === "png") png(svg, name + ".png");
    });
  }
})();
