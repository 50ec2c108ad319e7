import { seededNumbers } from './seeded-numbers.ts';

/** What a drawn photo shows. */
export type SceneKind = 'house' | 'room' | 'car' | 'tower' | 'lake';

/** Size of every scene in its own units; it is drawn at any size in pixels. */
export const sceneWidth = 400;
export const sceneHeight = 300;

/** A scene as SVG. The same kind and seed is the same picture; other seeds look different also to a perceptual hash. */
export function sceneOf(kind: SceneKind, seed: number): string {
  const next = seededNumbers(seed);
  const between = (least: number, most: number) => Math.round(least + next() * (most - least));
  const color = (lightness: number) => `hsl(${between(0, 359)} ${between(35, 75)}% ${lightness}%)`;
  const body = scenes[kind]({ between, color });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${sceneWidth} ${sceneHeight}">${body}</svg>`;
}

interface Brush {
  readonly between: (least: number, most: number) => number;
  readonly color: (lightness: number) => string;
}

const rect = (x: number, y: number, width: number, height: number, fill: string) =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${fill}"/>`;
const circle = (x: number, y: number, radius: number, fill: string) =>
  `<circle cx="${x}" cy="${y}" r="${radius}" fill="${fill}"/>`;

const scenes: Readonly<Record<SceneKind, (brush: Brush) => string>> = {
  house({ between, color }) {
    const left = between(30, 150);
    const top = between(90, 150);
    const width = between(140, 210);
    const roof = `${left - 20},${top} ${left + width / 2},${top - between(40, 80)} ${left + width + 20},${top}`;
    const windows = Array.from({ length: between(2, 4) }, (_, index) =>
      rect(left + 15 + index * 45, top + 30, 28, 34, color(88)),
    );
    return [
      rect(0, 0, sceneWidth, sceneHeight, color(75)),
      circle(between(20, 380), between(20, 60), between(15, 30), color(92)),
      rect(0, 225, sceneWidth, 75, color(35)),
      rect(left, top, width, 240 - top, color(between(45, 70))),
      `<polygon points="${roof}" fill="${color(25)}"/>`,
      ...windows,
      rect(left + width / 2, 190, 30, 50, color(15)),
      circle(between(300, 380), 200, between(20, 45), color(28)),
    ].join('');
  },
  room({ between, color }) {
    const sofa = between(20, 180);
    return [
      rect(0, 0, sceneWidth, 210, color(between(70, 88))),
      rect(0, 210, sceneWidth, 90, color(40)),
      rect(between(20, 260), between(20, 50), between(70, 130), between(80, 120), color(95)),
      rect(sofa, 160, between(140, 200), 70, color(between(20, 50))),
      rect(sofa + 10, 130, 110, 40, color(45)),
      rect(between(250, 340), between(60, 120), 18, 130, color(20)),
      circle(between(40, 360), 45, between(12, 28), color(60)),
    ].join('');
  },
  car({ between, color }) {
    const left = between(40, 110);
    const paint = color(between(25, 60));
    return [
      rect(0, 0, sceneWidth, 190, color(between(60, 85))),
      rect(0, 190, sceneWidth, 110, color(30)),
      rect(between(0, 300), between(40, 90), between(60, 120), 110, color(50)),
      `<path d="M${left + 40} 180 L${left + 80} ${between(105, 135)} H${left + 180} L${left + 220} 180 Z" fill="${paint}"/>`,
      rect(left, 175, 250, 50, paint),
      rect(left + 85, 140, 40, 35, color(88)),
      rect(left + 135, 140, 40, 35, color(88)),
      circle(left + 55, 228, 26, '#151515'),
      circle(left + 195, 228, 26, '#151515'),
    ].join('');
  },
  tower({ between, color }) {
    const towers = Array.from({ length: 3 }, (_, index) => {
      const height = between(90, 240);
      return rect(index * 135 + between(0, 40), 270 - height, between(60, 90), height, color(between(20, 65)));
    });
    return [rect(0, 0, sceneWidth, sceneHeight, color(80)), ...towers, rect(0, 270, sceneWidth, 30, color(25))].join(
      '',
    );
  },
  lake({ between, color }) {
    const shore = between(130, 190);
    const peak = between(60, 340);
    return [
      rect(0, 0, sceneWidth, shore, color(between(65, 85))),
      `<polygon points="0,${shore} ${peak},${between(30, 70)} ${sceneWidth},${shore}" fill="${color(35)}"/>`,
      rect(0, shore, sceneWidth, sceneHeight - shore, color(between(35, 50))),
      `<ellipse cx="${between(80, 320)}" cy="${between(220, 270)}" rx="${between(50, 90)}" ry="18" fill="${color(80)}"/>`,
      circle(between(30, 370), between(25, 50), 20, color(94)),
    ].join('');
  },
};
