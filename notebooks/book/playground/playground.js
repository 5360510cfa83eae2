"use strict";
// The playground's page: what is drawn, turned and kept, and what is shown of it.

(async () => {
  const byId = (id) => document.getElementById(id);
  const PRIORS = ["sparse_0.5", "sparse", "sparse_0.9"]; // the slider's stops
  const SIDES = ["dense", "sparse"];
  const LATENTS = 20;
  const LIMIT = 4; // standard deviations
  const NUM_DRAWS = 12;
  const FIRST = 3; // the digit that the page opens with
  const SVG = "http://www.w3.org/2000/svg";

  if (!window.playgroundContent || !window.DecompressionStream) {
    byId("pg-status").className = "pg-error";
    byId("pg-status").textContent = window.playgroundContent
      ? "This browser is too old for the playground: it cannot unpack the weights."
      : "weights.js is missing beside this page: python -m svae_helpers.export page weights.js";
    return;
  }
  const { models, classifier, digits } = await networks.load(window.playgroundContent);
  const state = {
    pixels: null,
    origin: null, // a test digit, or null for a drawing
    strokes: [],
    keep: LATENTS,
    names: { dense: "dense", sparse: "sparse" },
    turned: { dense: new Map(), sparse: new Map() },
    chosen: { dense: 0, sparse: 0 },
    shown: {},
  };

  // ---- words -------------------------------------------------------------------------------
  const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
  const percent = (value) => `${Math.round(100 * value)}%`;

  function reading(image) {
    const chances = networks.read(classifier, image);
    const digit = chances.indexOf(Math.max(...chances));
    return { digit, chance: chances[digit] };
  }

  function readsAs(image) {
    if (!image.some((value) => value > 0.2)) return "is blank";
    const { digit, chance } = reading(image);
    const sureness = chance > 0.9 ? "clearly" : chance > 0.6 ? "probably" : "unclear, nearest to";
    return `is ${sureness} ${digit === 8 ? "an" : "a"} ${digit}`;
  }

  // ---- pictures ----------------------------------------------------------------------------
  function paint(canvas, image) {
    const context = canvas.getContext("2d");
    const picture = context.createImageData(28, 28);
    image.forEach((value, i) => (picture.data[4 * i + 3] = Math.round(255 * value))); // black ink
    context.putImageData(picture, 0, 0);
  }

  function element(parent, name, attributes = {}, text = "") {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return parent.appendChild(made);
  }

  const barAt = (latent) => 34 + 16.2 * latent;
  const heightOf = (y) => 78 - (66 / LIMIT) * Math.max(-LIMIT, Math.min(LIMIT, y));

  function makeBars(svg, side) {
    const hatch = element(element(svg, "defs"), "pattern", {
      id: `pg-hatch-${side}`, width: 5, height: 5,
      patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)",
    });
    element(hatch, "rect", { width: 5, height: 5, class: "pg-hatch-ground" });
    element(hatch, "rect", { width: 2, height: 5, class: "pg-hatch-line" });
    for (const y of [-4, -2, 0, 2, 4]) {
      const at = heightOf(y);
      element(svg, "line", { x1: 28, x2: 356, y1: at, y2: at, class: y ? "pg-grid" : "pg-axis" });
      const label = y > 0 ? `+${y}` : `${y}`.replace("-", "−");
      element(svg, "text", { x: 24, y: at + 3.5, class: "pg-tick", "text-anchor": "end" }, label);
    }
    const fill = side === "sparse" ? `url(#pg-hatch-${side})` : "var(--accent)";
    const bars = [];
    for (let latent = 0; latent < LATENTS; latent++) {
      const x = barAt(latent);
      const bar = element(svg, "rect", { x, width: 11, rx: 1.5, class: "pg-bar", style: `fill: ${fill}` });
      const centred = { x: x + 5.5, y: 159, class: "pg-tick", "text-anchor": "middle" };
      bars.push({ bar, label: element(svg, "text", centred, `${latent}`) });
    }
    const words = "latent, in units of its own standard deviation";
    element(svg, "text", { x: 194, y: 173, class: "pg-tick", "text-anchor": "middle" }, words);
    return bars;
  }

  function drawBars(bars, y, kept, chosen) {
    bars.forEach(({ bar, label }, latent) => {
      const [top, bottom] = [heightOf(Math.max(y[latent], 0)), heightOf(Math.min(y[latent], 0))];
      bar.setAttribute("y", top);
      bar.setAttribute("height", Math.max(bottom - top, 0.8));
      bar.classList.toggle("pg-off", !kept[latent]);
      label.classList.toggle("pg-chosen", latent === chosen);
    });
  }

  // ---- the two models ----------------------------------------------------------------------
  const TITLES = { dense: "Dense", sparse: "Sparse" };
  const cards = Object.fromEntries(SIDES.map((side) => [side, makeCard(side)]));

  function makeCard(side) {
    const card = byId("pg-model").content.firstElementChild.cloneNode(true);
    card.classList.add(`pg-${side}`);
    byId("pg-models").append(card);
    const part = Object.fromEntries(
      [...card.querySelectorAll("[data-part]")].map((found) => [found.dataset.part, found]),
    );
    part.title.textContent = `3 · ${TITLES[side]} code`;
    part.title.id = `pg-title-${side}`;
    card.setAttribute("aria-labelledby", part.title.id);
    for (let latent = 0; latent < LATENTS; latent++) part.which.add(new Option(`${latent}`, latent));
    part.turn.setAttribute("aria-label", `${TITLES[side]} latent, standard deviations`);
    part.lines = makeBars(part.bars, side);
    part.which.addEventListener("change", () => choose(side, Number(part.which.value)));
    part.turn.addEventListener("input", () => turn(side, Number(part.turn.value)));
    part.reset.addEventListener("click", () => {
      state.turned[side].clear();
      redraw();
    });
    dragBars(part.bars, side);
    return part;
  }

  // Mouse: drag a bar. Finger: tap it, so that the page still scrolls.
  function dragBars(svg, side) {
    let held = false;
    const set = (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * 360;
      const y = ((event.clientY - box.top) / box.height) * 176;
      if (event.type === "pointerdown" || event.type === "click") {
        const nearest = Math.round((x - barAt(0) - 5.5) / 16.2);
        state.chosen[side] = Math.max(0, Math.min(LATENTS - 1, nearest));
      }
      if (y < 150) turn(side, Math.max(-LIMIT, Math.min(LIMIT, ((78 - y) * LIMIT) / 66)));
      else choose(side, state.chosen[side]);
    };
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse") return;
      held = true;
      svg.setPointerCapture(event.pointerId);
      set(event);
    });
    svg.addEventListener("pointermove", (event) => held && set(event));
    svg.addEventListener("pointerup", () => (held = false));
    svg.addEventListener("pointercancel", () => (held = false));
    svg.addEventListener("click", (event) => event.pointerType !== "mouse" && set(event));
  }

  function choose(side, latent) {
    state.chosen[side] = latent;
    redraw();
  }

  function turn(side, deviations) {
    const model = models[state.names[side]];
    const latent = state.chosen[side];
    state.turned[side].set(latent, deviations * model.deviations[latent]);
    redraw();
  }

  function codeOf(side) {
    const code = networks.encode(models[state.names[side]], state.pixels);
    state.turned[side].forEach((value, latent) => (code[latent] = value));
    return code;
  }

  function show(side) {
    const model = models[state.names[side]];
    const code = codeOf(side);
    const kept = networks.strongest(model, code, state.keep);
    const y = networks.standardised(model, code);
    const logits = networks.decode(model, networks.only(code, kept));
    const image = networks.sigmoid(logits);
    const error = networks.crossEntropy(logits, state.pixels);
    const part = cards[side];
    const chosen = state.chosen[side];

    paint(part.picture, image);
    const turned = state.turned[side].size ? `, ${state.turned[side].size} turned by you` : "";
    const which = state.keep === LATENTS ? `all ${LATENTS}` : `${state.keep} of ${LATENTS}`;
    const words = `Rebuilt from ${which} latents${turned}: it ${readsAs(image)}.`;
    part["picture-words"].innerHTML = "";
    part["picture-words"].append(words, document.createElement("br"));
    part["picture-words"].append(`Cross-entropy ${error.toFixed(0)} nats.`);
    part.picture.setAttribute("aria-label", `${TITLES[side]} reconstruction. ${words}`);

    drawBars(part.lines, y, kept, chosen);
    const order = [...y.keys()].sort((a, b) => Math.abs(y[b]) - Math.abs(y[a])).slice(0, 3);
    const list = order.map((latent) => `z${latent} at ${signed(y[latent])}`).join(", ");
    const small = y.filter((value) => Math.abs(value) < 0.3).length;
    const { crossover } = model.prior;
    const on = code.filter((value) => Math.abs(value) > crossover).length;
    const count = crossover ? ` On, that is past the crossover: ${on}.` : "";
    const said = `Strongest: ${list}. Near zero, below 0.3: ${small} of ${LATENTS}.${count}`;
    part["bars-words"].textContent = said;
    part.bars.setAttribute("aria-label", `${TITLES[side]} code. ${said}`);

    part.which.value = chosen;
    part.turn.value = y[chosen];
    part["turn-value"].textContent = `${signed(y[chosen])} sd`;
    part.turn.setAttribute("aria-valuetext", `latent ${chosen} at ${signed(y[chosen])} deviations`);
    part.reset.disabled = state.turned[side].size === 0;
    part.prior.textContent = side === "dense" ? "Prior of each latent: N(0, 1)." : sparseWords(model);
    state.shown[side] = { code: [...code], kept, image, logits, error, words };
  }

  function sparseWords({ prior }) {
    const { spikeProb, spikeVar, slabVar } = prior;
    const [narrow, wide] = [spikeVar, slabVar].map((value) => Number(value.toFixed(3)));
    return `Prior of each latent: N(0, ${narrow}) with chance ${spikeProb}, else N(0, ${wide}).`;
  }

  // ---- how the error grows as fewer latents are kept ---------------------------------------
  const curveX = (k) => 46 + 18.4 * k;
  const CURVE = { top: 28, bottom: 226 };
  const curve = { lines: {}, errors: {} };
  makeCurve();

  function makeCurve() {
    const svg = byId("pg-curve");
    curve.grid = element(svg, "g");
    for (let k = 0; k <= LATENTS; k += 5)
      element(svg, "text", { x: curveX(k), y: 241, class: "pg-tick", "text-anchor": "middle" }, `${k}`);
    element(svg, "text", { x: 230, y: 257, class: "pg-tick", "text-anchor": "middle" }, "latents kept");
    element(svg, "text", { x: 4, y: 13, class: "pg-tick" }, "cross-entropy, nats");
    curve.now = element(svg, "line", { y1: CURVE.top - 6, y2: CURVE.bottom, class: "pg-now" });
    for (const side of SIDES) {
      const group = element(svg, "g", { class: `pg-${side}` });
      const mean = element(group, "polyline", { class: "pg-line pg-mean" });
      const line = element(group, "polyline", { class: "pg-line" });
      const marks = Array.from({ length: LATENTS + 1 }, () =>
        side === "dense"
          ? element(group, "circle", { r: 3.4, class: "pg-point" })
          : element(group, "rect", { width: 6.4, height: 6.4, class: "pg-point" }),
      );
      const name = element(group, "text", { x: curveX(LATENTS) + 8, class: "pg-name" }, TITLES[side]);
      curve.lines[side] = { mean, line, marks, name };
    }
  }

  function measureCurve() {
    for (const side of SIDES) {
      const model = models[state.names[side]];
      const code = codeOf(side);
      curve.errors[side] = Array.from({ length: LATENTS + 1 }, (_, k) => {
        const z = networks.only(code, networks.strongest(model, code, k));
        return networks.crossEntropy(networks.decode(model, z), state.pixels);
      });
    }
    const means = Object.fromEntries(SIDES.map((side) => [side, models[state.names[side]].errors]));
    const all = SIDES.flatMap((side) => [...curve.errors[side], ...means[side]]);
    const step = Math.max(...all) > 250 ? 100 : 50;
    const top = step * Math.ceil(Math.max(...all) / step);
    const at = (error) => CURVE.bottom - ((CURVE.bottom - CURVE.top) * error) / top;
    curve.grid.replaceChildren();
    for (let error = 0; error <= top; error += step) {
      const y = at(error);
      element(curve.grid, "line", { x1: 42, x2: 418, y1: y, y2: y, class: error ? "pg-grid" : "pg-axis" });
      element(curve.grid, "text", { x: 36, y: y + 3.5, class: "pg-tick", "text-anchor": "end" }, `${error}`);
    }
    const ends = SIDES.map((side) => at(curve.errors[side][LATENTS]));
    const apart = Math.max(0, 15 - Math.abs(ends[0] - ends[1])) / 2;
    SIDES.forEach((side, i) => {
      const { mean, line, marks, name } = curve.lines[side];
      const place = (errors) => errors.map((error, k) => [curveX(k), at(error)]);
      const points = place(curve.errors[side]);
      line.setAttribute("points", points.join(" "));
      mean.setAttribute("points", place(means[side]).join(" "));
      marks.forEach((mark, k) => {
        const [x, y] = points[k];
        if (side === "dense") mark.setAttribute("cx", x), mark.setAttribute("cy", y);
        else mark.setAttribute("x", x - 3.2), mark.setAttribute("y", y - 3.2);
      });
      const above = ends[i] < ends[1 - i] || (ends[i] === ends[1 - i] && i === 0);
      name.setAttribute("y", ends[i] + 4 + (above ? -apart : apart));
    });
    showCurve();
  }

  function showCurve() {
    curve.now.setAttribute("x1", curveX(state.keep));
    curve.now.setAttribute("x2", curveX(state.keep));
    const [dense, sparse] = SIDES.map((side) => curve.errors[side][state.keep]);
    const gap = Math.abs(Math.round(dense) - Math.round(sparse));
    const better = dense < sparse ? "dense" : "sparse";
    const verdict = gap < 1 ? "the two are level" : `the ${better} model is ahead by ${gap} nats`;
    const numbers = `dense ${dense.toFixed(0)}, sparse ${sparse.toFixed(0)}`;
    const latents = state.keep === 1 ? "latent" : "latents";
    const mean = SIDES.map((side) => models[state.names[side]].errors[state.keep].toFixed(0));
    byId("pg-curve-words").textContent =
      `With ${state.keep} ${latents} ${verdict} on your digit (${numbers} nats). ` +
      `On average over 1,000 test digits: dense ${mean[0]}, sparse ${mean[1]} nats.`;
  }

  // ---- draws from the priors ---------------------------------------------------------------
  const drawn = Object.fromEntries(SIDES.map((side) => [side, makeDraws(side)]));

  function makeDraws(side) {
    const figure = byId("pg-draws").appendChild(document.createElement("figure"));
    figure.className = `pg-${side}`;
    const title = figure.appendChild(document.createElement("h3"));
    const mark = title.appendChild(document.createElement("span"));
    mark.className = "pg-mark";
    mark.setAttribute("aria-hidden", "true");
    title.append(` ${TITLES[side]}`);
    const grid = figure.appendChild(document.createElement("div"));
    grid.className = "pg-grid-of-digits";
    grid.setAttribute("role", "img");
    const canvases = Array.from({ length: NUM_DRAWS }, () => {
      const canvas = grid.appendChild(document.createElement("canvas"));
      canvas.className = "pg-digit";
      canvas.width = canvas.height = 28;
      return canvas;
    });
    const words = figure.appendChild(document.createElement("figcaption"));
    return { grid, canvases, words };
  }

  function drawFrom(side) {
    const model = models[state.names[side]];
    const { grid, canvases, words } = drawn[side];
    const readings = canvases.map((canvas) => {
      const image = networks.sigmoid(networks.decode(model, networks.drawFromPrior(model)));
      paint(canvas, image);
      return reading(image);
    });
    const clear = readings.filter(({ chance }) => chance > 0.9);
    const list = clear.map(({ digit }) => digit).sort().join(", ");
    words.textContent =
      `${clear.length} of ${NUM_DRAWS} are clear to a small classifier` +
      (clear.length ? `, as ${list}.` : ".");
    grid.setAttribute("aria-label", `${NUM_DRAWS} images drawn from the ${side} prior.`);
    return words.textContent;
  }

  // ---- the pad -----------------------------------------------------------------------------
  const pad = byId("pg-pad");
  const ink = pad.getContext("2d");
  const small = document.createElement("canvas"); // 28 × 28 at four times the resolution
  small.width = small.height = 112;
  const smallInk = small.getContext("2d", { willReadFrequently: true });
  const pen = { x: 140, y: 140, down: false, seen: false };

  function trace(context, strokes, width) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = width;
    for (const stroke of strokes) {
      context.beginPath();
      context.moveTo(...stroke[0]);
      if (stroke.length === 1) context.lineTo(stroke[0][0] + 0.01, stroke[0][1]);
      stroke.slice(1).forEach((point) => context.lineTo(...point));
      context.stroke();
    }
  }

  function drawPad() {
    ink.clearRect(0, 0, 280, 280);
    if (!state.strokes.length && !pen.seen) {
      ink.font = "20px system-ui, sans-serif";
      ink.textAlign = "center";
      ink.fillStyle = "#767676";
      ink.fillText("draw here", 140, 146);
    }
    trace(ink, state.strokes, 20);
    if (pen.seen) {
      ink.beginPath();
      ink.arc(pen.x, pen.y, 9, 0, 2 * Math.PI);
      ink.lineWidth = pen.down ? 5 : 2;
      ink.strokeStyle = "#888";
      ink.stroke();
      ink.strokeStyle = "#000";
    }
  }

  // As MNIST's digits were made: scaled into 20 × 20, then centred by mass in 28 × 28.
  function imageOf(strokes) {
    const image = new Float32Array(784);
    if (!strokes.length) return image;
    const xs = strokes.flat().map(([x]) => x);
    const ys = strokes.flat().map(([, y]) => y);
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    const size = Math.max(Math.max(...xs) - left, Math.max(...ys) - top, 40);
    const PEN = 2.2; // pixels of 28
    const scale = (4 * (20 - PEN)) / size;
    let placed = strokes.map((stroke) => stroke.map(([x, y]) => [(x - left) * scale, (y - top) * scale]));
    let shift = [16, 16];
    for (let pass = 0; pass < 2; pass++) {
      placed = placed.map((stroke) => stroke.map(([x, y]) => [x + shift[0], y + shift[1]]));
      smallInk.clearRect(0, 0, 112, 112);
      trace(smallInk, placed, 4 * PEN);
      const { data } = smallInk.getImageData(0, 0, 112, 112);
      let [mass, x, y] = [0, 0, 0];
      image.fill(0);
      for (let i = 0; i < 112 * 112; i++) {
        const value = data[4 * i + 3] / 255;
        const [column, row] = [i % 112, Math.floor(i / 112)];
        mass += value;
        x += value * (column + 0.5);
        y += value * (row + 0.5);
        image[28 * Math.floor(row / 4) + Math.floor(column / 4)] += value / 16;
      }
      shift = [56 - x / mass, 56 - y / mass];
    }
    return image;
  }

  function drawnOn() {
    state.origin = null;
    state.pixels = imageOf(state.strokes);
    forgetTurns();
    redraw();
  }

  function clearPad() {
    state.strokes = [];
    pen.down = false;
    drawnOn();
  }

  function onPad(event) {
    const box = pad.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    return at.map((value, i) => (value / [box.width, box.height][i]) * 280);
  }

  let drawing = false;
  pad.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    pen.seen = pen.down = false;
    drawing = true;
    state.strokes.push([onPad(event)]);
    drawnOn();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    const fine = event.getCoalescedEvents?.() ?? [];
    state.strokes.at(-1).push(...(fine.length ? fine : [event]).map(onPad));
    drawnOn();
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => (drawing = false));

  const STEPS = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };
  pad.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step) {
      pen.x = Math.max(10, Math.min(270, pen.x + step[0]));
      pen.y = Math.max(10, Math.min(270, pen.y + step[1]));
      if (pen.down) state.strokes.at(-1).push([pen.x, pen.y]);
    } else if (event.key === " ") {
      pen.down = !pen.down;
      if (pen.down) state.strokes.push([[pen.x, pen.y]]);
    } else if (event.key === "Delete" || event.key === "Backspace") clearPad();
    else return;
    event.preventDefault();
    pen.seen = true;
    const place = `${percent(pen.x / 280)} across, ${percent(pen.y / 280)} down`;
    pad.setAttribute("aria-label", `Drawing pad, pen ${pen.down ? "down" : "up"}, ${place}`);
    if (pen.down) drawnOn();
    else redraw();
  });
  pad.addEventListener("blur", () => {
    pen.seen = pen.down = false;
    drawPad();
  });

  // ---- test digits, knobs ------------------------------------------------------------------
  const classes = byId("pg-class");
  for (let digit = 0; digit < 10; digit++) classes.add(new Option(`a ${digit}`, digit));

  function takeDigit(next = false) {
    const those = digits.filter(({ label }) => label === Number(classes.value));
    const place = those.indexOf(state.origin);
    state.origin = those[next ? (place + 1) % those.length : 0];
    state.pixels = state.origin.pixels;
    state.strokes = [];
    forgetTurns();
    redraw();
  }

  function forgetTurns() {
    SIDES.forEach((side) => state.turned[side].clear());
  }

  classes.addEventListener("change", () => takeDigit());
  byId("pg-another").addEventListener("click", () => takeDigit(true));
  byId("pg-clear").addEventListener("click", clearPad);
  byId("pg-keep").addEventListener("input", (event) => {
    state.keep = Number(event.target.value);
    redraw();
  });
  byId("pg-prior").addEventListener("input", (event) => {
    state.names.sparse = PRIORS[Number(event.target.value)];
    state.turned.sparse.clear();
    drawFrom("sparse");
    redraw();
  });
  byId("pg-draw").addEventListener("click", () => {
    const words = SIDES.map((side) => `${TITLES[side]} prior: ${drawFrom(side)}`);
    say(words.join(" "));
  });
  for (const name of PRIORS) {
    const stop = byId("pg-priors").appendChild(document.createElement("span"));
    stop.textContent = models[name].prior.spikeProb;
  }

  // ---- redrawing ---------------------------------------------------------------------------
  let waiting = 0;
  let speaking = 0;

  function say(words) {
    clearTimeout(speaking);
    speaking = setTimeout(() => (byId("pg-status").textContent = words), 700);
  }

  function redraw() {
    const start = performance.now();
    drawPad();
    paint(byId("pg-seen"), state.pixels);
    const blank = !state.pixels.some((value) => value > 0);
    const origin = state.origin
      ? `Test digit number ${state.origin.row}, a ${state.origin.label}`
      : blank
        ? "Nothing is drawn yet"
        : `Your drawing, scaled and centred as MNIST's digits are; it ${readsAs(state.pixels)}`;
    byId("pg-seen-words").textContent = `What the networks see. ${origin}.`;
    byId("pg-seen").setAttribute("aria-label", `What the networks see. ${origin}.`);
    byId("pg-keep-value").textContent = state.keep;
    const { prior } = models[state.names.sparse];
    byId("pg-prior-value").textContent = prior.spikeProb;
    byId("pg-prior").setAttribute("aria-valuetext", `π = ${prior.spikeProb}`);
    const share = Math.round((1 - prior.spikeProb) * LATENTS);
    byId("pg-prior-words").textContent =
      `π is the probability that a latent is off: of ${LATENTS}, the prior puts ${share} on, on average.`;
    SIDES.forEach(show);
    if (state.origin) classes.value = state.origin.label;
    state.milliseconds = performance.now() - start;
    clearTimeout(waiting);
    waiting = setTimeout(measureCurve, 30); // 42 more pictures: not while you draw
    if (curve.errors.dense) showCurve();
    const spoken = SIDES.map((side) => `${TITLES[side]}: ${state.shown[side].words}`);
    say(`${origin}. ${spoken.join(" ")}`);
  }

  SIDES.forEach(drawFrom);
  classes.value = FIRST;
  takeDigit();
  window.playground = { state, models, classifier, digits, curve, imageOf, redraw };
  byId("playground").dataset.ready = "true";
})();
