// The report's three plots.

// ---- Plot 1: one row a layer, three panels: bits, output error, sensitivity.

const ROW = 21;

function layerPanels(layers) {
  const sensitivities = layers.flatMap((layer) => [layer.weights, layer.activations])
                            .map((tensor) => tensor && tensor.sensitivity).filter(isNumber);
  const outputs = layers.flatMap((layer) => [layer.output_sqnr_db, layer.nearest_output_sqnr_db]).filter(isNumber);
  return [
    {title: 'Stored bits a value', unit: 'bits', low: 0, high: 8, draw: drawBits},
    {title: 'Output SQNR, dB', unit: 'dB', low: Math.min(0, ...outputs), high: Math.max(10, ...outputs) * 1.04, draw: drawOutput},
    {title: 'Sensitivity, divergence', unit: '', low: 0, high: Math.max(1e-12, ...sensitivities) * 1.06, draw: drawSensitivity},
  ];
}

function drawPair(group, scale, y, weights, activations) {
  const values = [weights, activations].filter(isNumber);
  if (values.length === 2) {
    group.append(line(scale(values[0]), y, scale(values[1]), y, {stroke: 'var(--bars)', 'stroke-width': 2}));
  }
  // Equal values: the diamond is drawn first and a little larger, so its points show behind the circle.
  if (isNumber(activations)) group.append(mark('diamond', scale(activations), y, 'var(--activations)'));
  if (isNumber(weights)) group.append(mark('circle', scale(weights), y, 'var(--weights)'));
}

function drawBits(group, scale, y, layer) {
  drawPair(group, scale, y, layer.weights.bits, layer.activations && layer.activations.bits);
}

function drawSensitivity(group, scale, y, layer) {
  const values = [layer.weights.sensitivity, layer.activations && layer.activations.sensitivity].filter(isNumber);
  if (values.length) group.append(line(scale(0), y, scale(Math.max(...values)), y, {stroke: 'var(--bars)', 'stroke-width': 2}));
  drawPair(group, scale, y, layer.weights.sensitivity, layer.activations && layer.activations.sensitivity);
}

function drawOutput(group, scale, y, layer) {
  const [ours, nearest] = [layer.output_sqnr_db, layer.nearest_output_sqnr_db];
  if (isNumber(ours) && isNumber(nearest)) {
    group.append(line(scale(nearest), y, scale(ours), y, {stroke: 'var(--bars)', 'stroke-width': 2}));
  }
  if (isNumber(nearest)) group.append(mark('circle', scale(nearest), y, 'var(--output)', {hollow: true}));
  if (isNumber(ours)) group.append(mark('circle', scale(ours), y, 'var(--output)'));
}

function layerSummary(layer) {
  const activations = layer.activations;
  return `${layer.name} (${layer.type})\nweights ${layer.weights.bits} bits` +
      (activations ? `, activations ${activations.bits} bits` : '') +
      `\noutput SQNR ${decibels(layer.output_sqnr_db)}, nearest rounding ${decibels(layer.nearest_output_sqnr_db)}` +
      `\nsensitivity: weights ${number(layer.weights.sensitivity)}` +
      (activations ? `, activations ${number(activations.sensitivity)}` : '');
}

function drawLayers(container, width, layers, onSelect) {
  const panels = layerPanels(layers);
  const wide = width >= 640;
  const names = wide ? Math.min(210, width * 0.24) : Math.min(130, width * 0.36);
  container.replaceChildren(...(wide ? [panels] : panels.map((panel) => [panel])).map((group) => {
    const top = 26, bottom = 24, height = top + layers.length * ROW + bottom, gap = 28;
    const panelWidth = (width - names - gap * (group.length - 1) - 10) / group.length;
    const svg = canvas(width, height, group.map((panel) => panel.title).join('; ') + ', one row for each layer');
    const rows = shape('g');
    layers.forEach((layer, index) => {
      const row = shape('g', {class: 'row'}, tooltip(layerSummary(layer)));
      row.append(shape('rect', {class: 'row-hit', x: 0, y: top + index * ROW, width, height: ROW}));
      const link = shape('a', {href: '#explorer'}, text(0, top + (index + 0.5) * ROW + 4, shorten(layer.name, Math.floor((names - 10) / 6.6))));
      link.addEventListener('click', () => onSelect(index));
      row.append(link);
      rows.append(row);
    });
    const grid = shape('g');
    group.forEach((panel, column) => {
      const left = names + column * (panelWidth + gap);
      const scale = linear(panel.low, panel.high, left + 6, left + panelWidth - 6);
      grid.append(text(left + 6, 13, panel.title, {class: 'title'}));
      for (const tick of ticks(panel.low, panel.high, panel.unit === 'bits' ? 4 : Math.min(4, panelWidth / 62))) {
        grid.append(line(scale(tick), top, scale(tick), top + layers.length * ROW, {class: 'grid-line'}));
        grid.append(text(scale(tick), height - 8, number(tick), {'text-anchor': 'middle'}));
      }
      layers.forEach((layer, index) => panel.draw(rows.children[index], scale, top + (index + 0.5) * ROW, layer));
    });
    svg.append(grid, rows);
    return svg;
  }));
}

