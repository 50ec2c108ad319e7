/** An order of the parent to a child process, with the number that its answer carries. */
export interface OrderMessage {
  readonly order: unknown;
  readonly number: number;
}

/** What a child process tells its parent. */
export type ChildMessage =
  | { readonly type: 'answer'; readonly number: number; readonly answer: unknown }
  | { readonly type: 'refusal'; readonly number: number; readonly message: string }
  | { readonly type: 'event'; readonly event: unknown };

/** Answers the parent's orders, and ends this process when the parent is gone. */
export function serveOrders(handle: (order: never) => unknown): void {
  process.once('disconnect', () => process.exit(1));
  process.on('message', ({ order, number }: OrderMessage) => {
    Promise.resolve()
      .then(() => handle(order as never))
      .then(
        (answer) => send({ type: 'answer', number, answer }),
        (error: unknown) => send({ type: 'refusal', number, message: String(error) }),
      );
  });
}

/** Tells the parent what it did not ask for. */
export function tellParent(event: unknown): void {
  send({ type: 'event', event });
}

function send(message: ChildMessage): void {
  if (process.connected) process.send?.(message);
}
