/** A box of a picture, in its own units. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** One state in a stage's box. */
export interface SubstateShape extends Box {
  /** Such as `photos.running`. */
  readonly state: string;
  readonly label: string;
}

/** A stage of a machine's picture. */
export interface StageShape extends Box {
  readonly stage: string;
  readonly label: string;
  readonly row: number;
  readonly substates: readonly SubstateShape[];
}

/** A line from one stage, or from the start, to another or to the end. */
export interface EdgeShape {
  /** A stage's name, `new` or `completed`. */
  readonly from: string;
  readonly to: string;
  /** Of an SVG path. */
  readonly path: string;
  readonly isSkip: boolean;
}

/** A machine as a picture: stages in a line that wraps, states inside, skips as arcs above. */
export interface MachineShape {
  readonly width: number;
  readonly height: number;
  readonly start: { readonly x: number; readonly y: number };
  readonly stages: readonly StageShape[];
  readonly ends: readonly SubstateShape[];
  readonly edges: readonly EdgeShape[];
}

/** A stage as the picture needs it. */
export interface DrawnStage {
  readonly name: string;
  /** Whether the definition may pass it over. */
  readonly canBeSkipped: boolean;
}

const stageWidth = 184;
const stageGap = 26;
const margin = 14;
const startWidth = 30;
const titleHeight = 26;
const stateHeight = 20;
const stateGap = 4;
const stageHeight = titleHeight + 3 * (stateHeight + stateGap) + 6;
/** A line of text below the states of a stage. */
export const noteHeight = 17;
const arcSpace = 34;
const rowGap = 40;
const endWidth = 104;
const endHeight = 24;
/** Stages beyond this number are drawn without their states: what happens inside is told beside the picture. */
const mostDetailed = 40;
const plainHeight = 34;

/** Where each state stands in a stage's box: column, row, and columns that it takes, of two. */
const cells = [
  ['queued', 'queued', 0, 0, 1],
  ['running', 'running', 1, 0, 1],
  ['backingOff', 'backing off', 0, 1, 1],
  ['held', 'held', 1, 1, 1],
  ['unknown', 'unknown', 0, 2, 1],
  ['deadLettered', 'dead letter', 1, 2, 1],
] as const;

/**
 * The picture of a pipeline's machine, laid out by hand: it is a line with skips, so that nothing has to be searched for. Pure.
 *
 * @param widthLimit - where the line wraps
 * @param hasNotes - whether each stage has room for a note below its states
 * @param taken - pairs of stages that were passed between although a skip was not declared, such as of an older definition
 */
export function machineShape(
  stages: readonly DrawnStage[],
  options: {
    readonly widthLimit: number;
    readonly hasNotes?: boolean;
    readonly taken?: readonly (readonly [string, string])[];
  },
): MachineShape {
  const isDetailed = stages.length <= mostDetailed;
  const height = isDetailed ? stageHeight + (options.hasNotes === true ? noteHeight : 0) : plainHeight;
  const lineWidth = options.widthLimit - 2 * margin - startWidth;
  const columns = Math.max(1, Math.floor((lineWidth + stageGap) / (stageWidth + stageGap)));
  const rowHeight = height + arcSpace + (isDetailed ? 0 : rowGap - arcSpace);
  const shapes = stages.map(({ name }, index): StageShape => {
    const row = Math.floor(index / columns);
    const x = margin + startWidth + (index % columns) * (stageWidth + stageGap);
    const y = margin + arcSpace + row * rowHeight;
    return {
      stage: name,
      label: name,
      row,
      x,
      y,
      width: stageWidth,
      height,
      substates: isDetailed ? cells.map((cell) => substate(name, cell, { x, y })) : [],
    };
  });
  const rows = Math.max(1, Math.ceil(stages.length / columns));
  const endY = margin + arcSpace + rows * rowHeight - (isDetailed ? 8 : 0);
  const last = shapes.at(-1);
  const endX = margin + startWidth;
  const ends = (['completed', 'canceled'] as const).map((state, index) => ({
    state,
    label: state,
    x: endX + index * (endWidth + 12),
    y: endY,
    width: endWidth,
    height: endHeight,
  }));
  const start = { x: margin + 8, y: (shapes[0]?.y ?? margin) + height / 2 };
  const width = Math.max(
    margin * 2 + startWidth + Math.min(columns, Math.max(1, stages.length)) * (stageWidth + stageGap) - stageGap,
    endX + 2 * endWidth + 12 + margin,
  );
  return {
    width,
    height: endY + endHeight + margin,
    start,
    stages: shapes,
    ends,
    edges: [...lineEdges(shapes, start, ends[0], last), ...skipEdges(stages, shapes, options.taken ?? [])],
  };
}