// ---- Plot 2: bits against predicted divergence, and below it, on the same axis, against the judged loss.

function drawCurve(container, width, curve, steps, metric, chosenBits) {
  const points = steps.map((step) => ({...step, bits: step.activation_bits ? (step.weight_bits + step.activation_bits) / 2 : step.weight_bits}))
                     .filter((step) => isNumber(step.bits));
  const front = curve.filter(([bits, divergence]) => isNumber(bits) && divergence > 0).sort((a, b) => a[0] - b[0]);
  const allBits = [...front.map(([bits]) => bits), ...points.map((point) => point.bits)];
  if (!allBits.length) {
    container.replaceChildren(element('p', {}, 'No candidate was judged, and no curve was recorded.'));
    return;
  }
  const [low, high] = [Math.floor(Math.min(...allBits) * 2 - 0.2) / 2, Math.ceil(Math.max(...allBits) * 2 + 0.2) / 2];
  const panels = [];
  const predicted = [...front.map(([, divergence]) => divergence), ...points.map((point) => point.predicted).filter((value) => value > 0)];
  if (predicted.length) panels.push('predicted');
  const judged = points.filter((point) => isNumber(point.loss));
  if (judged.length) panels.push('judged');
  const panelHeight = 220, spacing = 74, height = panels.length * (panelHeight + spacing) - 8;
  const svg = canvas(width, height, 'Bits a value against predicted divergence and against judged loss');
  panels.forEach((panel, index) => {
    const frame = {left: 56, right: width - 12, top: index * (panelHeight + spacing) + 30, bottom: index * (panelHeight + spacing) + 30 + panelHeight};
    const x = linear(low, high, frame.left, frame.right);
    const xTicks = ticks(low, high, Math.min(9, width / 70));
    const showsChosen = isNumber(chosenBits) && chosenBits >= low && chosenBits <= high;
    if (panel === 'predicted') {
      const [from, to] = [Math.min(...predicted) / 1.5, Math.max(...predicted) * 1.5];
      const y = logarithmic(from, to, frame.bottom, frame.top);
      axes(svg, frame, x, xTicks, y, powersOfTen(from, to), 'Predicted divergence', (value) => number(value, 1));
      if (front.length) {
        svg.append(shape('path', {d: front.map(([bits, value], i) => `${i ? 'L' : 'M'}${x(bits).toFixed(1)} ${y(value).toFixed(1)}`).join(''),
                                  fill: 'none', stroke: 'var(--ours)', 'stroke-width': 2}));
      }
      for (const point of points.filter((candidate) => candidate.predicted > 0)) {
        svg.append(withTitle(mark('circle', x(point.bits), y(point.predicted), 'var(--activations)', {hollow: true}), stepSummary(point, metric)));
      }
    } else {
      const losses = judged.map((point) => point.loss * metric.factor);
      const padding = Math.max(1e-9, (Math.max(0, ...losses) - Math.min(0, ...losses)) * 0.08);
      const [from, to] = [Math.min(0, ...losses) - padding, Math.max(0, ...losses) + padding];
      const y = linear(from, to, frame.bottom, frame.top);
      axes(svg, frame, x, xTicks, y, ticks(from, to, 5), `Judged loss, ${metric.lossUnit}`, (value) => number(value));
      svg.append(line(frame.left, y(0), frame.right, y(0), {class: 'axis'}));
      for (const point of judged) {
        svg.append(withTitle(mark('diamond', x(point.bits), y(point.loss * metric.factor), 'var(--activations)'), stepSummary(point, metric)));
      }
    }
    if (showsChosen) {
      svg.append(line(x(chosenBits), frame.top, x(chosenBits), frame.bottom, {stroke: 'var(--quiet)', 'stroke-dasharray': '2 3'}));
      const right = x(chosenBits) > (frame.left + frame.right) / 2;
      svg.append(text(x(chosenBits) + (right ? -6 : 6), frame.top + 12, 'this recipe', {'text-anchor': right ? 'end' : 'start'}));
    }
    svg.append(text(frame.right, frame.bottom + 36, 'bits a value', {'text-anchor': 'end'}));
  });
  container.replaceChildren(svg);
}

