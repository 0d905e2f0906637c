// The simulator's page: tables and plots of one document (accelerator_document.h). Text goes in as text, never as markup.

const data = JSON.parse(document.getElementById('report-data').textContent);
const baseline = data.designs[0];
const DASH = '–';

const times = (value) => isNumber(value) ? `${fixed(value, 2)}×` : DASH;
const percent = (value) => isNumber(value) ? `${fixed(100 * value, 0)} %` : DASH;
const spoken = (key) => key.replaceAll('_', ' ');

// Base unit to a readable one; the same for all values of a plot or column, chosen by the largest.
function unitFor(largest, units) {
  return units.findLast(([factor]) => largest >= factor) || units[0];
}
const ENERGY = [[1, 'pJ'], [1e3, 'nJ'], [1e6, 'µJ'], [1e9, 'mJ'], [1e12, 'J']];
const AREA = [[1, 'µm²'], [1e6, 'mm²']];
const BYTES = [[1, 'B'], [1e3, 'kB'], [1e6, 'MB'], [1e9, 'GB']];
const CYCLES = [[1, 'cycles'], [1e3, 'thousand cycles'], [1e6, 'million cycles']];

// ---- Stacked bars, one a row

function swatches(list, keys, colors) {
  list.replaceChildren(...keys.map((key, index) => {
    const swatch = shape('svg', {width: 16, height: 12, 'aria-hidden': 'true'}, shape('rect', {width: 14, height: 12, fill: colors[index]}));
    return element('li', {}, swatch, spoken(key));
  }));
}

// rows: {name, parts: {key: value}, note}. Narrow pages have the name above its bar.
function drawBars(container, width, rows, keys, colors, units, label) {
  const total = (row) => keys.reduce((sum, key) => sum + (row.parts[key] || 0), 0);
  const largest = Math.max(...rows.map(total), 1e-12);
  const [factor, unit] = unitFor(largest, units);
  const wide = width >= 640;
  const names = wide ? Math.min(220, width * 0.26) : 0, noteWidth = wide ? 150 : 0;
  const rowHeight = wide ? 22 : 38, top = 26, bottom = 24, height = top + rows.length * rowHeight + bottom;
  const x = linear(0, largest, names, width - noteWidth - 12);
  const svg = canvas(width, height, label);
  svg.append(text(names, 13, unit, {class: 'title'}));
  for (const tick of ticks(0, largest / factor, Math.max(2, Math.min(6, (width - names) / 90)))) {
    svg.append(line(x(tick * factor), top, x(tick * factor), height - bottom, {class: 'grid-line'}));
    svg.append(text(x(tick * factor), height - 8, number(tick), {'text-anchor': 'middle'}));
  }
  rows.forEach((row, index) => {
    const y = top + index * rowHeight;
    const group = shape('g', {class: 'row'}, tooltip([row.name, ...keys.map((key) => `${spoken(key)}: ${number((row.parts[key] || 0) / factor)} ${unit}`)].join('\n')));
    group.append(shape('rect', {class: 'row-hit', x: 0, y, width, height: rowHeight}));
    group.append(text(0, y + 15, shorten(row.name, Math.floor((wide ? names - 10 : width) / 7.2)), {class: 'label'}));
    const barTop = wide ? y + 4 : y + 20;
    let at = 0;
    keys.forEach((key, part) => {
      const value = row.parts[key] || 0;
      if (value > 0) group.append(shape('rect', {x: x(at), y: barTop, width: Math.max(0.5, x(at + value) - x(at)), height: 14, fill: colors[part]}));
      at += value;
    });
    if (wide) group.append(text(x(at) + 6, y + 15, row.note || '', {class: 'value'}));
    else group.append(text(width - 4, y + 15, row.note || '', {class: 'value', 'text-anchor': 'end'}));
    svg.append(group);
  });
  container.replaceChildren(svg);
}

const palette = (count) => Array.from({length: count}, (_, index) => `var(--part-${index % 10})`);

function showBars(id, field, units, note) {
  const keys = [...new Set(data.designs.flatMap((design) => Object.keys(design[field])))].filter((key) => key !== 'total');
  const used = keys.filter((key) => data.designs.some((design) => design[field][key] > 0));
  const rows = data.designs.map((design) => ({name: starred(design), parts: design[field], note: note(design)}));
  swatches(find(`#${id}-legend`), used, palette(used.length));
  responsive(find(`#${id}-plot`), (width) => drawBars(find(`#${id}-plot`), width, rows, used, palette(used.length), units, `${id} of each design`));
  return used;
}

