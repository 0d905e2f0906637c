'use strict';
// Drawing, for every page: elements, numbers, scales, axes, tables. A plot fills its container's width and is drawn again
// when that changes.

function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// ---- Numbers. null, from C++'s NaN, reads "not measured" everywhere.

const MISSING = 'not measured';
const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

function number(value, digits = 3) {
  if (!isNumber(value)) return MISSING;
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) {
    const [mantissa, exponent] = value.toExponential(Math.max(0, digits - 1)).split('e');
    const raised = String(Number(exponent)).replace(/./g, (c) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(c)]);
    return `${mantissa.replace('-', '−')}·10${raised}`;
  }
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return value.toLocaleString('en', {maximumFractionDigits: Math.min(decimals, 12)}).replace('-', '−');
}

function fixed(value, decimals) {
  return isNumber(value) ? value.toFixed(decimals).replace('-', '−') : MISSING;
}

const decibels = (value) => isNumber(value) ? `${fixed(value, 1)} dB` : MISSING;

function bytes(value) {
  if (!value) return MISSING;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let scaled = value, unit = 0;
  while (scaled >= 999.5 && unit < units.length - 1) scaled /= 1000, ++unit;
  return `${unit === 0 ? scaled : number(scaled)}\u00a0${units[unit]}`;
}

const count = (value) => isNumber(value) ? Math.round(value).toLocaleString('en') : MISSING;

function shorten(text, length) {
  const characters = [...text];
  if (characters.length <= length) return text;
  const head = Math.floor((length - 1) / 3);
  return characters.slice(0, head).join('') + '…' + characters.slice(characters.length - (length - 1 - head)).join('');
}

// ---- Scales

function linear(from, to, low, high) {
  const scale = (value) => low + (value - from) / (to - from || 1) * (high - low);
  scale.invert = (position) => from + (position - low) / (high - low || 1) * (to - from);
  return scale;
}

function logarithmic(from, to, low, high) {
  return (value) => low + Math.log(value / from) / Math.log(to / from) * (high - low);
}

function ticks(from, to, wanted) {
  const raw = (to - from) / Math.max(1, wanted) || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((multiple) => multiple * power).find((candidate) => candidate >= raw * 0.999);
  const list = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-9; ++i) list.push(i * step + 0);  // + 0: no −0
  return list;
}

function powersOfTen(from, to) {
  const list = [];
  for (let i = Math.ceil(Math.log10(from) - 1e-9); 10 ** i <= to * 1.0001; ++i) list.push(10 ** i);
  const every = Math.ceil(list.length / 6);
  return list.filter((_, index) => index % every === 0);
}

function mark(kind, x, y, color, options = {}) {
  const common = {fill: options.hollow ? 'var(--page)' : color, stroke: color, 'stroke-width': 1.5};
  if (kind === 'diamond') {
    return shape('path', {...common, d: `M${x} ${y - 5.2}L${x + 5.2} ${y}L${x} ${y + 5.2}L${x - 5.2} ${y}Z`});
  }
  return shape('circle', {...common, cx: x, cy: y, r: 4});
}

const text = (x, y, content, attributes = {}) => shape('text', {x, y, ...attributes}, content);
const line = (x1, y1, x2, y2, attributes) => shape('line', {x1, y1, x2, y2, ...attributes});
const tooltip = (content) => shape('title', {}, content);

function canvas(width, height, label) {
  return shape('svg', {width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label});
}

function legend(list, entries) {
  list.replaceChildren(...entries.map(([kind, color, hollow, label]) => {
    const swatch = shape('svg', {width: 22, height: 14, 'aria-hidden': 'true'});
    swatch.append(kind === 'line' ? line(1, 7, 21, 7, {stroke: color, 'stroke-width': 2}) : mark(kind, 11, 7, color, {hollow}));
    return element('li', {}, swatch, label);
  }));
}

// Draws now and whenever the container's width changes; returns the function that draws.
function responsive(container, draw) {
  let width = 0;
  const redraw = () => {
    width = container.clientWidth;
    if (width > 0) draw(width);
  };
  new ResizeObserver(() => {
    if (container.clientWidth !== width) redraw();
  }).observe(container);
  redraw();
  return redraw;
}

function axes(svg, frame, xScale, xTicks, yScale, yTicks, yLabel, formatY) {
  for (const tick of yTicks) {
    svg.append(line(frame.left, yScale(tick), frame.right, yScale(tick), {class: 'grid-line'}));
    svg.append(text(frame.left - 8, yScale(tick) + 4, formatY(tick), {'text-anchor': 'end'}));
  }
  svg.append(line(frame.left, frame.bottom, frame.right, frame.bottom, {class: 'axis'}));
  for (const tick of xTicks) {
    svg.append(line(xScale(tick), frame.bottom, xScale(tick), frame.bottom + 4, {class: 'axis'}));
    svg.append(text(xScale(tick), frame.bottom + 18, number(tick), {'text-anchor': 'middle'}));
  }
  svg.append(text(frame.left - 48, frame.top - 12, yLabel, {class: 'title'}));
}

function withTitle(node, content) {
  node.append(tooltip(content));
  return node;
}

// ---- Tables

function cell(tag, content, attributes = {}) {
  const missing = content === MISSING ? {class: [attributes.class, 'missing'].filter(Boolean).join(' ')} : {};
  return element(tag, {...attributes, ...missing}, content);
}

function table(node, headers, rows) {
  node.replaceChildren(
      element('thead', {}, element('tr', {}, ...headers.map(([label, kind]) => element('th', {scope: 'col', class: kind}, label)))),
      element('tbody', {}, ...rows.map((row) => element('tr', {}, ...row.map((content, index) =>
          index === 0 ? cell('th', content, {scope: 'row'}) : cell('td', content, {class: headers[index][1]}))))));
}

const find = (selector) => document.querySelector(selector);