function stepSummary(step, metric) {
  return `weights ${fixed(step.weight_bits, 2)} bits, activations ${step.activation_bits ? fixed(step.activation_bits, 2) + ' bits' : 'not quantized'}\n` +
      `judged loss ${number(isNumber(step.loss) ? step.loss * metric.factor : null)} ${metric.lossUnit}, predicted ${number(step.predicted)}\n${step.note}`;
}

// ---- Plot 3: one tensor: histogram, fitted densities, and the levels of both grids below, on the same axis.

const FITS = ['normal', 'exponential', 'pareto', 'uniform', 'laplace', 'half-normal'];
const PAPER_FITS = FITS.slice(0, 4);
const DASHES = ['', '7 3', '2 3', '9 3 2 3', '5 2', '1 2'];
const fitStyle = (name) => {
  const index = Math.max(0, FITS.indexOf(name));
  return {stroke: `var(--fit-${index})`, 'stroke-dasharray': DASHES[index] || null, 'stroke-width': 2, fill: 'none'};
};

function uniformLevels(uniform) {
  const levels = [];
  for (let i = -uniform.negative_levels; i <= uniform.positive_levels; ++i) levels.push(i * uniform.step);
  return levels;
}

function nearestLevel(levels, value) {
  return levels.reduce((best, level) => Math.abs(level - value) < Math.abs(best - value) ? level : best, levels[0]);
}