// ---- Summary

const SPLIT = ['compute', 'memory_stall', 'post_processing', 'drain'];

function largestPart(split) {
  const key = SPLIT.reduce((best, candidate) => split[candidate] > split[best] ? candidate : best);
  return `${spoken(key)} ${percent(split[key] / Math.max(1, split.total))}`;
}

// A star: the figures are of as many bits in other codes than the network's.
const isForeign = (design) => Boolean(design.codes) && !design.codes.own;
const starred = (design) => design.design + (isForeign(design) ? ' *' : '');

function codesText({design, codes}) {
  return `* ${design}: not ${data.recipe ? 'this recipe’s' : 'the fitted'} codes in ${codes.foreign_layers} of ${codes.layers} layers (${codes.reasons.join('; ')}). ` +
      `It runs as many bits in codes of its own, whose accuracy is another: those of ${codes.wanted}.`;
}

function accuracyText({metric}) {
  if (!metric) return 'The recipe’s accuracy was not judged.';
  if (!isNumber(metric.exact)) return `The recipe’s ${metric.name}: ${number(metric.reference, 4)} in FP32; its exact emission, which the designs compute, was not judged.`;
  return `The recipe’s ${metric.name}: ${number(metric.reference, 4)} in FP32, ${number(metric.exact, 4)} in its own codes, as the designs without a star compute them.`;
}

// The paper's averages as stored bits and as exponent bits, side by side.
function showReadings() {
  const {readings} = data;
  if (!readings.length) return find('#readings').remove();
  const figures = (own) => own.error ? 'not possible' : `${times(own.speed)} / ${times(own.energy)} / ${times(own.area)}`;
  table(find('#readings table'),
        [['Design', 'text'], ...readings.map((reading) => [`Read as ${reading.bits_are} bits: ${fixed(reading.weight_bits, 2)} / ${fixed(reading.activation_bits, 2)} stored`])],
        readings[0].designs.map((own, index) => [own.design, ...readings.map((reading) => figures(reading.designs[index]))]));
}

function laneText({design, lane}) {
  return `Lanes of ${design}: ` + [
    lane.exponent_bits ? `${lane.exponent_bits} exponent bits` : '', lane.q ? `q = ${lane.q}` : '',
    `${lane.counter_bits}-bit counters or accumulators${lane.storage === 'sram' ? ' in SRAM' : ''}`, lane.variant,
  ].filter(Boolean).join(', ');
}

