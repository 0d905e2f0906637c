// Text, tables and controls. Everything from the document goes in as text, never as markup.

const data = JSON.parse(document.getElementById('report-data').textContent);

const METRICS = {
  top1: 'top-1 accuracy', top5: 'top-5 accuracy', agreement: 'agreement with FP32', cosine: 'cosine to FP32',
  kl: 'KL divergence from FP32', command: 'metric of your command',
};

function metricStyle(metric) {
  const isFraction = metric ? metric.is_fraction : false;
  const isRelative = metric ? metric.drop_type === 'relative' : false;
  const name = metric ? METRICS[metric.name] || metric.name : 'metric';
  const bareChange = (value) => !isNumber(value) ? MISSING : (value > 0 ? '+' : '') + (isFraction ? fixed(100 * value, 2) : number(value, 3));
  return {
    name,
    factor: isFraction || isRelative ? 100 : 1,
    lossUnit: isRelative ? '% of FP32’s score' : isFraction ? 'points' : name,
    limit: (value) => isRelative ? number(100 * value, 3) : bareChange(value).replace('+', ''),
    value: (value) => !isNumber(value) ? MISSING : isFraction ? `${fixed(100 * value, 2)} %` : number(value, 4),
    unit: isFraction ? ', points' : '',
    bareChange,
    change: (value) => bareChange(value) + (isFraction && isNumber(value) ? ' points' : ''),
  };
}
const style = metricStyle(data.summary.metric);
const difference = (a, b) => isNumber(a) && isNumber(b) ? a - b : null;

// ---- Summary

function summarize() {
  const {summary, layers, unquantized} = data;
  const metric = summary.metric;
  const model = summary.model || 'Unnamed model';
  document.title = `${model}: dnateq report`;
  find('#model').textContent = model;
  find('#run').textContent = [
    `strategy ${summary.strategy}`, `seed ${summary.seed}`, `search took ${duration(summary.seconds)}`,
    `${layers.length} layers quantized, ${unquantized.length} left in FP32`,
  ].join(' · ');
  find('#lead').textContent = leadText(summary, metric);

  const b = summary.bytes;
  const weightBits = summary.weights ? fixed(summary.weights.stored_bits, 2) : MISSING;
  const activationBits = summary.activations ? fixed(summary.activations.stored_bits, 2) : 'not quantized';
  const ratio = (size) => size && b.fp32 ? `${fixed(b.fp32 / size, 1)}×` : MISSING;
  const values = metric || {};
  const lossIsChange = values.name === 'kl';  // else the score falls by what is lost
  const scale = values.drop_type === 'relative' ? Math.abs(values.reference) : 1;  // shares of FP32's score, in its units
  const changes = ([low, high]) => lossIsChange ? [low, high] : [-high * scale, -low * scale];
  const row = (name, weights, activations, size, ram, value) => {
    const judged = summary.emissions.find((one) => one.emission === name);
    return [name, weights, activations, bytes(size), judged && judged.bits_on_disk ? fixed(judged.bits_on_disk, 2) : '', ratio(size), bytes(ram), style.value(value),
            style.bareChange(difference(value, values.reference)),
            judged && judged.interval.every(isNumber) ? changes(judged.interval).map(style.bareChange).join(' to ') : '',
            judged && isNumber(judged.upper_bound) ? `${style.bareChange(judged.upper_bound * scale)} (${judged.bound_method})` : ''];
  };
  const rows = [[...row('FP32', '32', '32', b.fp32, b.ram_fp32, values.reference).slice(0, 8), '', '', '']];
  if (b.int8 || isNumber(values.int8)) rows.push(row(b.int8_is_estimate ? 'INT8, size estimated' : 'INT8', '8', '8', b.int8, b.ram_int8, values.int8));
  rows.push(row(summary.emission, weightBits, summary.activations ? '8 (integers)' : 'not quantized', b.standard, b.standard ? b.ram : 0, values.quantized));
  rows.push(row(summary.low_bit_emission, weightBits, activationBits, b.exact, b.standard ? 0 : b.ram, values.exact));
  table(find('#comparison'), [['', 'text'], ['Weight bits'], ['Activation bits'], ['On disk'], ['Bits on disk'], ['Times smaller'], ['In RAM'],
                              [metric ? style.name : 'Metric'], [`Change${style.unit}`], [`95 % interval of the change${style.unit}`],
                              [`Loses at most, at 95 %${style.unit}`]], rows);

  find(summary.emission === 'cpu' ? '#standard' : '#cpu').remove();
  if (!summary.activations) find('.main-activations').textContent = 'activations stay in floating point';

  const means = [];
  if (summary.weights) means.push(compressionText('Weights', summary.weights));
  if (summary.activations) means.push(compressionText('Activations', summary.activations));
  if (summary.weights) means.push(`Plain mean over all tensors: ${fixed(summary.all_tensor_mean_bits, 2)} bits.`);
  means.push('Stored bits of weights count the bytes of their codes, tables and scales, FP32 layers at 32 bits; those of activations are the mean over the values that enter quantized layers at batch 1. Bits on disk: 8 × the bytes of the weight file ÷ all parameters of the FP32 network, whatever the file holds them as.');
  find('#bits-note').textContent = means.join(' ');
  find('#origin dl').append(...[['Command line', summary.options], ['Model', summary.model_fingerprint], ['Calibration data', summary.data_fingerprint]]
      .filter(([, value]) => value).flatMap(([key, value]) => [element('dt', {}, key), element('dd', {}, element('code', {}, value))]));
}

