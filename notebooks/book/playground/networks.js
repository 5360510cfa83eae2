"use strict";
// The networks of the playground: what `svae_helpers.export` packed, and what it computes.
// Weights are row-major, one row an output, as in torch: y = W x + b.

const networks = (() => {
  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // A network's layers: float32 scale and bias of each row, then the levels, one byte each.
  async function unpack({ shapes, bytes }) {
    const { buffer } = await inflate(bytes);
    let at = 0;
    const take = (Type, count) => {
      const part = new Type(buffer, at, count);
      at += part.byteLength;
      return part;
    };
    const floats = shapes.map(([rows]) => [take(Float32Array, rows), take(Float32Array, rows)]);
    return shapes.map((shape, i) => {
      const [scale, bias] = floats[i];
      const rows = shape[0];
      const columns = shape.slice(1).reduce((product, length) => product * length);
      const weight = Float32Array.from(
        take(Int8Array, rows * columns),
        (level, place) => level * scale[Math.floor(place / columns)],
      );
      return { shape, rows, columns, weight, bias };
    });
  }

  async function load(content) {
    const models = {};
    for (const [name, packed] of Object.entries(content.models)) {
      const { prior, deviations, live, errors } = packed;
      models[name] = { prior, deviations, live, errors, layers: await unpack(packed) };
    }
    const pixels = await inflate(content.digits.pixels);
    const digits = content.digits.labels.map((label, i) => ({
      label,
      row: content.digits.rows[i],
      pixels: Float32Array.from(pixels.subarray(784 * i, 784 * (i + 1)), (value) => value / 255),
    }));
    return { models, classifier: await unpack(content.classifier), digits };
  }

  function linear({ rows, columns, weight, bias }, x) {
    const lit = []; // most pixels are 0
    x.forEach((value, i) => value !== 0 && lit.push(i));
    const y = new Float32Array(rows);
    for (let row = 0; row < rows; row++) {
      let sum = bias[row];
      const start = row * columns;
      for (let j = 0; j < lit.length; j++) sum += weight[start + lit[j]] * x[lit[j]];
      y[row] = sum;
    }
    return y;
  }

  const relu = (x) => x.map((value) => Math.max(value, 0));
  const sigmoid = (x) => x.map((value) => 1 / (1 + Math.exp(-value)));

  // Means of q(z|x).
  function encode({ layers: [hidden, means] }, x) {
    return linear(means, relu(linear(hidden, x)));
  }

  // Logits of p(x|z).
  function decode({ layers: [, , hidden, output] }, z) {
    return linear(output, relu(linear(hidden, z)));
  }

  // −log p(x|z) in nats, summed over pixels.
  function crossEntropy(logits, x) {
    let sum = 0;
    logits.forEach((logit, i) => {
      sum += Math.max(logit, 0) - logit * x[i] + Math.log1p(Math.exp(-Math.abs(logit)));
    });
    return sum;
  }

  // A code in units of each latent's own standard deviation; 0 for a latent that is not in use.
  function standardised(model, z) {
    return Float32Array.from(z, (value, i) => (model.live[i] ? value / model.deviations[i] : 0));
  }

  // Which latents are among the k strongest.
  function strongest(model, z, k) {
    const strength = standardised(model, z).map(Math.abs);
    const order = [...strength.keys()].sort((a, b) => strength[b] - strength[a]);
    const kept = new Array(z.length).fill(false);
    order.slice(0, k).forEach((latent) => (kept[latent] = true));
    return kept;
  }

  const only = (z, kept) => z.map((value, i) => (kept[i] ? value : 0));

  function normal() {
    return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  }

  function drawFromPrior({ prior, deviations }) {
    return Float32Array.from(deviations, () => {
      if (prior.deviation) return prior.deviation * normal();
      const variance = Math.random() < prior.spikeProb ? prior.spikeVar : prior.slabVar;
      return Math.sqrt(variance) * normal();
    });
  }

  function convolve({ shape: [outputs, inputs, size], weight, bias }, x, side, stride) {
    const width = Math.floor((side - size) / stride) + 1;
    const y = new Float32Array(outputs * width * width);
    let place = 0;
    for (let output = 0; output < outputs; output++)
      for (let top = 0; top < width; top++)
        for (let left = 0; left < width; left++) {
          let sum = bias[output];
          let w = output * inputs * size * size;
          for (let input = 0; input < inputs; input++)
            for (let i = 0; i < size; i++) {
              const start = (input * side + top * stride + i) * side + left * stride;
              for (let j = 0; j < size; j++) sum += weight[w++] * x[start + j];
            }
          y[place++] = sum;
        }
    return y;
  }

  // Class probabilities of an image, by the small classifier of notebook 07.
  function read(classifier, x) {
    const [first, second, output] = classifier;
    const wide = relu(convolve(first, x, 28, 2)); // (16, 12, 12)
    const scores = linear(output, relu(convolve(second, wide, 12, 2))); // from (32, 5, 5)
    const largest = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - largest));
    const total = weights.reduce((a, b) => a + b);
    return weights.map((value) => value / total);
  }

  return {
    load, encode, decode, crossEntropy, standardised, strongest, only, drawFromPrior, read, sigmoid,
  };
})();