function summarize() {
  const {workload, config} = data;
  document.title = `${workload.name}: dnateq simulate`;
  find('#network').textContent = workload.name;
  find('#run').textContent = [
    workload.origin, `batch ${workload.batch}`, `${workload.layers.length} layers`, `${number(workload.macs / 1e9)} GMAC`,
    `${number(workload.weights / 1e6)} M weights`, `${fixed(workload.weight_bits, 2)} / ${fixed(workload.activation_bits, 2)} stored bits (weights / activations)`,
  ].join(' · ');
  const others = data.designs.slice(1).filter((design) => !isForeign(design));  // the others are of another network, strictly
  const best = (key) => others.reduce((a, b) => (b.against_int8[key] || 0) > (a.against_int8[key] || 0) ? b : a);
  find('#lead').textContent = others.length
      ? `Of the exponential designs ${best('speed').design} is the fastest on this machine (${times(best('speed').against_int8.speed)} INT8’s speed), ` +
        `${best('energy').design} takes the least energy (INT8 takes ${times(best('energy').against_int8.energy)} as much) ` +
        `and ${best('area').design} the least area (INT8 takes ${times(best('area').against_int8.area)} as much). ` +
        `DNA-TEQ reports ${data.claims.speed}× and ${data.claims.energy}× on a machine whose details are not known here; ` +
        `${config.assumed.length} of this one’s ${Object.keys(config.sources).length} numbers are assumed.`
      : data.designs.length > 1 ? 'None of the exponential designs here runs these codes as they are (*).' : 'INT8 alone was simulated.';
  const [energyFactor, energyUnit] = unitFor(Math.max(...data.designs.map((d) => d.total_energy_pj)), ENERGY);
  const [byteFactor, byteUnit] = unitFor(Math.max(...data.designs.map((d) => d.bytes.total)), BYTES);
  table(find('#designs'),
        [['Design', 'text'], ['Cycles'], ['Time, ms'], ['Speed, times'], [`DRAM, ${byteUnit}`], [`Energy, ${energyUnit}`], ['Energy, times'],
         ['Area, mm²'], ['Area, times'], ['MAC a cycle, of peak'], ['Most of the time', 'text']],
        data.designs.map((design) => [
          starred(design), count(design.cycles), number(design.time_ms), times(design.against_int8.speed), number(design.bytes.total / byteFactor),
          number(design.total_energy_pj / energyFactor), times(design.against_int8.energy), number(design.total_area_um2 / 1e6), times(design.against_int8.area),
          `${number(design.macs / Math.max(1, design.cycles))} (${percent(design.macs / Math.max(1, design.cycles) / design.peak_macs_per_cycle)})`,
          largestPart(design.cycle_split)]));
  for (const row of find('#designs').tBodies[0].rows) {
    for (const [column, claim] of [[3, data.claims.speed], [6, data.claims.energy]]) {
      if (parseFloat(row.cells[column].textContent) >= claim) row.cells[column].classList.add('good');
    }
  }
  const origins = new Map();
  for (const layer of workload.layers) {
    for (const operand of ['weights', 'activations']) {
      const key = `${operand}: ${layer[operand].origin}`;
      origins.set(key, (origins.get(key) || 0) + 1);
    }
  }
  find('#origins').append(...data.designs.filter(isForeign).map((design) => element('li', {}, codesText(design))),
                          ...(data.recipe ? [element('li', {}, accuracyText(data.recipe))] : []),
                          ...[...origins].map(([origin, layers]) => element('li', {}, `Bits of ${origin} (${layers} layers)`)),
                          ...data.designs.filter((design) => design.lane).map((design) => element('li', {}, laneText(design))),
                          ...workload.notes.map((note) => element('li', {}, note)),
                          ...workload.left_out.map((layer) => element('li', {}, `Not simulated: ${layer}`)));
}

// ---- Energy, bytes, area

function showTotals() {
  const parts = showBars('energy', 'energy_pj', ENERGY, (design) => times(design.against_int8.energy));
  showBars('traffic', 'bytes', BYTES, (design) => times(design.against_int8.dram_bytes));
  showBars('area', 'area_um2', AREA, (design) => times(design.against_int8.area));
  const [factor, unit] = unitFor(Math.max(...data.designs.map((design) => design.total_energy_pj)), ENERGY);
  table(find('#energy-table'), [[`Component, ${unit}`, 'text'], ...data.designs.map((design) => [design.design])],
        [...parts.map((part) => [spoken(part), ...data.designs.map((design) => number((design.energy_pj[part] || 0) / factor))]),
         ['total', ...data.designs.map((design) => number(design.total_energy_pj / factor))]]);
}

// ---- Layers and roofline

let chosen = data.designs[Math.min(1, data.designs.length - 1)];
const redraws = [];

function showLayers() {
  const select = find('#layer-design');
  select.append(...data.designs.map((design, index) => element('option', {value: index}, starred(design))));
  select.value = String(data.designs.indexOf(chosen));
  select.addEventListener('change', () => {
    chosen = data.designs[Number(select.value)];
    layerTable();
    for (const redraw of redraws) redraw();
  });
  swatches(find('#layer-legend'), SPLIT, palette(SPLIT.length));
  redraws.push(responsive(find('#layer-plot'), (width) => {
    const rows = chosen.layers.map((layer) => ({name: layer.name, parts: layer.cycles, note: `${layer.bound} ${layer.weight_bits}/${layer.activation_bits} b`}));
    drawBars(find('#layer-plot'), width, rows, SPLIT, palette(SPLIT.length), CYCLES, `Cycles of each layer, ${chosen.design}`);
  }));
  redraws.push(responsive(find('#roofline-plot'), drawRoofline));
  layerTable();
}

