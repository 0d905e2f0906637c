// The map of the paper's thresholds: a cell a pair, with its bits and its loss.

const percentage = (share) => number(100 * share);

function thresholdCells(study) {
  const columns = study.activation_thresholds.length;
  return study.cells.map((plan, cell) => {
    const row = Math.floor(cell / columns), column = cell % columns;
    return {row, column, weights: study.weight_thresholds[row], activations: study.activation_thresholds[column], ...study.plans[plan]};
  });
}

const isChosen = (study, cell) => cell.weights === study.weights && cell.activations === study.activations;

function cellSummary(cell, metric) {
  return `Thr_w ${percentage(cell.weights)} %, Thr_act ${percentage(cell.activations)} %\n` +
      `weights ${fixed(cell.weight_bits, 2)} bits, activations ${cell.activation_bits ? fixed(cell.activation_bits, 2) + ' bits' : 'not quantized'}, ` +
      `mean over tensors ${fixed(cell.tensor_mean_bits, 2)}\n` +
      (isNumber(cell.loss) ? `judged loss ${number(cell.loss * metric.factor)} ${metric.lossUnit}` : 'not judged');
}

// Colour says the loss, by its square root so that small losses differ too; what was not judged has a dashed border.
function drawThresholds(container, width, study, metric, limit) {
  const cells = thresholdCells(study), rows = study.weight_thresholds.length, columns = study.activation_thresholds.length;
  const left = 60, top = 44;
  const side = Math.min(86, (width - left - 2) / columns), tall = Math.max(40, Math.min(48, side));
  const wide = side >= 76;  // room for both operands' bits
  const svg = canvas(Math.min(width, left + columns * side + 2), top + rows * tall + 2,
                     'Bits and loss of each pair of thresholds: rows for weights, columns for activations');
  svg.append(text(left, 13, 'Thr_act, %', {class: 'title'}), text(0, top - 8, 'Thr_w, %', {class: 'title'}));
  study.activation_thresholds.forEach((threshold, column) =>
      svg.append(text(left + (column + 0.5) * side, top - 8, percentage(threshold), {'text-anchor': 'middle'})));
  study.weight_thresholds.forEach((threshold, row) =>
      svg.append(text(left - 8, top + (row + 0.5) * tall + 4, percentage(threshold), {'text-anchor': 'end'})));
  const largest = Math.max(1e-12, ...cells.map((cell) => cell.loss).filter(isNumber));
  const marks = [];
  for (const cell of cells) {
    const x = left + cell.column * side, y = top + cell.row * tall, middle = x + side / 2;
    const judged = isNumber(cell.loss);
    const share = judged ? Math.sqrt(Math.max(0, cell.loss) / largest) : 0;
    const group = shape('g', {}, tooltip(cellSummary(cell, metric)));
    group.append(shape('rect', {x: x + 1, y: y + 1, width: side - 2, height: tall - 2, class: judged ? 'heat' : 'heat unknown',
                                style: judged ? `fill: color-mix(in srgb, var(--heat) ${fixed(75 * share, 0)}%, var(--panel))` : null}));
    const bits = wide && cell.activation_bits ? `${fixed(cell.weight_bits, 2)} / ${fixed(cell.activation_bits, 2)}` : fixed(cell.tensor_mean_bits, 2);
    group.append(text(middle, y + tall / 2 - 3, bits, {class: 'label', 'text-anchor': 'middle'}),
                 text(middle, y + tall / 2 + 13, judged ? fixed(cell.loss * metric.factor, metric.factor === 1 ? 3 : 1) : '–', {class: judged && isNumber(limit) && cell.loss <= limit + 1e-9 ? 'value within' : 'value', 'text-anchor': 'middle'}));
    svg.append(group);
    if (isChosen(study, cell)) marks.push(shape('rect', {x: x + 1, y: y + 1, width: side - 2, height: tall - 2, class: 'chosen'}));
  }
  svg.append(...marks);  // above their neighbours
  container.replaceChildren(svg);
  find('#grid-caption').textContent = `In each cell, above: stored bits, ${wide ? 'weights / activations' : 'mean over tensors'}; below: loss, ${metric.lossUnit}, which the colour shows too. ` +
      'Dashed, “–”: this plan was not judged. Framed: this recipe.' + (isNumber(limit) ? ' Bold: within the limit on these samples.' : '');
}

const CHOICES = {
  loss: 'the loosest that the walk found within the loss limit',
  bits: 'the tightest common threshold within the bits that were asked for',
  given: 'as given',
};

function showThresholds(study, metric, limit) {
  if (!study) {
    find('#grid').remove();
    find('nav a[href="#grid"]').remove();
    return;
  }
  const judged = study.plans.filter((plan) => isNumber(plan.loss)).length;
  find('#grid-lead').textContent = `This recipe is of Thr_w ${percentage(study.weights)} % and Thr_act ${percentage(study.activations)} %, ${CHOICES[study.chosen_by] || study.chosen_by}. ` +
      `The ${study.cells.length} pairs below come to ${study.plans.length} different plans of bits, of which ${judged} were judged by running the network` +
      (study.samples > 0 ? ` on ${count(study.samples)} samples.` : '.');
  responsive(find('#grid-plot'), (width) => drawThresholds(find('#grid-plot'), width, study, metric, limit));
  table(find('#grid-table table'), [['Thr_w, %', 'text'], ['Thr_act, %'], ['Weight bits'], ['Activation bits'], ['Mean over tensors'], [`Loss, ${metric.lossUnit}`], ['This recipe', 'text']],
        thresholdCells(study).map((cell) => [percentage(cell.weights), percentage(cell.activations), fixed(cell.weight_bits, 2), cell.activation_bits ? fixed(cell.activation_bits, 2) : '–',
                                             fixed(cell.tensor_mean_bits, 2), isNumber(cell.loss) ? number(cell.loss * metric.factor) : 'not judged', isChosen(study, cell) ? 'yes' : '']));
}