function compressionText(name, bits) {
  return `${name}: ${fixed(bits.stored_bits, 2)} stored bits, ${fixed(bits.compression_vs_fp32, 1)}× smaller than 32 and ` +
      `${fixed(bits.compression_vs_int8, 1)}× smaller than 8 bits a value (plain mean over tensors ${fixed(bits.tensor_mean_bits, 2)}).`;
}

function duration(seconds) {
  if (!isNumber(seconds)) return MISSING;
  if (seconds < 90) return `${number(seconds)} s`;
  return seconds < 5400 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${number(seconds / 3600)} h`;
}

function leadText(summary, metric) {
  const parts = [];
  if (summary.weights) {
    parts.push(`Weights take ${fixed(summary.weights.stored_bits, 2)} bits a value` +
               (summary.activations ? `, activations ${fixed(summary.activations.stored_bits, 2)} bits in the ${summary.low_bit_emission} model` + (summary.low_bit_emission === 'counting' ? '.' : ` and 8 in the ${summary.emission} one.`) : '; activations are not quantized.'));
  } else {
    parts.push('No layer was quantized.');
  }
  if (!metric) return parts.concat('The loss was not measured.').join(' ');
  const told = (name, value) => isNumber(value)
      ? `${style.value(value)} ${name} (${style.change(difference(value, metric.reference))})` : `${name} not measured`;
  parts.push(`The ${style.name} is ${isNumber(metric.reference) ? style.value(metric.reference) : MISSING} in FP32, ${told(summary.low_bit_emission, metric.exact)}` + (summary.low_bit_emission === 'counting' ? '' : `, ${told(summary.emission, metric.quantized)}`) +
             (isNumber(metric.int8) ? `, ${told('INT8', metric.int8)}` : '') + '.');
  const own = metric.samples_from === "the metric's own";
  const seen = metric.held_out ? (own ? ', which led no search; whether calibration has them is not known' : ', which the search never saw') : metric.samples > 0 ? '' : ' samples, which the search was led by too';
  parts.push(metric.samples > 0 ? `Judged on ${count(metric.samples)} samples (${metric.samples_from})${seen}.` : `Judged on ${metric.samples_from}${seen}.`);
  if (metric.verdict) parts.push(`The limit of ${style.limit(metric.limit)} ${style.lossUnit}: ${metric.verdict}.`);
  return parts.join(' ');
}

// ---- Advice

function showAdvice() {
  find('#advice-list').replaceChildren(...data.advice.map((item) => element('li', {},
      ...item.cases.map((one) => element('p', {}, element('strong', {}, one.subject || 'The whole network'), ' ', one.finding)),
      ...item.remedies.map((one) => element('p', {class: 'remedy'}, one.text, one.command ? element('code', {}, one.command) : null)))));
  if (!data.advice.length) find('#advice-list').replaceWith(element('p', {}, 'Nothing stands out: no tensor, layer or measurement asks for action.'));
}

// ---- Tensor explorer

const explorer = {index: 0, fits: null, redraw: () => {}};

function tensorName(view) {
  return `${data.layers[view.layer].name}, ${view.is_weights ? 'weights' : 'activations'}`;
}

function selectTensor(index) {
  explorer.index = index;
  find('#tensor').value = String(index);
  find('#previous').disabled = index === 0;
  find('#next').disabled = index === data.tensors.length - 1;
  find('#readout').textContent = '';
  const view = data.tensors[index], layer = data.layers[view.layer];
  const recipe = view.is_weights ? layer.weights : layer.activations;
  const outside = view.below + view.above;
  find('#tensor-facts').textContent = view.values === 0
      ? `${recipe.bits} stored bits. No values were recorded for this tensor, so there is no histogram.`
      : `${recipe.bits} stored bits: ${recipe.negative_levels} negative and ${recipe.positive_levels} positive levels${recipe.negative_levels + recipe.positive_levels < 2 ** recipe.bits ? ' beside zero' : ''}, base ${number(recipe.base, 4)}, ` +
        `α ${number(recipe.alpha)}, β ${number(recipe.beta)}, ${recipe.arithmetic} arithmetic. ` +
        (recipe.scale_exponent ? `Channel scales are float16 times 2^${recipe.scale_exponent}. ` : '') +
        `${count(view.values)} values from ${number(view.minimum)} to ${number(view.maximum)}; ${fixed(100 * view.zeros / view.values, 1)} % are exact zeros` +
        (outside ? `; ${count(outside)} lie outside the drawn range` : '') +
        `. With nearest rounding of these values: ${decibels(view.sqnr_db)}, best clipped uniform grid ${decibels(view.uniform.sqnr_db)}.`;
  showFits(view);
  explorer.redraw();
}

// Unless the user chose: the best of all, and the best two of the paper's four. The list comes in ascending RSS.
function shownFits(view) {
  if (explorer.fits) return explorer.fits;
  const names = view.fits.map((fit) => fit.name);
  return new Set([...names.slice(0, 1), ...names.filter((name) => PAPER_FITS.includes(name)).slice(0, 2)]);
}

function fitParameters(fit) {
  const [first, second] = fit.parameters.map((value) => number(value));
  return {
    'normal': `mean ${first}, σ ${second}`, 'exponential': `rate ${first}`, 'pareto': `x_min ${first}, exponent ${second}`,
    'uniform': `${first} to ${second}`, 'laplace': `rate ${first}`, 'half-normal': `σ ${first}`,
  }[fit.name] || `${first}, ${second}`;
}

function showFits(view) {
  const rows = view.fits.map((fit) => {
    const box = element('input', {type: 'checkbox', 'aria-label': `Draw ${fit.name}`});
    box.checked = shownFits(view).has(fit.name);
    box.addEventListener('change', () => {
      explorer.fits = new Set(shownFits(view));
      explorer.fits[box.checked ? 'add' : 'delete'](fit.name);
      explorer.redraw();
    });
    const swatch = shape('svg', {width: 34, height: 12, 'aria-hidden': 'true'}, line(1, 6, 33, 6, fitStyle(fit.name)));
    return [fit.name, box, swatch, number(fit.rss), fixed(fit.ks, 3), fitParameters(fit), !fit.mirrored ? 'x' : view.low < 0 ? '|x|, mirrored' : '|x|'];
  });
  table(find('#fits'), [['Distribution', 'text'], ['Draw', 'text'], ['Line', 'text'], ['RSS'], ['KS'], ['Parameters', 'text'], ['Fitted to', 'text']],
        rows.length ? rows : [['none', '', '', MISSING, MISSING, '', '']]);
}

function setUpExplorer() {
  if (!data.tensors.length) {
    find('#explorer').replaceChildren(find('#explorer-title'), element('p', {}, 'No histograms were recorded.'));
    return;
  }
  const groups = data.tensors.map((view, index) => element('option', {value: index}, tensorName(view)));
  find('#tensor').append(...groups);
  find('#tensor').addEventListener('change', (event) => selectTensor(Number(event.target.value)));
  find('#previous').addEventListener('click', () => selectTensor(explorer.index - 1));
  find('#next').addEventListener('click', () => selectTensor(explorer.index + 1));
  for (const id of ['#log', '#thresholds']) find(id).addEventListener('change', () => explorer.redraw());
  explorer.redraw = responsive(find('#tensor-plot'), (width) => {
    const view = data.tensors[explorer.index];
    drawTensor(find('#tensor-plot'), width, view, {
      name: tensorName(view),
      isWeights: view.is_weights,
      log: find('#log').checked,
      thresholds: find('#thresholds').checked,
      fits: shownFits(view),
      onRead: (message) => { find('#readout').textContent = message; },
    });
  });
  selectTensor(0);
}

function showTensor(layer, isWeights = true) {
  const index = data.tensors.findIndex((view) => view.layer === layer && view.is_weights === isWeights);
  if (index >= 0) selectTensor(index);
}

// ---- Full table

const COLUMNS = [
  {label: 'Layer', kind: 'name', value: (row) => row.layer.name, isText: true},
  {label: 'Tensor', kind: 'text', value: (row) => row.isWeights ? 'weights' : 'activations', isText: true},
  {label: 'Type', kind: 'text', value: (row) => row.layer.type, isText: true},
  {label: 'Shape', kind: 'text', value: (row) => row.tensor.elements, show: (row) => (row.isWeights ? row.layer.weight_shape : row.tensor.shape).join(' × ')},
  {label: 'Bits', value: (row) => row.tensor.bits},
  {label: 'Levels', value: (row) => row.tensor.negative_levels + row.tensor.positive_levels, show: (row) => `${row.tensor.negative_levels} + ${row.tensor.positive_levels}`},
  {label: 'Base', value: (row) => row.tensor.base, show: (row) => number(row.tensor.base, 4)},
  {label: 'α', value: (row) => row.tensor.alpha},
  {label: 'β', value: (row) => row.tensor.beta},
  {label: 'RMAE', unit: '%', value: (row) => row.tensor.rmae, show: (row) => fixed(isNumber(row.tensor.rmae) ? 100 * row.tensor.rmae : null, 2)},
  {label: 'SQNR', unit: 'dB', value: (row) => row.tensor.sqnr_db, show: (row) => fixed(row.tensor.sqnr_db, 1)},
  {label: 'Uniform SQNR', unit: 'dB', value: (row) => row.tensor.uniform_sqnr_db, show: (row) => fixed(row.tensor.uniform_sqnr_db, 1)},
  {label: 'Sensitivity', value: (row) => row.tensor.sensitivity},
  {label: 'Bytes', value: (row) => row.isWeights ? row.tensor.bytes : null, show: (row) => row.isWeights ? bytes(row.tensor.bytes) : '–'},
  {label: 'Distribution', kind: 'text', value: (row) => row.tensor.distribution, isText: true},
];

function compare(column, direction) {
  return (a, b) => {
    const [left, right] = [column.value(a), column.value(b)];
    if (column.isText) return direction * left.localeCompare(right, 'en', {numeric: true});
    if (!isNumber(left) || !isNumber(right)) return Number(isNumber(right)) - Number(isNumber(left));  // missing ones last
    return direction * (left - right);
  };
}

function setUpTable() {
  const rows = data.layers.flatMap((layer, index) => [
    {layer, index, isWeights: true, tensor: layer.weights},
    ...(layer.activations ? [{layer, index, isWeights: false, tensor: layer.activations}] : []),
  ]);
  const body = element('tbody');
  const state = {column: null, direction: 1};
  const headers = COLUMNS.map((column) => {
    const button = element('button', {type: 'button'}, column.label);
    if (column.unit) button.append(' ', element('span', {class: 'unit'}, column.unit));
    const header = element('th', {scope: 'col', class: column.kind, 'aria-sort': 'none'}, button);
    button.addEventListener('click', () => {
      state.direction = state.column === column ? -state.direction : column.isText ? 1 : -1;
      state.column = column;
      for (const other of headers) other.setAttribute('aria-sort', 'none');
      header.setAttribute('aria-sort', state.direction > 0 ? 'ascending' : 'descending');
      show();
    });
    return header;
  });
  const show = () => {
    const wanted = find('#filter').value.trim().toLowerCase();
    const matches = (row) => COLUMNS.some((column) => column.isText && column.value(row).toLowerCase().includes(wanted));
    const visible = wanted ? rows.filter(matches) : [...rows];
    if (state.column) visible.sort(compare(state.column, state.direction));
    body.replaceChildren(...visible.map(tableRow));
    find('#row-count').textContent = `${visible.length} of ${rows.length} tensors`;
  };
  find('#all').append(element('thead', {}, element('tr', {}, ...headers)), body);
  find('#filter').addEventListener('input', show);
  show();
}

function tableRow(row) {
  return element('tr', {}, ...COLUMNS.map((column) => {
    const content = column.show ? column.show(row) : column.isText ? column.value(row) : number(column.value(row));
    if (column.kind !== 'name') return cell('td', content, {class: column.kind});
    const link = element('a', {href: '#explorer'}, shorten(content, matchMedia('(max-width: 40rem)').matches ? 16 : 30));
    link.addEventListener('click', () => showTensor(row.index, row.isWeights));
    const shares = row.isWeights && row.layer.shares_weights_with;
    return element('td', {class: 'name', title: shares ? `${content}; shares the weights of ${shares}` : content}, link);
  }));
}

// ---- The rest

function showUnquantized() {
  const list = find('#fp32-list');
  if (!data.unquantized.length) {
    list.append(element('p', {}, 'None: every layer with weights is quantized.'));
    return;
  }
  const node = element('table');
  table(node, [['Layer', 'text'], ['Type', 'text'], ['Weights'], ['Bytes'], ['Reason', 'wrap']],
        data.unquantized.map((layer) => [layer.name, layer.type, count(layer.weight_elements), layer.weight_elements ? bytes(4 * layer.weight_elements) : '0 B', layer.reason]));
  list.append(element('p', {class: 'quiet'}, 'Their weights are counted at 32 bits.'),
              element('div', {class: 'scroll', role: 'region', 'aria-label': 'Layers left in FP32', tabindex: '0'}, node));
}

function showFloatActivations() {
  const {passed} = data, list = find('#float-list');
  if (!passed.values) {
    list.append(element('p', {}, 'Not counted.'));
    return;
  }
  const share = passed.in_float.reduce((sum, tensor) => sum + tensor.share, 0);
  list.append(element('p', {}, `Operations of the ${passed.emission} model pass on ${count(passed.values)} values a sample, ` +
      `${fixed(100 * share, 1)} % of them in FP32. Over all of them, FP32 at 32, the mean is ${fixed(passed.mean_bits, 2)} bits.`));
  if (!passed.in_float.length) return;
  const node = element('table');
  table(node, [['Written by', 'text'], ['Operation', 'text'], ['Values a sample'], ['Share']],
        passed.in_float.map((tensor) => [tensor.name, tensor.type, count(tensor.elements), `${fixed(100 * tensor.share, 2)} %`]));
  list.append(element('div', {class: 'scroll', role: 'region', 'aria-label': 'Activations left in FP32', tabindex: '0'}, node));
}

function showCurve() {
  const {summary, curve, steps} = data;
  const bits = summary.weights && (summary.activations ? (summary.weights.stored_bits + summary.activations.stored_bits) / 2 : summary.weights.stored_bits);
  legend(find('#curve-legend'), [
    ['line', 'var(--ours)', false, 'allocation front, predicted'],
    ['circle', 'var(--activations)', true, 'candidate, predicted'],
    ['diamond', 'var(--activations)', false, 'candidate, judged'],
  ]);
  responsive(find('#curve-plot'), (width) => drawCurve(find('#curve-plot'), width, curve, steps, style, bits));
  if (!steps.length) return find('#steps').remove();
  table(find('#steps table'), [['Step', 'text'], ['Weight bits'], ['Activation bits'], [`Judged loss, ${style.lossUnit}`], ['Predicted'], ['Note', 'wrap']],
        steps.map((step, index) => [String(index + 1), fixed(step.weight_bits, 2), step.activation_bits ? fixed(step.activation_bits, 2) : '–',
                                    number(isNumber(step.loss) ? step.loss * style.factor : null), number(step.predicted), step.note]));
}

function showLayers() {
  if (!data.layers.length) {
    find('#layer-plot').append(element('p', {}, 'No layer was quantized.'));
    return;
  }
  legend(find('#layer-legend'), [
    ['circle', 'var(--weights)', false, 'weights'], ['diamond', 'var(--activations)', false, 'activations'],
    ['circle', 'var(--output)', false, 'output, as quantized'], ['circle', 'var(--output)', true, 'output, nearest rounding'],
  ]);
  responsive(find('#layer-plot'), (width) => drawLayers(find('#layer-plot'), width, data.layers, showTensor));
}

summarize();
showAdvice();
showLayers();
showCurve();
showThresholds(data.thresholds, style, data.summary.metric ? data.summary.metric.limit : null);
setUpExplorer();
setUpTable();
showUnquantized();
showFloatActivations();