function layerTable() {
  const [factor, unit] = unitFor(Math.max(...chosen.layers.map((layer) => layer.total_energy_pj)), ENERGY);
  table(find('#layer-table'),
        [['Layer', 'name'], ['MACs'], ['Bits w / a'], ['Cycles'], ['Computing'], ['Stall'], ['Post'], ['Drain'], ['Binds', 'text'],
         ['Weights, B'], ['Inputs, B'], ['Outputs, B'], [`Energy, ${unit}`], ['Flushes']],
        chosen.layers.map((layer) => [
          layer.name, count(layer.macs), `${layer.weight_bits} / ${layer.activation_bits}`, count(layer.cycles.total), count(layer.cycles.compute),
          count(layer.cycles.memory_stall), count(layer.cycles.post_processing), count(layer.cycles.drain), layer.bound, count(layer.bytes.weights),
          count(layer.bytes.inputs), count(layer.bytes.outputs), number(layer.total_energy_pj / factor), count(layer.flushes)]));
}

function drawRoofline(width) {
  const container = find('#roofline-plot');
  const drawn = (design) => design.layers.filter((layer) => layer.macs_per_dram_byte > 0 && layer.macs_per_cycle > 0);
  const series = chosen === baseline ? [chosen] : [baseline, chosen];
  const points = series.flatMap(drawn);
  if (!points.length) return container.replaceChildren(element('p', {}, 'No layer moves bytes to or from DRAM.'));
  const ridge = chosen.peak_macs_per_cycle / chosen.dram_bytes_per_cycle;
  const xs = [...points.map((point) => point.macs_per_dram_byte), ridge], ys = [...points.map((point) => point.macs_per_cycle), chosen.peak_macs_per_cycle, baseline.peak_macs_per_cycle];
  const [low, high] = [Math.min(...xs) / 1.6, Math.max(...xs) * 1.6], [bottom, top] = [Math.min(...ys) / 1.8, Math.max(...ys) * 1.8];
  const frame = {left: 56, right: width - 12, top: 30, bottom: 330};
  const svg = canvas(width, frame.bottom + 44, 'MACs a byte of DRAM against MACs a cycle');
  const x = logarithmic(low, high, frame.left, frame.right), y = logarithmic(bottom, top, frame.bottom, frame.top);
  axes(svg, frame, x, powersOfTen(low, high), y, powersOfTen(bottom, top), 'MACs a cycle', (value) => number(value, 1));
  svg.append(text(frame.right, frame.bottom + 36, 'MACs a byte of DRAM', {'text-anchor': 'end'}));
  series.forEach((design) => {
    const own = design === chosen, color = own ? 'var(--activations)' : 'var(--ours)';
    const at = (value) => Math.min(design.peak_macs_per_cycle, design.dram_bytes_per_cycle * value);
    const knee = Math.min(high, Math.max(low, design.peak_macs_per_cycle / design.dram_bytes_per_cycle));
    const path = [low, knee, high].map((value, i) => `${i ? 'L' : 'M'}${x(value).toFixed(1)} ${y(Math.max(bottom, at(value))).toFixed(1)}`).join('');
    svg.append(shape('path', {d: path, fill: 'none', stroke: color, 'stroke-width': 2, 'stroke-dasharray': own ? null : '5 4'}));
    for (const layer of drawn(design)) {
      svg.append(withTitle(mark(own ? 'diamond' : 'circle', x(layer.macs_per_dram_byte), y(layer.macs_per_cycle), color, {hollow: !own}),
                           `${layer.name}, ${design.design}\n${number(layer.macs_per_dram_byte)} MACs a byte, ${number(layer.macs_per_cycle)} MACs a cycle\nbound by ${layer.bound}`));
    }
  });
  legend(find('#roofline-legend'), [
    ...(chosen === baseline ? [] : [['circle', 'var(--ours)', true, 'int8']]), ['diamond', 'var(--activations)', false, chosen.design]]);
  container.replaceChildren(svg);
}

// ---- The check

function showCheck() {
  const rows = data.designs.slice(1).map((design) => {
    const check = design.share_check;
    const verdict = check.holds ? 'holds here' : isNumber(check.pe_share_needed) ? 'asks for a larger share' : 'no share is enough';
    return [starred(design), percent(check.pe_share_of_int8), number(check.pe_energy_ratio), number(check.other_energy_ratio), percent(check.pe_share_needed), times(design.against_int8.energy), verdict];
  });
  table(find('#shares'), [['Design', 'text'], ['Share of INT8’s energy in its PEs, s'], ['Inside, e'], ['Outside, m'], ['Share needed'], ['Energy, times'], ['Verdict', 'text']], rows);
}

// ---- The machine