function substate(
  stage: string,
  [name, label, column, row]: (typeof cells)[number],
  at: { x: number; y: number },
): SubstateShape {
  const inner = stageWidth - 14;
  const width = (inner - stateGap) / 2;
  return {
    state: name === 'deadLettered' ? `deadLettered.${stage}` : `${stage}.${name}`,
    label,
    x: at.x + 7 + column * (width + stateGap),
    y: at.y + titleHeight + row * (stateHeight + stateGap),
    width,
    height: stateHeight,
  };
}

function lineEdges(
  shapes: readonly StageShape[],
  start: { readonly x: number; readonly y: number },
  completed: Box | undefined,
  last: StageShape | undefined,
): readonly EdgeShape[] {
  const [first] = shapes;
  if (first === undefined || last === undefined || completed === undefined) return [];
  const between = shapes.slice(1).map((to, index) => {
    const from = shapes[index] as StageShape;
    return { from: from.stage, to: to.stage, path: pathBetween(from, to), isSkip: false };
  });
  const endX = completed.x + completed.width / 2;
  const drop = last.y + last.height;
  const middle = (drop + completed.y) / 2;
  return [
    { from: 'new', to: first.stage, path: `M${start.x + 6} ${start.y}H${first.x - 3}`, isSkip: false },
    ...between,
    {
      from: last.stage,
      to: 'completed',
      path: `M${last.x + last.width / 2} ${drop}V${middle}H${endX}V${completed.y - 3}`,
      isSkip: false,
    },
  ];
}

function pathBetween(from: StageShape, to: StageShape): string {
  const fromY = from.y + from.height / 2;
  const toY = to.y + to.height / 2;
  if (from.row === to.row) return `M${from.x + from.width} ${fromY}H${to.x - 3}`;
  // On to the next row: out at the right, back under the row, in at the left.
  const under = from.y + from.height + 10;
  const left = to.x - 14;
  return `M${from.x + from.width} ${fromY}h8V${under}H${left}V${toY}H${to.x - 3}`;
}

/** Every run of stages that may be passed over has an arc from the stage before it to the one after it. */
function skipEdges(
  stages: readonly DrawnStage[],
  shapes: readonly StageShape[],
  taken: readonly (readonly [string, string])[],
): readonly EdgeShape[] {
  const pairs = new Set<string>();
  stages.forEach((_, from) => {
    for (let to = from + 2; to < stages.length && stages[to - 1]?.canBeSkipped === true; to += 1)
      pairs.add(`${from} ${to}`);
  });
  const indexOf = new Map(stages.map(({ name }, index) => [name, index]));
  for (const [from, to] of taken) {
    const [start, end] = [indexOf.get(from), indexOf.get(to)];
    if (start !== undefined && end !== undefined && end > start + 1) pairs.add(`${start} ${end}`);
  }
  return [...pairs].flatMap((pair) => {
    const [from = 0, to = 0] = pair.split(' ').map(Number);
    const [source, target] = [shapes[from], shapes[to]];
    if (source === undefined || target === undefined) return [];
    return [{ from: source.stage, to: target.stage, path: arcBetween(source, target, to - from), isSkip: true }];
  });
}

function arcBetween(from: StageShape, to: StageShape, distance: number): string {
  const startX = from.x + from.width - 22;
  const endX = to.x + 22;
  const lift = Math.min(arcSpace - 6, 12 + 5 * distance);
  if (from.row === to.row)
    return `M${startX} ${from.y}C${startX + 20} ${from.y - lift} ${endX - 20} ${to.y - lift} ${endX} ${to.y - 3}`;
  const side = from.x + from.width + 12;
  return `M${startX} ${from.y}C${startX + 10} ${from.y - lift} ${side} ${from.y - lift} ${side} ${from.y + 8}V${to.y - arcSpace + 8}H${endX}V${to.y - 3}`;
}
