const half = bits => {
  const [sign, power, rest] = [bits >> 15 ? -1 : 1, bits >> 10 & 31, bits & 1023];
  if (power === 31) return rest ? NaN : sign * Infinity;
  return sign * (power ? (1 + rest / 1024) * 2 ** (power - 15) : rest * 2 ** -24);
};
const numbers = text => {
  const bytes = atob(text);
  return Array.from({length: bytes.length / 2}, (_, at) => half(bytes.charCodeAt(2 * at) | bytes.charCodeAt(2 * at + 1) << 8));
};
const element = (parent, name, options = {}) => {
  const made = document.createElement(name);
  parent.append(Object.assign(made, options));
  return made;
};
const drawn = (parent, name, attributes, text = "") => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  parent.append(made);
  return made;
};
const short = value => isFinite(value) ? String(+value.toPrecision(4)) : "far off";

for (const part of document.querySelectorAll(".compare")) {
  const data = JSON.parse(part.querySelector("script").textContent);
  const [first, second, pairs] = [".first", ".second", ".pairs"].map(name => part.querySelector(name));
  const n = data.ids.length;
  const errors = data.rows.map(() => null);
  const of = row => errors[row] ??= numbers(data.rows[row].errors);
  const prediction = (row, target, image) =>
    data.truth[target][image] + of(row)[(target + 1) * n + image] * data.spread[target];
  const known = (target, image) => data.truth[target][image] !== null;
  const whole = image => data.targets.every((_, target) => known(target, image));
  const exact = (row, image) => whole(image) &&
    data.targets.every((_, target) => Math.round(prediction(row, target, image)) === data.truth[target][image]);

  const list = (title, images, a, b) => {
    const box = element(pairs, "div");
    element(box, "h4", {textContent: title});
    if (!images.length) return element(box, "p", {className: "hint", textContent: "None."});
    const items = element(box, "ul", {className: "worst"});
    for (const image of images) {
      const item = element(items, "li");
      if (data.thumbnails[image]) {
        const [strip, position] = data.thumbnails[image];
        const thumbnail = element(item, "span", {className: `thumb strip-${strip} at-${position}`, role: "img"});
        thumbnail.setAttribute("aria-label", `image ${data.ids[image]}`);
      }
      element(item, "span", {className: "id", textContent: data.ids[image]});
      const table = element(item, "table", {className: "small"});
      const head = element(element(table, "thead"), "tr");
      for (const name of ["target", "truth", "A", "B"]) element(head, "th", {textContent: name, scope: "col"});
      const body = element(table, "tbody");
      data.targets.forEach((target, at) => {
        const line = element(body, "tr");
        element(line, "th", {textContent: target, scope: "row"});
        for (const value of [data.truth[at][image], prediction(a, at, image), prediction(b, at, image)])
          element(line, "td", {textContent: known(at, image) ? short(value) : "–"});
      });
    }
  };

  const plot = (images, a, b) => {
    const [one, other] = [of(a), of(b)];
    const known = images.flatMap(image => [one[image], other[image]]).filter(value => value > 0 && isFinite(value));
    if (!known.length) return;
    const [low, high] = [Math.floor(Math.log10(Math.min(...known))), Math.ceil(Math.log10(Math.max(...known)))];
    const [from, to] = [low, high > low ? high : low + 1];
    const at = value => Math.min(Math.max((Math.log10(value) - from) / (to - from), 0), 1);
    const [x, y] = [value => (62 + 346 * at(value)).toFixed(1), value => (366 - 346 * at(value)).toFixed(1)];
    const svg = drawn(element(pairs, "figure"), "svg", {
      class: "plot", viewBox: "0 0 420 410", role: "img",
      "aria-label": "Error of A against error of B, a dot for each image: below the line B is nearer",
    });
    for (let power = from; power <= to; power++) {
      const [value, text] = [10 ** power, power < -3 ? `1e${power}` : String(+(10 ** power).toPrecision(1))];
      drawn(svg, "path", {class: "grid", d: `M${x(value)} 366V20M62 ${y(value)}H408`});
      drawn(svg, "text", {x: x(value), y: 382, "text-anchor": "middle"}, text);
      drawn(svg, "text", {x: 56, y: +y(value) + 4, "text-anchor": "end"}, text);
    }
    drawn(svg, "text", {class: "axis", x: 235, y: 402, "text-anchor": "middle"}, "error of A");
    drawn(svg, "text", {class: "axis", transform: "translate(13 193) rotate(-90)", "text-anchor": "middle"}, "error of B");
    drawn(svg, "path", {class: "identity", d: "M62 366L408 20"});
    drawn(svg, "path", {class: "dots", d: images.map(image => `M${x(one[image])} ${y(other[image])}h0`).join("")});
    element(svg.parentNode, "figcaption", {textContent: "Each dot is an image: above the line A is nearer, below it B."});
  };

  const show = () => {
    const [a, b] = [+first.value, +second.value];
    const [text, right] = [part.querySelector(".compared"), part.querySelector(".exact")];
    pairs.textContent = right.textContent = "";
    if (a === b) {
      text.textContent = "Choose two different rows.";
      return;
    }
    const [one, other] = [of(a), of(b)];
    const images = data.ids.map((_, image) => image).filter(image => !isNaN(one[image]) && !isNaN(other[image]));
    const nearer = images.filter(image => one[image] < other[image]);
    const further = images.filter(image => one[image] > other[image]);
    const equal = images.length - nearer.length - further.length;
    text.textContent = `${data.rows[a].name} is nearer on ${nearer.length} of ${images.length} test images, ` +
      `${data.rows[b].name} on ${further.length}${equal ? `, both are equally near on ${equal}` : ""}.`;
    if (data.integer) {
      const [of_a, of_b] = [a, b].map(row => new Set(images.filter(image => exact(row, image))));
      const both = [...of_a].filter(image => of_b.has(image)).length;
      right.textContent = `Images with every target right after rounding: ${both} by both, ` +
        `${of_a.size - both} by A alone, ${of_b.size - both} by B alone.`;
    }
    plot(images, a, b);
    const by = (worse, better) => (left, right) => worse[right] - better[right] - (worse[left] - better[left]) || left - right;
    list("Where A is nearer by most", nearer.sort(by(other, one)).slice(0, 10), a, b);
    list("Where B is nearer by most", further.sort(by(one, other)).slice(0, 10), a, b);
  };
  first.addEventListener("change", show);
  second.addEventListener("change", show);
  show();
}