function showNumbers() {
  const {config} = data, assumed = new Set(config.assumed);
  find('#assumptions-text').textContent = `${config.file || 'Built-in configuration'}. Lanes: ${config.sizing}; counters in ${config.counters}. Energies of the processing elements: ` +
      `${config.energies.file}, ${config.energies.technology} (${config.energies.source}), energy scaled by ${number(config.energies.energy_scale)}, ` +
      `area by ${number(config.energies.area_scale)}, delay by ${number(config.energies.delay_scale)}.`;
  const show = () => table(find('#numbers'), [['Key', 'text'], ['Value'], ['Source', 'wrap']],
      Object.entries(config.values).filter(([key]) => !find('#only-assumed').checked || assumed.has(key))
          .map(([key, value]) => [key, number(value, 6), config.sources[key] || DASH]));
  find('#only-assumed').addEventListener('change', show);
  show();
}

// ---- The map

const FIGURES = [['speed', 'speed over INT8', data.claims.speed], ['energy', 'energy, INT8 over design', data.claims.energy], ['area', 'area, INT8 over design', 1]];

function showMap() {
  const sweep = data.sweep;
  if (!sweep) {
    find('#map').remove();
    find('nav a[href="#map"]').remove();
    return;
  }
  const names = [...new Set(sweep.points.flatMap((point) => point.designs.map((own) => own.design)))].filter((name) => name !== 'int8');
  const errors = new Map();
  for (const point of sweep.points) for (const own of point.designs) if (own.error && !errors.has(own.design)) errors.set(own.design, own.error);
  find('#map-errors').textContent = [
    ...[...errors].map(([design, error]) => `${design} is not possible at some points: ${error}.`),
    ...data.designs.filter(isForeign).map(codesText),
  ].join(' ');
  find('#map-design').append(...names.map((name) => element('option', {}, name)));
  find('#map-figure').append(...FIGURES.map(([key, label]) => element('option', {value: key}, label)));
  const axesShown = sweep.axes.filter((axis) => axis.values.length > 1).slice(-2);
  const shown = axesShown.length ? axesShown : sweep.axes.slice(-1);
  const place = (axis) => sweep.axes.indexOf(axis);
  const fixedAt = new Map();
  for (const axis of sweep.axes.filter((candidate) => !shown.includes(candidate))) {
    const select = element('select', {}, ...axis.values.map((value, index) => element('option', {value: index}, number(value, 6))));
    fixedAt.set(place(axis), () => axis.values[Number(select.value)]);
    find('#map-fixed').append(element('label', {}, axis.key, ' ', select));
  }
  const selected = () => sweep.points.filter((point) => [...fixedAt].every(([index, value]) => point.at[index] === value()));
  const single = shown.length === 1;
  find('#map-text').textContent = single
      ? `Speed and energy against INT8 on the same machine, over ${shown[0].key}. Dashed: what DNA-TEQ reports.`
      : `Each cell is one machine and network. Outlined: the paper’s figure is reached (speed ${data.claims.speed}×, energy ${data.claims.energy}×; area: smaller than INT8).`;
  if (single) find('#map-design-label').remove();
  const redraw = responsive(find('#map-plot'), (width) => single
      ? drawLines(width, selected(), shown[0], place(shown[0]), names) : drawHeat(width, selected(), shown, shown.map(place)));
  for (const select of find('#map').querySelectorAll('select')) select.addEventListener('change', redraw);
}

const figure = () => FIGURES.find(([key]) => key === find('#map-figure').value);

function drawLines(width, points, axis, index, names) {
  const [key, label, claim] = figure();
  const values = points.flatMap((point) => point.designs.map((own) => own[key])).filter(isNumber);
  const container = find('#map-plot');
  if (!values.length) return container.replaceChildren(element('p', {}, 'No point of the sweep is possible.'));
  const frame = {left: 48, right: width - 12, top: 30, bottom: 300};
  const top = Math.max(...values, claim) * 1.08, low = Math.min(...axis.values), high = Math.max(...axis.values);
  const svg = canvas(width, frame.bottom + 44, `${label} over ${axis.key}`);
  const x = linear(low, high, frame.left, frame.right), y = linear(0, top, frame.bottom, frame.top);
  axes(svg, frame, x, ticks(low, high, Math.min(9, width / 75)), y, ticks(0, top, 6), label, (value) => number(value));
  svg.append(text(frame.right, frame.bottom + 36, axis.key, {'text-anchor': 'end'}));
  svg.append(line(frame.left, y(claim), frame.right, y(claim), {stroke: 'var(--quiet)', 'stroke-dasharray': '5 4'}));
  names.forEach((name, series) => {
    const found = points.map((point) => [point.at[index], point.designs.find((own) => own.design === name)]).filter(([, own]) => own && isNumber(own[key]));
    const color = `var(--fit-${series % 6})`;
    svg.append(shape('path', {d: found.map(([at, own], i) => `${i ? 'L' : 'M'}${x(at).toFixed(1)} ${y(own[key]).toFixed(1)}`).join(''), fill: 'none', stroke: color, 'stroke-width': 2}));
    for (const [at, own] of found) svg.append(withTitle(mark(series % 2 ? 'diamond' : 'circle', x(at), y(own[key]), color, {hollow: series > 1}), `${name}\n${axis.key} ${number(at, 6)}: ${times(own[key])}`));
  });
  legend(find('#map-legend'), names.map((name, series) => [series % 2 ? 'diamond' : 'circle', `var(--fit-${series % 6})`, series > 1, name]));
  container.replaceChildren(svg);
}