function drawTensor(container, width, view, options) {
  const frame = {left: 52, right: width - 12, top: 26, bottom: 276};
  const strips = [
    {label: `Exponential levels (${view.levels.length})`, sqnr: view.sqnr_db, levels: view.levels, thresholds: view.thresholds, color: 'var(--ours)'},
  ];
  if (view.uniform.step > 0) {
    const levels = uniformLevels(view.uniform);
    strips.push({label: `Best clipped uniform grid (${levels.length})`, sqnr: view.uniform.sqnr_db, levels, thresholds: [], color: 'var(--uniform)'});
  }
  const stripHeight = 46, axisY = frame.bottom + strips.length * stripHeight + 14, height = axisY + 40;
  const svg = canvas(width, height, `Histogram of ${options.name} with its levels, fitted distributions and the uniform grid`);
  const x = linear(view.low, view.high, frame.left, frame.right);
  const binWidth = (view.high - view.low) / view.counts.length;
  const nonzero = view.values - view.zeros;
  const highest = Math.max(1, ...view.counts);
  const y = options.log ? ((scale) => (value) => scale(Math.max(value, 0.5)))(logarithmic(0.5, highest * 1.6, frame.bottom, frame.top))
                        : linear(0, highest * 1.08, frame.bottom, frame.top);
  for (const tick of options.log ? powersOfTen(1, highest * 1.6) : ticks(0, highest * 1.08, 4)) {
    svg.append(line(frame.left, y(tick), frame.right, y(tick), {class: 'grid-line'}));
    svg.append(text(frame.left - 8, y(tick) + 4, compact(tick), {'text-anchor': 'end'}));
  }
  svg.append(text(0, 12, `Values per bin, ${view.counts.length} bins`, {class: 'title'}));

  let outline = `M${x(view.low)} ${frame.bottom}`;
  view.counts.forEach((value, index) => {
    const top = value > 0 ? y(value) : frame.bottom;
    outline += `V${top.toFixed(1)}H${x(view.low + (index + 1) * binWidth).toFixed(1)}`;
  });
  svg.append(shape('path', {d: outline + `V${frame.bottom}Z`, fill: 'var(--bars)'}));
  if (strips[0].levels.length <= 40) {
    for (const level of view.levels) {
      svg.append(line(x(level), frame.top, x(level), frame.bottom, {stroke: 'var(--ours)', 'stroke-width': 1, opacity: 0.3}));
    }
  }

  svg.append(shape('clipPath', {id: 'inside'}, shape('rect', {x: frame.left, y: frame.top, width: frame.right - frame.left, height: frame.bottom - frame.top})));
  for (const fit of view.fits.filter((candidate) => options.fits.has(candidate.name))) {
    const step = (view.high - view.low) / fit.density.length;
    const path = fit.density.map((density, index) => {
      const expected = Math.min(isNumber(density) ? density * nonzero * binWidth : 0, highest * 50);
      return `${index ? 'L' : 'M'}${x(view.low + (index + 0.5) * step).toFixed(1)} ${y(expected).toFixed(1)}`;
    });
    svg.append(withTitle(shape('path', {d: path.join(''), 'clip-path': 'url(#inside)', ...fitStyle(fit.name)}), fit.name));
  }
  svg.append(line(frame.left, frame.bottom, frame.right, frame.bottom, {class: 'axis'}));

  strips.forEach((strip, index) => {
    const top = frame.bottom + 12 + index * stripHeight;
    svg.append(text(frame.left, top + 11, `${strip.label}, ${decibels(strip.sqnr)}`, {class: 'label'}));
    const [tickTop, tickBottom] = [top + 18, top + 36];
    svg.append(line(frame.left, tickBottom, frame.right, tickBottom, {class: 'grid-line'}));
    if (options.thresholds) {
      for (const threshold of strip.thresholds) {
        svg.append(line(x(threshold), tickBottom - 6, x(threshold), tickBottom, {stroke: 'var(--quiet)', 'stroke-width': 1, opacity: 0.7}));
      }
    }
    for (const level of strip.levels) {
      if (level < view.low || level > view.high) continue;
      const attributes = {stroke: strip.color, 'stroke-width': strip.levels.length > 64 ? 1 : 2};
      svg.append(withTitle(line(x(level), tickTop, x(level), tickBottom, attributes), number(level, 4)));
    }
  });
  svg.append(line(frame.left, axisY, frame.right, axisY, {class: 'axis'}));
  for (const tick of ticks(view.low, view.high, Math.min(9, width / 75))) {
    svg.append(line(x(tick), axisY, x(tick), axisY + 4, {class: 'axis'}));
    svg.append(text(x(tick), axisY + 18, number(tick), {'text-anchor': 'middle'}));
  }
  svg.append(text(frame.right, axisY + 35, options.isWeights ? 'weight ÷ channel scale' : 'activation value', {'text-anchor': 'end'}));
  addReadout(svg, view, x, frame, axisY, binWidth, strips, options.onRead);
  container.replaceChildren(svg);
}

function compact(value) {
  return value.toLocaleString('en', {notation: 'compact', maximumFractionDigits: 1});
}

// A cursor over the plot, by pointer or by the arrow keys, that reads one bin out.
function addReadout(svg, view, x, frame, bottom, binWidth, strips, onRead) {
  const cursor = line(0, frame.top, 0, bottom, {stroke: 'var(--text)', 'stroke-width': 1, visibility: 'hidden'});
  svg.append(cursor);
  let bin = Math.floor(view.counts.length / 2);
  const read = (index) => {
    bin = Math.min(view.counts.length - 1, Math.max(0, index));
    const middle = view.low + (bin + 0.5) * binWidth;
    cursor.setAttribute('x1', x(middle));
    cursor.setAttribute('x2', x(middle));
    cursor.setAttribute('visibility', 'visible');
    const becomes = strips.map((strip, i) => `${number(nearestLevel(strip.levels, middle))} on ${i ? 'the uniform grid' : 'our levels'}`);
    onRead(`Around ${number(middle)}: ${count(view.counts[bin])} values; becomes ${becomes.join(', ')}.`);
  };
  svg.addEventListener('pointermove', (event) => {
    const position = event.clientX - svg.getBoundingClientRect().left;
    read(Math.floor((x.invert(position) - view.low) / binWidth));
  });
  svg.addEventListener('pointerleave', () => cursor.setAttribute('visibility', 'hidden'));
  svg.setAttribute('tabindex', '0');
  svg.addEventListener('keydown', (event) => {
    const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!move) return;
    event.preventDefault();
    read(bin + move);
  });
}