function drawHeat(width, points, [rows, columns], [rowIndex, columnIndex]) {
  const [key, label, claim] = figure(), name = find('#map-design').value;
  const left = 64, top = 30, cellWidth = (width - left - 6) / columns.values.length;
  const cellHeight = Math.max(14, Math.min(34, 420 / rows.values.length));
  const height = top + rows.values.length * cellHeight + 44;
  const svg = canvas(width, height, `${label} over ${rows.key} and ${columns.key}`);
  svg.append(text(0, 14, rows.key, {class: 'title'}));
  svg.append(text(width - 6, height - 6, columns.key, {class: 'title', 'text-anchor': 'end'}));
  const outlines = shape('g');
  const numbers = points.map((point) => (point.designs.find((own) => own.design === name) || {})[key]).filter(isNumber);
  const span = Math.max(Math.log(1.05), ...numbers.map((value) => Math.abs(Math.log(value))));
  for (const point of points) {
    const own = point.designs.find((candidate) => candidate.design === name);
    const row = rows.values.indexOf(point.at[rowIndex]), column = columns.values.indexOf(point.at[columnIndex]);
    const at = {x: left + column * cellWidth, y: top + (rows.values.length - 1 - row) * cellHeight, width: cellWidth, height: cellHeight};
    const value = own && isNumber(own[key]) ? own[key] : null;
    const strength = value === null ? 0 : Math.round(70 * Math.abs(Math.log(value)) / span);
    const fill = value === null ? 'var(--panel)' : `color-mix(in srgb, ${value >= 1 ? 'var(--ours)' : 'var(--activations)'} ${strength}%, var(--page))`;
    const title = `${rows.key} ${number(point.at[rowIndex], 6)}, ${columns.key} ${number(point.at[columnIndex], 6)}\n${name}: ${value === null ? (own && own.error) || 'no figure' : times(value)}`;
    svg.append(withTitle(shape('rect', {...at, class: 'cell', fill}), title));
    if (cellWidth >= 38) svg.append(text(at.x + cellWidth / 2, at.y + cellHeight / 2 + 4, value === null ? '×' : fixed(value, 2), {'text-anchor': 'middle', class: 'value', 'pointer-events': 'none'}));
    if (value !== null && value >= claim) outlines.append(shape('rect', {x: at.x + 2, y: at.y + 2, width: Math.max(1, cellWidth - 4), height: cellHeight - 4, class: 'holds', 'pointer-events': 'none'}));
  }
  rows.values.forEach((value, row) => {
    if (row % Math.ceil(16 / cellHeight) === 0) svg.append(text(left - 8, top + (rows.values.length - 1 - row + 0.5) * cellHeight + 4, number(value, 4), {'text-anchor': 'end'}));
  });
  const every = Math.ceil(44 / cellWidth);
  columns.values.forEach((value, column) => {
    if (column % every === 0) svg.append(text(left + (column + 0.5) * cellWidth, height - 28, number(value, 4), {'text-anchor': 'middle'}));
  });
  svg.append(outlines);
  legend(find('#map-legend'), [['line', 'var(--ours)', false, `${label}: above 1`], ['line', 'var(--activations)', false, 'below 1'], ['line', 'var(--text)', false, `outlined: at least ${claim}×`]]);
  find('#map-plot').replaceChildren(svg);
}

summarize();
showReadings();
showMap();
showTotals();
showLayers();
showCheck();
showNumbers();
